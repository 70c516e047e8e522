//! One task of a state file, both ways: what its fields mean for a record, and what a record means for its
//! fields.
//!
//! The task as the file has it stays with the definition, whole. So a field is written again only if the
//! record says something else than the field already does: what has not changed comes back as it was, to
//! the letter, whatever precision, zone or odd type it was written with.

use planlease_core::{
    WallTime, codec,
    record::{Claim, Guard, TaskRecord},
    spec::{MAX_TEXT, PhaseSpec, TaskSpec},
    transition::TaskStatus,
};
use serde_json::{Map, Value};

use super::moment;

/// The field of a definition, and of each of its tasks, that holds what the file said.
pub(super) const KEPT: &str = "status_json";

/// Who has a task in progress that was in progress in the file: the process of that time, of which nothing is
/// known, and which has no right here. The plan's first owner recovers it.
pub const NOBODY: &str = "nobody alive (imported)";

/// What a state file says about how far a task is, in the terms of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// Where it stands.
    pub status: TaskStatus,
    /// How often it was started, as far as the file says.
    pub attempt: u32,
    /// How many attempts failed.
    pub failures: u32,
    /// What was said at its completion.
    pub notes: Option<String>,
    /// Why it failed, last time.
    pub error: Option<String>,
    /// Why it was left out.
    pub skip_reason: Option<String>,
    /// When its attempt started.
    pub started_at: Option<WallTime>,
    /// When that ended.
    pub ended_at: Option<WallTime>,
}

/// The status of this name.
pub(super) fn status(name: &str) -> Option<TaskStatus> {
    TaskStatus::ALL.into_iter().find(|status| status.as_str() == name)
}

impl TaskState {
    /// What the fields say. What cannot be understood says nothing.
    pub(super) fn of_fields(fields: &Map<String, Value>) -> Self {
        let text = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str);
            text.map(fitting)
        };
        let time = |name: &str| fields.get(name).and_then(Value::as_str).and_then(moment::read);
        let status = fields.get("status").and_then(Value::as_str).and_then(status);
        let status = status.unwrap_or(TaskStatus::Pending);
        let (error, last_error) = (text("error"), text("lastError"));
        let failed = status == TaskStatus::Failed;
        let retries = retries_of_fields(fields);
        let started_at = time("startedAt");
        let present = match status {
            TaskStatus::Pending => false,
            TaskStatus::Skipped => started_at.is_some(),
            TaskStatus::InProgress | TaskStatus::Completed | TaskStatus::Failed => true,
        };
        Self {
            status,
            attempt: retries.saturating_add(u32::from(present)),
            failures: retries.saturating_add(u32::from(failed)),
            notes: text("notes"),
            error: if failed { error.or(last_error) } else { last_error.or(error) },
            skip_reason: text("skipReason"),
            started_at,
            ended_at: time("completedAt"),
        }
    }

    /// What a record says.
    fn of_record(record: &TaskRecord) -> Self {
        Self {
            status: record.status,
            attempt: record.attempt,
            failures: record.failures,
            notes: record.notes.clone(),
            error: record.error.clone(),
            skip_reason: record.skip_reason.clone(),
            started_at: record.started_at,
            ended_at: record.ended_at,
        }
    }

    /// Enters it into a record that has not changed yet.
    pub fn put_into(&self, record: &mut TaskRecord) {
        let state = self.clone();
        record.status = state.status;
        record.attempt = state.attempt;
        record.failures = state.failures;
        record.notes = state.notes;
        record.error = state.error;
        record.skip_reason = state.skip_reason;
        record.started_at = state.started_at;
        record.ended_at = state.ended_at;
        record.claim = (state.status == TaskStatus::InProgress).then(|| {
            let since = state.started_at.unwrap_or(WallTime(0));
            Claim::new(NOBODY.to_owned(), Some(Guard::Import), None, since)
        });
    }

    /// How often it was tried again: the failure that a task is at rest with is not one of them.
    fn retries(&self) -> u32 {
        self.failures.saturating_sub(u32::from(self.status == TaskStatus::Failed))
    }
}

/// A text cut to what a record can hold beside others, as it is stored, with its escapes. The whole of it is
/// kept with the definition.
fn fitting(text: &str) -> String {
    let fits =
        |text: &String| serde_json::to_string(text).is_ok_and(|stored| stored.len() <= MAX_TEXT + 1024);
    let longest = [MAX_TEXT, MAX_TEXT / 2].into_iter().map(|max| codec::shorten(text, max)).find(fits);
    longest.unwrap_or_else(|| codec::shorten(text, MAX_TEXT / 6)) // No escape has more than six bytes for one.
}

fn retries_of_fields(fields: &Map<String, Value>) -> u32 {
    let count = fields.get("retryCount").and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(count).unwrap_or(u32::MAX - 1)
}

/// A task for a state file, and whether its record says something else than the file that it came from.
pub(super) fn export(
    spec: &TaskSpec,
    phase: Option<&PhaseSpec>,
    record: Option<&TaskRecord>,
) -> (Map<String, Value>, bool) {
    let kept = spec.extra.get(KEPT).and_then(Value::as_object);
    let mut fields = kept.cloned().unwrap_or_else(|| native(spec, phase));
    let Some(record) = record else { return (fields, false) };
    let (was, is) = (TaskState::of_fields(&fields), TaskState::of_record(record));
    if was == is {
        return (fields, false);
    }
    put(&mut fields, &was, &is);
    (fields, true)
}

/// The fields of a task that was never in a state file.
fn native(spec: &TaskSpec, phase: Option<&PhaseSpec>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut say = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    say("id", spec.id.as_str().into());
    if let Some(number) = &spec.phase {
        say("phase", phase_text(number, phase).into());
    }
    let description = if spec.description.is_empty() { spec.id.as_str() } else { &spec.description };
    say("description", description.into());
    say("status", TaskStatus::Pending.as_str().into());
    if !spec.depends_on.is_empty() {
        say("dependencies", spec.depends_on.iter().map(|id| Value::from(id.as_str())).collect());
    }
    fields
}

/// A phase as state files name it.
fn phase_text(number: &str, phase: Option<&PhaseSpec>) -> String {
    match phase.map_or("", |phase| phase.name.as_str()) {
        "" => format!("Phase {number}"),
        name if name == number => name.to_owned(),
        name => format!("Phase {number}: {name}"),
    }
}

/// Writes into the fields what the record says differently.
fn put(fields: &mut Map<String, Value>, was: &TaskState, is: &TaskState) {
    let set = |fields: &mut Map<String, Value>, name: &str, value: Option<Value>| match value {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.remove(name)),
    };
    let moved = (was.status, was.attempt) != (is.status, is.attempt);
    if was.status != is.status {
        set(fields, "status", Some(is.status.as_str().into()));
    }
    if was.retries() != is.retries() {
        set(fields, "retryCount", Some(is.retries().into()));
    }
    let started = is.started_at.filter(|_| is.status != TaskStatus::Pending);
    let ended = is
        .ended_at
        .filter(|_| matches!(is.status, TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Skipped));
    let restarted = (moved || was.started_at != is.started_at) && was.started_at != started;
    if restarted {
        set(fields, "startedAt", started.map(|time| moment::write(time).into()));
    }
    let reended = (moved || was.ended_at != is.ended_at) && was.ended_at != ended;
    if reended {
        set(fields, "completedAt", ended.map(|time| moment::write(time).into()));
    }
    if restarted || reended {
        let both = started.zip(ended).filter(|_| is.status != TaskStatus::Skipped);
        let duration = both.map(|(started, ended)| ended.0.saturating_sub(started.0).max(0).into());
        set(fields, "duration", duration);
    }
    if was.notes != is.notes {
        set(fields, "notes", is.notes.clone().map(Value::from));
    }
    if was.skip_reason != is.skip_reason {
        set(fields, "skipReason", is.skip_reason.clone().map(Value::from));
    }
    put_error(fields, was, is);
}

/// A failed task has its error in `error`; one that is tried again has its last one in `lastError`.
fn put_error(fields: &mut Map<String, Value>, was: &TaskState, is: &TaskState) {
    let failed = is.status == TaskStatus::Failed;
    let same = was.error == is.error && (was.status == TaskStatus::Failed) == failed;
    if same {
        return;
    }
    let had_last = fields.contains_key("lastError");
    fields.remove("error");
    fields.remove("lastError");
    let Some(error) = &is.error else { return };
    if failed {
        fields.insert("error".to_owned(), error.as_str().into());
    }
    if !failed || had_last {
        fields.insert("lastError".to_owned(), error.as_str().into());
    }
}
