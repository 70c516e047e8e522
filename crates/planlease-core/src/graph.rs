//! What the tasks of a plan wait for, as a graph: whether it is sound, which tasks are ready, what blocks the
//! others.

use std::{cmp::Reverse, collections::BTreeMap};

use petgraph::{algo::tarjan_scc, graph::DiGraph};

pub use crate::order::GraphError;
use crate::{
    id::TaskId,
    order::{self, Wait},
    spec::{PlanSpec, TaskSpec},
    status::TaskStatus,
};

/// Everything that is wrong with what the tasks wait for; empty if it makes sense.
pub(crate) fn problems(tasks: &[TaskSpec], waits: &[Vec<Wait>]) -> Vec<GraphError> {
    let index: BTreeMap<&TaskId, usize> = tasks.iter().enumerate().map(|(i, task)| (&task.id, i)).collect();
    let mut problems = Vec::new();
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..tasks.len()).map(|i| graph.add_node(i)).collect();
    for (i, (task, waits)) in tasks.iter().zip(waits).enumerate() {
        for wait in waits {
            match index.get(&wait.on) {
                Some(&j) => drop(graph.add_edge(nodes[i], nodes[j], ())),
                None => problems
                    .push(GraphError::UnknownDependency { task: task.id.clone(), unknown: wait.on.clone() }),
            }
        }
    }
    for component in tarjan_scc(&graph) {
        let members: Vec<usize> = component.iter().map(|node| graph[*node]).collect();
        let is_cycle = members.len() > 1 || graph.contains_edge(component[0], component[0]);
        if is_cycle {
            problems.push(GraphError::Cycle { cycle: one_cycle(tasks, waits, &index, &members) });
        }
    }
    problems
}

/// The cycles in which tasks of the plan wait for each other.
#[must_use]
pub fn cycles(spec: &PlanSpec) -> Vec<GraphError> {
    let (waits, _) = order::waits(spec);
    let mut problems = problems(&spec.tasks, &waits);
    problems.retain(|problem| matches!(problem, GraphError::Cycle { .. }));
    problems
}

/// One cycle inside a strongly connected component, as a path from its first task in the file.
///
/// Walks to a dependency inside the component until a task comes up again: in a strongly connected component
/// there always is one to walk to.
fn one_cycle(
    tasks: &[TaskSpec],
    waits: &[Vec<Wait>],
    index: &BTreeMap<&TaskId, usize>,
    members: &[usize],
) -> Vec<TaskId> {
    let inside: std::collections::BTreeSet<usize> = members.iter().copied().collect();
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut walk: Vec<usize> = Vec::new();
    let mut at = inside.first().copied();
    while let Some(i) = at {
        if let Some(&start) = seen.get(&i) {
            return walk[start..].iter().map(|&i| tasks[i].id.clone()).collect();
        }
        seen.insert(i, walk.len());
        walk.push(i);
        at = waits[i].iter().filter_map(|wait| index.get(&wait.on).copied()).find(|j| inside.contains(j));
    }
    walk.iter().map(|&i| tasks[i].id.clone()).collect()
}

/// What the tasks of a sound plan wait for, ready for questions.
#[derive(Clone, Debug)]
pub struct Graph {
    /// In the order in which ready tasks are handed out: by priority, by phase as the plan lists them, by id
    /// or as the file has them. Phases that the plan calls parallel take turns.
    tasks: Vec<Node>,
    /// The places in `tasks`, by the ids there.
    by_id: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Node {
    id: TaskId,
    waits: Box<[Wait]>,
}

impl Graph {
    /// Reads a plan. What is unsound in it blocks its task for ever; see [`PlanSpec::problems`].
    #[must_use]
    pub fn new(spec: &PlanSpec) -> Self {
        let (waits, _) = order::waits(spec);
        let mut places: Vec<usize> = (0..spec.tasks.len()).collect();
        let turns = Turns::of(spec);
        let id = |i: usize| (!spec.in_file_order).then(|| spec.tasks[i].id.clone());
        places.sort_by_cached_key(|&i| (Reverse(spec.tasks[i].priority), turns.of_task(i), id(i)));
        let mut waits: Vec<Option<Box<[Wait]>>> = waits.into_iter().map(|waits| Some(waits.into())).collect();
        let node =
            |i: usize| Node { id: spec.tasks[i].id.clone(), waits: waits[i].take().unwrap_or_default() };
        let tasks: Vec<Node> = places.into_iter().map(node).collect();
        let mut by_id: Vec<usize> = (0..tasks.len()).collect();
        by_id.sort_by(|&one, &other| tasks[one].id.cmp(&tasks[other].id));
        Self { tasks, by_id }
    }

    /// All tasks, in the order in which they would be handed out if nothing blocked them.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.iter().map(|node| &node.id)
    }

    /// What a task waits for by definition; empty for an unknown task.
    #[must_use]
    pub fn waits(&self, task: &TaskId) -> &[Wait] {
        let found = self.by_id.binary_search_by(|&i| self.tasks[i].id.cmp(task));
        found.map_or(&[], |at| &self.tasks[self.by_id[at]].waits)
    }

    /// The tasks that may start now: pending, and all they wait for completed or skipped. In the order in
    /// which they are handed out. `status` answers for each task of the plan; `None` counts as not done.
    pub fn ready<'a>(
        &'a self,
        status: impl Fn(&TaskId) -> Option<TaskStatus> + 'a,
    ) -> impl Iterator<Item = &'a TaskId> + 'a {
        self.tasks.iter().filter_map(move |node| {
            let ready = status(&node.id) == Some(TaskStatus::Pending)
                && node.waits.iter().all(|wait| satisfies(status(&wait.on)));
            ready.then_some(&node.id)
        })
    }

    /// What a task still waits for.
    pub fn blockers<'a>(
        &'a self,
        task: &TaskId,
        status: impl Fn(&TaskId) -> Option<TaskStatus> + 'a,
    ) -> impl Iterator<Item = &'a Wait> + 'a {
        self.waits(task).iter().filter(move |wait| !satisfies(status(&wait.on)))
    }
}

/// When the tasks of each phase have their turn.
struct Turns {
    /// For each task of the plan: the turn of its phase; within a group of parallel phases, which task of its
    /// phase it is; the phase.
    tasks: Vec<(usize, usize, usize)>,
}

impl Turns {
    fn of(spec: &PlanSpec) -> Self {
        let phases: BTreeMap<&str, usize> =
            spec.phases.iter().enumerate().map(|(i, phase)| (phase.number.as_str(), i)).collect();
        // Parallel phases have the turn of the first of them.
        let mut turns: Vec<usize> = (0..spec.phases.len()).collect();
        let mut takes_turns = vec![false; spec.phases.len()];
        for group in spec.phases.iter().flat_map(|phase| &phase.parallel).chain(&spec.parallel) {
            let together: Vec<usize> =
                group.phases.iter().filter_map(|phase| phases.get(phase.as_str()).copied()).collect();
            let Some(first) = together.iter().map(|&phase| turns[phase]).min() else { continue };
            for phase in together {
                turns[phase] = first;
                takes_turns[phase] = true;
            }
        }
        let phase_of = |task: &TaskSpec| task.phase.as_deref().and_then(|phase| phases.get(phase)).copied();
        let mut places: Vec<usize> = (0..spec.tasks.len()).collect();
        if !spec.in_file_order {
            places.sort_by(|&a, &b| spec.tasks[a].id.cmp(&spec.tasks[b].id));
        }
        let mut counts = vec![0; spec.phases.len()];
        let mut tasks = vec![(usize::MAX, 0, usize::MAX); spec.tasks.len()];
        for i in places {
            let Some(phase) = phase_of(&spec.tasks[i]) else { continue };
            let nth = if takes_turns[phase] { counts[phase] } else { 0 };
            counts[phase] += 1;
            tasks[i] = (turns[phase], nth, phase);
        }
        Self { tasks }
    }

    fn of_task(&self, task: usize) -> (usize, usize, usize) {
        self.tasks[task]
    }
}

/// Whether a dependency in this status lets its dependents start.
#[must_use]
pub fn satisfies(status: Option<TaskStatus>) -> bool {
    matches!(status, Some(TaskStatus::Completed | TaskStatus::Skipped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::PhaseSpec;

    fn task(id: &str, depends_on: &[&str]) -> TaskSpec {
        TaskSpec {
            depends_on: depends_on.iter().map(|id| TaskId::new(id).unwrap()).collect(),
            ..TaskSpec::new(TaskId::new(id).unwrap(), "work")
        }
    }

    fn check(tasks: &[TaskSpec], expected: &[&str]) {
        let spec = PlanSpec { tasks: tasks.to_vec(), ..PlanSpec::default() };
        let found: Vec<String> =
            problems(tasks, &order::waits(&spec).0).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_sound_graph_has_no_problems() {
        check(&[task("1", &[]), task("2", &["1"]), task("3", &["1", "2"])], &[]);
    }

    #[test]
    fn a_cycle_is_named_by_its_path() {
        check(
            &[task("0", &["1"]), task("1", &["2"]), task("2", &["3"]), task("3", &["1"])],
            &["the dependencies form a cycle: 1 → 2 → 3 → 1"],
        );
        check(&[task("1", &["1"])], &["the dependencies form a cycle: 1 → 1"]);
    }

    #[test]
    fn an_unknown_dependency_is_named() {
        check(&[task("1", &["9"])], &["task 1 depends on 9, which the plan does not have"]);
    }

    #[test]
    fn a_chain_of_100_000_tasks_is_fast_and_needs_no_stack() {
        let tasks: Vec<TaskSpec> = (0..100_000u32)
            .map(|i| {
                let before = i.checked_sub(1).map(|j| j.to_string());
                task(&i.to_string(), before.as_deref().as_slice())
            })
            .collect();
        check(&tasks, &[]);
    }

    #[test]
    fn ready_tasks_come_by_phase_and_then_by_number() {
        let phase = |number: &str| PhaseSpec { number: number.into(), ..PhaseSpec::default() };
        let in_phase = |id: &str, phase: &str, depends: &[&str]| TaskSpec {
            phase: Some(phase.into()),
            ..task(id, depends)
        };
        let spec = PlanSpec {
            phases: vec![phase("0"), phase("1")],
            tasks: vec![
                in_phase("1.10", "1", &[]),
                in_phase("1.9", "1", &[]),
                in_phase("0.1", "0", &[]),
                in_phase("1.11", "1", &["0.1"]),
            ],
            ..PlanSpec::default()
        };
        let graph = Graph::new(&spec);
        let all_pending = |_: &TaskId| Some(TaskStatus::Pending);
        let ready: Vec<&str> = graph.ready(all_pending).map(TaskId::as_str).collect();
        assert_eq!(ready, ["0.1", "1.9", "1.10"]);

        let first_skipped =
            |id: &TaskId| Some(if id.as_str() == "0.1" { TaskStatus::Skipped } else { TaskStatus::Pending });
        let ready: Vec<&str> = graph.ready(first_skipped).map(TaskId::as_str).collect();
        assert_eq!(ready, ["1.9", "1.10", "1.11"]);
        let blocked = TaskId::new("1.11").unwrap();
        assert_eq!(graph.blockers(&blocked, all_pending).count(), 1);
    }

    #[test]
    fn urgent_tasks_come_first_and_parallel_phases_take_turns() {
        let phase = |number: &str| PhaseSpec { number: number.into(), ..PhaseSpec::default() };
        let in_phase = |id: &str, priority: i32| TaskSpec {
            phase: id.split('.').next().map(str::to_owned),
            priority,
            ..task(id, &[])
        };
        let mut spec = PlanSpec {
            phases: ["1", "2", "3"].map(phase).to_vec(),
            tasks: ["1.1", "1.2", "2.1", "2.2", "3.1"].map(|id| in_phase(id, 0)).to_vec(),
            ..PlanSpec::default()
        };
        spec.tasks.push(in_phase("3.2", 5));
        let order =
            |spec: &PlanSpec| Graph::new(spec).tasks().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(order(&spec), "3.2 1.1 1.2 2.1 2.2 3.1");
        let phases = ["1", "2"].map(str::to_owned).to_vec();
        spec.parallel.push(crate::spec::Group { phases, ..Default::default() });
        assert_eq!(order(&spec), "3.2 1.1 2.1 1.2 2.2 3.1");
        (spec.in_file_order, spec.tasks[5].priority) = (true, 0);
        spec.tasks.reverse();
        assert_eq!(order(&spec), "1.2 2.2 1.1 2.1 3.2 3.1", "as the file has them");
    }
}
