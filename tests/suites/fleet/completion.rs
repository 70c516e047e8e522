//! Completion in shells: names of plans and tasks come from the store, and a question costs no more than a
//! second.

use std::process::Stdio;

use planlease_tests::{TestEnv, case, program::Program, test_env::plan_name};
use tempfile::TempDir;

use crate::spec::spec;

/// What fish is offered after these words, of which the last one is being typed: name and description.
async fn offered(program: &Program, words: &[&str]) -> Vec<(String, String)> {
    let asking = program.clone().variable("PLANLEASE_COMPLETE", "fish");
    let said = asking.run_to(0, [&["--", "planlease"], words].concat()).await.stdout;
    let pair = |line: &str| {
        let (name, help) = line.split_once('\t').unwrap_or((line, ""));
        (name.to_owned(), help.to_owned())
    };
    said.lines().map(pair).collect()
}

fn names(offered: Vec<(String, String)>) -> Vec<String> {
    offered.into_iter().map(|(name, _)| name).filter(|name| !name.starts_with('-')).collect()
}

#[case]
async fn names_of_plans_and_tasks_are_completed(env: TestEnv) {
    let coordinator = env.coordinator().await;
    for plan in ["release", "rework", "other"] {
        coordinator.admin().import(&plan_name(plan), &spec(2, "true"), |_| {}).await.unwrap();
    }
    let program = env.program();
    assert_eq!(names(offered(program, &["status", "re"]).await), ["release", "rework"]);
    assert_eq!(names(offered(program, &["task", "show", "other", ""]).await), ["1", "2"]);
    assert_eq!(names(offered(program, &["run", "other", "rel"]).await), ["release"]);
    let commands = names(offered(program, &["orch"]).await);
    assert_eq!(commands, ["orchestrator"]);
    assert_eq!(names(offered(program, &["context", "use", ""]).await), ["local"]);
    let flagged = offered(program, &["--namespace", "empty", "status", ""]).await;
    assert_eq!(names(flagged), Vec::<String>::new(), "the flags that were typed decide which store is asked");
}

#[case]
async fn a_completion_starts_no_server_and_waits_for_none(env: TestEnv) {
    let home = TempDir::new().unwrap();
    let alone = Program::planlease(home.path());
    assert_eq!(names(offered(&alone, &["status", ""]).await), Vec::<String>::new());
    assert!(!home.path().join(".local").exists(), "a local server was started");
    let silent = env.program().clone().variable("PLANLEASE_ENDPOINTS", "127.0.0.1:1");
    assert_eq!(names(offered(&silent, &["task", "show", "release", ""]).await), Vec::<String>::new());
}

#[case]
async fn bash_completes_with_the_printed_script(env: TestEnv) {
    env.coordinator().await.admin().import(&plan_name("release"), &spec(1, "true"), |_| {}).await.unwrap();
    let script = env.program().run_to(0, ["completions", "bash"]).await.stdout;
    std::fs::write(env.path("completion.bash"), script).unwrap();
    let folder = planlease_tests::program::planlease();
    let path = format!("{}:/bin:/usr/bin", folder.parent().unwrap().display());
    // What bash does at Tab.
    let typed = "source completion.bash; COMP_WORDS=(planlease status rel); COMP_CWORD=2; COMP_TYPE=9; \
                 complete -p planlease >&2; $(complete -p planlease | sed 's/.*-F \\([^ ]*\\).*/\\1/') planlease rel status; \
                 echo \"${COMPREPLY[*]}\"";
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", typed]).current_dir(env.folder()).envs(env.variables()).env("PATH", path);
    let ended = bash.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    assert_eq!(said, "release", "{}", String::from_utf8_lossy(&ended.stderr));
}
