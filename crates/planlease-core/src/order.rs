//! What the tasks of a plan wait for: their dependencies, and what the plan's notes about its order come to.
//!
//! | the plan says | so |
//! | --- | --- |
//! | task 2 depends on 1 | 2 waits for 1 |
//! | tasks 1, 2, 3 are sequential | 2 waits for 1, and 3 for 2 |
//! | phases A, B are sequential | what begins B waits for what ends A |
//! | phase B starts when 1.3 completes | what begins B waits for 1.3 |
//!
//! A task begins its phase if it depends on no task of it, and ends it if no task of it depends on that one:
//! what is between waits anyway. A phase without tasks is passed over. Waiting ends when what is waited for
//! is completed or skipped; for a phase, when all of the phases before is: see
//! [`crate::graph::Graph::blockers`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    id::TaskId,
    spec::{Group, PlanSpec, TaskSpec},
};

/// Why one task waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It depends on it.
    Dependency,
    /// Both are in a sequence of tasks.
    Sequence,
    /// Their phases are in a sequence of phases.
    PhaseSequence,
    /// Its phase starts when that one completes.
    PipelineStart,
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The other one.
    pub on: TaskId,
    /// Why.
    pub why: Why,
}

/// What each task waits for, in the order of the plan's tasks, and which names the plan's notes get wrong.
/// Unknown dependencies are among what is waited for: see [`crate::graph::problems`].
pub(crate) fn waits(spec: &PlanSpec) -> (Vec<Vec<Wait>>, Vec<GraphError>) {
    let mut order = Order::new(spec);
    let groups = spec.phases.iter().flat_map(|phase| &phase.sequential).chain(&spec.sequential);
    for group in groups {
        order.sequence(group);
    }
    for phase in &spec.phases {
        if let Some(start) = &phase.pipeline_start {
            order.pipeline(&phase.number, &start.after);
        }
    }
    for group in spec.phases.iter().flat_map(|phase| &phase.parallel).chain(&spec.parallel) {
        order.check(group);
    }
    (order.waits, order.problems)
}

struct Order<'a> {
    tasks: &'a [TaskSpec],
    index: BTreeMap<&'a TaskId, usize>,
    phases: BTreeMap<&'a str, Ends>,
    waits: Vec<Vec<Wait>>,
    problems: Vec<GraphError>,
}

/// The tasks with which a phase begins and ends.
#[derive(Default)]
struct Ends {
    first: Vec<usize>,
    last: Vec<usize>,
}

impl<'a> Order<'a> {
    fn new(spec: &'a PlanSpec) -> Self {
        let tasks = &spec.tasks;
        let index: BTreeMap<&TaskId, usize> =
            tasks.iter().enumerate().map(|(i, task)| (&task.id, i)).collect();
        let depends = |on: &TaskId| Wait { on: on.clone(), why: Why::Dependency };
        let waits = tasks.iter().map(|task| task.depends_on.iter().map(depends).collect()).collect();
        let mut phases: BTreeMap<&str, Ends> =
            spec.phases.iter().map(|phase| (phase.number.as_str(), Ends::default())).collect();
        let mut waited_for = BTreeSet::new();
        for (i, task) in tasks.iter().enumerate() {
            let Some(ends) = task.phase.as_deref().and_then(|phase| phases.get_mut(phase)) else { continue };
            let inside = |on: &&usize| **on != i && tasks[**on].phase == task.phase;
            let on: Vec<usize> =
                task.depends_on.iter().filter_map(|on| index.get(on)).filter(inside).copied().collect();
            if on.is_empty() {
                ends.first.push(i);
            }
            waited_for.extend(on);
            ends.last.push(i);
        }
        for ends in phases.values_mut() {
            ends.last.retain(|task| !waited_for.contains(task));
        }
        Self { tasks, index, phases, waits, problems: Vec::new() }
    }

    /// Has `task` wait for `on`. If it does already, the order of phases is the reason that says more.
    fn wait(&mut self, task: usize, on: usize, why: Why) {
        let on = &self.tasks[on].id;
        match self.waits[task].iter_mut().find(|known| known.on == *on) {
            Some(known) if why == Why::PhaseSequence => known.why = why,
            Some(_) => {}
            None => self.waits[task].push(Wait { on: on.clone(), why }),
        }
    }

    fn sequence(&mut self, group: &Group) {
        if !self.check(group) {
            return;
        }
        let tasks: Vec<usize> = group.tasks.iter().filter_map(|id| self.index.get(id).copied()).collect();
        for pair in tasks.windows(2) {
            self.wait(pair[1], pair[0], Why::Sequence);
        }
        let phases: Vec<&str> =
            group.phases.iter().map(String::as_str).filter(|phase| self.has_tasks(phase)).collect();
        for pair in phases.windows(2) {
            for task in self.phases[pair[1]].first.clone() {
                for on in self.phases[pair[0]].last.clone() {
                    self.wait(task, on, Why::PhaseSequence);
                }
            }
        }
    }

    fn pipeline(&mut self, phase: &str, after: &TaskId) {
        let Some(on) = self.index.get(after).copied() else {
            return self.problems.push(GraphError::UnknownInNote { unknown: format!("task {after}") });
        };
        for task in self.phases.get(phase).map(|ends| ends.first.clone()).unwrap_or_default() {
            self.wait(task, on, Why::PipelineStart);
        }
    }

    fn has_tasks(&self, phase: &str) -> bool {
        self.phases.get(phase).is_some_and(|ends| !ends.first.is_empty())
    }

    /// Whether the plan has everything that the note names.
    fn check(&mut self, group: &Group) -> bool {
        let tasks =
            group.tasks.iter().filter(|id| !self.index.contains_key(id)).map(|id| format!("task {id}"));
        let phases = group
            .phases
            .iter()
            .filter(|phase| !self.phases.contains_key(phase.as_str()))
            .map(|phase| format!("phase {phase}"));
        let unknown: Vec<GraphError> =
            tasks.chain(phases).map(|unknown| GraphError::UnknownInNote { unknown }).collect();
        let known = unknown.is_empty();
        self.problems.extend(unknown);
        known
    }
}

/// What is wrong with the dependencies of one task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// It waits for a task that the plan does not have.
    #[error("task {task} depends on {unknown}, which the plan does not have")]
    UnknownDependency {
        /// The task that waits.
        task: TaskId,
        /// What it waits for.
        unknown: TaskId,
    },
    /// A note about the order of execution names something else.
    #[error("the order of execution names {unknown}, which the plan does not have")]
    UnknownInNote {
        /// What it names: `task 9`, `phase 2b`.
        unknown: String,
    },
    /// It waits for itself, over the named path.
    #[error("the dependencies form a cycle: {}", path(.cycle))]
    Cycle {
        /// The tasks of the cycle, each depending on the one after it, the last one on the first.
        cycle: Vec<TaskId>,
    },
}

/// `1.1 → 1.2 → 1.1`
fn path(cycle: &[TaskId]) -> String {
    let closed = cycle.iter().chain(cycle.first()).map(TaskId::as_str);
    closed.collect::<Vec<_>>().join(" → ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{PhaseSpec, PipelineStart};

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    /// Three phases: two tasks in a row, one, two side by side.
    fn plan() -> PlanSpec {
        let phase = |number: &str| PhaseSpec { number: number.into(), ..PhaseSpec::default() };
        let task = |text: &str, depends_on: &[&str]| TaskSpec {
            phase: text.split('.').next().map(str::to_owned),
            depends_on: depends_on.iter().map(|text| id(text)).collect(),
            ..TaskSpec::new(id(text), "work")
        };
        PlanSpec {
            phases: ["1", "2", "empty", "3"].map(phase).to_vec(),
            tasks: vec![
                task("1.1", &[]),
                task("1.2", &["1.1"]),
                task("2.1", &[]),
                task("3.1", &[]),
                task("3.2", &[]),
            ],
            ..PlanSpec::default()
        }
    }

    fn check(spec: &PlanSpec, expected: &[&str]) {
        let (waits, problems) = waits(spec);
        let found = spec.tasks.iter().zip(&waits).flat_map(|(task, waits)| {
            waits.iter().map(move |wait| format!("{} {} {:?}", task.id, wait.on, wait.why))
        });
        let found: Vec<String> = found.chain(problems.iter().map(ToString::to_string)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_task_waits_for_already_is_not_repeated() {
        let mut spec = plan();
        spec.tasks[2].depends_on = vec![id("1.1"), id("1.2")];
        let tasks = ["1.2", "2.1"].map(id).to_vec();
        spec.sequential = vec![Group { tasks, ..Group::default() }];
        let (waits, _) = waits(&spec);
        let on: Vec<&str> = waits[2].iter().map(|wait| wait.on.as_str()).collect();
        assert_eq!(on, ["1.1", "1.2"]);
    }

    #[test]
    fn a_sequence_of_tasks_is_a_chain() {
        let tasks = ["3.2", "2.1", "3.1"].map(id).to_vec();
        let spec = PlanSpec { sequential: vec![Group { tasks, ..Group::default() }], ..plan() };
        check(&spec, &["1.2 1.1 Dependency", "2.1 3.2 Sequence", "3.1 2.1 Sequence"]);
    }

    #[test]
    fn of_sequential_phases_one_begins_when_the_one_before_is_over() {
        let phases = ["1", "2", "empty", "3"].map(str::to_owned).to_vec();
        let spec = PlanSpec { sequential: vec![Group { phases, ..Group::default() }], ..plan() };
        check(
            &spec,
            &[
                "1.2 1.1 Dependency",
                "2.1 1.2 PhaseSequence",
                "3.1 2.1 PhaseSequence",
                "3.2 2.1 PhaseSequence",
            ],
        );
    }

    #[test]
    fn a_phase_with_a_pipeline_start_waits_for_that_task_alone() {
        let mut spec = plan();
        spec.phases[3].pipeline_start = Some(PipelineStart { after: id("1.1") });
        check(&spec, &["1.2 1.1 Dependency", "3.1 1.1 PipelineStart", "3.2 1.1 PipelineStart"]);
    }

    #[test]
    fn names_missing_in_the_plan_are_reported() {
        let group = |tasks: &[&str], phases: &[&str]| Group {
            tasks: tasks.iter().map(|text| id(text)).collect(),
            phases: phases.iter().map(|&text| text.to_owned()).collect(),
            ..Group::default()
        };
        let mut spec = PlanSpec {
            sequential: vec![group(&["2.1", "9"], &[])],
            parallel: vec![group(&[], &["1", "9"])],
            ..plan()
        };
        spec.phases[0].pipeline_start = Some(PipelineStart { after: id("8") });
        check(
            &spec,
            &[
                "1.2 1.1 Dependency",
                "the order of execution names task 9, which the plan does not have",
                "the order of execution names task 8, which the plan does not have",
                "the order of execution names phase 9, which the plan does not have",
            ],
        );
    }
}
