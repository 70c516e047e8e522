//! What cannot be done: a message of its own, an exit status of its own, and nothing changed.

use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use etcd_client::{Permission, PermissionType};
use planlease_tests::{
    TestEnv, case,
    etcd::Etcd,
    plain,
    program::Ended,
    test_env::{in_queue, path_text, plan_name},
    wait::SOON,
};

use crate::election::etcdctl;

const TTL: Duration = Duration::from_secs(15);

/// The file of the plan `release`.
const FILE: &str = "release.toml";

/// The documented exit status of a file that has problems, which are listed above the message.
const BAD_PLAN_FILE: i32 = 3;

/// The most characters in a line of a message: enough for long paths and addresses.
const LONGEST: usize = 400;

/// Two tasks, the second of which waits for the first.
const PLAN: &str = r#"
title = "Release"

[[task]]
id = "1"
description = "tag"

[[task]]
id = "2"
description = "publish"
depends_on = ["1"]
"#;

const OTHER: &str = "title = \"Other\"\n[[task]]\nid = \"1\"\ndescription = \"something else\"\n";

const CYCLE: &str = r#"
title = "Cycle"

[[task]]
id = "1"
description = "hen"
depends_on = ["2"]

[[task]]
id = "2"
description = "egg"
depends_on = ["1"]
"#;

/// A command, the exit status that is documented for what is wrong with it, and words of which its message
/// has to have each: what happened, and what to do.
struct Wrong<'a> {
    args: Vec<&'a str>,
    status: i32,
    says: &'a [&'a str],
}

fn wrong<'a>(command: &'a str, status: i32, says: &'a [&'a str]) -> Wrong<'a> {
    Wrong { args: command.split(' ').collect(), status, says }
}

#[case(alone, one_at_a_time)]
async fn each_has_its_message_and_its_status_and_changes_nothing(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let files = Files::new(&env);
    let program = env.program();
    program.run_to(0, ["plan", "import", path_text(&files.plan)]).await;
    // Odd characters are no reason to refuse a name.
    program.run_to(0, ["plan", "import", path_text(&files.plan), "--name", "ü % \"*? (1)"]).await;
    program.run_to(0, ["task", "start", "ü % \"*? (1)", "1"]).await;
    program.run_to(0, ["plan", "import", path_text(&files.plan), "--name", "held"]).await;
    let mut holder = env.start(&["hold", "held", "--", "cat"], "holder");
    let coordinator = env.coordinator().await;
    in_queue(&coordinator, &plan_name("held"), 1).await;
    let owner = coordinator.queue(&plan_name("held")).await.unwrap().owner().unwrap().0.name();
    let (owned, not_deleted) = ([owner.as_str()], [owner.as_str(), "Nothing was changed"]);

    let plain = env.server.endpoints()[0].replace("http://", "https://");
    let tls = format!("plan list --timeout 3s --endpoints {plain}");
    let long = format!("plan show {}", "x".repeat(4000));
    let mut all = vec![
        wrong("plan show nothing", 104, &["nothing", "planlease plan list"]),
        wrong("task start release 9", 105, &["release", "9", "planlease task list"]),
        wrong("task complete release 1", 106, &["pending", "Nothing was changed", "task start release 1"]),
        wrong("task claim release 1", 2, &["by its name", "planlease task start release 1"]),
        wrong("task start release 1 --expect-revision 1", 108, &["changed since", "Nothing was changed"]),
        wrong("task start release 2", 109, &["waits for 1", "Nothing was changed"]),
        wrong("owner release release --reason test", 8, &["has no owner", "release"]),
        wrong("owner move held --to other", 121, &["no live process", "planlease orchestrator list"]),
        wrong("pool show cards", 16, &["cards", "planlease pool list"]),
        wrong("plan list --cacert /none/ca.pem", 4, &["/none/ca.pem (--cacert)", "Correct the path"]),
        wrong("plan list --namespace a/b", 2, &["a/b", "--namespace"]),
        wrong("hold held --no-wait -- true", 100, &owned),
        wrong("plan delete held --yes", 100, &not_deleted),
        wrong("plan show a/b", 110, &["a/b", "`/`"]),
        wrong("plan show \u{1b}[31m", 110, &["control character"]),
        wrong(&long, 110, &["bytes"]),
        wrong("plan list --ttl 1s", 117, &["1s", "2s"]),
        wrong("plan list --endpoints ftp://a", 2, &["ftp://a", "HOST:PORT"]),
        wrong(
            "plan list --timeout 2s --endpoints 127.0.0.1:1",
            102,
            &["127.0.0.1:1", "Nothing was changed", "Check that etcd runs"],
        ),
        wrong(&tls, 112, &["encrypted", "--cacert"]),
    ];
    let args = vec!["plan", "delete", "ü % \"*? (1)"];
    all.push(Wrong { args, status: 2, says: &["in progress: 1", "--yes"] });
    for (status, file, says) in files.wrong() {
        let mut args: Vec<&str> = vec!["plan", "import", path_text(file)];
        if status == 9 {
            args.extend(["--name", "release"]);
        }
        all.push(Wrong { args, status, says });
    }

    let (mut messages, mut faults) = (BTreeMap::new(), Vec::new());
    for wrong in all {
        let reported = wrong.args.join(" ");
        let before = revision(&env).await;
        match check(&wrong, program.run(&wrong.args).await) {
            Ok(message) => {
                if let Some(same) = messages.insert(message, reported.clone()) {
                    faults.push(format!("`{same}` and `{reported}` are reported in the same words"));
                }
            }
            Err(fault) => faults.push(fault),
        }
        // Who wants to own a plan is registered while it runs: it comes, and goes.
        let registered = if wrong.args[0] == "hold" { 2 } else { 0 };
        if revision(&env).await != before + registered {
            faults.push(format!("`{reported}` changed something"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    holder.close_input();
    assert_eq!(holder.until_ended(SOON).await, Some(0), "{}", holder.said());
    env.audit().await;
}

/// Plan files, and what is wrong with them.
struct Files {
    plan: PathBuf,
    other: PathBuf,
    cycle: PathBuf,
    huge: PathBuf,
    missing: PathBuf,
    folder: PathBuf,
    binary: PathBuf,
}

impl Files {
    fn new(env: &TestEnv) -> Self {
        let write = |name: &str, contents: &[u8]| {
            std::fs::write(env.path(name), contents).unwrap();
            env.path(name)
        };
        let files = Self {
            plan: write("release.toml", PLAN.as_bytes()),
            other: write("other.toml", OTHER.as_bytes()),
            cycle: write("cycle.toml", CYCLE.as_bytes()),
            huge: write("huge.md", b""),
            missing: env.path("missing.toml"),
            folder: env.path("folder.toml"),
            binary: write("binary.md", &[0xff, 0xfe, 0x00, 0x80]),
        };
        File::options().write(true).open(&files.huge).unwrap().set_len(1 << 34).unwrap(); // 16 GiB of nothing.
        std::fs::create_dir(&files.folder).unwrap();
        files
    }

    fn wrong(&self) -> [(i32, &PathBuf, &'static [&'static str]); 6] {
        [
            (9, &self.other, &["release", "already", "--plan"]),
            (3, &self.cycle, &["cycle.toml", "nothing was changed"]),
            (3, &self.binary, &["binary.md"]),
            (4, &self.huge, &["huge.md", "MiB", "Split"]),
            (4, &self.missing, &["missing.toml", "No such file"]),
            (4, &self.folder, &["folder.toml", "is a folder without Markdown files"]),
        ]
    }
}

/// Checks status and message; the message, or what is wrong with it. The problems of a plan file are listed
/// above it.
fn check(wrong: &Wrong<'_>, ended: Ended) -> Result<String, String> {
    let reported = wrong.args.join(" ");
    let Ended { code, stderr, .. } = ended;
    let begin = stderr.match_indices("error: ").find(|(at, _)| *at == 0 || stderr[..*at].ends_with('\n'));
    let (above, message) = stderr.split_at(begin.map_or(stderr.len(), |(at, _)| at));
    let missing: Vec<&str> = wrong.says.iter().filter(|words| !message.contains(**words)).copied().collect();
    let fault = if code != Some(wrong.status) {
        format!("ends with {code:?}, not with {}", wrong.status)
    } else if !(1..=3).contains(&message.lines().count()) {
        "has a message of more or fewer lines than one to three".to_owned()
    } else if !missing.is_empty() {
        format!("does not say {missing:?}")
    } else if !above.is_empty() && wrong.status != BAD_PLAN_FILE {
        "says more than its message".to_owned()
    } else if message.lines().any(|line| line.chars().count() > LONGEST) {
        "has a long line".to_owned()
    } else if message.chars().any(|c| c.is_control() && c != '\n') {
        "lets odd characters through".to_owned()
    } else {
        return Ok(message.to_owned());
    };
    Err(format!("`{}` {fault}; it says: {stderr:?}", reported.chars().take(100).collect::<String>()))
}

/// The revision of the whole server.
#[case]
async fn an_empty_reason_is_refused(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.import("release", PLAN).await;
    let coordinator = env.coordinator().await;
    let before = coordinator.plan(&plan_name("release")).await.unwrap();
    for command in [
        "task skip release 1",
        "task retry release 1",
        "plan pause release",
        "plan cancel release --yes",
        "plan archive release",
        "owner release release",
        "worktree quarantine tree",
        "worktree quarantine tree --why x",
    ] {
        for blank in ["", " ", "\t\n", "\u{a0}"] {
            let args = command.split(' ').chain(["--reason", blank]);
            let ended = env.program().run_to(2, args).await;
            let twice = command.contains("--why") && ended.stderr.contains("multiple times");
            assert!(twice || ended.stderr.contains("it is empty"), "{command} {blank:?}: {}", ended.stderr);
        }
    }
    let after = coordinator.plan(&plan_name("release")).await.unwrap();
    assert!(after.tasks().values().eq(before.tasks().values()) && after.halt().is_none());
}

async fn revision(env: &TestEnv) -> i64 {
    env.client.clone().get("x", None).await.unwrap().header().unwrap().revision()
}

/// The environment of an etcd of its own, started with this argument, and a plan file in its folder.
async fn own_etcd(argument: Option<&str>) -> TestEnv {
    let builder = Etcd::builder();
    let etcd = match argument {
        Some(argument) => builder.argument(argument),
        None => builder,
    };
    let env = TestEnv::on(Arc::new(etcd.start().await.into()), "planlease/").await;
    std::fs::write(env.path(FILE), PLAN).unwrap();
    env
}

/// Runs the stock client, which must succeed.
fn run_etcdctl(env: &TestEnv, args: &[&str]) {
    let mut command = Command::new(etcdctl());
    command.env("ETCDCTL_API", "3").arg("--endpoints").arg(env.server.endpoints().join(",")).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[plain(on_etcd)]
async fn a_full_etcd_is_reported_as_such() {
    let env = own_etcd(Some("--quota-backend-bytes=2097152")).await;
    let program = env.program();
    program.run_to(0, ["plan", "import", FILE]).await;
    env.server.etcd().unwrap().fill().await;

    let ended = program.run(["task", "start", "release", "1"]).await;
    let start = wrong("task start release 1", 111, &["full", "compact", "alarm disarm"]);
    check(&start, ended).unwrap();
    let task = program.run_to(0, ["task", "show", "release", "1", "-o", "json"]).await;
    assert!(task.stdout.contains("\"pending\""), "reading goes on, and nothing was changed: {}", task.stdout);
}

#[plain(on_etcd)]
async fn a_user_without_permission_is_refused_with_advice() {
    let env = own_etcd(None).await;
    let program = env.program();
    program.run_to(0, ["plan", "import", FILE]).await;
    run_etcdctl(&env, &["user", "add", "root:secret"]);
    run_etcdctl(&env, &["user", "grant-role", "root", "root"]);
    run_etcdctl(&env, &["user", "add", "reader:look"]);
    let mut client = env.client.clone();
    client.role_add("readers").await.unwrap();
    let ours = Permission::new(PermissionType::Read, "/planlease/").with_prefix();
    client.role_grant_permission("readers", ours).await.unwrap();
    client.user_grant_role("reader", "readers").await.unwrap();
    run_etcdctl(&env, &["user", "add", "worker:work"]);
    client.role_add("workers").await.unwrap();
    let ours = Permission::new(PermissionType::Readwrite, "/planlease/").with_prefix();
    client.role_grant_permission("workers", ours).await.unwrap();
    client.user_grant_role("worker", "workers").await.unwrap();
    run_etcdctl(&env, &["auth", "enable"]);

    for (name, password) in [("good", "secret"), ("bad", "guess"), ("look", "look"), ("work", "work")] {
        let path = env.path(name);
        std::fs::write(&path, password).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }
    let password = |name: &str| path_text(&env.path(name)).to_owned();
    let with = |user: &str, file: &str| {
        program.clone().variable("PLANLEASE_USER", user).variable("PLANLEASE_PASSWORD_FILE", password(file))
    };
    let start = ["task", "start", "release", "1"];
    let reported = "task start release 1";
    let ended = program.run(start).await;
    check(&wrong(reported, 113, &["user", "--password-file"]), ended).unwrap();
    let ended = with("root", "bad").run(start).await;
    check(&wrong(reported, 113, &["user and password", "--password-file"]), without_warning(ended)).unwrap();
    let ended = with("reader", "look").run(start).await;
    check(&wrong(reported, 114, &["not permit", "Grant"]), without_warning(ended)).unwrap();
    let task = with("reader", "look").run_to(0, ["task", "show", "release", "1", "-o", "json"]).await;
    assert!(
        task.stdout.contains("\"pending\""),
        "who may read can read, and nothing was changed: {}",
        task.stdout
    );
    with("root", "good").run_to(0, start).await;
    // The prefix is all that a user needs.
    let worker = with("worker", "work");
    worker.run_to(0, ["task", "complete", "release", "1"]).await;
    worker.run_to(0, ["run", "release", "--exec", "true"]).await;
    worker.run_to(0, ["audit"]).await;
}

/// What is said besides the warning that is due: the password goes to this etcd without encryption.
fn without_warning(mut ended: Ended) -> Ended {
    let (warning, rest) = ended.stderr.split_once('\n').unwrap();
    assert!(warning.starts_with("warning: the password of user"), "{warning}");
    ended.stderr = rest.to_owned();
    ended
}
