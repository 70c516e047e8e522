//! Reads the native plan files, in TOML.
//!
//! The file is taken apart down to its phases and tasks, and each of them is read by itself: so that
//! all that is wrong is said at once, rather than the first mistake of the file. What they may contain, the
//! types in [`file`] say, and nothing else: the list of known keys and the published schema are made from
//! them.

mod file;
mod keys;

use std::collections::HashSet;

use planlease_core::{
    TaskId,
    spec::{Group, PhaseSpec, PipelineStart, PlanSpec, TaskPolicy, TaskSpec},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use self::{
    file::{GroupFile, PhaseFile, PlanFile, TaskFile},
    keys::Keys,
};
use crate::{
    draft::{Draft, Missing, TaskPlaces},
    report::Report,
    text::Text,
};

const HOW_TO_WRITE_A_TASK: &str = "A task is a table `[[task]]` with an `id` and a `description`.";

/// The JSON schema of native plan files, for editors and validators; published as
/// `docs/schema/plan.schema.json`.
#[must_use]
pub fn schema() -> Value {
    file::schema().to_value()
}

/// The largest file of which all mistakes are collected, in bytes: each byte can be one.
const COLLECTED: usize = 256 * 1024;

/// The tables of a file and what is wrong with it: of a large file, the first mistake.
fn parse(text: &str) -> (Spanned<DeTable<'_>>, Vec<toml::de::Error>) {
    if text.len() <= COLLECTED {
        return DeTable::parse_recoverable(text);
    }
    match DeTable::parse(text) {
        Ok(table) => (table, Vec::new()),
        Err(error) => (Spanned::new(0..0, DeTable::default()), vec![error]),
    }
}

/// Reads a native plan; `None` if it is not even TOML.
pub(crate) fn read(text: &Text<'_>, report: &mut Report<'_>) -> Option<Draft> {
    let (mut table, errors) = parse(text.as_str());
    if !errors.is_empty() {
        for error in errors {
            let help =
                "The file is not valid TOML: see https://toml.io. Texts stand in quotes, tables in brackets.";
            report.error(start(error.span()), error.message().trim_end(), help);
        }
        return None;
    }
    Keys::of_plan_files().check(table.get_mut(), report);
    let phases = take_list(table.get_mut(), "phase", report);
    let tasks = take_list(table.get_mut(), "task", report);
    let span = table.span();
    let place = |key| table.get_ref().get(key).map_or(0, |value: &Spanned<_>| value.span().start);
    let (title, policy) = (place("title"), place("policy"));
    let missing = Missing { nameless: tasks.is_none(), phases: phases.is_none(), ..Missing::default() };
    let mut draft =
        Draft { title, policy, missing, how_to_write_a_task: HOW_TO_WRITE_A_TASK, ..Draft::default() };
    let plan = Spanned::new(span, DeValue::Table(table.into_inner()));
    if let Some(PlanFile { title, labels, priority, policy, sequential, parallel, .. }) = shape(plan, report)
    {
        let mut groups = |groups: Vec<GroupFile>| -> Vec<Group> {
            let read = |group: GroupFile| {
                Group::try_from(group)
                    .map_err(|error| report.error(0, error.to_string(), "Name the tasks by their ids."))
                    .ok()
            };
            groups.into_iter().filter_map(read).collect()
        };
        let (sequential, parallel) = (groups(sequential), groups(parallel));
        draft.spec = PlanSpec {
            title,
            labels,
            priority,
            policy: policy.into(),
            sequential,
            parallel,
            in_file_order: true,
            ..PlanSpec::default()
        };
    }
    for value in phases.into_iter().flatten() {
        let at = value.span().start;
        match shape(value, report) {
            Some(PhaseFile { number, name, verification, pipeline_start }) => {
                let after = pipeline_start.map(TaskId::new).transpose().unwrap_or_else(|error| {
                    report.error(at, error.to_string(), "Name a task by its id.");
                    None
                });
                let pipeline_start = after.map(|after| PipelineStart { after });
                draft.phases.push(at);
                let phase = PhaseSpec { number, name, verification, pipeline_start, ..PhaseSpec::default() };
                draft.spec.phases.push(phase);
            }
            None => draft.missing.phases = true,
        }
    }
    for value in tasks.into_iter().flatten() {
        read_task(value, &mut draft, report);
    }
    Some(draft)
}

fn read_task(value: Spanned<DeValue<'_>>, draft: &mut Draft, report: &mut Report<'_>) {
    let at = value.span().start;
    let claimed = value.get_ref().get("id").and_then(|id| id.get_ref().as_str()).map(str::to_owned);
    let Some(task) = shape::<TaskFile>(value, report) else {
        note_missing(&mut draft.missing, claimed);
        return;
    };
    let place = task.id.span().start;
    let id = match TaskId::new(task.id.get_ref()) {
        Ok(id) => id,
        Err(error) => {
            note_missing(&mut draft.missing, claimed);
            report.error(
                place,
                error.to_string(),
                "Use a short id without blanks, such as \"1.1\" or \"build\".",
            );
            return;
        }
    };
    let mut depends_on = Vec::new();
    let mut places = Vec::new();
    let mut seen = HashSet::new();
    for dependency in &task.depends_on {
        let place = dependency.span().start;
        match TaskId::new(dependency.get_ref()) {
            Ok(id) if seen.insert(id.clone()) => {
                depends_on.push(id);
                places.push(place);
            }
            Ok(_) => {} // Said twice is said once.
            Err(error) => report.error(place, error.to_string(), "Name the tasks by their ids."),
        }
    }
    let span = |text: Option<&Spanned<String>>| text.map_or(at, |text| text.span().start);
    draft.tasks.push(TaskPlaces {
        id: place,
        phase: span(task.phase.as_ref()),
        description: task.description.span().start,
        command: task.command.as_ref().map_or(at, |command| command.span().start),
        policy: task.policy.as_ref().map_or(at, |policy| policy.span().start),
        depends_on: places,
    });
    let mut policy: Option<Box<TaskPolicy>> = task.policy.map(|policy| Box::new(policy.into_inner().into()));
    if task.pools.is_some() {
        policy.get_or_insert_default().pools = task.pools;
    }
    draft.spec.tasks.push(TaskSpec {
        phase: task.phase.map(Spanned::into_inner),
        depends_on,
        priority: task.priority,
        labels: task.labels,
        needs: task.needs,
        steps: task.steps,
        command: task.command.map(Spanned::into_inner),
        approval: task.approval.map(Into::into),
        policy,
        ..TaskSpec::new(id, task.description.into_inner())
    });
}

fn note_missing(missing: &mut Missing, claimed: Option<String>) {
    match claimed {
        Some(id) => drop(missing.ids.insert(id)),
        None => missing.nameless = true,
    }
}

/// Takes a list of tables out of the plan, an empty one if there is none; reports what is no list.
fn take_list<'a>(
    table: &mut DeTable<'a>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<Vec<Spanned<DeValue<'a>>>> {
    let Some(value) = table.remove(key) else { return Some(Vec::new()) };
    let at = value.span().start;
    match value.into_inner() {
        DeValue::Array(list) => Some(list.into_iter().collect()),
        other => {
            let message = format!("`{key}` has to be a list of tables, and is of type {}", other.type_str());
            report.error(at, message, format!("Begin each {key} with a line [[{key}]], in double brackets."));
            None
        }
    }
}

/// Reads a value as one of the types of a plan file; reports the first thing that is wrong with it.
fn shape<T: DeserializeOwned>(value: Spanned<DeValue<'_>>, report: &mut Report<'_>) -> Option<T> {
    let at = value.span().start;
    match T::deserialize(ValueDeserializer::from(value)) {
        Ok(shaped) => Some(shaped),
        Err(error) => {
            let place = error.span().map_or(at, |span| span.start);
            report.error(place, error.message(), help(error.message()));
            None
        }
    }
}

fn help(message: &str) -> &'static str {
    if message.contains("expected a sequence") {
        "Write a list, as [\"cargo\", \"build\"]. A command is a program and its arguments; no shell is used."
    } else if message.contains("expected a string") {
        "Put it in quotes: without them 1.10 would be the same as 1.1."
    } else if message.contains("missing field") {
        "A plan needs a `title`; a phase a `number` and a `name`; a task an `id` and a `description`."
    } else {
        "docs/plan-file.md says what is allowed here."
    }
}

fn start(span: Option<std::ops::Range<usize>>) -> usize {
    span.map_or(0, |span| span.start)
}

#[cfg(test)]
mod tests;
