//! A plan as a state file: the document that it came from, with what has changed since.

use std::collections::BTreeMap;

use planlease_core::{
    PlanName, Summary, TaskId, WallTime,
    record::TaskRecord,
    spec::{PhaseSpec, PlanSpec},
    transition::TaskStatus,
};
use serde_json::{Map, Value};

use super::{
    moment,
    task::{self, KEPT},
};

/// The counts of a state file, by the names of its fields.
const COUNTS: [&str; 6] = ["totalTasks", "completed", "pending", "in_progress", "failed", "skipped"];

/// The field of a definition that says when its import began, in milliseconds since 1970.
const IMPORTED_AT: &str = "imported_at";

/// The plan as the predecessor's `status.json`: for one that was imported from such a file and not touched
/// since, the same document; for any other, one that the same readers understand.
///
/// `records` are the plan's, of one revision.
#[must_use]
pub fn export(name: &PlanName, spec: &PlanSpec, records: &BTreeMap<TaskId, TaskRecord>) -> Value {
    let phases: BTreeMap<&str, &PhaseSpec> =
        spec.phases.iter().map(|phase| (phase.number.as_str(), phase)).collect();
    let mut changed = false;
    let tasks = spec.tasks.iter().map(|task| {
        let phase = task.phase.as_deref().and_then(|number| phases.get(number).copied());
        let (fields, differs) = task::export(task, phase, records.get(&task.id));
        changed |= differs;
        fields
    });
    let tasks: Vec<Map<String, Value>> = tasks.collect();
    let kept = spec.extra.get(KEPT).and_then(Value::as_object);
    let mut document = kept.cloned().unwrap_or_else(|| native(name, spec, records));
    if changed || kept.is_none() {
        touch(&mut document, &tasks, records);
    }
    // A count that can be derived is not believed.
    if let Some(summary) = document.get_mut("summary").and_then(Value::as_object_mut) {
        for (name, count) in counts(records.values()) {
            if let Some(stored) = summary.get_mut(name).filter(|stored| !says(stored, count)) {
                *stored = count.into();
            }
        }
    }
    document.insert("tasks".to_owned(), tasks.into_iter().map(Value::Object).collect());
    Value::Object(document)
}

/// The counts of these tasks, by the names of a state file's fields.
pub(super) fn counts<'a>(records: impl IntoIterator<Item = &'a TaskRecord>) -> [(&'static str, usize); 6] {
    named(&Summary::of(records))
}

/// The counts by the names of a state file's fields.
pub(super) fn named(summary: &Summary) -> [(&'static str, usize); 6] {
    let Summary { total, pending, in_progress, completed, failed, skipped, unreadable: _ } = *summary;
    let mut counts = [total, completed, pending, in_progress, failed, skipped].into_iter();
    COUNTS.map(|name| (name, counts.next().unwrap_or_default()))
}

/// Whether a stored number is this count.
pub(super) fn says(stored: &Value, count: usize) -> bool {
    stored.as_u64().is_some_and(|stored| usize::try_from(stored) == Ok(count))
        || stored.as_f64().is_some_and(|stored| stored.to_string() == count.to_string())
}

/// The fields beside the tasks of a plan that was never in a state file.
fn native(name: &PlanName, spec: &PlanSpec, records: &BTreeMap<TaskId, TaskRecord>) -> Map<String, Value> {
    let path = spec.source.as_ref().map(|source| source.path.as_str()).filter(|path| !path.is_empty());
    let title = if spec.title.is_empty() { name.as_str() } else { &spec.title };
    let imported = spec.extra.get(IMPORTED_AT).and_then(Value::as_i64).map(WallTime);
    let created = imported.or_else(|| records.values().filter_map(first).min()).unwrap_or(WallTime(0));
    let mut document = Map::new();
    let mut say = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
    say("planPath", path.unwrap_or(name.as_str()).into());
    say("planName", title.into());
    say("createdAt", moment::write(created).into());
    say("lastUpdatedAt", moment::write(created).into());
    say("currentPhase", "".into());
    say("runs", Value::Array(Vec::new()));
    let counts =
        counts(records.values()).into_iter().map(|(name, count)| (name.to_owned(), Value::from(count)));
    say("summary", counts.collect());
    document
}

/// Says that something has changed, and what is done now.
fn touch(
    document: &mut Map<String, Value>,
    tasks: &[Map<String, Value>],
    records: &BTreeMap<TaskId, TaskRecord>,
) {
    let said = document.get("lastUpdatedAt").and_then(Value::as_str).and_then(moment::read);
    let newest = records.values().filter_map(last).max();
    if let Some(newest) = newest.filter(|newest| said.is_none_or(|said| said < *newest)) {
        document.insert("lastUpdatedAt".to_owned(), moment::write(newest).into());
    }
    if document.get("currentPhase").is_some_and(Value::is_string) {
        let with = |status: TaskStatus| {
            tasks.iter().find(|task| task.get("status").and_then(Value::as_str) == Some(status.as_str()))
        };
        let current = with(TaskStatus::InProgress).or_else(|| with(TaskStatus::Pending)).or(tasks.last());
        match current.and_then(|task| task.get("phase")).filter(|phase| phase.is_string()) {
            Some(phase) => drop(document.insert("currentPhase".to_owned(), phase.clone())),
            None if document.get("currentPhase").and_then(Value::as_str) == Some("") => {
                document.remove("currentPhase");
            }
            None => {}
        }
    }
}

/// The first time that a record knows of.
fn first(record: &TaskRecord) -> Option<WallTime> {
    let transitions = record.transitions.iter().map(|transition| transition.at);
    transitions.chain(record.started_at).chain(record.ended_at).min()
}

/// The last one.
fn last(record: &TaskRecord) -> Option<WallTime> {
    let transitions = record.transitions.iter().map(|transition| transition.at);
    transitions.chain(record.started_at).chain(record.ended_at).max()
}
