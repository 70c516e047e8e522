//! How documents look, in every form: what people and programs rely on.

use planlease_core::{
    TaskId,
    record::{FindingsRecord, WorktreeState},
    worktree::Tenure,
};

use super::{
    fixture::{NOW, line, plan, worktree},
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
    let findings =
        FindingsRecord { v: Default::default(), attempt: 1, text: "one\n\x1b[31mtwo".into(), bytes: 12 };
    let task = TaskShown::new(&plan, task, Some(findings));
    insta::assert_snapshot!(shown(Format::Table, &task) + &shown(Format::Json, &task));
}

#[test]
fn an_owner_as_table_and_json() {
    let owner = OwnerShown::new(plan().name, &line());
    insta::assert_snapshot!(shown(Format::Table, &owner) + &shown(Format::Json, &owner));
}

#[test]
fn worktrees_in_every_form() {
    let (used, left) = (worktree("one", WorktreeState::Ready), worktree("two", WorktreeState::Quarantined));
    let shown_one = WorktreeShown::new(&left, Tenure::TermOver);
    let list = WorktreeList::new(vec![WorktreeShown::new(&used, Tenure::Live), shown_one.clone()]);
    let tidied =
        [Tidied::keep(&used, "it is in use".into()), Tidied::quarantine(&left, "1 changed file".into())];
    let tidied = WorktreesTidied::new(false, tidied.into());
    insta::assert_snapshot!(
        shown(Format::Table, &list)
            + &shown(Format::Jsonl, &list)
            + &shown(Format::Table, &shown_one)
            + &shown(Format::Json, &shown_one)
            + &shown(Format::Table, &tidied)
            + &shown(Format::Json, &tidied)
    );
}

#[test]
fn a_fence_in_every_form() {
    let token = "1.7".parse().unwrap();
    let checked = FenceChecked { resource: "deploy".into(), token, admitted: true, highest: token };
    let list = FenceList { resources: vec![Highest { resource: "deploy".into(), highest: token }] };
    insta::assert_snapshot!(
        shown(Format::Table, &checked)
            + &shown(Format::Jsonl, &checked)
            + &shown(Format::Table, &list)
            + &shown(Format::Json, &list)
    );
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
