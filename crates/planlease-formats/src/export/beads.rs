//! Plans as issues of beads, one in a line.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    json as objects,
    outgoing::{Outgoing, Task},
};
use crate::{
    format::Format,
    tracker::fields,
    tracker::{USUAL, is_order},
};

pub(super) fn write(plan: &Outgoing<'_>) -> String {
    let mut text = String::new();
    for (nth, task) in plan.tasks.iter().enumerate() {
        let id = task.spec.id.as_str();
        let mut object = objects::object(Format::Beads, task, Value::from(id));
        if !task.is_verbatim {
            object.insert("dependencies".to_owned(), dependencies(task));
            let priority = fields::priority_of_beads(task.spec.priority);
            object.insert("priority".to_owned(), Value::from(priority));
            object.entry("issue_type").or_insert_with(|| Value::from(USUAL));
        }
        let kind = object.get("issue_type").and_then(Value::as_str).unwrap_or_default();
        let labels: Vec<&String> = task.spec.labels.iter().filter(|label| *label != kind).collect();
        if !labels.is_empty() {
            object.insert("labels".to_owned(), json!(labels));
        }
        let mut note = task.note.clone();
        if nth == 0 && plan.note != crate::note::PlanNote::default() {
            note.plan = Some(Box::new(plan.note.clone()));
        }
        objects::put_note(&mut object, &note);
        let _infallible = writeln!(text, "{}", Value::from(object));
    }
    text
}

/// What an issue waits for, and what its own file says that it is related to.
fn dependencies(task: &Task<'_>) -> Value {
    let kept = task.kept.and_then(|kept| kept["fields"]["dependencies"].as_array()).into_iter().flatten();
    let related = kept.filter(|on| !is_order(on["type"].as_str())).cloned();
    let waits = task.waits.iter().map(
        |on| json!({ "issue_id": task.spec.id.as_str(), "depends_on_id": on.as_str(), "type": "blocks" }),
    );
    waits.chain(related).collect()
}
