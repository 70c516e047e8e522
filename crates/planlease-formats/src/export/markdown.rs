//! Plans as checklists in Markdown: a heading for each phase, a box for each task.

use std::{collections::BTreeSet, fmt::Write as _};

use planlease_core::{TaskId, spec::PhaseSpec};

use super::outgoing::{Outgoing, Task};
use crate::{
    checkbox::{self, Found},
    checklist, note,
    progress::State,
};

/// The label of a task that nothing waits for.
const OPTIONAL: &str = "optional";

pub(super) fn write(plan: &Outgoing<'_>) -> String {
    let mut text = format!("# {}\n", line(&plan.spec.title));
    if let Some(note) = note::line(&plan.note) {
        let _infallible = writeln!(text, "\n{note}");
    }
    let known: BTreeSet<&str> = plan.spec.phases.iter().map(|phase| phase.number.as_str()).collect();
    let is_in = |task: &&Task<'_>, number: Option<&str>| {
        task.spec.phase.as_deref().filter(|phase| known.contains(phase)) == number
    };
    let none = [None].into_iter();
    for phase in none.chain(plan.spec.phases.iter().map(Some)) {
        let number = phase.map(|phase| phase.number.as_str());
        let mut tasks = plan.tasks.iter().filter(|task| is_in(task, number)).peekable();
        if tasks.peek().is_none() {
            continue;
        }
        if let Some(phase) = phase {
            let _infallible = writeln!(text, "\n## {}", heading(phase));
        }
        text.push('\n');
        tasks.for_each(|task| item(&mut text, task, plan.hides_steps));
    }
    text
}

/// A text in one line, in which no comment begins.
fn line(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ").replace("<!--", "<! --")
}

/// A heading from which the number of the phase is read again, if it is one.
fn heading(phase: &PhaseSpec) -> String {
    let PhaseSpec { number, name, .. } = phase;
    let name = line(name);
    match number.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{number}. {name}"),
        false => format!("Phase {number}: {name}"),
    }
}

/// A box, what is to be done, what it waits for, and its details.
fn item(text: &mut String, task: &Task<'_>, hides_steps: bool) {
    let mark = match task.state {
        State::Done => "x",
        State::Begun => "~",
        State::Dropped => "-",
        State::Blocked => "!",
        State::Open | State::Deferred => " ",
    };
    let star = if task.spec.labels.contains(OPTIONAL) { "*" } else { "" };
    let id = task.spec.id.as_str();
    let description = line(&task.spec.description);
    let with_id = format!("{id}: {description}");
    let is_read = !description.is_empty() && checklist::id_in(&with_id).as_deref() == Some(id);
    let mut line = if is_read { with_id } else { description };
    if !task.waits.is_empty() {
        let on: Vec<&str> = task.waits.iter().map(TaskId::as_str).collect();
        let _infallible = write!(line, " (depends on {})", on.join(", "));
    }
    if !is_read {
        let _infallible = write!(line, " <!-- id: {id} -->");
    }
    let _infallible = writeln!(text, "- [{mark}]{star} {line}");
    let noted = note::line(&task.note);
    if let Some(note) = &noted {
        let _infallible = writeln!(text, "  {note}");
    }
    if hides_steps || !checklist::is_closed(task.spec.steps.iter().flat_map(|step| step.lines())) {
        return;
    }
    // Text right below would go on with what is to be done.
    let is_list = |step: &String| step.trim_start().starts_with(['-', '*', '+']);
    if noted.is_none() && task.spec.steps.first().is_some_and(|step| !is_list(step)) {
        text.push('\n');
    }
    for step in task.spec.steps.iter().flat_map(|step| step.split('\n')) {
        let step = if step.trim().is_empty() { String::new() } else { format!("  {}", without_box(step)) };
        let _infallible = writeln!(text, "{step}");
    }
}

/// A detail that is read as none but a detail: a box in it is no task.
fn without_box(step: &str) -> String {
    if !matches!(checkbox::read(step), Found::Box(_) | Found::Broken(_)) {
        return step.to_owned();
    }
    let behind = checkbox::behind_bullets(step.trim_start());
    format!("{}\\{behind}", &step[..step.len() - behind.len()])
}
