//! Writes a plan as a file of another tool, with what its own file said beyond the plan.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use planlease_core::{
    TaskId,
    spec::{PlanSpec, TaskSpec},
    transition::TaskStatus,
};
use serde_json::{Map, Value, json};

use crate::{
    checklist,
    format::Format,
    mirror::{says, word},
    tracker::fields::{self, KEPT, TAG},
};

/// A plan as a file of this format, its tasks in these states; `None` for a format that is not written.
#[must_use]
pub fn export(format: Format, spec: &PlanSpec, status: &BTreeMap<TaskId, TaskStatus>) -> Option<String> {
    let status = |task: &TaskSpec| status.get(&task.id).copied().unwrap_or(TaskStatus::Pending);
    match format {
        Format::Checklist => Some(markdown(spec, status)),
        Format::Taskmaster => Some(taskmaster(spec, status)),
        Format::Beads => Some(beads(spec, status)),
        _ => None,
    }
}

fn markdown(spec: &PlanSpec, status: impl Fn(&TaskSpec) -> TaskStatus) -> String {
    let mut text = format!("# {}\n", one_line(&spec.title));
    let mut section = |heading: Option<String>, tasks: &mut dyn Iterator<Item = &TaskSpec>| {
        let mut tasks = tasks.peekable();
        if tasks.peek().is_none() {
            return;
        }
        if let Some(heading) = heading {
            text.push_str(&format!("\n## {heading}\n"));
        }
        text.push('\n');
        for task in tasks {
            item(&mut text, task, status(task));
        }
    };
    let known: HashSet<&str> = spec.phases.iter().map(|phase| phase.number.as_str()).collect();
    let is_free = |task: &&TaskSpec| task.phase.as_deref().is_none_or(|phase| !known.contains(phase));
    section(None, &mut spec.tasks.iter().filter(is_free));
    for phase in &spec.phases {
        let heading = format!("{}. {}", phase.number, one_line(&phase.name));
        let of_phase = |task: &&TaskSpec| task.phase.as_ref() == Some(&phase.number);
        section(Some(heading), &mut spec.tasks.iter().filter(of_phase));
    }
    text
}

/// A box, what is to be done, what it waits for, and its steps.
fn item(text: &mut String, task: &TaskSpec, status: TaskStatus) {
    let mark = match status {
        TaskStatus::Completed => "x",
        TaskStatus::InProgress => "~",
        TaskStatus::Skipped => "-",
        TaskStatus::Failed => "!",
        TaskStatus::Pending => " ",
    };
    let id = task.id.as_str();
    let mut line = format!("{id}: {}", one_line(&task.description));
    let is_read = checklist::id_in(&line).as_deref() == Some(id);
    if !is_read {
        line = one_line(&task.description);
    }
    if !task.depends_on.is_empty() {
        let on: Vec<&str> = task.depends_on.iter().map(TaskId::as_str).collect();
        let _infallible = write!(line, " (depends on {})", on.join(", "));
    }
    if !is_read {
        let _infallible = write!(line, " <!-- id: {id} -->");
    }
    let _infallible = writeln!(text, "- [{mark}] {line}");
    // Text right below would go on with what is to be done.
    if task.steps.first().is_some_and(|step| !step.trim_start().starts_with(['-', '*', '+'])) {
        text.push('\n');
    }
    for step in task.steps.iter().flat_map(|step| step.lines()) {
        let step = if step.trim().is_empty() { String::new() } else { format!("  {step}") };
        let _infallible = writeln!(text, "{step}");
    }
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn taskmaster(spec: &PlanSpec, status: impl Fn(&TaskSpec) -> TaskStatus) -> String {
    let ids: HashSet<&str> = spec.tasks.iter().map(|task| task.id.as_str()).collect();
    let parent = |id: &str| {
        id.rsplit_once('.').map(|(above, _)| above.to_owned()).filter(|above| ids.contains(above.as_str()))
    };
    let mut below: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut tasks = Vec::new();
    // What is nested comes behind what it is part of: from the end, all of it is there.
    for task in spec.tasks.iter().rev() {
        let id = task.id.as_str();
        let above = parent(id);
        let own = above.as_ref().map_or(id, |above| &id[above.len() + 1..]);
        let mut object = Map::new();
        object.insert("id".to_owned(), own.parse::<u64>().map_or_else(|_| Value::from(own), Value::from));
        object.insert("title".to_owned(), Value::from(task.description.as_str()));
        restore(task, &mut object);
        set_status(Format::Taskmaster, task, status(task), &mut object);
        if !task.extra.contains_key(KEPT) {
            let on = task.depends_on.iter().filter(|on| parent(on.as_str()).as_deref() != Some(id));
            let on: Vec<Value> = on.map(|on| Value::from(on.as_str())).collect();
            object.insert("dependencies".to_owned(), Value::from(on));
            object.insert("priority".to_owned(), Value::from(priority(task.priority)));
        }
        if let Some(mut subtasks) = below.remove(id) {
            subtasks.reverse();
            object.insert("subtasks".to_owned(), Value::from(subtasks));
        }
        match above {
            Some(above) => below.entry(above).or_default().push(Value::from(object)),
            None => tasks.push(Value::from(object)),
        }
    }
    tasks.reverse();
    let mut list = Map::from_iter([("tasks".to_owned(), Value::from(tasks))]);
    if let Some(Value::Object(kept)) = spec.extra.get(KEPT) {
        list.extend(kept.clone());
    }
    let document = match spec.extra.get(TAG).and_then(Value::as_str) {
        Some(tag) => json!({ tag: list }),
        None => Value::from(list),
    };
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn beads(spec: &PlanSpec, status: impl Fn(&TaskSpec) -> TaskStatus) -> String {
    let mut text = String::new();
    for task in &spec.tasks {
        let mut object = Map::new();
        object.insert("id".to_owned(), Value::from(task.id.as_str()));
        object.insert("title".to_owned(), Value::from(task.description.as_str()));
        restore(task, &mut object);
        set_status(Format::Beads, task, status(task), &mut object);
        let kind = object.get("issue_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let labels: Vec<&String> = task.labels.iter().filter(|label| **label != kind).collect();
        if !labels.is_empty() {
            object.insert("labels".to_owned(), json!(labels));
        }
        if !task.extra.contains_key(KEPT) {
            let on = task.depends_on.iter().map(
                |on| json!({ "issue_id": task.id.as_str(), "depends_on_id": on.as_str(), "type": "blocks" }),
            );
            object.insert("dependencies".to_owned(), on.collect());
            object.insert("priority".to_owned(), Value::from((2 - task.priority).clamp(0, 4)));
            object.insert("issue_type".to_owned(), Value::from("task"));
        }
        let _infallible = writeln!(text, "{}", Value::from(object));
    }
    text
}

/// Puts back what the task's file said: fields that became steps, and those that were kept.
fn restore(task: &TaskSpec, object: &mut Map<String, Value>) {
    let Some(kept) = task.extra.get(KEPT) else {
        if !task.steps.is_empty() {
            object.insert("description".to_owned(), Value::from(task.steps.join("\n")));
        }
        return;
    };
    let mut steps = task.steps.iter();
    for field in kept["steps"].as_array().into_iter().flatten() {
        let number =
            field["steps"].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
        let texts: Vec<&str> = steps.by_ref().take(number).map(String::as_str).collect();
        let is_list = field["list"].as_bool().unwrap_or_default();
        let value = if is_list { json!(texts) } else { Value::from(texts.concat()) };
        object.insert(field["name"].as_str().unwrap_or_default().to_owned(), value);
    }
    if let Some(Value::Object(fields)) = kept.get("fields") {
        object.extend(fields.clone());
    }
}

/// Sets the status, unless the one that is there says the same.
fn set_status(format: Format, task: &TaskSpec, status: TaskStatus, object: &mut Map<String, Value>) {
    let present = object.get("status").and_then(Value::as_str).and_then(fields::state);
    let is_new = !task.extra.contains_key(KEPT);
    if present.is_some_and(|state| says(state, status))
        || present.is_none() && !is_new && status == TaskStatus::Pending
    {
        return;
    }
    object.insert("status".to_owned(), Value::from(word(format, status)));
}

fn priority(number: i32) -> &'static str {
    match number {
        1.. => "high",
        0 => "medium",
        _ => "low",
    }
}
