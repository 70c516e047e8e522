//! The dependency graph of a plan: whether it is sound, which tasks are ready, what blocks the others.

use std::collections::BTreeMap;

use petgraph::{algo::tarjan_scc, graph::DiGraph};

use crate::{
    TaskId,
    spec::{PlanSpec, TaskSpec},
    transition::TaskStatus,
};

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
    /// It waits for itself, over the named path.
    #[error("the dependencies form a cycle: {}", path(.cycle))]
    Cycle {
        /// The tasks of the cycle, each depending on the one after it, the last one on the first.
        cycle: Vec<TaskId>,
    },
}

impl GraphError {
    /// The task at which to point in a file.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        match self {
            Self::UnknownDependency { task, .. } => task,
            Self::Cycle { cycle } => &cycle[0], // A cycle has at least one task.
        }
    }
}

/// `1.1 → 1.2 → 1.1`
fn path(cycle: &[TaskId]) -> String {
    let closed = cycle.iter().chain(cycle.first()).map(TaskId::as_str);
    closed.collect::<Vec<_>>().join(" → ")
}

/// Everything that is wrong with the dependencies; empty if they make sense.
#[must_use]
pub fn problems(tasks: &[TaskSpec]) -> Vec<GraphError> {
    let index: BTreeMap<&TaskId, usize> = tasks.iter().enumerate().map(|(i, task)| (&task.id, i)).collect();
    let mut problems = Vec::new();
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..tasks.len()).map(|i| graph.add_node(i)).collect();
    for (i, task) in tasks.iter().enumerate() {
        for dependency in &task.depends_on {
            match index.get(dependency) {
                Some(&j) => drop(graph.add_edge(nodes[i], nodes[j], ())),
                None => problems.push(GraphError::UnknownDependency {
                    task: task.id.clone(),
                    unknown: dependency.clone(),
                }),
            }
        }
    }
    for component in tarjan_scc(&graph) {
        let members: Vec<usize> = component.iter().map(|node| graph[*node]).collect();
        let is_cycle = members.len() > 1 || graph.contains_edge(component[0], component[0]);
        if is_cycle {
            problems.push(GraphError::Cycle { cycle: one_cycle(tasks, &index, &members) });
        }
    }
    problems
}

/// One cycle inside a strongly connected component, as a path from its first task in the file.
///
/// Walks to a dependency inside the component until a task comes up again: in a strongly connected component
/// there always is one to walk to.
fn one_cycle(tasks: &[TaskSpec], index: &BTreeMap<&TaskId, usize>, members: &[usize]) -> Vec<TaskId> {
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
        at = tasks[i].depends_on.iter().filter_map(|id| index.get(id).copied()).find(|j| inside.contains(j));
    }
    walk.iter().map(|&i| tasks[i].id.clone()).collect()
}

/// The dependencies of a sound plan, ready for questions.
#[derive(Clone, Debug)]
pub struct Graph {
    /// In the order in which ready tasks are handed out: by phase as the plan lists them, then by id.
    tasks: Vec<Node>,
    index: BTreeMap<TaskId, usize>,
}

#[derive(Clone, Debug)]
struct Node {
    id: TaskId,
    depends_on: Vec<TaskId>,
}

impl Graph {
    /// Reads the dependencies of a plan. What is unsound in them blocks its task for ever; see [`problems`].
    #[must_use]
    pub fn new(spec: &PlanSpec) -> Self {
        let phases: BTreeMap<&str, usize> =
            spec.phases.iter().enumerate().map(|(i, phase)| (phase.number.as_str(), i)).collect();
        let rank = |task: &TaskSpec| {
            task.phase.as_deref().and_then(|phase| phases.get(phase)).copied().unwrap_or(usize::MAX)
        };
        let mut sorted: Vec<&TaskSpec> = spec.tasks.iter().collect();
        sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id)));
        let tasks: Vec<Node> = sorted
            .into_iter()
            .map(|task| Node { id: task.id.clone(), depends_on: task.depends_on.clone() })
            .collect();
        let index = tasks.iter().enumerate().map(|(i, node)| (node.id.clone(), i)).collect();
        Self { tasks, index }
    }

    /// All tasks, in the order in which they would be handed out if nothing blocked them.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.iter().map(|node| &node.id)
    }

    /// What a task waits for by definition; empty for an unknown task.
    #[must_use]
    pub fn dependencies(&self, task: &TaskId) -> &[TaskId] {
        self.index.get(task).map_or(&[], |&i| &self.tasks[i].depends_on)
    }

    /// The tasks that may start now: pending, and all they depend on completed or skipped. In the order in which
    /// they are handed out. `status` answers for each task of the plan; `None` counts as not done.
    pub fn ready<'a>(
        &'a self,
        status: impl Fn(&TaskId) -> Option<TaskStatus> + 'a,
    ) -> impl Iterator<Item = &'a TaskId> + 'a {
        self.tasks.iter().filter_map(move |node| {
            let ready = status(&node.id) == Some(TaskStatus::Pending)
                && node.depends_on.iter().all(|id| satisfies(status(id)));
            ready.then_some(&node.id)
        })
    }

    /// The dependencies of a task that are not done yet.
    pub fn blockers<'a>(
        &'a self,
        task: &TaskId,
        status: impl Fn(&TaskId) -> Option<TaskStatus> + 'a,
    ) -> impl Iterator<Item = &'a TaskId> + 'a {
        self.dependencies(task).iter().filter(move |id| !satisfies(status(id)))
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
        let found: Vec<String> = problems(tasks).iter().map(ToString::to_string).collect();
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
    fn a_chain_of_100_000_tasks_neither_overflows_the_stack_nor_takes_long() {
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
        let phase = |number: &str| PhaseSpec {
            number: number.into(),
            name: String::new(),
            verification: Vec::new(),
            extra: serde_json::Map::new(),
        };
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
}
