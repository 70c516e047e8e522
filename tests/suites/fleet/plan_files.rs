//! Plan files of other tools: imported as they are, kept up to date in place, written back.

use std::fs;

use nix::{sys::stat::Mode, unistd::mkfifo};
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
async fn a_plan_file_that_is_a_pipe_is_read_once(env: TestEnv) {
    let program = env.program();
    let pipe = env.path("work.md");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    for (text, status) in [("# Work\n- [ ] 1. a\n", 0), ("# Work\n\n```\n- [ ] 1. a\n```\n", 3)] {
        let place = pipe.clone();
        let writer = std::thread::spawn(move || fs::write(place, text).unwrap());
        program.run_to(status, ["plan", "check", path_text(&pipe), "--explain"]).await;
        writer.join().unwrap();
    }
    // Without a bound no plan file is read, and in a folder no pipe.
    let endless = program.run_to(4, ["plan", "check", "/dev/zero", "--format", "markdown"]).await;
    assert!(endless.stderr.contains("MiB"), "{}", endless.stderr);
    let tasks = env.path("backlog");
    fs::create_dir(&tasks).unwrap();
    fs::rename(&pipe, tasks.join("task-1.md")).unwrap();
    let refused = program.run_to(4, ["plan", "check", path_text(&tasks)]).await;
    assert!(refused.stderr.contains("task-1.md: it is not a regular file"), "{}", refused.stderr);
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
    // A mirror keeps the list of its own plan, and an update is about the plan of its tag.
    program.run_to(0, ["run", "shop-next", "--exec", "true"]).await;
    program.run_to(0, ["mirror", "shop-next", file, "--once"]).await;
    let mirrored = text.replace(r#""c", "status": "pending""#, r#""c", "status": "done""#);
    assert_eq!(fs::read_to_string(file).unwrap(), mirrored);
    let updated = env.json(&["plan", "update", file, "--tag", "next", "--ticked", "pending"]).await;
    assert_eq!(updated["plan"], "shop-next");
    let written = program.run_to(0, ["export", "shop", "--format", "taskmaster"]).await.stdout;
    let written: Value = serde_json::from_str(&written).unwrap();
    let task = &written["master"]["tasks"][0];
    assert_eq!((&task["status"], &task["effort"]), (&"done".into(), &3.into()), "{written}");
    let checklist = program.run_to(0, ["export", "shop-next", "--format", "markdown"]).await.stdout;
    assert!(checklist.contains("- [x] 1: b\n") && checklist.contains("- [x] 2: c\n"), "{checklist}");
}

#[case]
async fn a_mirror_leaves_files_alone_that_are_not_the_plans(env: TestEnv) {
    let program = env.program();
    let write = |name: &str, text: &str| {
        let file = env.path(name);
        fs::write(&file, text).unwrap();
        path_text(&file).to_owned()
    };
    let own = write("TODO.md", "# Own\n- [ ] 1. a\n- [ ] 2. b\n");
    program.run_to(0, ["plan", "import", &own, "--plan", "own"]).await;
    for (name, text) in [
        ("prose.md", "# Notes\nNothing to tick.\n"),
        ("code.py", "print('hello')\n"),
        ("release.toml", "title = \"x\"\n[[tasks]]\nid = \"1\"\ndescription = \"a\"\n"),
        ("other.md", "# Other\n- [ ] 11. x\n- [x] 12. y\n"),
        ("broken.md", "# Own\n- [ ] 1. a\n- [ ] 1. again\n```\n"),
        ("data.json", "{\"mine\": 1}"),
    ] {
        let file = write(name, text);
        let refused = program.run_to(9, ["mirror", "own", &file, "--once"]).await;
        assert!(refused.stderr.contains("It was not changed."), "{name}: {}", refused.stderr);
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "{name}");
    }
    // A copy with the same tasks is another place of the same file.
    let copy = write("copy.md", "# Own\n- [ ] 1. a\n- [ ] 2. b\n- text\n");
    program.run_to(0, ["mirror", "own", &copy, "--once"]).await;
}

#[case]
async fn a_plan_is_in_step_with_its_file_after_a_mirror(env: TestEnv) {
    let folder = env.path(".kiro/specs/steps");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tasks.md");
    let (file, program) = (path_text(&file), env.program());
    fs::write(file, "# Steps\n- [ ] 1. a\n- [ ] 2. b\n- [ ] 3. c\n").unwrap();
    program.run_to(0, ["plan", "import", file]).await;
    program.run_to(0, ["task", "skip", "steps", "1", "--reason", "later"]).await;
    program.run_to(0, ["mirror", "steps", file, "--once"]).await;
    assert_eq!(fs::read_to_string(file).unwrap(), "# Steps\n- [x] 1. a\n- [ ] 2. b\n- [ ] 3. c\n");
    program.run_to(0, ["plan", "diff", file]).await;
}

#[case]
async fn a_mirror_clears_no_marks_of_tasks_never_started(env: TestEnv) {
    let file = env.path("TODO.md");
    let (file, program) = (path_text(&file), env.program());
    let ticked = "# Own\n- [x] 1. a\n- [x] 2. b\n";
    for plan in ["kept", "cleared"] {
        fs::write(file, ticked).unwrap();
        program.run_to(0, ["plan", "import", file, "--plan", plan, "--ticked", "pending"]).await;
        let refused = program.run_to(12, ["mirror", plan, file, "--once"]).await;
        assert!(refused.stderr.contains("has 2 ticked tasks"), "{}", refused.stderr);
        assert!(refused.stderr.contains("1 (ticked in "), "{}", refused.stderr);
        assert_eq!(fs::read_to_string(file).unwrap(), ticked);
    }
    program.run_to(0, ["mirror", "cleared", file, "--once", "--overwrite"]).await;
    assert_eq!(fs::read_to_string(file).unwrap(), ticked.replace("[x]", "[ ]"));
    fs::write(file, ticked).unwrap();
    program.run_to(0, ["plan", "update", file, "--plan", "kept", "--ticked", "done"]).await;
    program.run_to(0, ["mirror", "kept", file, "--once"]).await;
    assert_eq!(fs::read_to_string(file).unwrap(), ticked);
}
