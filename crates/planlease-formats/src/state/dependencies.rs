//! What tasks of a state file wait for, and which of them must not run at the same time.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    TaskId,
    graph::{self, GraphError},
    spec::{Group, MAX_DEPENDENCIES, PlanSpec, TaskSpec},
};

use super::{
    fault::Faults,
    found::Found,
    json::{Json, Placed, cut},
};

/// How often dependencies are taken out of circles. What is circular still is refused by the check of the
/// whole plan.
const MAX_CYCLES: usize = 100;

/// Enters the dependencies of all tasks; gives the groups of tasks that run one after the other.
pub(super) fn read(document: &Placed, found: &mut [Found<'_>], faults: &mut Faults<'_>) -> Vec<Group> {
    let ids: BTreeSet<TaskId> = found.iter().map(|task| task.spec.id.clone()).collect();
    let mut places: BTreeMap<(TaskId, TaskId), usize> = BTreeMap::new();
    for task in found.iter_mut() {
        let own = task.placed.get("dependencies");
        let graph = document.get("dependencyGraph").and_then(|graph| graph.get(task.spec.id.as_str()));
        let graph = graph.and_then(|node| node.get("dependencies"));
        // A task that says what it waits for is believed; the graph was made of these lists.
        let Some(list) = own.filter(|own| own.value != Json::Null).or(graph) else { continue };
        let Json::List(items) = &list.value else {
            let what = format!(
                "the dependencies of task {} are {}, and should be a list",
                task.spec.id,
                list.kind()
            );
            faults.salvageable(list.at, what, "It would start too early.", "the task waits for nothing");
            continue;
        };
        for item in items {
            let Some(on) = dependency(item, &task.spec.id, &ids, faults) else { continue };
            if places.insert((task.spec.id.clone(), on.clone()), item.at).is_none() {
                task.spec.depends_on.push(on);
            }
        }
        if task.spec.depends_on.len() > MAX_DEPENDENCIES {
            let what = format!("task {} depends on more than {MAX_DEPENDENCIES} tasks", task.spec.id);
            faults.fatal(list.at, what, "Let it wait for tasks that join some each.");
        }
    }
    break_cycles(found, &places, faults);
    sequential(found)
}

fn dependency(
    item: &Placed,
    task: &TaskId,
    ids: &BTreeSet<TaskId>,
    faults: &mut Faults<'_>,
) -> Option<TaskId> {
    const HELP: &str = "It could never start. Correct the id, or take the dependency out.";
    const LOSS: &str = "it does not wait for it";
    let Some(text) = item.text() else {
        let what = format!("a dependency of task {task} is {}, and should be a text", item.kind());
        faults.salvageable(item.at, what, HELP, LOSS);
        return None;
    };
    let known = TaskId::new(text).ok().filter(|id| ids.contains(id));
    if known.is_none() {
        let what = format!("task {task} depends on {}, which the plan does not have", cut(text));
        faults.salvageable(item.at, what, HELP, LOSS);
    }
    known
}

/// Reports each circle, and takes one of its dependencies out if the caller is lenient.
fn break_cycles(
    found: &mut [Found<'_>],
    places: &BTreeMap<(TaskId, TaskId), usize>,
    faults: &mut Faults<'_>,
) {
    for _ in 0..MAX_CYCLES {
        let bare = found.iter().map(|task| TaskSpec {
            depends_on: task.spec.depends_on.clone(),
            ..TaskSpec::new(task.spec.id.clone(), "")
        });
        let cycles = graph::cycles(&PlanSpec { tasks: bare.collect(), ..PlanSpec::default() });
        let mut broken = false;
        for problem in cycles {
            let GraphError::Cycle { cycle } = &problem else { continue };
            let (task, on) = (&cycle[0], cycle.get(1).unwrap_or(&cycle[0])); // A cycle has at least one task.
            let at = places.get(&(task.clone(), on.clone())).copied().unwrap_or_default();
            let loss = format!("{task} does not wait for {on}");
            faults.salvageable(
                at,
                problem.to_string(),
                "Each waits for the next, so that none of them could ever start: take one of these dependencies out.",
                &loss,
            );
            for found in found.iter_mut().filter(|found| found.spec.id == *task) {
                found.spec.depends_on.retain(|id| id != on);
                broken = true;
            }
        }
        if !broken || !faults.is_lenient() {
            return;
        }
    }
}

/// The groups that `executionConstraints` name, in the order of the file.
fn sequential(found: &[Found<'_>]) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for task in found {
        let Some(constraints) = task.placed.get("executionConstraints") else { continue };
        let sequential = constraints.get("sequential").is_some_and(|value| value.value == Json::Bool(true));
        let group = constraints.get("sequentialGroup").and_then(Placed::text);
        if let Some(group) = group.filter(|_| sequential) {
            let group = groups.entry(group).or_default();
            group.tasks.push(task.spec.id.clone());
            let reason = constraints.get("reason").and_then(Placed::text).map(str::to_owned);
            group.reason = group.reason.take().or(reason);
        }
    }
    groups.into_values().collect()
}
