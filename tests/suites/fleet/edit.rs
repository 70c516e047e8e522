//! `plan diff` and `plan update`, while the plan is executed.

use std::{fs, time::Duration};

use planlease_tests::{
    TestEnv, case,
    test_env::path_text,
    wait::{SOON, until},
};

const TTL: Duration = Duration::from_secs(5);

const BEFORE: &str = "# Release\n\n## Phase 1: Build\n\n- [ ] 1.1 build it\n- [ ] 1.2 test it\n";
const AFTER: &str = "# Release\n\n## Phase 1: Build\n\n- [ ] 1.3 ship it\n- [ ] 1.4 tell everybody\n";

/// Says which task it is, and works until it may go on.
const WORK: &str =
    r#"echo "$PLANLEASE_TASK" >> "$TEST_DIR/begun"; while ! [ -e "$TEST_DIR/go" ]; do sleep 0.02; done"#;

#[case]
async fn an_executed_plan_follows_its_edited_file(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let file = env.path("release.md");
    let file = path_text(&file);
    fs::write(file, BEFORE).unwrap();
    env.json(&["plan", "import", file]).await;
    assert_eq!(env.json(&["plan", "diff", file]).await["in_step"], true);
    let mut run = env.start(&["run", "release", "--jobs", "1", "--shell", "--exec", WORK], "run");
    until("the first task to begin", SOON, async || {
        let begun = env.text("begun");
        if begun == "1.1\n" { Ok(()) } else { Err(begun) }
    })
    .await;

    fs::write(file, AFTER).unwrap();
    let diff = env.program().run_to(12, ["plan", "diff", file, "-o", "json"]).await;
    let dry = env.json(&["plan", "update", file, "--dry-run"]).await;
    assert_eq!(dry, serde_json::from_str::<serde_json::Value>(&diff.stdout).unwrap());
    let done = env.json(&["plan", "update", file]).await;
    let whats: Vec<(&str, &str)> = done["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["task"].as_str().unwrap(), task["what"].as_str().unwrap()))
        .collect();
    assert_eq!(whats, [("1.3", "added"), ("1.4", "added"), ("1.2", "removed"), ("1.1", "kept")]);
    assert_eq!(dry["tasks"], done["tasks"], "what was said before is what was done");

    fs::write(env.path("go"), "").unwrap();
    assert_eq!(run.until_ended(SOON).await, Some(0), "{}", run.said());
    assert_eq!(env.text("begun"), "1.1\n1.3\n1.4\n", "{}", run.said());
    let status = env.json(&["status", "release"]).await;
    assert_eq!(status["summary"]["completed"], 3, "{status}");
    env.audit().await;
}

#[case]
async fn a_plan_is_not_replaced_by_another_file_of_the_same_name(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let [one, other] = ["one", "other"].map(|folder| {
        fs::create_dir(env.path(folder)).unwrap();
        env.path(&format!("{folder}/release.md"))
    });
    let (one, other) = (path_text(&one), path_text(&other));
    fs::write(one, BEFORE).unwrap();
    fs::write(other, AFTER).unwrap();
    let program = env.program();
    program.run_to(0, ["plan", "import", one]).await;
    // The same file by another path is in step.
    let dotted = one.replace("/release.md", "/./release.md");
    program.run_to(0, ["plan", "diff", &dotted]).await;

    let refused = program.run_to(9, ["plan", "update", other]).await;
    assert!(
        refused.stderr.contains("another file") && refused.stderr.contains("--plan release"),
        "{refused:?}"
    );
    let diff = program.run_to(12, ["plan", "diff", other, "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&diff.stdout).unwrap()["other_source"], *one);
    assert_eq!(env.json(&["plan", "show", "release"]).await["tasks"][0]["id"], "1.1", "nothing was changed");

    // An edited file is what the plan was made of.
    fs::write(one, BEFORE.replace("ship", "send").replace("test it", "check it")).unwrap();
    let again = program.run_to(9, ["plan", "import", one]).await;
    assert!(again.stderr.contains("plan diff") && again.stderr.contains("plan update"), "{again:?}");
    assert!(!again.stderr.contains("delete"), "{again:?}");
    program.run_to(0, ["plan", "update", one]).await;
    program.run_to(0, ["plan", "update", other, "--plan", "release"]).await;
    assert_eq!(env.json(&["plan", "show", "release"]).await["tasks"][0]["id"], "1.3");
}

const TICKED: &str =
    "# Release\n\n## Phase 1: Build\n\n- [x] 1.1 build it\n- [ ] 1.2 test it (depends: 1.1)\n";

#[case]
async fn ticked_boxes_are_reported_and_count_as_the_user_says(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let file = env.path("release.md");
    let file = path_text(&file);
    fs::write(file, TICKED).unwrap();
    let program = env.program();
    let check = program.run_to(0, ["plan", "check", file, "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&check.stdout).unwrap()["ticked"][0], "1.1");
    assert!(check.stderr.contains("1 ticked task: 1.1"), "{check:?}");
    let status =
        async |plan: &str, task: &str| env.json(&["task", "show", plan, task]).await["status"].clone();

    // By default they count as done where other boxes are open, with the place as the reason.
    let import = program.run_to(0, ["plan", "import", file, "--plan", "partly"]).await;
    assert!(import.stderr.contains("1 ticked task: 1.1, recorded as done"), "{import:?}");
    let notes = env.json(&["task", "show", "partly", "1.1"]).await["notes"].clone();
    assert_eq!(notes, format!("ticked in {file}:5"));

    program.run_to(0, ["plan", "import", file, "--plan", "again", "--ticked", "pending"]).await;
    assert_eq!(status("again", "1.1").await, "pending");
    let show = program.run_to(0, ["plan", "show", "again"]).await;
    assert!(show.stdout.contains("ticked in the plan file, and pending here: 1.1"), "{show:?}");

    let done = env.json(&["plan", "import", file, "--ticked", "done"]).await;
    assert_eq!(
        (&done["imports"][0]["ticked"][0], &done["imports"][0]["ticked_are_done"]),
        (&"1.1".into(), &true.into())
    );
    assert_eq!(status("release", "1.1").await, "completed");
    program.run_to(2, ["plan", "import", file, "--plan", "asked", "--ticked", "ask"]).await;

    // What a run does again is said; what was recorded as done is not done again.
    let run = program.run_to(0, ["run", "again", "--exec", "true"]).await;
    assert!(run.stdout.contains("again will run 1 ticked task that count as pending: 1.1"), "{run:?}");
    program.run_to(0, ["plan", "import", file, "--plan", "counted", "--ticked", "done"]).await;
    let run = program.run_to(0, ["run", "counted", "--exec", "true", "-o", "json"]).await;
    assert!(!run.stdout.contains("ticked") && run.stdout.contains("finished"), "{run:?}");

    // A box that is ticked later, and a new task that is done already.
    fs::write(file, TICKED.replace("[ ]", "[x]") + "- [x] 1.3 ship it\n").unwrap();
    let dry = program.run_to(0, ["plan", "update", file, "--ticked", "done", "--dry-run"]).await;
    assert!(dry.stdout.contains("ticked in the file, and left out (skipped): 1.2\n"), "{dry:?}");
    assert!(dry.stdout.contains("ticked in the file, and recorded as done: 1.3\n"), "{dry:?}");
    assert_eq!(status("release", "1.2").await, "pending");
    let update = env.json(&["plan", "update", file, "--ticked", "done"]).await;
    assert_eq!(update["recorded_as_done"], serde_json::json!(["1.2", "1.3"]), "{update}");
    assert_eq!(status("release", "1.2").await, "skipped");
    assert_eq!(status("release", "1.3").await, "completed");

    // Errors are for programs too.
    fs::write(file, TICKED.replace("[ ]", "[~]")).unwrap();
    for command in ["check", "import", "diff", "update"] {
        let refused = program.run_to(3, ["plan", command, file, "-o", "json"]).await;
        let document: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
        let problems =
            if command == "import" { &document["refused"][0]["problems"] } else { &document["problems"] };
        assert_eq!(
            (&problems[0]["severity"], &problems[0]["line"]),
            (&"error".into(), &6.into()),
            "{document}"
        );
    }
    env.audit().await;
}
