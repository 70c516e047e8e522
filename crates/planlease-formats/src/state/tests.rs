//! State files, read and given back.

use std::collections::BTreeMap;

use planlease_core::{
    PlanName, TaskId,
    record::{Claim, Guard, Role, TaskRecord, Writer},
    transition::{Change, TaskStatus, Write, apply},
};
use serde_json::{Value, json};

use super::*;

fn name() -> PlanName {
    PlanName::new("tea").unwrap()
}

fn plan(document: &Value) -> StateFile {
    plan_of(document.to_string().as_bytes(), Mode::Strict)
}

fn plan_of(bytes: &[u8], mode: Mode) -> StateFile {
    match read("tea/status.json", bytes, mode) {
        Ok(Content::Plan(plan)) => *plan,
        other => panic!("{other:?}"),
    }
}

fn refusal(bytes: &[u8]) -> String {
    format!("{:#}", read("tea/status.json", bytes, Mode::Strict).unwrap_err())
}

/// What every file has, with these tasks.
fn with(tasks: &Value) -> Value {
    json!({"planPath": "docs/plans/tea.md", "planName": "Tea", "createdAt": "2025-12-24T04:16:52.582Z", "tasks": tasks})
}

/// As the predecessor wrote them at different times, in one.
fn real_shaped() -> Value {
    json!({
        "_comment": "This file is the authoritative source of truth",
        "planPath": "docs/plans/tea.md",
        "planName": "Implementation Plan: Tea",
        "createdAt": "2025-12-24T04:16:52.582Z",
        "lastUpdatedAt": "2025-12-24T04:46:49.598Z",
        "currentPhase": "Phase 0: Kitchen",
        "dependencyGraph": {"1.1": {"dependencies": [], "dependents": ["1.2"], "inDegree": 0}},
        "tasks": [
            {"id": "0.1", "phase": "Phase 0: Kitchen", "description": "0.1 Boil", "status": "completed",
             "startedAt": "2025-12-24T04:44:42.593123Z", "completedAt": "2025-12-24T04:46:09.085Z",
             "duration": 86492.25, "notes": true},
            {"id": "0.2", "phase": "Phase 0: Kitchen", "description": "0.2 Brew", "status": "in_progress",
             "startedAt": "2025-12-24T04:46:49-06:00", "retryCount": 1, "lastError": "cold"},
            {"id": "0.3", "phase": "1", "phaseName": "Table", "title": "Serve", "status": "pending",
             "priority": "MEDIUM", "line": 82, "dependencies": ["0.1", "0.2"]},
            {"id": "V1", "phase": "Phase 0: Rest", "description": "Taste", "status": "failed", "error": "bitter",
             "retryCount": 2, "executionConstraints": {"sequential": true, "sequentialGroup": "V1-V2", "reason": "one cup"}},
            {"id": "V2", "description": "Wash", "status": "skipped", "skipReason": "no water",
             "executionConstraints": {"sequential": true, "sequentialGroup": "V1-V2"}},
        ],
        "runs": [{"runId": "run-1", "startedAt": "2025-12-24T04:44:00.000Z", "tasksCompleted": 1, "tasksFailed": 0}],
        "summary": {"totalTasks": 5, "completed": 1, "pending": 1, "in_progress": 1, "failed": 1, "skipped": 1},
        "mergedAt": "2025-12-26T21:46:52-06:00",
        "big": [18_446_744_073_709_551_615_u64, -5, 0.1, 1e300, 0.300_000_000_000_000_04],
    })
}

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

fn write(at: i64) -> Write {
    let writer = Writer { who: "w".into(), role: Role::Operator, term: None, guard: Guard::Unowned };
    Write { writer, attempt: None, at: planlease_core::WallTime(at), op_id: Default::default() }
}

#[test]
fn an_unchanged_file_comes_back_equal() {
    let plan = plan(&real_shaped());
    assert_eq!(plan.document(&name()), real_shaped());
    assert_eq!(plan.derived, []);
}

#[test]
fn fields_mean_what_they_meant() {
    let plan = plan(&real_shaped());
    let state = |task| plan.states[&id(task)].clone();
    assert_eq!((state("0.1").status, state("0.1").attempt), (TaskStatus::Completed, 1));
    assert_eq!(state("0.1").notes, None, "true is no text");
    assert_eq!((state("0.2").attempt, state("0.2").failures), (2, 1));
    assert_eq!(state("0.2").error.as_deref(), Some("cold"));
    assert_eq!((state("V1").attempt, state("V1").failures), (3, 3), "two retries are used up");
    assert_eq!(state("V2").skip_reason.as_deref(), Some("no water"));
    assert_eq!(plan.spec.task(&id("0.3")).unwrap().depends_on, [id("0.1"), id("0.2")]);
    assert_eq!(plan.spec.task(&id("0.3")).unwrap().description, "Serve");
    let phases: Vec<_> = plan.spec.phases.iter().map(|p| (p.number.as_str(), p.name.as_str())).collect();
    assert_eq!(phases, [("0", "Kitchen"), ("1", "Table"), ("0'", "Rest")]);
    assert_eq!(json!(plan.spec.sequential), json!([{"tasks": ["V1", "V2"], "reason": "one cup"}]));
}

#[test]
fn an_imported_task_in_progress_has_no_claimant() {
    let plan = plan(&real_shaped());
    let record = &plan.records()[&id("0.2")];
    let Some(Claim { by, guard, .. }) = &record.claim else { panic!("{record:?}") };
    assert_eq!((by.as_str(), guard), (NOBODY, &Some(Guard::Import)));
}

#[test]
fn only_changes_are_rewritten() {
    let plan = plan(&real_shaped());
    let mut records = plan.records();
    let started = apply(&records[&id("0.3")], &Change::Start, &write(1_766_600_000_000)).unwrap();
    let done = Change::Complete(Some("served".into()));
    let done = apply(&started, &done, &write(1_766_600_001_500)).unwrap();
    records.insert(id("0.3"), done);
    let retried = apply(&records[&id("V1")], &Change::Retry("again".into()), &write(1_766_600_002_000));
    records.insert(id("V1"), retried.unwrap());

    let mut expected = real_shaped();
    let served = expected["tasks"][2].as_object_mut().unwrap();
    for (field, value) in [
        ("status", json!("completed")),
        ("startedAt", json!("2025-12-24T18:13:20.000Z")),
        ("completedAt", json!("2025-12-24T18:13:21.500Z")),
        ("duration", json!(1500)),
        ("notes", json!("served")),
    ] {
        served.insert(field.to_owned(), value);
    }
    let again = expected["tasks"][3].as_object_mut().unwrap();
    again.remove("error");
    again.extend([
        ("status".into(), json!("pending")),
        ("lastError".into(), json!("bitter")),
        ("retryCount".into(), json!(0)),
    ]);
    expected["lastUpdatedAt"] = json!("2025-12-24T18:13:22.000Z");
    expected["summary"] =
        json!({"totalTasks": 5, "completed": 2, "pending": 1, "in_progress": 1, "failed": 0, "skipped": 1});
    assert_eq!(export(&name(), &plan.spec, &records), expected);
}

#[test]
fn unchanged_fields_of_a_changed_task_stay_as_written() {
    let plan = plan(&real_shaped());
    let done =
        apply(&plan.records()[&id("0.2")], &Change::Complete(None), &write(1_766_600_000_000)).unwrap();
    let mut records = plan.records();
    records.insert(id("0.2"), done);
    let task = &export(&name(), &plan.spec, &records)["tasks"][1];
    assert_eq!(task["startedAt"], "2025-12-24T04:46:49-06:00", "the same moment, in the file's own words");
    assert_eq!(
        (&task["completedAt"], &task["duration"]),
        (&json!("2025-12-24T18:13:20.000Z"), &json!(26_791_000))
    );
    assert_eq!((&task["retryCount"], task.get("lastError")), (&json!(1), None));
}

#[test]
fn a_wrong_summary_is_derived_again_and_reported() {
    let mut wrong = real_shaped();
    wrong["summary"] = json!({"totalTasks": 5, "completed": 7, "note": "kept"});
    let plan = plan(&wrong);
    insta::assert_snapshot!(plan.derived[0].message, @"the summary says completed: 7, and the tasks 1");
    let mut right = wrong;
    right["summary"]["completed"] = json!(1);
    assert_eq!(plan.document(&name()), right);
}

#[test]
fn a_plan_of_planleases_own_makes_a_document_of_the_schema() {
    let file = "# Plan: Tea\n## Phase 1: Kitchen\n- [ ] 1.1 Boil water\n- [ ] 1.2 Brew (depends: 1.1)\n";
    let spec = crate::parse("tea.md", file.as_bytes()).unwrap().spec;
    let state = TaskState::of_fields(&serde_json::Map::new());
    let records = spec.tasks.iter().map(|task| (task.id.clone(), file::record(&state))).collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&export(&name(), &spec, &records)).unwrap());
}

/// The predecessor's own schema.
fn is_valid(document: &Value) -> Result<(), String> {
    let schema = serde_json::from_str(include_str!("../../../../docs/schema/status.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.validate(document).map_err(|error| error.to_string())
}

#[test]
fn every_export_is_valid_by_the_state_files_schema() {
    let file = "# Plan: Tea\n## Phase 1: Kitchen\n- [ ] 1.1 Boil water\n- [ ] 1.2 Brew (depends: 1.1)\n- [ ] 1.3 Pour\n";
    let spec = crate::parse("tea.md", file.as_bytes()).unwrap().spec;
    let fresh = file::record(&TaskState::of_fields(&serde_json::Map::new()));
    let started = apply(&fresh, &Change::Start, &write(1_766_600_000_000)).unwrap();
    let changes = [
        Change::Complete(Some("hot".into())),
        Change::Fail("cold".into()),
        Change::Skip("none".into()),
        Change::Return("later".into()),
        Change::Progress("half".into()),
    ];
    let mut ends: Vec<TaskRecord> =
        changes.iter().map(|change| apply(&started, change, &write(1_766_600_001_000)).unwrap()).collect();
    let again = apply(&ends[1], &Change::Retry("again".into()), &write(1_766_600_002_000)).unwrap();
    ends.push(again);
    for end in ends {
        let records: BTreeMap<TaskId, TaskRecord> = [("1.1", &end), ("1.2", &fresh), ("1.3", &started)]
            .map(|(task, record)| (id(task), record.clone()))
            .into();
        let document = export(&name(), &spec, &records);
        assert_eq!(is_valid(&document), Ok(()), "{document:#}");
        let read = plan(&document);
        assert_eq!(read.derived, []);
        assert_eq!(read.states[&id("1.1")].status, end.status);
        assert_eq!(read.states[&id("1.1")].error, end.error);
    }
}

#[test]
fn what_is_no_state_file_is_refused_with_its_place() {
    let whole = serde_json::to_string_pretty(&with(&json!([
        {"id": "1.1", "description": "a", "status": "completed"}, {"id": "1.2", "description": "b", "status": "pending"}])))
    .unwrap();
    insta::assert_snapshot!(refusal(&whole.as_bytes()[..whole.len() - 20]));
    insta::assert_snapshot!(refusal(b"{\"tasks\": [}"));
    insta::assert_snapshot!(refusal(b"\n  [1]\n"));
    insta::assert_snapshot!(refusal(b"{\"duration\": NaN}"));
    insta::assert_snapshot!(refusal(format!("{whole}}}\n}}").as_bytes()));
    insta::assert_snapshot!(refusal(b"{\"a\": 1, \"tasks\": {}}"));
}

#[test]
fn wrong_tasks_are_refused_with_their_places() {
    let wrong = with(&json!([
        {"id": "1.1", "title": "a", "status": "completed", "dependencies": ["1.2"]},
        {"id": "1.2", "description": "", "status": "done", "dependencies": ["1.1", "9.9"]},
        {"id": "1.1", "status": "pending"},
        {"status": "pending"},
        {"id": 1.3, "description": 5, "status": "pending"},
        "1.4",
    ]));
    let text = serde_json::to_string_pretty(&wrong).unwrap();
    insta::assert_snapshot!(refusal(text.as_bytes()));
    let lenient = plan_of(text.as_bytes(), Mode::Lenient);
    let tasks: Vec<_> = lenient.spec.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(tasks, ["1.1", "1.2", "1.3"]);
    let told: Vec<_> = lenient.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(lenient.spec.problems(), []);
}

#[test]
fn a_duplicate_name_is_refused_or_leniently_the_last_wins() {
    let twice = br#"{"planPath": "a", "planName": "b", "createdAt": "2025-12-24T04:16:52Z",
        "tasks": [{"id": "1", "title": "a", "status": "pending", "status": "failed"}]}"#;
    insta::assert_snapshot!(refusal(twice));
    let plan = plan_of(twice, Mode::Lenient);
    assert_eq!(plan.states[&id("1")].status, TaskStatus::Failed);
}

#[test]
fn whole_tasks_can_be_read_from_a_truncated_file() {
    let text = serde_json::to_string_pretty(&real_shaped()).unwrap();
    let whole = plan(&real_shaped());
    let mut had = 0;
    for end in 0..text.len() {
        if !text.is_char_boundary(end) {
            continue;
        }
        assert!(read("x", &text.as_bytes()[..end], Mode::Strict).is_err(), "cut off at {end}");
        if let Ok(Content::Plan(part)) = read("x", &text.as_bytes()[..end], Mode::Lenient) {
            had = had.max(part.spec.tasks.len());
            for (id, state) in &part.states {
                assert_eq!(state, &whole.states[id], "cut off at {end}");
            }
        }
    }
    assert_eq!(had, 5);
}

#[test]
fn byte_order_marks_are_no_matter() {
    let text = format!("\u{feff}{}", real_shaped());
    assert_eq!(plan_of(text.as_bytes(), Mode::Strict).document(&name()), real_shaped());
}

#[test]
fn a_registry_is_history() {
    let file = br#"{"instances": [{"id": "orch-1", "pid": 7, "plan_path": "a.md", "worktree_path": null, "status": "running"}, {}],
        "lastCleanup": "x"}"#;
    insta::assert_snapshot!(refusal(file));
    let Ok(Content::Registry(registry)) = read("r.json", file, Mode::Lenient) else { panic!() };
    assert_eq!((registry.instances.len(), registry.instances[0].pid), (1, Some(7)));
}

#[test]
fn texts_of_any_length_can_be_stored_and_come_back() {
    for filling in ["x", "\"", "\u{1}", "ä"] {
        let long = filling.repeat(16_500 / filling.len());
        let document =
            with(&json!([{"id": "1", "description": long, "status": "failed", "notes": long, "error": long,
            "skipReason": long}]));
        let plan = plan(&document);
        for record in plan.records().values() {
            planlease_core::codec::encode(record).unwrap();
        }
        assert_eq!(plan.document(&name()), document);
    }
}

#[test]
fn a_state_file_is_no_plan_file_of_another_tool() {
    let file = json!({"planPath": "docs/plans/tea.md", "planName": "Tea", "createdAt": "2025-12-24T04:16:52.582Z",
        "tasks": [{"id": "1.1", "description": "Boil water", "status": "completed"}]});
    for path in ["tea/status.json", "prd.json", ".taskmaster/tasks/tasks.json"] {
        let problems = crate::parse(path, file.to_string().as_bytes()).unwrap_err();
        let [problem] = &problems.listed[..] else { panic!("{problems}") };
        assert!(problem.message.contains("state file"), "{problem}");
        assert!(problem.help.as_deref().is_some_and(|help| help.contains("planlease import")), "{problem:#}");
    }
    let task = json!({"tasks": [{"id": 1, "title": "About planPath and planName", "status": "pending"}]});
    assert!(crate::parse("tasks.json", task.to_string().as_bytes()).is_ok());
}
