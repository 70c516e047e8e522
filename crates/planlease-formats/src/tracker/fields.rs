//! The fields of a task in JSON: what planlease has fields of its own for, what becomes steps, and what is
//! kept as it is.

use std::collections::HashMap;

use planlease_core::spec::{MAX_TEXT, STATED};
use serde_json::{Map, json};

use crate::{
    assemble::Entry,
    format::Format,
    note::{self, KEPT},
    progress::State,
    report::Report,
    state::json::{Field, Json, Placed},
};

/// How the tasks of one format are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) format: Format,
    /// The fields that become the task's own: its id and its title.
    pub(super) own: &'static [&'static str],
    /// The fields of text, or lists of it, that become its steps.
    pub(super) steps: &'static [&'static str],
    /// The fields that say how far it is.
    pub(super) state: &'static [&'static str],
}

/// A number or text as text; `None` for anything else, and for an empty one.
pub(super) fn scalar(value: &Placed) -> Option<String> {
    let text = match &value.value {
        Json::Text(text) => text.trim().to_owned(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The items of a list; none if it is none.
pub(super) fn items(value: Option<&Placed>) -> &[Placed] {
    match value.map(|value| &value.value) {
        Some(Json::List(items)) => items,
        _ => &[],
    }
}

/// The first of these fields that has a text or a number.
pub(super) fn first(task: &Placed, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| task.get(name).and_then(scalar))
}

/// The texts of a list of them.
pub(super) fn texts(value: Option<&Placed>) -> Vec<String> {
    items(value).iter().filter_map(scalar).collect()
}

/// The fields that name what a task waits for.
const DEPENDENCIES: [&str; 5] = ["dependencies", "dependsOn", "depends_on", "blockedBy", "blocked_by"];

/// Words that name no task.
const NO_NAMES: [&str; 4] = ["none", "null", "n/a", "-"];

/// What a task says that it waits for, with the places: lists of ids, or of objects with one, or a text with
/// commas. What is none of this is reported.
pub(super) fn dependencies(task: &Placed, report: &mut Report<'_>) -> Vec<(String, usize)> {
    let mut names: Vec<(String, usize)> = Vec::new();
    for value in DEPENDENCIES.iter().filter_map(|name| task.get(name)) {
        match &value.value {
            Json::Null | Json::Bool(false) => {}
            Json::List(items) => names.extend(items.iter().filter_map(|item| dependency(item, report))),
            Json::Text(text) => {
                let parts = text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty());
                let parts = parts.filter(|part| !NO_NAMES.iter().any(|no| part.eq_ignore_ascii_case(no)));
                names.extend(parts.map(|part| (part.to_owned(), value.at)));
            }
            _ => names.extend(dependency(value, report)),
        }
    }
    names
}

/// The id of one task that is waited for.
fn dependency(item: &Placed, report: &mut Report<'_>) -> Option<(String, usize)> {
    let id = scalar(item).or_else(|| first(item, &["id", "taskId", "task_id", "task"]));
    if id.is_none() {
        let message = format!("this is {}, and not read as a dependency: nothing waits for it", item.kind());
        report.warning(item.at, message, "Name tasks by their ids, as `\"dependencies\": [1, \"2.1\"]`.");
    }
    id.map(|id| (id, item.at))
}

/// Puts the fields of a task into an entry: those that become steps, those that are kept, and a note of
/// planlease.
pub(super) fn keep(task: &Placed, shape: Shape, entry: &mut Entry, report: &mut Report<'_>) {
    let Json::Object(fields) = &task.value else { return };
    if let Some(noted) = task.get(note::NAME) {
        entry.note = note::read(noted.at, noted.to_value(), report);
        let priority = entry.note.priority.filter(|noted| rounded(shape.format, *noted) == entry.priority);
        entry.priority = priority.unwrap_or(entry.priority);
    }
    let mut kept = Map::new();
    let mut of_steps = Vec::new();
    for name in shape.steps {
        let Some(field) = task.get(name) else { continue };
        let texts = match &field.value {
            Json::Text(text) => chunks(text),
            Json::List(items) if items.iter().all(|item| item.text().is_some()) => {
                items.iter().filter_map(Placed::text).map(str::to_owned).collect()
            }
            _ => continue,
        };
        if texts.iter().any(|text| text.len() > MAX_TEXT) {
            continue;
        }
        of_steps.push(json!({ "name": name, "steps": texts.len(), "list": field.text().is_none() }));
        entry.steps.extend(texts);
    }
    let is_step = |name: &str| of_steps.iter().any(|field| field["name"] == name);
    // An id that is a number in quotes, and a list that is empty, would come out in another way.
    let is_odd = |value: &Placed| match &value.value {
        Json::Text(text) => text.parse::<f64>().is_ok(),
        Json::List(items) => items.is_empty(),
        _ => false,
    };
    let is_own = |field: &Field| shape.own.contains(&field.name.as_str()) && !is_odd(&field.value);
    let mut stated = Map::new();
    for field in fields.iter().filter(|field| field.name != note::NAME) {
        if shape.state.contains(&field.name.as_str()) {
            stated.insert(field.name.clone(), field.value.to_value());
        } else if !is_own(field) && !is_step(&field.name) {
            kept.insert(field.name.clone(), field.value.to_value());
        }
    }
    let of_format = |value| json!({ shape.format.name(): value });
    entry.extra.insert(KEPT.to_owned(), of_format(json!({ "fields": kept, "steps": of_steps })));
    if !stated.is_empty() {
        entry.extra.insert(STATED.to_owned(), of_format(stated.into()));
    }
}

/// A text in parts that are short enough for a step.
fn chunks(text: &str) -> Vec<String> {
    let (mut rest, mut chunks) = (text, Vec::new());
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(MAX_TEXT);
        chunks.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    chunks
}

/// What a text says in place of true or false.
pub(crate) fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// What a status says, in whichever words.
pub(crate) fn state(status: &str) -> Option<State> {
    let word: String =
        status.trim().chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    Some(match word.as_str() {
        "open" | "pending" | "todo" | "notstarted" | "ready" | "backlog" | "new" | "draft" | "planned"
        | "" => State::Open,
        "done" | "completed" | "complete" | "closed" | "finished" | "passed" | "merged" | "resolved" => {
            State::Done
        }
        "inprogress" | "started" | "doing" | "active" | "wip" | "hooked" | "review" | "inreview"
        | "testing" => State::Begun,
        "blocked" | "onhold" | "paused" | "waiting" => State::Blocked,
        "deferred" | "postponed" | "later" | "pinned" => State::Deferred,
        "cancelled" | "canceled" | "wontdo" | "wontfix" | "skipped" | "rejected" | "duplicate"
        | "abandoned" | "archived" => State::Dropped,
        _ => return None,
    })
}

/// The word for a priority.
pub(crate) fn priority_word(number: i32) -> &'static str {
    match number {
        1.. => "high",
        0 => "medium",
        _ => "low",
    }
}

/// The number for a priority in beads, in which 0 is the most urgent and 2 what is usual.
pub(crate) fn priority_of_beads(number: i32) -> i32 {
    2_i32.saturating_sub(number).clamp(0, 4)
}

/// What comes back of a priority that a file of this format says.
pub(crate) fn rounded(format: Format, number: i32) -> i32 {
    match format {
        Format::Taskmaster => priority(Some(priority_word(number))),
        Format::Beads => 2 - priority_of_beads(number),
        _ => 0,
    }
}

/// A number for words of priority: what is usual has none.
pub(crate) fn priority(word: Option<&str>) -> i32 {
    match word.map(str::to_ascii_lowercase).as_deref() {
        Some("critical" | "urgent" | "highest" | "p0") => 20,
        Some("high" | "p1") => 10,
        Some("low" | "p3") => -10,
        Some("lowest" | "p4") => -20,
        _ => 0,
    }
}

/// The state that a field says; an unknown one is open, which is said.
pub(super) fn state_of(task: &Placed, field: &str, report: &mut Report<'_>) -> State {
    let Some(value) = task.get(field).filter(|value| value.value != Json::Null) else { return State::Open };
    let status = match &value.value {
        Json::Text(text) => text.trim().to_owned(),
        _ => scalar(value).unwrap_or_else(|| value.kind().to_owned()),
    };
    state(&status).unwrap_or_else(|| {
        let message = format!("the status {status:?} is not known: the task counts as pending");
        report.warning(
            value.at,
            message,
            "Known are pending, in-progress, blocked, deferred, cancelled, done.",
        );
        State::Open
    })
}

/// Resolves what entries name by their ids.
#[derive(Debug, Default)]
pub(crate) struct Ids(HashMap<String, usize>);

impl Ids {
    /// Notes the id of an entry; gives another one to an entry whose id is taken.
    pub(crate) fn give(&mut self, place: usize, at: usize, id: String, report: &mut Report<'_>) -> String {
        if !self.0.contains_key(&id) {
            self.0.insert(id.clone(), place);
            return id;
        }
        let other = (2_usize..).map(|nth| format!("{id}-{nth}")).find(|other| !self.0.contains_key(other));
        let other = other.unwrap_or_default();
        let message = format!("there is a task {id} already: this one is {other}");
        report.warning(at, message, "Give each task an id of its own.");
        self.0.insert(other.clone(), place);
        other
    }

    pub(crate) fn get(&self, id: &str) -> Option<usize> {
        self.0.get(id).copied()
    }

    /// The place of what a task is part of; an unknown one is said.
    pub(crate) fn parent(&self, id: &str, at: usize, report: &mut Report<'_>) -> Option<usize> {
        let place = self.get(id);
        if place.is_none() {
            let help = "It may have been taken out of the file, or stand in another one.";
            report.warning(at, format!("no task is called {id}: this one is part of none"), help);
        }
        place
    }

    /// The place of a task that another one waits for; an unknown one is said.
    pub(crate) fn wanted(&self, id: &str, at: usize, report: &mut Report<'_>) -> Option<usize> {
        let place = self.get(id);
        if place.is_none() {
            let help = "It may have been taken out of the file, or stand in another one.";
            report.warning(at, format!("no task is called {id}: nothing waits for it"), help);
        }
        place
    }
}
