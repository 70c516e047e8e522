//! Plan files of other tools: imported as they are, kept up to date in place, written back.

use std::fs;

use planlease_tests::{TestEnv, case, test_env::path_text};
use serde_json::Value;

const TASKS: &str = "# Plan\r\n\r\n- [ ] 1. Log in\r\n- [X] 1.1 Form\r\n  - _Requirements: 1.2_\r\n- [ ] 1.2 Session\r\n\
                     \r\n```\r\n- [ ] no task\r\n```\r\n";

#[case]
async fn a_mirror_changes_the_marks_of_a_plan_file_and_nothing_else(env: TestEnv) {
    let folder = env.path(".kiro/specs/log-in");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tasks.md");
    let (file, program) = (path_text(&file), env.program());
    fs::write(file, TASKS).unwrap();
    let check = env.json(&["plan", "check", file, "--explain"]).await;
    assert_eq!((&check["explained"]["boxes"], &check["explained"]["agree"]), (&3.into(), &true.into()));

    // The folder names the plan; what is ticked there is done.
    program.run_to(0, ["plan", "import", file]).await;
    program.run_to(0, ["mirror", "log-in", file, "--once"]).await;
    assert_eq!(fs::read_to_string(file).unwrap(), TASKS, "nothing has changed");
    program.run_to(0, ["run", "log-in", "--exec", "true"]).await;
    program.run_to(0, ["mirror", "log-in", file, "--once"]).await;
    let marked = TASKS.replacen("[ ] 1. ", "[x] 1. ", 1).replacen("[ ] 1.2", "[x] 1.2", 1);
    assert_eq!(fs::read_to_string(file).unwrap(), marked);
    env.audit().await;
}

#[case]
async fn each_tag_of_taskmaster_is_a_plan_that_can_be_written_back(env: TestEnv) {
    let folder = env.path("shop/.taskmaster/tasks");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tasks.json");
    let (file, program) = (path_text(&file), env.program());
    let text = r#"{"master": {"tasks": [{"id": 1, "title": "a", "status": "pending", "effort": 3}]},
                   "next": {"tasks": [{"id": 1, "title": "b", "status": "done"}, {"id": 2, "title": "c", "status": "pending"}]}}"#;
    fs::write(file, text).unwrap();
    let imports = env.json(&["plan", "import", file]).await;
    let plans: Vec<&Value> = imports["imports"].as_array().unwrap().iter().map(|one| &one["plan"]).collect();
    assert_eq!(plans, ["shop", "shop-next"]);
    program.run_to(0, ["run", "shop", "--exec", "true"]).await;
    let written = program.run_to(0, ["export", "shop", "--format", "taskmaster"]).await.stdout;
    let written: Value = serde_json::from_str(&written).unwrap();
    let task = &written["master"]["tasks"][0];
    assert_eq!((&task["status"], &task["effort"]), (&"done".into(), &3.into()), "{written}");
    let checklist = program.run_to(0, ["export", "shop-next", "--format", "markdown"]).await.stdout;
    assert!(checklist.contains("- [x] 1: b\n- [ ] 2: c\n"), "{checklist}");
}
