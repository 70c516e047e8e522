//! Keeps the marks of a plan file as the plan is, in place: nothing but the mark of a task is changed, and
//! only where it says something else.

use std::ops::Range;

use planlease_core::{TaskId, transition::TaskStatus};

use crate::{
    assemble::State,
    checkbox::{self, Checkbox, Found, Mark},
    draft::Draft,
    format::Format,
    state::json::{Json, Placed},
    text::Text,
    tracker::{self, fields},
};

/// The text with the marks of its tasks as their statuses are; `None` for a format that has none.
pub(crate) fn mirrored(
    format: Format,
    text: &Text<'_>,
    draft: &Draft,
    status: impl Fn(&TaskId) -> Option<TaskStatus>,
) -> Option<String> {
    let objects: Vec<Placed> = match format {
        Format::Toml | Format::Backlog => return None,
        Format::Taskmaster | Format::Beads | Format::Ralph => tracker::objects(format, text),
        _ => Vec::new(),
    };
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for (task, places) in draft.spec.tasks.iter().zip(&draft.tasks) {
        let Some(status) = status(&task.id) else { continue };
        let at = places.id;
        if objects.is_empty() {
            changes.extend(box_of(format, text, at, status));
        } else {
            let object = objects.binary_search_by_key(&at, |object| object.at).ok().map(|nth| &objects[nth]);
            changes.extend(object.and_then(|object| field_of(format, text, object, status)));
        }
    }
    changes.sort_by_key(|(range, _)| range.start);
    let (mut written, mut from) = (String::with_capacity(text.as_str().len()), 0);
    for (range, with) in changes {
        written.push_str(&text.as_str()[from..range.start]);
        written.push_str(&with);
        from = range.end;
    }
    written.push_str(&text.as_str()[from..]);
    Some(written)
}

/// What the box of a task is to hold, if that is something else than now.
fn box_of(format: Format, text: &Text<'_>, at: usize, status: TaskStatus) -> Option<(Range<usize>, String)> {
    let (start, line) = text.line_at(at);
    let Found::Box(Checkbox { inside, mark, .. }) = checkbox::read(line) else { return None };
    let wanted = wanted(format, mark, status)?;
    let wanted = match (line[inside.clone()].chars().next(), wanted) {
        (Some('☐' | '☑' | '☒'), "x") => "☑",
        (Some('☐' | '☑' | '☒'), "-") => "☒",
        (Some('☐' | '☑' | '☒'), _) => "☐",
        (_, wanted) => wanted,
    };
    (line[inside.clone()] != *wanted).then(|| (start + inside.start..start + inside.end, wanted.to_owned()))
}

/// The mark for a status; `None` if the present one says the same.
fn wanted(format: Format, mark: Mark, status: TaskStatus) -> Option<&'static str> {
    let dash_is_begun = format == Format::Kiro;
    let (same, wanted) = match status {
        TaskStatus::Completed => (mark == Mark::Done, "x"),
        TaskStatus::Skipped => {
            let dropped = mark == Mark::Dash && !dash_is_begun;
            (mark == Mark::Done || dropped, if format == Format::Checklist { "-" } else { "x" })
        }
        TaskStatus::InProgress => {
            let begun = mark == Mark::Begun || mark == Mark::Dash && dash_is_begun;
            let wanted = match format {
                Format::Kiro => "-",
                Format::Conductor | Format::Checklist => "~",
                _ => " ", // A mark that the other readers of the file do not know.
            };
            (begun || mark == Mark::Open && wanted == " ", wanted)
        }
        TaskStatus::Failed if format == Format::Checklist => (mark == Mark::Blocked, "!"),
        _ => (matches!(mark, Mark::Open | Mark::Blocked), " "),
    };
    (!same).then_some(wanted)
}

/// What the field of a task that tells its state is to hold, if that is something else than now.
fn field_of(
    format: Format,
    text: &Text<'_>,
    task: &Placed,
    status: TaskStatus,
) -> Option<(Range<usize>, String)> {
    let name = if format == Format::Ralph { "passes" } else { "status" };
    let value = task.get(name)?;
    let range = value.at..end(text.as_str(), value)?;
    match &value.value {
        Json::Bool(passes) => {
            let wanted = is_over(status);
            (*passes != wanted).then(|| (range, wanted.to_string()))
        }
        Json::Text(present) if format != Format::Ralph => {
            let is_same = fields::state(present).is_some_and(|state| says(state, status));
            (!is_same).then(|| (range, format!("\"{}\"", word(format, status))))
        }
        _ => None,
    }
}

fn is_over(status: TaskStatus) -> bool {
    matches!(status, TaskStatus::Completed | TaskStatus::Skipped)
}

/// Whether a state in a file says the same as a status.
pub(crate) fn says(state: State, status: TaskStatus) -> bool {
    match status {
        TaskStatus::Completed => state == State::Done,
        TaskStatus::Skipped => matches!(state, State::Done | State::Dropped),
        TaskStatus::InProgress => state == State::Begun,
        _ => matches!(state, State::Open | State::Blocked | State::Deferred),
    }
}

/// The word of a tracker for a status.
pub(crate) fn word(format: Format, status: TaskStatus) -> &'static str {
    match (format, status) {
        (Format::Beads, TaskStatus::Completed | TaskStatus::Skipped) => "closed",
        (Format::Beads, TaskStatus::InProgress) => "in_progress",
        (Format::Beads, _) => "open",
        (_, TaskStatus::Completed) => "done",
        (_, TaskStatus::Skipped) => "cancelled",
        (_, TaskStatus::InProgress) => "in-progress",
        _ => "pending",
    }
}

/// Where a text or a word of JSON ends.
fn end(text: &str, value: &Placed) -> Option<usize> {
    let rest = &text[value.at..];
    let length = match &value.value {
        Json::Text(_) => {
            let mut is_escaped = false;
            rest.char_indices().skip(1).find_map(|(at, c)| {
                let ends = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                ends.then_some(at + 1)
            })?
        }
        _ => rest.find(|c: char| !c.is_ascii_alphanumeric())?,
    };
    Some(value.at + length)
}
