//! Where output goes, and what becomes of it: a full disk, a reader that has gone, JSON for programs,
//! standard input in the place of a plan file, variables that mean nothing.

use std::{fs::File, process::Stdio};

use planlease_tests::{
    TestEnv, case,
    program::{Ended, Program},
    test_env::plan_name,
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

const USAGE: i32 = 2;
const BAD_PLAN: i32 = 3;
const UNREADABLE: i32 = 4;
const OUTPUT_LOST: i32 = 15;
const NO_SUCH_PLAN: i32 = 104;

const PLAN: &str =
    "title = \"Two\"\n[[task]]\nid = \"1\"\ndescription = \"a\"\n[[task]]\nid = \"2\"\ndescription = \"b\"\n";

/// Runs a command with this standard input and output.
async fn run(program: &Program, args: &[&str], input: &str, output: impl Into<Stdio>) -> Ended {
    let mut command = Command::from(program.command(args));
    command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    // A command that does not read it may have ended.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()).await);
    let ended = tokio::time::timeout(planlease_tests::program::COMMAND_LIMIT, child.wait_with_output());
    let ended = ended.await.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    Ended {
        code: ended.status.code(),
        stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe without a reader.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[case]
async fn lost_output_is_one_status_and_stops_no_work(env: TestEnv) {
    env.import("two", PLAN).await;
    let program = env.program();
    for args in [
        &["status"][..],
        &["status", "two", "-o", "json"],
        &["plan", "show", "two"],
        &["export", "two"],
        &["audit"],
        &["context", "show"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
        &["help", "run"],
        &["findings", "list", "two"],
        &["task", "start", "two", "1"],
    ] {
        let ended = run(program, args, "", full()).await;
        assert_eq!(ended.code, Some(OUTPUT_LOST), "{args:?} {}", ended.stderr);
        assert!(
            ended.stderr.contains("standard output cannot be written: No space left"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stderr.matches("standard output cannot be written").count(), 1, "{}", ended.stderr);
    }
    // What was asked for was done all the same, and a whole run too.
    assert_eq!(env.json(&["task", "show", "two", "1"]).await["status"], "in_progress");
    program.run_to(0, ["task", "complete", "two", "1"]).await;
    let ended = run(program, &["run", "two", "--exec", "true"], "", full()).await;
    assert_eq!(ended.code, Some(OUTPUT_LOST), "{}", ended.stderr);
    let coordinator = env.coordinator().await;
    assert!(coordinator.plan(&plan_name("two")).await.unwrap().summary().is_finished());
    // Another status stays, and so does its message.
    let ended = run(program, &["status", "none"], "", full()).await;
    assert_eq!(ended.code, Some(NO_SUCH_PLAN), "{}", ended.stderr);
}

#[case]
async fn a_reader_that_has_gone_changes_no_status(env: TestEnv) {
    env.import("two", PLAN).await;
    let program = env.program();
    std::fs::write(env.path("bad.md"), "# Bad\n\n## Phase 1: A\n- [ ] 1.1 A (depends: 9.9)\n").unwrap();
    let bad = env.path("bad.md");
    for (args, code) in [
        (&["status"][..], 0),
        (&["export", "two"][..], 0),
        (&["run", "two", "--exec", "true"][..], 0),
        (&["plan", "check", bad.to_str().unwrap(), "-o", "json"][..], BAD_PLAN),
        (&["--help"][..], 0),
    ] {
        let ended = run(program, args, "", closed()).await;
        assert_eq!(ended.code, Some(code), "{args:?} {}", ended.stderr);
        assert!(!ended.stderr.contains("standard output"), "{args:?} {}", ended.stderr);
    }
    // Closed at the start, it is as /dev/null.
    let mut shell = program.command(["status", "two"]);
    let words: Vec<_> =
        std::iter::once(shell.get_program()).chain(shell.get_args()).map(ToOwned::to_owned).collect();
    let environment: Vec<_> = env.variables();
    shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$@\" >&-", "sh"]).args(words).envs(environment);
    let ended = Command::from(shell).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[case]
async fn errors_are_json_where_the_output_is(env: TestEnv) {
    let program = env.program();
    for (args, code, name) in [
        (&["status", "none", "-o", "json"][..], NO_SUCH_PLAN, "no_such_plan"),
        (&["task", "list", "none", "-ojsonl"][..], NO_SUCH_PLAN, "no_such_plan"),
        (&["statsu", "-o", "json"][..], USAGE, "usage"),
        (&["status", "--no-such-flag", "--output=json"][..], USAGE, "usage"),
        (&["plan", "check", "/no/such.md", "-o", "json"][..], UNREADABLE, "unreadable_file"),
        (&["plan", "delete", "none", "-o", "json"][..], NO_SUCH_PLAN, "no_such_plan"),
        (&["status", "--ttl", "x", "-o", "json"][..], USAGE, "usage"),
    ] {
        let ended = program.run_to(code, args).await;
        let last = ended.stderr.lines().last().unwrap_or_default();
        let document: Value =
            serde_json::from_str(last).unwrap_or_else(|_| panic!("{args:?}: {}", ended.stderr));
        assert_eq!(document["schema"], "planlease.error.v1", "{document}");
        let error = &document["error"];
        assert_eq!(
            (&error["code"], error["status"].as_i64()),
            (&name.into(), Some(code.into())),
            "{document}"
        );
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{document}");
        assert!(!ended.stderr.contains("error: "), "{}", ended.stderr);
    }
    let ended = program.run_to(NO_SUCH_PLAN, ["status", "none"]).await;
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    let by_variable =
        program.clone().variable("PLANLEASE_OUTPUT", "json").run_to(NO_SUCH_PLAN, ["status", "none"]).await;
    assert!(by_variable.stderr.contains("\"code\":\"no_such_plan\""), "{}", by_variable.stderr);
}

#[case]
async fn a_plan_file_can_be_standard_input(env: TestEnv) {
    let program = env.program();
    let checked = run(program, &["plan", "check", "-", "--format", "toml"], PLAN, Stdio::piped()).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let import = ["plan", "import", "-", "--format", "toml", "--plan", "piped"];
    let imported = run(program, &import, PLAN, Stdio::piped()).await;
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    assert_eq!(env.json(&["plan", "show", "piped"]).await["tasks"].as_array().map(Vec::len), Some(2));
    let update = ["plan", "update", "-", "--format", "toml", "--plan", "piped"];
    let more = format!("{PLAN}[[task]]\nid = \"3\"\ndescription = \"c\"\n");
    let updated = run(program, &update, &more, Stdio::piped()).await;
    assert_eq!(updated.code, Some(0), "{}", updated.stderr);
    assert_eq!(env.json(&["plan", "show", "piped"]).await["tasks"].as_array().map(Vec::len), Some(3));
    for (args, missing) in
        [(&import[..5], "--plan"), (&["plan", "import", "-", "--plan", "x"][..], "--format")]
    {
        let refused = run(program, args, PLAN, Stdio::piped()).await;
        assert_eq!(refused.code, Some(USAGE), "{}", refused.stderr);
        assert!(refused.stderr.contains(missing), "{}", refused.stderr);
    }
    let bad = run(program, &["plan", "check", "-", "--format", "toml"], "title = ", Stdio::piped()).await;
    assert_eq!(bad.code, Some(BAD_PLAN), "{}", bad.stderr);
    assert!(bad.stderr.contains("<stdin>:1:"), "{}", bad.stderr);
}

#[case]
async fn a_misspelt_variable_is_said_once(env: TestEnv) {
    env.import("two", PLAN).await;
    let program = env.program().clone().variable("PLANLEASE_NAMESPCE", "other");
    let ended = program.run_to(0, ["run", "two", "--exec", "true"]).await;
    let warnings: Vec<_> = ended.stderr.lines().filter(|line| line.contains("PLANLEASE_NAMESPCE")).collect();
    assert_eq!(warnings.len(), 1, "{}", ended.stderr);
    assert!(warnings[0].contains("did you mean PLANLEASE_NAMESPACE?"), "{}", ended.stderr);
    let quiet = env.program().run_to(0, ["status"]).await;
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.stderr);
}
