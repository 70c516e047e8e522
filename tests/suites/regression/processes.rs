//! What the tests of this suite share about processes: what they are given, how they begin, how they end.

use std::fmt::Write as _;

use planlease_tests::{
    TestEnv,
    program::{Process, is_alive},
    wait::{SOON, until},
};
use serde_json::Value;

/// The documented exit status for a plan that another process owns.
pub(crate) const OWNED_BY_OTHER: i32 = 100;

/// … of an authority that is lost.
pub(crate) const AUTHORITY_LOST: i32 = 101;

/// … of a change that was decided on an older record.
pub(crate) const STALE: i32 = 108;

/// Waits until no process of the test is left, and then has the program check the whole history.
pub(crate) async fn audit(env: &TestEnv) -> Value {
    env.until_empty().await;
    let report = env.json(&["audit"]).await;
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(report["violations"], Value::Array(Vec::new()), "{report}");
    report
}

/// Opens the gates of all at once.
pub(crate) fn go(processes: &mut [Process]) {
    for process in processes {
        process.say("go");
    }
}

/// Waits for the number that a process of a task has left in a file.
pub(crate) async fn number_in(env: &TestEnv, name: &str) -> i32 {
    until("number of a process", SOON, async || {
        let text = env.text(name);
        text.trim().parse().map_err(|_| text)
    })
    .await
}

/// Waits until a process is gone that is not our child.
pub(crate) async fn until_dead(pid: i32) {
    until("death of a process", SOON, async || if is_alive(pid) { Err(pid) } else { Ok(()) }).await;
}

/// A plan file of `count` tasks without dependencies, 001 and up, which run `script` and are not tried again.
pub(crate) fn plan_file(count: usize, script: &str) -> String {
    let mut text = "title = \"work\"\n[policy]\nmax_retries = 0\n".to_owned();
    for n in 1..=count {
        write!(
            text,
            "[[task]]\nid = \"{n:03}\"\ndescription = \"work\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n"
        )
        .unwrap();
    }
    text
}
