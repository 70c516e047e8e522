//! Backlog.md, `backlog/tasks/*.md`: one task in each file, with front matter and acceptance criteria.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::fields::{self, Ids};
use crate::{
    assemble::{Entry, Found},
    format::{Format, file_name},
    note::KEPT,
    progress::State,
    report::Report,
    text::Text,
};

/// Reads the tasks in these parts of the text, one for each file.
pub(super) fn read(text: &Text<'_>, report: &mut Report<'_>) -> (Found, usize) {
    let (mut found, mut ids, mut others) = (Found::default(), Ids::default(), 0);
    let mut wanted: Vec<(Vec<String>, Option<String>)> = Vec::new();
    for file in text.files() {
        let place = found.entries.len();
        let Some(task) = Task::read(text, file.clone()) else {
            let help = "A task has `id:` and `title:` between two lines `---` at its top.";
            let message = match is_named_as_task(&text.place(file.start).file) {
                true => "this file is named as a task and has no front matter: it is not read",
                false => "this file has no front matter: it is no task",
            };
            report.warning(file.start, message, help);
            others += 1;
            continue;
        };
        let Some(id) = task.text("id") else {
            report.error(file.start, "this task has no id", "Write `id: task-1` into its front matter.");
            continue;
        };
        let mut entry = Entry {
            at: file.start,
            id: ids.give(place, file.start, id.to_lowercase(), report),
            description: task.text("title").unwrap_or_default(),
            priority: fields::priority(task.text("priority").as_deref()),
            labels: task.list("labels"),
            state: state(task.text("status"), file.start, report),
            steps: task.steps,
            ..Entry::default()
        };
        let kept: Map<String, Value> = task
            .fields
            .iter()
            .filter(|(name, _)| !["id", "title", "labels", "status"].contains(&name.as_str()))
            .map(|(name, values)| (name.clone(), values.to_value()))
            .collect();
        entry.extra.insert(KEPT.to_owned(), json!({ Format::Backlog.name(): { "fields": kept } }));
        wanted.push((list(&task.fields, "dependencies"), task_text(&task.fields, "parent_task_id")));
        found.entries.push(entry);
    }
    for (place, (on, parent)) in wanted.into_iter().enumerate() {
        let at = found.entries[place].at;
        for id in on {
            found.entries[place].stated.extend(ids.wanted(&id.to_lowercase(), at, report));
        }
        let parent = parent.and_then(|parent| ids.parent(&parent.to_lowercase(), at, report));
        found.entries[place].parent = parent.filter(|parent| *parent != place);
    }
    (found, others)
}

/// Whether a file is called as Backlog.md calls tasks: `task-12 - Do.md`. Others are pages beside them.
fn is_named_as_task(path: &str) -> bool {
    let name = file_name(path).trim_start_matches(|c: char| c.is_alphabetic());
    name.strip_prefix('-').unwrap_or(name).starts_with(|c: char| c.is_ascii_digit())
}

fn state(status: Option<String>, at: usize, report: &mut Report<'_>) -> State {
    let Some(status) = status else { return State::Open };
    fields::state(word_in(&status)).unwrap_or_else(|| {
        let message = format!("the status {status:?} is not known: the task counts as pending");
        report.warning(at, message, "Known are To Do, In Progress, Done.");
        State::Open
    })
}

/// The value of a field of front matter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Text(String),
    List(Vec<String>),
}

impl Field {
    fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(list) => Value::from(list.clone()),
        }
    }
}

/// A task in a file of its own.
struct Task {
    fields: Vec<(String, Field)>,
    /// The lines below the front matter.
    steps: Vec<String>,
}

impl Task {
    fn read(text: &Text<'_>, file: Range<usize>) -> Option<Self> {
        let mut lines = text.as_str()[file].lines();
        if lines.next()?.trim_start_matches('\u{feff}').trim_end() != "---" {
            return None;
        }
        let mut fields: Vec<(String, Field)> = Vec::new();
        for line in lines.by_ref() {
            if line.trim_end() == "---" {
                let is_comment =
                    |line: &&str| line.trim_start().starts_with("<!--") && line.trim_end().ends_with("-->");
                let steps: Vec<String> =
                    lines.filter(|line| !is_comment(line)).map(|line| line.trim_end().to_owned()).collect();
                let first = steps.iter().position(|line| !line.is_empty()).unwrap_or(steps.len());
                let last = steps.iter().rposition(|line| !line.is_empty()).map_or(first, |last| last + 1);
                return Some(Self { fields, steps: steps[first..last].to_vec() });
            }
            front_matter(line, &mut fields);
        }
        None
    }

    fn text(&self, name: &str) -> Option<String> {
        task_text(&self.fields, name)
    }

    fn list(&self, name: &str) -> Vec<String> {
        list(&self.fields, name)
    }
}

fn field<'f>(fields: &'f [(String, Field)], name: &str) -> Option<&'f Field> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

fn task_text(fields: &[(String, Field)], name: &str) -> Option<String> {
    match field(fields, name)? {
        Field::Text(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Field::List(list) => list.first().cloned(),
    }
}

fn list(fields: &[(String, Field)], name: &str) -> Vec<String> {
    match field(fields, name) {
        Some(Field::List(list)) => list.clone(),
        Some(Field::Text(text)) if !text.is_empty() => {
            text.split(',').map(|text| unquoted(text).to_owned()).collect()
        }
        _ => Vec::new(),
    }
}

/// Reads a line of front matter: `name: value`, an item of a list, or more of the text above.
fn front_matter(line: &str, fields: &mut Vec<(String, Field)>) {
    let trimmed = line.trim();
    let item = trimmed.strip_prefix("- ").or((trimmed == "-").then_some(""));
    let is_indented = line.starts_with([' ', '\t']);
    if let (Some(item), Some((_, value))) = (item, fields.last_mut()) {
        match value {
            Field::List(list) => list.push(unquoted(item).to_owned()),
            Field::Text(text) if text.is_empty() => *value = Field::List(vec![unquoted(item).to_owned()]),
            Field::Text(_) => {}
        }
        return;
    }
    match (is_indented, fields.last_mut()) {
        (true, Some((_, Field::Text(text)))) => {
            // `title: >-` and the text on the lines below.
            if [">", ">-", "|", "|-"].contains(&text.as_str()) {
                text.clear();
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(unquoted(trimmed));
        }
        _ => {
            let Some((name, value)) = line.split_once(':').filter(|_| !is_indented && !line.starts_with('#'))
            else {
                return;
            };
            let value = value.trim();
            let inline = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
            let value = match inline {
                Some(inline) => {
                    let items = inline.split(',').map(unquoted).filter(|item| !item.is_empty());
                    Field::List(items.map(str::to_owned).collect())
                }
                None => Field::Text(unquoted(value).to_owned()),
            };
            fields.push((name.trim().to_owned(), value));
        }
    }
}

/// The word in a value of front matter, without quotes and without a comment behind it.
pub(crate) fn word_in(value: &str) -> &str {
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|text| text.split(quote).next());
    let plain = || value.split_once(" #").map_or(value, |(word, _)| word.trim_end());
    quoted('"').or_else(|| quoted('\'')).unwrap_or_else(plain)
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inside = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    inside('"').or(inside('\'')).unwrap_or(text)
}
