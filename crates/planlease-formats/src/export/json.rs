//! Tasks as objects of JSON, as the trackers have them.

use planlease_core::spec::{STATED, TaskSpec};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::outgoing::Task;
use crate::{format::Format, mirror::word, note, progress::State, tracker::fields};

/// A task with an id, its title, its details, and how far it is.
pub(super) fn object(format: Format, task: &Task<'_>, id: Value) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".to_owned(), id);
    object.insert("title".to_owned(), Value::from(task.spec.description.as_str()));
    details(task, &mut object);
    if let Some(kept) = task.kept {
        object.extend(kept["fields"].as_object().cloned().unwrap_or_default());
        let stated = task.spec.extra.get(STATED).and_then(|stated| stated.get(format.name()));
        object.extend(stated.and_then(Value::as_object).cloned().unwrap_or_default());
    }
    status(format, task, &mut object);
    object
}

/// Puts a note beside the other fields, if there is anything to note.
pub(super) fn put_note(object: &mut Map<String, Value>, note: &impl Serialize) {
    let noted = serde_json::to_value(note).unwrap_or_default();
    if noted.as_object().is_some_and(|fields| !fields.is_empty()) {
        object.insert(note::NAME.to_owned(), noted);
    }
}

/// Puts the details into the fields that they were in, or into the description.
fn details(task: &Task<'_>, object: &mut Map<String, Value>) {
    let TaskSpec { steps, .. } = task.spec;
    let fields = task.kept.and_then(|kept| kept["steps"].as_array()).map_or(&[][..], Vec::as_slice);
    let number =
        |field: &Value| usize::try_from(field["steps"].as_u64().unwrap_or_default()).unwrap_or_default();
    if fields.iter().map(number).sum::<usize>() != steps.len() {
        object.insert("description".to_owned(), Value::from(steps.join("\n")));
        return;
    }
    let mut rest = steps.iter();
    for field in fields {
        let texts: Vec<&str> = rest.by_ref().take(number(field)).map(String::as_str).collect();
        let is = |name: &str| field[name].as_bool().unwrap_or_default();
        let value = match () {
            () if is("list") => json!(texts),
            () if is("lines") => Value::from(texts.join("\n")),
            () => Value::from(texts.concat()),
        };
        object.insert(field["name"].as_str().unwrap_or_default().to_owned(), value);
    }
}

/// Sets the status, unless the one that is there says the same.
fn status(format: Format, task: &Task<'_>, object: &mut Map<String, Value>) {
    let present = object.get("status").and_then(Value::as_str).and_then(fields::state);
    let wanted = word(format, task.state);
    let is_same = match present {
        // The format may have no other word for it.
        Some(present) => present == task.state || fields::state(wanted) == Some(present),
        None => task.kept.is_some() && task.state == State::Open,
    };
    if !is_same {
        object.insert("status".to_owned(), Value::from(wanted));
    }
}
