//! How documents look, in every form: what people and programs rely on.

use planlease_core::{TaskId, record::FindingsRecord};

use super::{
    fixture::{NOW, line, plan},
    *,
};

fn shown<D: Document>(format: Format, document: &D) -> String {
    let text = text(format, document, NOW).unwrap();
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn a_status_as_table() {
    insta::assert_snapshot!(shown(Format::Table, &PlanStatus::new(&plan())));
}

#[test]
fn a_status_as_json() {
    insta::assert_snapshot!(shown(Format::Json, &PlanStatus::new(&plan())));
}

#[test]
fn plans_as_table_and_lines() {
    let plans = PlanList::new(&[plan()]);
    insta::assert_snapshot!(shown(Format::Table, &plans) + &shown(Format::Jsonl, &plans));
    insta::assert_snapshot!(shown(Format::Table, &PlanList::new(&[])), @"no plans; `planlease plan import FILE` makes one");
    assert_eq!(shown(Format::Jsonl, &PlanList::new(&[])), "");
}

#[test]
fn a_plan_as_table() {
    insta::assert_snapshot!(shown(Format::Table, &PlanShown::new(&plan())));
}

#[test]
fn tasks_as_table_and_lines() {
    let tasks = TaskList::new(&plan(), None);
    insta::assert_snapshot!(shown(Format::Table, &tasks) + &shown(Format::Jsonl, &tasks));
}

#[test]
fn a_task_as_table_and_json() {
    let plan = plan();
    let task = &plan.tasks[&TaskId::new("1.10").unwrap()];
    let findings = FindingsRecord {
        v: Default::default(),
        attempt: 1,
        text: "one\n\x1b[31mtwo".into(),
        bytes: 12,
        reference: None,
    };
    let task = TaskShown::new(&plan, task, Some(findings));
    insta::assert_snapshot!(shown(Format::Table, &task) + &shown(Format::Json, &task));
}

#[test]
fn an_owner_as_table_and_json() {
    let owner = OwnerShown::new(plan().name, &line());
    insta::assert_snapshot!(shown(Format::Table, &owner) + &shown(Format::Json, &owner));
}

#[test]
fn a_plan_file_as_json_is_what_was_parsed_and_nothing_else() {
    let json = shown(Format::Json, &PlanFile::from(&*plan().spec));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["phases", "tasks", "title"]);
    assert_eq!(value["phases"][1], serde_json::json!({"number": "2b", "name": "Ship"}));
    assert_eq!(
        value["tasks"][1],
        serde_json::json!({"id": "1.2", "phase": "1", "description": "Do 1.2", "depends_on": ["1.1"]})
    );
}
