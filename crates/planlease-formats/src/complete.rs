//! Completes what was read of a file by what planlease noted in it, as far as the file still says what it
//! said then.

use std::collections::BTreeSet;

use planlease_core::{
    TaskId,
    spec::{Group, PhaseSpec, STATED, TaskSpec},
};
use serde_json::Value;

use crate::{
    draft::Draft,
    note::{KEPT, PlanNote, TaskNote, ends_similar, is_similar},
};

/// The phases that a file has, and those that were noted; where each begins.
pub(crate) fn phases(found: &[PhaseSpec], places: &[usize], note: &PlanNote) -> (Vec<PhaseSpec>, Vec<usize>) {
    let of_number = |number: &str| found.iter().position(|phase| phase.number == number);
    // A title that reads as the heading of a phase is noted, and is none.
    let is_title = |phase: &PhaseSpec| {
        let title = note.title.as_deref();
        title.is_some_and(|title| title.ends_with(&phase.name) && title.contains(&phase.number))
    };
    let (mut phases, mut at) = (Vec::new(), Vec::new());
    let all_noted = note.phases.as_deref().unwrap_or_default();
    for noted in all_noted {
        let place = of_number(&noted.number);
        // A name that was changed in the file is the new one. A number that the heading cannot say is given
        // to it, and may be that of another phase.
        let is_noted = |name: &&String| all_noted.iter().any(|noted| ends_similar(name, &noted.name));
        let place_of_name = place.filter(|place| !is_title(&found[*place]));
        let name = place_of_name.map(|place| &found[place].name).filter(|name| !is_noted(name));
        phases.push(PhaseSpec { name: name.unwrap_or(&noted.name).clone(), ..noted.clone() });
        at.push(place.map_or(0, |place| places[place]));
    }
    for (phase, place) in found.iter().zip(places) {
        if !is_title(phase) && !all_noted.iter().any(|noted| noted.number == phase.number) {
            phases.push(phase.clone());
            at.push(*place);
        }
    }
    (phases, at)
}

/// Completes a task.
pub(crate) fn task(task: &mut TaskSpec, note: TaskNote, phases: &[PhaseSpec]) {
    if let Some(description) = note.description.filter(|noted| says(&task.description, noted)) {
        task.description = description;
    }
    if let Some(number) = note.phase {
        if number.is_empty() {
            task.phase = None;
        } else if phases.iter().any(|phase| phase.number == number) {
            task.phase = Some(number);
        }
    }
    // They may be in the note alone.
    let is_same = |noted: &Vec<String>| is_similar(&noted.concat(), &task.steps.concat());
    if let Some(steps) = note.steps.filter(|noted| task.steps.is_empty() || is_same(noted)) {
        task.steps = steps;
    }
    if let Some(lines) = &note.lines {
        split_steps(task, lines);
    }
    task.labels = note.labels.unwrap_or(std::mem::take(&mut task.labels));
    task.needs = note.needs.unwrap_or(std::mem::take(&mut task.needs));
    task.command = note.command;
    task.approval = note.approval.map_or(task.approval, Into::into);
    task.policy = note.policy;
    for (name, noted) in note.extra {
        match (task.extra.get_mut(&name), noted) {
            (Some(Value::Object(kept)), Value::Object(others)) if [KEPT, STATED].contains(&name.as_str()) => {
                for (format, fields) in others {
                    kept.entry(format).or_insert(fields);
                }
            }
            (Some(_), _) => {}
            (None, noted) => drop(task.extra.insert(name, noted)),
        }
    }
}

/// Whether what is to be done is still what was noted. A list of dependencies at its end is read apart.
fn says(found: &str, noted: &str) -> bool {
    let cut = noted.rsplit_once("(depends on ").map(|(before, _)| before);
    is_similar(found, noted) || cut.is_some_and(|cut| is_similar(found, cut))
}

/// Makes the details again that stand in one text, each of so many lines.
fn split_steps(task: &mut TaskSpec, lines: &[usize]) {
    let text = task.steps.concat();
    let all: Vec<&str> = text.split('\n').collect();
    if all.len() != lines.iter().sum::<usize>() {
        return; // It was changed.
    }
    let mut rest = all.into_iter();
    task.steps =
        lines.iter().map(|number| rest.by_ref().take(*number).collect::<Vec<_>>().join("\n")).collect();
    // The field that they are in has so many now.
    let kept = task.extra.get_mut(KEPT).and_then(Value::as_object_mut).into_iter().flatten();
    for (_, kept) in kept {
        if let Some([field]) = kept.get_mut("steps").and_then(Value::as_array_mut).map(Vec::as_mut_slice) {
            field["steps"] = Value::from(task.steps.len());
            field["lines"] = Value::from(true);
        }
    }
}

/// Completes a plan.
pub(crate) fn plan(draft: &mut Draft, note: PlanNote) {
    let spec = &mut draft.spec;
    if let Some(noted) = &note.phases {
        // What the file can only call otherwise is noted; only what was added is not.
        let used: BTreeSet<&str> = spec.tasks.iter().filter_map(|task| task.phase.as_deref()).collect();
        let is_one = |phase: &PhaseSpec| {
            used.contains(phase.number.as_str()) || noted.iter().any(|noted| noted.number == phase.number)
        };
        let is_one: Vec<bool> = spec.phases.iter().map(is_one).collect();
        let mut keep = is_one.iter();
        spec.phases.retain(|_| *keep.next().unwrap_or(&true));
        let mut keep = is_one.iter();
        draft.phases.retain(|_| *keep.next().unwrap_or(&true));
    }
    spec.labels = note.labels.unwrap_or(std::mem::take(&mut spec.labels));
    spec.priority = note.priority.unwrap_or(spec.priority);
    spec.title = note.title.unwrap_or(std::mem::take(&mut spec.title));
    spec.policy = note.policy.unwrap_or_default();
    let tasks: BTreeSet<TaskId> = spec.tasks.iter().map(|task| task.id.clone()).collect();
    let numbers: BTreeSet<String> = spec.phases.iter().map(|phase| phase.number.clone()).collect();
    let known = |groups: Vec<Group>| {
        let of_plan = |mut group: Group| {
            let size = |group: &Group| group.tasks.len() + group.phases.len();
            let before = size(&group);
            group.tasks.retain(|task| tasks.contains(task));
            group.phases.retain(|phase| numbers.contains(phase));
            (size(&group) == before || size(&group) > 1).then_some(group)
        };
        groups.into_iter().filter_map(of_plan).collect::<Vec<_>>()
    };
    spec.sequential = known(note.sequential);
    spec.parallel = known(note.parallel);
    for phase in &mut spec.phases {
        phase.sequential = known(std::mem::take(&mut phase.sequential));
        phase.parallel = known(std::mem::take(&mut phase.parallel));
        phase.pipeline_start = phase.pipeline_start.take().filter(|start| tasks.contains(&start.after));
    }
    for (name, value) in note.extra {
        spec.extra.entry(name).or_insert(value);
    }
}
