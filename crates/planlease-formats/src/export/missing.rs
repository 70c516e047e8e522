//! What of a plan is missing in a text that was read back, and is noted.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    TaskId,
    graph::Graph,
    spec::{CHECKED, EDIT_ID, EDITED_AT, IMPORT_ID, IMPORTED_AT, MARK, PlanSpec, STATED, TaskSpec},
};
use serde_json::{Map, Value};

use super::outgoing::{Outgoing, Task};
use crate::{
    draft::Draft,
    format::Format,
    note::{KEPT, PlanNote, TaskNote},
};

/// The fields of a definition that are no part of it, or that the status of the tasks says.
const NOT_NOTED: [&str; 6] = [IMPORT_ID, IMPORTED_AT, EDIT_ID, EDITED_AT, CHECKED, MARK];

/// Notes what is missing; whether that is anything new.
pub(super) fn note(plan: &mut Outgoing<'_>, read: &Draft) -> bool {
    let graph = Graph::new(&read.spec);
    let tasks: BTreeMap<&TaskId, &TaskSpec> = read.spec.tasks.iter().map(|task| (&task.id, task)).collect();
    let mut is_new = false;
    for task in &mut plan.tasks {
        if let Some(read) = tasks.get(&task.spec.id) {
            is_new |= of_task(plan.format, task, read, &graph);
        }
    }
    let before = plan.note.clone();
    of_plan(plan.format, plan.spec, &read.spec, &mut plan.note);
    is_new || plan.note != before
}

fn of_task(format: Format, task: &mut Task<'_>, read: &TaskSpec, graph: &Graph) -> bool {
    let spec = task.spec;
    let waits: BTreeSet<&TaskId> = graph.waits(&spec.id).iter().map(|wait| &wait.on).collect();
    let same_waits = waits.len() == task.waits.len() && task.waits.iter().all(|on| waits.contains(on));
    let is_same = same_waits && read.priority == spec.priority && read.labels == spec.labels;
    if !is_same && std::mem::take(&mut task.is_verbatim) {
        return true;
    }
    let note = &mut task.note;
    let before = note.clone();
    if read.description != spec.description {
        note.description = Some(spec.description.clone());
    }
    if read.phase != spec.phase {
        note.phase = Some(spec.phase.clone().unwrap_or_default());
    }
    if !same_waits {
        note.depends_on = Some(task.waits.clone());
    }
    if read.priority != spec.priority {
        note.priority = Some(spec.priority);
    }
    if read.labels != spec.labels {
        note.labels = Some(spec.labels.clone());
    }
    if read.needs != spec.needs {
        note.needs = Some(spec.needs.clone());
    }
    if read.steps != spec.steps && format == Format::Checklist {
        note.steps = Some(spec.steps.clone());
    } else if read.steps != spec.steps {
        note.lines = Some(spec.steps.iter().map(|step| step.split('\n').count()).collect());
    }
    let mark = read.extra.get(MARK).and_then(Value::as_str);
    if mark != task.state.mark() {
        note.mark = task.state.mark().map(str::to_owned);
    }
    if read.command != spec.command {
        note.command.clone_from(&spec.command);
    }
    if read.approval != spec.approval {
        note.approval = Some(spec.approval.into());
    }
    if read.policy != spec.policy {
        note.policy.clone_from(&spec.policy);
    }
    note.extra.extend(extra(format, &spec.extra, &read.extra));
    TaskNote { ..before } != *note
}

fn of_plan(format: Format, spec: &PlanSpec, read: &PlanSpec, note: &mut PlanNote) {
    if read.title != spec.title {
        note.title = Some(spec.title.clone());
    }
    if read.labels != spec.labels {
        note.labels = Some(spec.labels.clone());
    }
    if read.priority != spec.priority {
        note.priority = Some(spec.priority);
    }
    if read.phases != spec.phases {
        note.phases = Some(spec.phases.clone());
    }
    if read.sequential != spec.sequential {
        note.sequential.clone_from(&spec.sequential);
    }
    if read.parallel != spec.parallel {
        note.parallel.clone_from(&spec.parallel);
    }
    if read.policy != spec.policy {
        note.policy = Some(spec.policy.clone());
    }
    note.extra.extend(extra(format, &spec.extra, &read.extra));
}

/// What has no field of its own, and what the files of other formats said.
fn extra(format: Format, wanted: &Map<String, Value>, read: &Map<String, Value>) -> Map<String, Value> {
    let mut missing = Map::new();
    for (name, value) in wanted.iter().filter(|(name, _)| !NOT_NOTED.contains(&name.as_str())) {
        if name != KEPT && name != STATED {
            let differs = read.get(name) != Some(value);
            missing.extend(differs.then(|| (name.clone(), value.clone())));
            continue;
        }
        let known = |other: &str| read.get(name).is_some_and(|kept| kept.get(other).is_some());
        let others = value.as_object().into_iter().flatten();
        let others: Map<String, Value> = others
            .filter(|(other, _)| *other != format.name() && !known(other))
            .map(|(other, kept)| (other.clone(), kept.clone()))
            .collect();
        missing.extend((!others.is_empty()).then(|| (name.clone(), others.into())));
    }
    missing
}
