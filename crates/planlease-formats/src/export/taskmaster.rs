//! Plans as lists of tasks of Taskmaster, with sub-tasks.

use serde_json::{Map, Value, json};

use super::{
    json as objects,
    outgoing::{Outgoing, Task},
};
use crate::{
    format::Format,
    note::{KEPT, TAG},
    tracker::fields,
};

pub(super) fn write(plan: &Outgoing<'_>) -> String {
    let mut list = Map::from_iter([("tasks".to_owned(), tasks(plan))]);
    if let Some(kept) = plan.spec.extra.get(KEPT).and_then(|kept| kept.get(Format::Taskmaster.name())) {
        list.extend(kept.as_object().cloned().unwrap_or_default());
    }
    objects::put_note(&mut list, &plan.note);
    let document = match plan.spec.extra.get(TAG).and_then(Value::as_str) {
        Some(tag) => json!({ tag: list }),
        None => Value::from(list),
    };
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The tasks; `1.2` is a sub-task of `1` if it stands right behind it, or behind another one.
fn tasks(plan: &Outgoing<'_>) -> Value {
    // The tasks that the next one may be part of, from the outermost one: their ids, and what is in them.
    let mut open: Vec<(&str, Map<String, Value>, Vec<Value>)> = Vec::new();
    let mut tasks = Vec::new();
    for task in &plan.tasks {
        let id = task.spec.id.as_str();
        let above = id.rsplit_once('.').map(|(above, _)| above);
        while open.last().is_some_and(|(last, ..)| Some(*last) != above) {
            close(&mut open, &mut tasks);
        }
        let own = open.last().map_or(id, |(above, ..)| &id[above.len() + 1..]);
        open.push((id, object(task, own), Vec::new()));
    }
    while !open.is_empty() {
        close(&mut open, &mut tasks);
    }
    Value::from(tasks)
}

/// Puts the innermost task into the one that it is part of, or into the list.
fn close(open: &mut Vec<(&str, Map<String, Value>, Vec<Value>)>, tasks: &mut Vec<Value>) {
    let Some((_, mut object, below)) = open.pop() else { return };
    if !below.is_empty() {
        object.insert("subtasks".to_owned(), Value::from(below));
    }
    let list = open.last_mut().map_or(tasks, |(.., below)| below);
    list.push(Value::from(object));
}

fn object(task: &Task<'_>, own: &str) -> Map<String, Value> {
    let mut object = objects::object(Format::Taskmaster, task, scalar(own));
    if !task.is_verbatim {
        let id = task.spec.id.as_str();
        // A task waits for its sub-tasks anyway.
        let is_part = |on: &str| on.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
        let on = task.waits.iter().map(planlease_core::TaskId::as_str).filter(|on| !is_part(on));
        object.insert("dependencies".to_owned(), on.map(scalar).collect());
        let priority = fields::priority_word(task.spec.priority);
        object.insert("priority".to_owned(), Value::from(priority));
        if !task.spec.labels.is_empty() {
            object.insert("labels".to_owned(), json!(task.spec.labels));
        }
    }
    objects::put_note(&mut object, &task.note);
    object
}

/// An id as a number, if it is one, as Taskmaster has them.
fn scalar(id: &str) -> Value {
    match id.parse::<u64>() {
        Ok(number) if number.to_string() == id => Value::from(number),
        _ => Value::from(id),
    }
}
