//! Tests of the readers of files of trackers: small files for each rule, and generated ones.

use std::collections::BTreeMap;

use planlease_core::{TaskId, transition::TaskStatus};
use serde_json::{Value, json};

use crate::{Format, Parsed, export, mirrored, parse, parse_folder, parse_tag, tags};

fn read(path: &str, text: &str) -> Parsed {
    let parsed = parse(path, text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(parsed.counts.agree(), "{:?}", parsed.counts);
    parsed
}

fn waits(parsed: &Parsed) -> Vec<String> {
    let task = |task: &planlease_core::spec::TaskSpec| {
        let on: Vec<&str> = task.depends_on.iter().map(TaskId::as_str).collect();
        format!("{} < {}", task.id, on.join(" "))
    };
    parsed.spec.tasks.iter().map(task).collect()
}

/// How far the file says that its tasks are.
fn statuses(parsed: &Parsed) -> BTreeMap<TaskId, TaskStatus> {
    let status = |task: &planlease_core::spec::TaskSpec| match task.extra.get("mark").and_then(Value::as_str)
    {
        Some("dropped") => TaskStatus::Skipped,
        Some("in_progress") => TaskStatus::InProgress,
        _ if task.is_ticked() => TaskStatus::Completed,
        _ => TaskStatus::Pending,
    };
    parsed.spec.tasks.iter().map(|task| (task.id.clone(), status(task))).collect()
}

fn taskmaster() -> Value {
    json!({ "master": {
        "metadata": { "created": "2026-01-01" },
        "tasks": [
            { "id": 1, "title": "Set up", "description": "All of it.", "details": "a\nb", "testStrategy": "Run it.",
              "status": "done", "priority": "high", "dependencies": [], "complexityScore": 7, "subtasks": [] },
            { "id": 2, "title": "Build", "description": "", "status": "in-progress", "priority": "low", "dependencies": [1],
              "subtasks": [
                { "id": 1, "title": "Core", "status": "review", "dependencies": [], "parentTaskId": 2 },
                { "id": 2, "title": "Shell", "status": "cancelled", "dependencies": [1, "1"] },
                { "id": "3", "title": "Docs", "status": "deferred", "dependencies": ["2.1"] }
              ] },
            { "id": "7", "title": "Later", "status": "pending", "dependencies": ["2", 99] }
        ]
    } })
}

#[test]
fn taskmaster_has_sub_tasks_and_states() {
    let parsed = read(".taskmaster/tasks/tasks.json", &taskmaster().to_string());
    assert_eq!(waits(&parsed), ["1 < ", "2 < 1 2.1 2.2 2.3", "2.1 < 1", "2.2 < 2.1", "2.3 < 2.1", "7 < 2"]);
    let ticked: Vec<&str> = parsed.spec.ticked().map(|task| task.id.as_str()).collect();
    assert_eq!(ticked, ["1", "2.2"]);
    assert_eq!(parsed.spec.tasks[0].priority, 10);
    assert_eq!(parsed.spec.tasks[0].steps, ["All of it.", "a\nb", "Run it."]);
    let warnings: Vec<&str> = parsed.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(warnings.contains(&"no task is called 99: nothing waits for it"), "{warnings:?}");
}

#[test]
fn taskmaster_comes_back_with_what_is_not_understood() {
    let parsed = read("tasks.json", &taskmaster().to_string());
    let written = export(Format::Taskmaster, &parsed.spec, &statuses(&parsed)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), taskmaster());
    let all = parsed.spec.tasks.iter().map(|task| (task.id.clone(), TaskStatus::Completed)).collect();
    let written = export(Format::Taskmaster, &parsed.spec, &all).unwrap();
    assert!(!written.contains("pending") && written.contains("complexityScore"), "{written}");
}

#[test]
fn each_tag_is_a_plan() {
    let text = r#"{"master": {"tasks": [{"id": 1, "title": "a"}]}, "next": {"tasks": [{"id": 1, "title": "b"}, {"id": 2, "title": "c"}]}}"#;
    assert_eq!(tags(Format::Taskmaster, "tasks.json", text.as_bytes()), ["master", "next"]);
    let master = read("tasks.json", text);
    assert_eq!((master.spec.tasks.len(), master.counts.others), (1, 2));
    assert_eq!(master.warnings[0].message, "the file has more lists of tasks: next");
    let next = parse_tag(Format::Taskmaster, Some("next"), "tasks.json", text.as_bytes()).unwrap();
    assert_eq!((next.spec.tasks.len(), next.warnings.len()), (2, 0));
    assert!(parse_tag(Format::Taskmaster, Some("x"), "tasks.json", text.as_bytes()).is_err());
}

#[test]
fn an_empty_tag_is_named_and_the_others_are_plans() {
    let text = r#"{"master": {"tasks": []}, "shop": {"tasks": [{"id": 1, "title": "a"}]}, "next": {"tasks": [{"id": 2, "title": "b"}]}}"#;
    assert_eq!(tags(Format::Taskmaster, "tasks.json", text.as_bytes()), ["shop", "next"]);
    let warnings = |tag| {
        let parsed = parse_tag(Format::Taskmaster, tag, "tasks.json", text.as_bytes()).unwrap();
        parsed.warnings.into_iter().map(|warning| warning.message).collect::<Vec<_>>()
    };
    let empty = "the tag master has no tasks: no plan is made of it";
    assert_eq!((warnings(Some("shop")), warnings(Some("next"))), (vec![empty.to_owned()], vec![]));
    for tag in [Some("master"), None] {
        assert!(parse_tag(Format::Taskmaster, tag, "tasks.json", text.as_bytes()).is_err(), "{tag:?}");
    }
    let text = r#"{"empty": {"tasks": []}, "master": {"tasks": [{"id": 1, "title": "a"}]}}"#;
    let parsed = read("tasks.json", text);
    assert_eq!(parsed.warnings[0].message, "the tag empty has no tasks: no plan is made of it");
    let only = read("tasks.json", &text.replace("master", "shop").replace("empty", "master"));
    assert_eq!((only.spec.tasks.len(), only.warnings.len()), (1, 1));
}

#[test]
fn issues_of_beads_wait_for_all_that_holds_them_back() {
    let issue = |id: &str, kind: &str| {
        format!(
            "{{\"id\":\"{id}\",\"title\":\"T\",\"status\":\"open\",\"dependencies\":[{{\"issue_id\":\"{id}\",\
             \"depends_on_id\":\"p-1\",\"type\":\"{kind}\"}}]}}\n"
        )
    };
    let text = [
        "{\"id\":\"p-1\",\"title\":\"T\",\"status\":\"open\"}\n".to_owned(),
        issue("p-2", "waits-for"),
        issue("p-3", "conditional-blocks"),
        issue("p-4", "related"),
    ]
    .concat();
    let parsed = read(".beads/issues.jsonl", &text);
    assert_eq!(waits(&parsed), ["p-1 < ", "p-2 < p-1", "p-3 < p-1", "p-4 < "]);
    let warnings: Vec<_> = parsed.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warnings, ["this issue is to start only if p-1 fails: it waits until p-1 is done"]);
}

const BEADS: &str = concat!(
    r#"{"id":"p-1","title":"Epic","status":"open","priority":1,"issue_type":"epic","extra":{"a":1}}"#,
    "\n",
    r#"{"id":"p-1.1","title":"Part","description":"Do.","status":"closed","priority":2,"issue_type":"task","close_reason":"done","dependencies":[{"issue_id":"p-1.1","depends_on_id":"p-1","type":"parent-child"}]}"#,
    "\n",
    r#"{"id":"p-2","title":"Next","status":"in_progress","priority":0,"issue_type":"bug","labels":["ui"],"dependencies":[{"issue_id":"p-2","depends_on_id":"p-1","type":"blocks"},{"issue_id":"p-2","depends_on_id":"p-9","type":"related"}]}"#,
    "\n",
    r#"{"id":"p-3","title":"Gone","status":"tombstone","priority":2,"issue_type":"task"}"#,
    "\n",
    r#"{"id":"p-4","title":"Mail","status":"open","priority":2,"issue_type":"message"}"#,
    "\n",
);

#[test]
fn beads_block_and_are_parts_of_each_other() {
    let parsed = read(".beads/issues.jsonl", BEADS);
    assert_eq!(waits(&parsed), ["p-1 < p-1.1", "p-1.1 < ", "p-2 < p-1"]);
    assert_eq!(parsed.spec.tasks.iter().map(|task| task.priority).collect::<Vec<_>>(), [1, 0, 2]);
    assert_eq!((parsed.counts.in_file, parsed.counts.others), (5, 2));
    let written = export(Format::Beads, &parsed.spec, &statuses(&parsed)).unwrap();
    for (written, read) in written.lines().zip(BEADS.lines()) {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(written), value(read));
    }
}

#[test]
fn ralph_has_stories_that_pass() {
    let text = r#"{"project": "Shop", "userStories": [
        {"id": "US-001", "title": "Buy", "acceptanceCriteria": ["It sells"], "priority": 1, "passes": true},
        {"id": "US-002", "title": "Pay", "acceptanceCriteria": [], "priority": 2, "passes": false, "dependencies": ["US-001"]}]}"#;
    let parsed = read("prd.json", text);
    assert_eq!(
        (parsed.spec.title.as_str(), waits(&parsed)),
        ("Shop", vec!["US-001 < ".into(), "US-002 < US-001".into()])
    );
    assert_eq!(parsed.spec.tasks[0].steps, ["It sells"]);
    assert!(parsed.spec.tasks[0].priority > parsed.spec.tasks[1].priority);
    let passed = mirrored(Format::Ralph, "prd.json", text.as_bytes(), |_| Some(TaskStatus::Completed));
    assert_eq!(String::from_utf8(passed.unwrap().unwrap()).unwrap(), text.replace("false", "true"));
}

#[test]
fn a_folder_of_backlog_is_a_plan() {
    let one = "---\nid: BACK-1\ntitle: 'Log in'\nstatus: Done\nlabels:\n  - web\ndependencies: []\npriority: high\n---\n\n## Acceptance Criteria\n<!-- AC:BEGIN -->\n- [x] #1 It works\n<!-- AC:END -->\n";
    let two =
        "---\nid: BACK-2\ntitle: Log out\nstatus: To Do\nlabels: [web, ui]\ndependencies:\n  - BACK-1\n---\n";
    let files =
        [("b/1.md".to_owned(), one.as_bytes().to_vec()), ("b/2.md".to_owned(), two.as_bytes().to_vec())];
    let parsed = parse_folder("b", &files).unwrap();
    assert_eq!(waits(&parsed), ["back-1 < ", "back-2 < back-1"]);
    assert_eq!(parsed.spec.tasks[0].steps, ["## Acceptance Criteria", "- [x] #1 It works"]);
    assert_eq!((parsed.spec.tasks[0].is_ticked(), parsed.spec.tasks[0].priority), (true, 10));
    assert_eq!((parsed.places[1].file.as_str(), parsed.places[1].line), ("b/2.md", 1));
    let bad = [files[0].clone(), ("b/3.md".to_owned(), b"no task".to_vec())];
    let parsed = parse_folder("b", &bad).unwrap();
    assert_eq!(parsed.spec.tasks.len(), 1);
    let warning = parsed.warnings[0].to_string();
    assert!(warning.starts_with("b/3.md:1:1: warning"), "{warning}");
}

#[test]
fn states_are_kept_in_place() {
    let text = taskmaster().to_string();
    let kept = |status| {
        let written = mirrored(Format::Taskmaster, "tasks.json", text.as_bytes(), |task: &TaskId| {
            (task.as_str() == "2").then_some(status)
        });
        String::from_utf8(written.unwrap().unwrap()).unwrap()
    };
    assert_eq!(kept(TaskStatus::InProgress), text, "it says the same already");
    assert_eq!(kept(TaskStatus::Completed), text.replace("\"in-progress\"", "\"done\""));
}

#[test]
fn a_task_without_a_state_gets_one_when_it_has_some() {
    for (path, before, after) in [
        (
            "tasks.json",
            "{\"tasks\": [\n  {\n    \"id\": 1,\n    \"title\": \"a\"\n  }, {\"id\": 2, \"title\": \"b\", \"status\": null}\n]}",
            "{\"tasks\": [\n  {\n    \"status\": \"done\",\n    \"id\": 1,\n    \"title\": \"a\"\n  }, {\"id\": 2, \"title\": \"b\", \"status\": \"done\"}\n]}",
        ),
        (
            "issues.jsonl",
            "{\"id\":\"a\",\"title\":\"a\"}\n",
            "{\"status\":\"closed\",\"id\":\"a\",\"title\":\"a\"}\n",
        ),
        (
            "prd.json",
            "{\"stories\": [{\"id\": \"a\"}, {\"id\": \"b\", \"status\": \"in_progress\"}, {\"id\": \"c\", \"complete\": false, \"status\": \"x\"}, {\"id\": \"d\", \"passes\": \"no\"}]}",
            "{\"stories\": [{\"passes\":true,\"id\": \"a\"}, {\"id\": \"b\", \"status\": \"done\"}, {\"id\": \"c\", \"complete\": true, \"status\": \"x\"}, {\"id\": \"d\", \"passes\": \"true\"}]}",
        ),
    ] {
        let format = Format::detect(path, before.as_bytes()).unwrap();
        let set = |text: &str, status| {
            let written = mirrored(format, path, text.as_bytes(), |_| Some(status)).unwrap().unwrap();
            String::from_utf8(written).unwrap()
        };
        assert_eq!(set(before, TaskStatus::Completed), after);
        assert_eq!(set(after, TaskStatus::Completed), after);
        assert!(read(path, &set(after, TaskStatus::Pending)).spec.ticked().next().is_none());
        assert!(!set(before, TaskStatus::Pending).contains("pending"), "without a state a task is open");
    }
}

#[test]
fn of_too_many_dependencies_the_open_ones_are_kept() {
    let issues = |open: usize| {
        let all: Vec<Value> =
            (0..300).map(|nth| json!({ "depends_on_id": format!("a-{nth}"), "type": "blocks" })).collect();
        let mut lines = vec![json!({ "id": "e", "title": "all", "dependencies": all }).to_string()];
        lines.extend((0..300).map(|nth| {
            let status = if nth < open { "open" } else { "closed" };
            json!({ "id": format!("a-{nth}"), "title": "a", "status": status }).to_string()
        }));
        parse("issues.jsonl", (lines.join("\n") + "\n").as_bytes())
    };
    let parsed = issues(100).unwrap();
    assert_eq!(parsed.spec.tasks[0].depends_on.len(), 100);
    assert_eq!(
        parsed.warnings[0].message,
        "task e waits for 300 tasks, of which the 100 open ones are kept: at most 100 are allowed"
    );
    let problems = issues(101).unwrap_err();
    assert!(problems.to_string().contains("task e waits for 300 tasks; at most 100"), "{problems}");
    let written = export(Format::Beads, &parsed.spec, &statuses(&parsed)).unwrap();
    let again = read("issues.jsonl", &written);
    assert_eq!(waits(&again), waits(&parsed));
}

#[test]
fn dependencies_are_read_in_each_shape_or_reported() {
    let text = r#"{"tasks": [{"id": 1, "title": "a"}, {"id": 2, "title": "b", "dependencies": "1"},
        {"id": 3, "title": "c", "dependencies": "1, 2"}, {"id": 4, "title": "d", "dependsOn": [{"id": 1}]},
        {"id": 5, "title": "e", "dependencies": 4}, {"id": 6, "title": "f", "dependencies": "none"},
        {"id": 7, "title": "g", "dependencies": [[1], null]}]}"#;
    let parsed = read("tasks.json", text);
    assert_eq!(waits(&parsed), ["1 < ", "2 < 1", "3 < 1 2", "4 < 1", "5 < 4", "6 < ", "7 < "]);
    let warnings: Vec<&str> = parsed.warnings.iter().map(|warning| warning.message.as_str()).collect();
    let expected = [
        "this is a list, and not read as a dependency: nothing waits for it",
        "this is null, and not read as a dependency: nothing waits for it",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn the_files_of_a_folder_are_kept_in_place() {
    let one = "\u{feff}---\r\nid: a-1\r\ntitle: A\r\nstatus: \"To Do\"  # ask\r\n---\r\nstatus: To Do\r\n";
    let two = "---\nstatus:\nid: a-2\n---\n";
    let three = "---\nid: a-3\nstatus: 'In Progress'\n---";
    let texts = [one, two, three];
    let files: Vec<(String, Vec<u8>)> =
        (1..).zip(texts).map(|(nth, text)| (format!("b/{nth}.md"), text.into())).collect();
    let kept = |status: TaskStatus| {
        let written = crate::mirrored_folder("b", &files, |_| Some(status)).unwrap();
        written.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(kept(TaskStatus::Pending), texts, "begun by others, and never by the plan");
    let done = kept(TaskStatus::Completed);
    assert_eq!(done[1], two.replace("status:", "status: Done"));
    assert_eq!(done[2], three.replace("In Progress", "Done"));
    assert!(done[0].ends_with("---\r\nstatus: To Do\r\n") && done[0].contains("Done"), "{}", done[0]);
    assert_eq!(kept(TaskStatus::InProgress)[2], three);
}

#[test]
fn json_that_is_none_is_refused_with_its_place() {
    let refused = parse("tasks.json", b"{\"tasks\": [{\"id\": 1,}]}").unwrap_err();
    insta::assert_snapshot!(format!("{refused:#}"), @r"
    tasks.json:1:21: error: another item is expected after the comma
      help: The file is no JSON document: restore it, or fix this place.
    ");
}

#[test]
fn a_plan_comes_back_from_a_checklist() {
    let parsed = read(".beads/issues.jsonl", BEADS);
    let written = export(Format::Checklist, &parsed.spec, &statuses(&parsed)).unwrap();
    let again = read("plan-of-beads.md", &written);
    assert_eq!(waits(&again), waits(&parsed), "{written}");
    assert_eq!(statuses(&again), statuses(&parsed), "{written}");
}
