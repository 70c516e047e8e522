//! Orchestrators that are started at once in the worktrees of one repository: none changes its working
//! directory or depends on that of another, and tasks run in their directories, even if the folder of
//! their orchestrator is removed.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::path_text,
    wait::{SOON, until},
};

use crate::processes::{audit, plan_file};

const TTL: Duration = Duration::from_secs(15);

/// Leaves the folder it is in, and goes on once the test says so.
const WORK: &str = r#"
    readlink /proc/$$/cwd >> "$TEST_DIR/$PLANLEASE_PLAN.where"
    until [ -e "$TEST_DIR/go" ]; do sleep 0.05; done
"#;

/// An orchestrator, in a worktree of its own.
struct Case {
    plan: &'static str,
    /// Where its tasks run, as configured: in the folder `elsewhere`, or relative to its own.
    dir: Option<&'static str>,
    /// The same, seen from the folder in which all of them are.
    runs_in: &'static str,
    /// Whether the worktree is removed while the first task runs.
    removed: bool,
}

const CASES: [Case; 6] = [
    Case { plan: "own", dir: None, runs_in: "own", removed: false },
    Case { plan: "below", dir: Some("plans"), runs_in: "below/plans", removed: false },
    Case { plan: "beside", dir: Some("../own"), runs_in: "own", removed: false },
    Case { plan: "absolute", dir: Some("elsewhere"), runs_in: "elsewhere", removed: false },
    Case { plan: "gone", dir: None, runs_in: "gone", removed: true },
    Case { plan: "gone-absolute", dir: Some("elsewhere"), runs_in: "elsewhere", removed: true },
];

/// Each plan has two tasks, one after the other: the first one runs before the folders are removed.
const TASKS: usize = 2;

#[case(one_at_a_time)]
async fn r05_no_process_changes_its_working_directory(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let base = repository(&env);
    let mut importers: Vec<Process> = CASES.iter().map(|case| import(&env, &base, case)).collect();
    for importer in &mut importers {
        assert_eq!(importer.until_ended(SOON).await, Some(0), "{}", importer.said());
    }
    let mut running: Vec<(Process, PathBuf)> = Vec::new();
    for case in &CASES {
        let mut args = vec!["run", case.plan];
        let elsewhere = base.join("elsewhere");
        match case.dir {
            Some("elsewhere") => args.extend(["--dir", path_text(&elsewhere)]),
            Some(dir) => args.extend(["--dir", dir]),
            None => {}
        }
        let tree = base.join(case.plan);
        let process = start(&env, &tree, &args, &format!("{}.run", case.plan));
        running.push((process, tree));
    }
    until("the first task of each plan", SOON, async || {
        all_stay_where_they_are(&mut running);
        let waiting = CASES.iter().find(|case| env.text(&format!("{}.where", case.plan)).is_empty());
        waiting.map_or(Ok(()), |case| Err(case.plan))
    })
    .await;
    for case in CASES.iter().filter(|case| case.removed) {
        git(&base.join("repository"), &["worktree", "remove", "--force", path_text(&base.join(case.plan))]);
    }
    all_stay_where_they_are(&mut running);
    std::fs::write(env.path("go"), "").unwrap();
    until("end of all orchestrators", SOON, async || {
        all_stay_where_they_are(&mut running);
        let left = running.iter_mut().find_map(|(one, _)| one.ended().is_none().then(|| one.said()));
        left.map_or(Ok(()), Err)
    })
    .await;
    for ((process, _), case) in running.iter_mut().zip(&CASES) {
        assert_eq!(process.until_ended(SOON).await, Some(0), "{}: {}", case.plan, process.said());
        tasks_ran_in_their_directories(&env, &base, case);
    }
    for case in CASES.iter().filter(|case| !case.removed) {
        assert_eq!(
            git(&base.join(case.plan), &["status", "--porcelain"]),
            "",
            "a file was left in {}",
            case.plan
        );
    }
    audit(&env).await;
}

/// A repository with a plan file in it, and a worktree for each case.
fn repository(env: &TestEnv) -> PathBuf {
    let base = std::fs::canonicalize(env.path("")).unwrap();
    let repository = base.join("repository");
    std::fs::create_dir_all(repository.join("plans")).unwrap();
    std::fs::create_dir(base.join("elsewhere")).unwrap();
    std::fs::write(repository.join("plans/work.toml"), plan_file(TASKS, WORK)).unwrap();
    git(&repository, &["init", "--quiet"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "--quiet", "--message", "a plan"]);
    for case in &CASES {
        git(&repository, &["worktree", "add", "--quiet", "--detach", path_text(&base.join(case.plan))]);
    }
    base
}

/// Runs git, which has to go well; what it says.
fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=test", "-c", "user.email=test@localhost"]).args(args).current_dir(folder);
    // Neither the settings of who runs the tests, nor the repository in which that happens.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Some name the file from where they are, some from the root.
fn import(env: &TestEnv, base: &Path, case: &Case) -> Process {
    let tree = base.join(case.plan);
    let absolute = tree.join("plans/work.toml");
    let file = if case.removed { path_text(&absolute) } else { "plans/work.toml" };
    start(env, &tree, &["plan", "import", file, "--name", case.plan], &format!("{}.import", case.plan))
}

fn start(env: &TestEnv, folder: &Path, args: &[&str], output: &str) -> Process {
    let mut command = env.program().command(args);
    command.current_dir(folder);
    Process::start(command, &env.path(output))
}

/// The working directory of each living process is the one it was started in, which may be gone meanwhile.
fn all_stay_where_they_are(running: &mut [(Process, PathBuf)]) {
    for (process, tree) in running {
        // One that has just ended has none.
        if process.ended().is_none()
            && let Ok(folder) = std::fs::read_link(format!("/proc/{}/cwd", process.id()))
        {
            let folder = path_text(&folder).trim_end_matches(" (deleted)");
            assert_eq!(
                folder,
                path_text(tree),
                "the folder of an orchestrator; it said {:?}",
                process.said()
            );
        }
    }
}

fn tasks_ran_in_their_directories(env: &TestEnv, base: &Path, case: &Case) {
    let text = env.text(&format!("{}.where", case.plan));
    let found: Vec<&str> = text.lines().collect();
    let reported = path_text(&base.join(case.runs_in)).to_owned();
    let gone = case.removed && case.runs_in == case.plan;
    let second = if gone { format!("{reported} (deleted)") } else { reported.clone() };
    assert_eq!(found, [reported, second], "the tasks of {}", case.plan);
}
