//! Keeps the marks of a plan file as the plan is, in place: nothing but the mark of a task is changed, and
//! only where it says something else.

use std::ops::Range;

use planlease_core::{TaskId, transition::TaskStatus};

use crate::{
    checkbox::{self, Checkbox, Found, Mark},
    draft::Draft,
    format::Format,
    progress::{Progress, State},
    state::json::{Json, Placed},
    text::Text,
    tracker::{self, fields},
};

/// What is put in place of a part of a text.
pub(crate) type Change = (Range<usize>, String);

/// The marks of tasks that say something else than how far these are, in the order of the text; `None` for a
/// format that has none.
pub(crate) fn changes(
    format: Format,
    text: &Text<'_>,
    draft: &Draft,
    progress: impl Fn(&TaskId) -> Option<Progress>,
) -> Option<Vec<Change>> {
    let objects: Vec<Placed> = match format {
        Format::Toml => return None,
        // Headings that are tasks.
        Format::Checklist
            if !draft.tasks.is_empty() && !draft.tasks.iter().any(|task| has_box(text, task.id)) =>
        {
            return None;
        }
        Format::Taskmaster | Format::Beads | Format::Ralph => tracker::objects(format, text),
        _ => Vec::new(),
    };
    let mut changes: Vec<Change> = Vec::new();
    for (task, places) in draft.spec.tasks.iter().zip(&draft.tasks) {
        let Some(progress) = progress(&task.id) else { continue };
        let at = places.id;
        match format {
            Format::Backlog => changes.extend(line_of(text, at, progress)),
            _ if objects.is_empty() => changes.extend(box_of(format, text, at, progress)),
            _ => {
                let object = objects.binary_search_by_key(&at, |object| object.at).ok();
                changes.extend(object.and_then(|nth| field_of(format, text, &objects[nth], progress)));
            }
        }
    }
    changes.sort_by_key(|(range, _)| range.start);
    Some(changes)
}

/// Whether a box stands in the line of this offset.
fn has_box(text: &Text<'_>, at: usize) -> bool {
    matches!(checkbox::read(text.line_at(at).1), Found::Box(_))
}

/// A part of a text with the changes in it made.
pub(crate) fn written(text: &str, part: Range<usize>, changes: &[Change]) -> String {
    let (mut written, mut from) = (String::with_capacity(part.len()), part.start);
    for (range, with) in changes.iter().filter(|(range, _)| part.contains(&range.start)) {
        written.push_str(&text[from..range.start]);
        written.push_str(with);
        from = range.end;
    }
    written.push_str(&text[from..part.end]);
    written
}

/// What the box of a task is to hold, if that is something else than now.
fn box_of(format: Format, text: &Text<'_>, at: usize, progress: Progress) -> Option<Change> {
    let (start, line) = text.line_at(at);
    let Found::Box(Checkbox { inside, mark, .. }) = checkbox::read(line) else { return None };
    let wanted = wanted(format, mark, progress)?;
    let wanted = match (line[inside.clone()].chars().next(), wanted) {
        (Some('☐' | '☑' | '☒'), "x") => "☑",
        (Some('☐' | '☑' | '☒'), "-") => "☒",
        (Some('☐' | '☑' | '☒'), _) => "☐",
        (_, wanted) => wanted,
    };
    (line[inside.clone()] != *wanted).then(|| (start + inside.start..start + inside.end, wanted.to_owned()))
}

/// The mark for how far a task is; `None` if the present one says the same.
fn wanted(format: Format, mark: Mark, progress: Progress) -> Option<&'static str> {
    let dash_is_begun = format == Format::Kiro;
    let begun = mark == Mark::Begun || mark == Mark::Dash && dash_is_begun;
    let (same, wanted) = match progress.status {
        TaskStatus::Completed => (mark == Mark::Done, "x"),
        TaskStatus::Skipped => {
            let dropped = mark == Mark::Dropped || mark == Mark::Dash && !dash_is_begun;
            (mark == Mark::Done || dropped, if format == Format::Checklist { "-" } else { "x" })
        }
        TaskStatus::InProgress => {
            let wanted = match format {
                Format::Kiro => "-",
                Format::Conductor | Format::Checklist => "~",
                _ => " ", // A mark that the other readers of the file do not know.
            };
            (begun || mark == Mark::Open && wanted == " ", wanted)
        }
        TaskStatus::Failed if format == Format::Checklist => (mark == Mark::Blocked, "!"),
        // What its file says that others have begun, was read as pending.
        _ => (matches!(mark, Mark::Open | Mark::Blocked) || begun && !progress.was_begun, " "),
    };
    (!same).then_some(wanted)
}

/// What the field of a task that has its state is to hold, if that is something else than now. A task that
/// has no such field is open.
fn field_of(format: Format, text: &Text<'_>, task: &Placed, progress: Progress) -> Option<Change> {
    let name = if format == Format::Ralph { tracker::state_field(task) } else { "status" };
    let over = is_over(progress.status);
    let is_flag = format == Format::Ralph && name != "status";
    let value = task.get(name).map(|value| &value.value).filter(|value| **value != Json::Null);
    let (is_same, wanted) = match value {
        Some(Json::Bool(present)) => (*present == over, over.to_string()),
        Some(Json::Text(present)) if is_flag => (fields::flag(present) == Some(over), format!("\"{over}\"")),
        None if is_flag => (!over, over.to_string()),
        Some(Json::Text(_)) | None => {
            let present = value.map_or(Some(State::Open), |_| fields::state(task.get(name)?.text()?));
            let is_same = present.is_some_and(|present| present.says(progress));
            (is_same, format!("\"{}\"", word(format, progress.status.into())))
        }
        Some(_) => return None,
    };
    if is_same {
        return None;
    }
    match task.get(name) {
        Some(value) => Some((value.at..end(text.as_str(), value)?, wanted)),
        None => first_field(text.as_str(), task.at, name, &wanted),
    }
}

/// A field in front of the others of the object that begins here, set out as these are.
fn first_field(text: &str, object: usize, name: &str, value: &str) -> Option<Change> {
    let behind = text.get(object..)?.strip_prefix('{')?;
    let fields = behind.trim_start();
    let blanks = &behind[..behind.len() - fields.len()];
    let colon = if blanks.is_empty() { ":" } else { ": " };
    let field = format!("{blanks}\"{name}\"{colon}{value},");
    fields.starts_with('"').then_some((object + 1..object + 1, field))
}

fn is_over(status: TaskStatus) -> bool {
    matches!(status, TaskStatus::Completed | TaskStatus::Skipped)
}

/// What the line `status:` in the front matter of a task is to hold, if that is something else than now.
fn line_of(text: &Text<'_>, at: usize, progress: Progress) -> Option<Change> {
    let is_field =
        |line: &str| line.strip_prefix("status").is_some_and(|rest| rest.trim_start().starts_with(':'));
    let mut start = at;
    let lines = text.as_str()[at..].split_inclusive('\n').map(|line| {
        start += line.len();
        (start - line.len(), line.trim_end())
    });
    let mut front = lines.skip(1).take_while(|(_, line)| *line != "---");
    let (start, line) = front.find(|(_, line)| is_field(line))?;
    let value = line.split_once(':')?.1;
    let bare = tracker::word_in(value);
    let is_same = fields::state(bare).is_some_and(|state| state.says(progress));
    let is_missing = value.trim().is_empty();
    // An empty word stands between its quotes.
    let place = if bare.is_empty() {
        value.find(['"', '\'']).map_or(value.len(), |at| at + 1)
    } else {
        value.find(bare)?
    };
    let from = line.len() - value.len() + place;
    let word = word(Format::Backlog, progress.status.into());
    let word = if is_missing { format!(" {word}") } else { word.to_owned() };
    (!is_same).then(|| (start + from..start + from + bare.len(), word))
}

/// The word of a tracker for a state.
pub(crate) fn word(format: Format, state: State) -> &'static str {
    match (format, state) {
        (Format::Beads, State::Done | State::Dropped) => "closed",
        (Format::Beads, State::Begun) => "in_progress",
        (Format::Beads, State::Open) => "open",
        (Format::Backlog, State::Done | State::Dropped) => "Done",
        (Format::Backlog, State::Begun) => "In Progress",
        (Format::Backlog, _) => "To Do",
        (_, State::Done) => "done",
        (_, State::Dropped) => "cancelled",
        (_, State::Begun) => "in-progress",
        (_, State::Blocked) => "blocked",
        (_, State::Deferred) => "deferred",
        (_, State::Open) => "pending",
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
