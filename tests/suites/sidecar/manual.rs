//! docs/sidecar.md: its shell commands are run as they are written, in their order.

use std::{path::PathBuf, process::Command, time::Duration};

use planlease_tests::{TestEnv, case, program::Process};

/// Whether there is a curl; says so if there is none.
pub(crate) fn is_possible() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("NOT RUN: the examples of docs/sidecar.md, since curl is not installed");
    }
    found
}

/// The blocks of a document that are shell commands.
fn commands(document: &str) -> String {
    let blocks = document.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[case]
async fn the_examples_do_what_they_say(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    let document = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/sidecar.md");
    let script = commands(&std::fs::read_to_string(document).unwrap());
    assert!(script.contains("planlease sidecar --socket"), "{script}");
    let bin = env.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(planlease_tests::program::planlease(), bin.join("planlease")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(env.folder()).envs(env.variables()).env("PATH", path);
    let mut shell = Process::start(shell, &env.path("said"));
    assert_eq!(shell.until_ended(Duration::from_secs(60)).await, Some(0), "{}", shell.said());
    for said in [
        r#""schema":"planlease.status.v1""#,
        "event: granted",
        r#""schema":"planlease.claims.v1""#,
        r#""notes":"tagged""#,
        r#""status":"skipped""#,
        "stale-revision",
        "refused, as it should be",
        "event: snapshot",
        r#""schema":"planlease.terms.v1""#,
    ] {
        assert!(shell.said().contains(said), "{said}: {}", shell.said());
    }
    env.audit().await;
}
