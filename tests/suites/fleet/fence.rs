//! The fence kit: what it keeps never goes down, and a git repository refuses the pushes of a former owner.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use planlease_core::FencingToken;
use planlease_tests::{
    TestEnv, case,
    program::{Process, Program, planlease},
    test_env::{path_text, plan_name},
    wait::SOON,
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(5);

/// The documented exit statuses.
const DONE: i32 = 0;
const BAD_STATE: i32 = 25;
const AUTHORITY_LOST: i32 = 101;

const PROCESSES: u64 = 40;

/// A repository to push to, with the hook, and one to push from.
fn repositories(env: &TestEnv, hook: &str) {
    let folder = env.folder();
    git(folder, &["init", "-q", "--bare", "-b", "main", "server.git"]);
    let file = env.path("server.git/hooks/pre-receive");
    fs::write(&file, hook).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    git(&env.path("server.git"), &["config", "receive.advertisePushOptions", "true"]);
    git(folder, &["init", "-q", "-b", "main", "work"]);
    git(&env.path("work"), &["remote", "add", "origin", "../server.git"]);
}

fn run(folder: &Path, args: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", path_text(planlease().parent().unwrap()));
    let who = ["-c", "user.email=somebody@example.org", "-c", "user.name=somebody"];
    Command::new("git").env("PATH", path).current_dir(folder).args(who).args(args).output().unwrap()
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Commits something and pushes it; what git said if it was refused.
fn push(env: &TestEnv, options: &[&str]) -> Result<(), String> {
    let work = env.path("work");
    git(&work, &["commit", "-q", "--allow-empty", "-m", &format!("pushed with {options:?}")]);
    let options = options.iter().flat_map(|option| ["-o", option]);
    let args: Vec<&str> = ["push", "-q"].into_iter().chain(options).chain(["origin", "HEAD:main"]).collect();
    let output = run(&work, &args);
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn head(env: &TestEnv) -> String {
    git(&env.path("server.git"), &["log", "--format=%s", "-1", "main"])
}

#[case]
async fn the_push_of_a_former_owner_is_refused(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.coordinator().await.admin().import(&plan_name("release"), &spec(1, "true"), |_| {}).await.unwrap();
    let hook = env.program().run_to(DONE, ["fence", "hook", "--print"]).await.stdout;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hooks/pre-receive");
    assert_eq!(hook, fs::read_to_string(example).unwrap(), "the example is what is printed");
    repositories(&env, &hook);
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let file = env.path("token");
        let shell = format!("printenv PLANLEASE_FENCING_TOKEN > '{}'", path_text(&file));
        env.program().run_to(DONE, ["hold", "release", "--", "sh", "-c", &shell]).await;
        tokens.push(format!("planlease-token={}", env.text("token").trim()));
    }
    let [former, present] = &tokens[..] else { unreachable!("two of them") };
    push(&env, &[former]).unwrap();
    push(&env, &[former]).unwrap(); // As often as it likes, while it has no successor.
    push(&env, &[present]).unwrap();
    let refused = push(&env, &[former]).unwrap_err();
    assert!(refused.contains("token 1.1 is lower than 1.2"), "{refused}");
    assert!(head(&env).contains(present), "nothing of it arrived");
    let refused = push(&env, &[]).unwrap_err();
    assert!(refused.contains("no fencing token"), "{refused}");
    let refused = push(&env, &["planlease-token=1.x"]).unwrap_err();
    assert!(refused.contains("not a fencing token"), "{refused}");
    // The push does not choose what it is compared with.
    let refused = push(&env, &[former, "planlease-plan=other"]).unwrap_err();
    assert!(refused.contains("the whole repository"), "{refused}");
    git(&env.path("server.git"), &["config", "planlease.tokenRequired", "false"]);
    push(&env, &[]).unwrap();
    assert!(push(&env, &[former]).is_err(), "a token that is shown is looked at all the same");
    // A hook that cannot decide refuses.
    fs::write(env.path("server.git/planlease-fence/repository.fence"), "").unwrap();
    assert!(push(&env, &["planlease-token=9.9"]).unwrap_err().contains("cannot be understood"));
}

#[case]
async fn a_push_chooses_neither_its_plan_nor_its_fence(env: TestEnv) {
    let env = env.with_ttl(TTL);
    for plan in ["release", "docs"] {
        env.coordinator().await.admin().import(&plan_name(plan), &spec(1, "true"), |_| {}).await.unwrap();
    }
    for plan in ["release", "release", "docs"] {
        env.program().run_to(DONE, ["hold", plan, "--", "true"]).await;
    }
    let set_up = ["fence", "hook", "--plan", "release", "--plan", "docs=refs/heads/docs/", "--ask"];
    let hook = env.program().run_to(DONE, set_up).await.stdout;
    repositories(&env, &hook);
    let server = env.path("server.git");
    push(&env, &["planlease-token=1.2"]).unwrap();
    for (options, why) in [
        (&["planlease-token=1.1"][..], "token 1.1 is lower than 1.2"),
        (&["planlease-token=1.1", "planlease-plan=zz"], "this is not for plan zz"),
        (&["planlease-token=1.1", "planlease-plan=docs"], "this is not for plan docs"),
        (&["planlease-token=18446744073709551615.0"], "never issued: the highest one of the plan is 1.2"),
        (&["planlease-token=1.3"], "never issued"),
        (&["planlease-token=+1.2"], "not a fencing token"),
        (&["planlease-token=01.2"], "not a fencing token"),
        (&["planlease-token=1.02"], "not a fencing token"),
        (&["planlease-token=--help"], "not a fencing token"),
    ] {
        let refused = push(&env, options).unwrap_err();
        assert!(refused.contains(why), "{options:?}: {refused}");
    }
    push(&env, &["planlease-token=1.2"]).unwrap(); // Nothing has locked it out.
    let work = env.path("work");
    let docs = ["push", "-q", "-o", "planlease-token=1.1", "origin", "HEAD:refs/heads/docs/a"];
    git(&work, &docs);
    let both = run(&work, &[&docs[..5], &["HEAD:refs/heads/docs/b", "HEAD:refs/heads/b"]].concat());
    assert!(String::from_utf8_lossy(&both.stderr).contains("one push changes"), "{both:?}");
    // The settings of who pushes decide nothing.
    git(&server, &["config", "core.hooksPath", path_text(&server.join("hooks"))]);
    let home = env.path("home-of-pusher");
    fs::create_dir(&home).unwrap();
    fs::write(
        home.join(".gitconfig"),
        "[planlease]\ntokenRequired = false\n[core]\nhooksPath = /nowhere\n[receive]\nadvertisePushOptions = false\n",
    )
    .unwrap();
    let path = format!("{}:{}", path_text(planlease().parent().unwrap()), std::env::var("PATH").unwrap());
    let mut bare = Command::new("git");
    bare.env("HOME", &home)
        .env("PATH", path)
        .env("PLANLEASE_PLAN", "docs")
        .env("PLANLEASE_NAMESPACE", "other");
    let push_as = |options: &[&str]| {
        let mut args = vec!["push", "-q"];
        args.extend(options.iter().flat_map(|option| ["-o", option]));
        args.extend(["origin", "HEAD:refs/heads/c"]);
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refused = bare.current_dir(&work).args(push_as(&[])).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no fencing token"), "{refused:?}");
    assert_eq!(git(&server, &["for-each-ref", "refs/heads/c"]), "");
}

/// Needs no server, and is led to none.
fn alone(env: &TestEnv) -> Program {
    env.program().clone().variable("PLANLEASE_ENDPOINTS", "127.0.0.1:1")
}

#[case]
async fn the_highest_token_never_goes_down(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (program, state) = (alone(&env), env.path("state"));
    let check = |token: &str| {
        ["fence", "check", "r", "--token", token, "--state", path_text(&state)].map(str::to_owned)
    };
    let start = |n: u64| {
        let token = format!("1.{}", (n * 17) % PROCESSES + 1);
        Process::start(program.gated(check(&token)), &env.path(&format!("said-{n}")))
    };
    let mut checks: Vec<Process> = (0..PROCESSES).map(start).collect();
    checks.iter_mut().for_each(|process| process.say("go"));
    let mut highest: Option<FencingToken> = None;
    let mut seen = 0;
    while checks.iter_mut().any(|process| process.ended().is_none()) {
        if let Ok(text) = fs::read_to_string(state.join("r.fence")) {
            let kept: serde_json::Value = serde_json::from_str(&text).expect("whole at every moment");
            let now: FencingToken = kept["highest"].as_str().unwrap().parse().unwrap();
            assert!(highest <= Some(now), "{highest:?} {now}");
            highest = Some(now);
            seen += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(seen > 0);
    let mut admitted = 0;
    for process in &mut checks {
        match process.until_ended(SOON).await {
            Some(DONE) => admitted += 1,
            Some(AUTHORITY_LOST) => assert!(process.said().contains("is lower than"), "{}", process.said()),
            other => panic!("{other:?}: {}", process.said()),
        }
    }
    assert!(admitted >= 1);
    let listed =
        program.run_to(DONE, ["fence", "list", "--state", path_text(&state), "-o", "json"]).await.stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["resources"][0]["highest"], format!("1.{PROCESSES}"));
    let refused = program.run_to(AUTHORITY_LOST, check("1.3")).await;
    assert_eq!(refused.stderr.lines().count(), 3, "{}", refused.stderr);
    program.run_to(DONE, check("2.1")).await;
    program.run_to(AUTHORITY_LOST, check("1.99")).await;
}

#[case]
async fn a_fence_that_is_a_pipe_is_refused_at_once(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (program, state) = (alone(&env), env.path("state"));
    fs::create_dir(&state).unwrap();
    let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
    nix::unistd::mkfifo(&state.join("r.fence"), mode).unwrap();
    let check = ["fence", "check", "r", "--token", "1.2", "--state", path_text(&state)];
    for args in [&check[..], &["fence", "list", "--state", path_text(&state)]] {
        let refused = program.run_to(BAD_STATE, args).await;
        assert!(refused.stderr.contains("not a regular file"), "{}", refused.stderr);
    }
}

#[case]
async fn a_damaged_fence_refuses_all_and_is_kept(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (program, state) = (alone(&env), env.path("state"));
    let check = ["fence", "check", "r", "--token", "9.9", "--state", path_text(&state)];
    program.run_to(DONE, check).await;
    for damage in ["", "{\"v\":1", "1.7\n", "{\"v\":1,\"resource\":\"other\",\"highest\":\"1.7\"}"] {
        fs::write(state.join("r.fence"), damage).unwrap();
        let refused = program.run_to(BAD_STATE, check).await;
        assert!(refused.stderr.contains("No token is admitted"), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 3, "{}", refused.stderr);
        assert_eq!(fs::read_to_string(state.join("r.fence")).unwrap(), damage);
    }
}
