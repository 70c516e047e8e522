//! `plan diff` and `plan update`, while the plan is executed.

use std::{fs, time::Duration};

use planlease_tests::{
    cases,
    room::{Room, path_text},
    suite::{Case, Fixture},
    wait::{SOON, until},
};

pub(crate) fn cases() -> Vec<Case> {
    cases![who_executes_a_plan_goes_on_with_what_its_file_says_now]
}

const TTL: Duration = Duration::from_secs(5);

const BEFORE: &str = "# Release\n\n## Phase 1: Build\n\n- [ ] 1.1 build it\n- [ ] 1.2 test it\n";
const AFTER: &str = "# Release\n\n## Phase 1: Build\n\n- [ ] 1.3 ship it\n- [ ] 1.4 tell everybody\n";

/// Says which task it is, and works until it may go on.
const WORK: &str =
    r#"echo "$PLANLEASE_TASK" >> "$ROOM/begun"; while ! [ -e "$ROOM/go" ]; do sleep 0.02; done"#;

async fn who_executes_a_plan_goes_on_with_what_its_file_says_now(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let file = room.path("release.md");
    let file = path_text(&file);
    fs::write(file, BEFORE).unwrap();
    room.json(&["plan", "import", file]).await;
    assert_eq!(room.json(&["plan", "diff", file]).await["in_step"], true);
    let mut run = room.start(&["run", "release", "--jobs", "1", "--shell", "--exec", WORK], "run");
    until("the first task to begin", SOON, async || {
        let begun = room.text("begun");
        if begun == "1.1\n" { Ok(()) } else { Err(begun) }
    })
    .await;

    fs::write(file, AFTER).unwrap();
    let diff = room.program().run_to(12, ["plan", "diff", file, "-o", "json"]).await;
    let dry = room.json(&["plan", "update", file, "--dry-run"]).await;
    assert_eq!(dry, serde_json::from_str::<serde_json::Value>(&diff.stdout).unwrap());
    let done = room.json(&["plan", "update", file]).await;
    let whats: Vec<(&str, &str)> = done["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["task"].as_str().unwrap(), task["what"].as_str().unwrap()))
        .collect();
    assert_eq!(whats, [("1.3", "added"), ("1.4", "added"), ("1.2", "removed"), ("1.1", "kept")]);
    assert_eq!(dry["tasks"], done["tasks"], "what was said before is what was done");

    fs::write(room.path("go"), "").unwrap();
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    assert_eq!(room.text("begun"), "1.1\n1.3\n1.4\n", "{}", run.said());
    let status = room.json(&["status", "release"]).await;
    assert_eq!(status["summary"]["completed"], 3, "{status}");
    room.audit().await;
}
