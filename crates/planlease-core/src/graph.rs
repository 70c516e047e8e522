//! What the tasks of a plan wait for, as a graph: whether it is sound, which tasks are ready, what blocks the
//! others.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use petgraph::{algo::tarjan_scc, graph::DiGraph};

pub use crate::order::GraphError;
use crate::{
    dependency::State,
    id::{PoolName, TaskId},
    on_failed::OnDependencyFailed,
    order::{self, Wait, Why},
    pool::Pools,
    record::TaskRecord,
    spec::{PlanSpec, Policies, Policy, TaskSpec},
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
    let inside: BTreeSet<usize> = members.iter().copied().collect();
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
    /// How its tasks are treated, if a failure decides anything about the tasks behind it.
    policies: Option<Arc<Policies>>,
    /// Whether any of its tasks uses a pool.
    uses_pools: bool,
}

#[derive(Clone, Debug)]
struct Node {
    id: TaskId,
    waits: Box<[Wait]>,
    /// Those of them that are part of the order of phases, if there is one: within its phase, and in the
    /// phases before.
    in_order: Box<[Wait]>,
    /// The pools that it uses, if it uses any.
    pools: Option<Box<Pools>>,
}

/// The pools that a task uses: its own, else those of the plan's policy.
fn pools(spec: &PlanSpec, task: &TaskSpec) -> Option<Box<Pools>> {
    let own = task.policy.as_ref().and_then(|policy| policy.pools.as_ref());
    let pools = own.unwrap_or(&spec.policy.pools);
    (!pools.is_empty()).then(|| Box::new(pools.clone()))
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
        let in_order = in_order(spec, &waits);
        let mut parts: Vec<_> = waits.into_iter().zip(in_order).map(Some).collect();
        let node = |i: usize| {
            let (waits, in_order) = parts[i].take().unwrap_or_default();
            let pools = pools(spec, &spec.tasks[i]);
            Node { id: spec.tasks[i].id.clone(), waits: waits.into(), in_order: in_order.into(), pools }
        };
        let tasks: Vec<Node> = places.into_iter().map(node).collect();
        let mut by_id: Vec<usize> = (0..tasks.len()).collect();
        by_id.sort_by(|&one, &other| tasks[one].id.cmp(&tasks[other].id));
        let policies = Some(Policies::of(spec)).filter(Policies::consider_failures);
        let uses_pools = tasks.iter().any(|node| node.pools.is_some());
        Self { tasks, by_id, policies: policies.map(Arc::new), uses_pools }
    }

    /// One task of a plan, of which nothing else is asked. Of the phases before it only those tasks are known
    /// that it waits for itself: see [`crate::reading::phases_decide`].
    pub(crate) fn of_one(spec: &PlanSpec, task: TaskId, waits: Vec<Wait>) -> Self {
        let pools = spec.task(&task).and_then(|task| pools(spec, task));
        let node = Node { id: task, waits: waits.into(), in_order: Box::default(), pools };
        let policies = Some(Policies::of(spec)).filter(Policies::consider_failures);
        let uses_pools = node.pools.is_some();
        Self { tasks: vec![node], by_id: vec![0], policies: policies.map(Arc::new), uses_pools }
    }

    /// The state of a task of the plan, as far as others wait for it.
    #[must_use]
    pub fn state(&self, task: &TaskId, record: &TaskRecord) -> State {
        match &self.policies {
            Some(policies) => State::of(record, policies.of_task(task)),
            // A failure keeps what is behind it waiting, for good or not.
            None => State::of(record, &Policy::default()),
        }
    }

    /// What becomes of the task when one that it waits for has failed for good.
    fn on_failed(&self, task: &TaskId) -> OnDependencyFailed {
        self.policies
            .as_ref()
            .map_or_else(OnDependencyFailed::default, |policies| policies.of_task(task).on_dependency_failed)
    }

    /// All tasks, in the order in which they would be handed out if nothing blocked them.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.iter().map(|node| &node.id)
    }

    /// What a task waits for by definition; empty for an unknown task.
    #[must_use]
    pub fn waits(&self, task: &TaskId) -> &[Wait] {
        self.node(task).map_or(&[], |node| &node.waits)
    }

    /// The pools that a task uses, if it uses any.
    #[must_use]
    pub fn pools(&self, task: &TaskId) -> Option<&Pools> {
        self.node(task)?.pools.as_deref()
    }

    /// Whether any of its tasks uses a pool.
    #[must_use]
    pub fn uses_pools(&self) -> bool {
        self.uses_pools
    }

    /// Whether a task uses one of these pools.
    #[must_use]
    pub fn uses_any(&self, task: &TaskId, pools: &BTreeSet<PoolName>) -> bool {
        !pools.is_empty()
            && self.pools(task).is_some_and(|uses| uses.iter().any(|(pool, _)| pools.contains(pool)))
    }

    /// All pools that its tasks use.
    #[must_use]
    pub fn all_pools(&self) -> BTreeSet<&PoolName> {
        let uses = self.tasks.iter().filter_map(|node| node.pools.as_deref());
        uses.flat_map(|pools| pools.iter().map(|(pool, _)| pool)).collect()
    }

    fn node(&self, task: &TaskId) -> Option<&Node> {
        let found = self.by_id.binary_search_by(|&i| self.tasks[i].id.cmp(task));
        found.ok().map(|at| &self.tasks[self.by_id[at]])
    }

    /// The tasks that may start now: pending, and all they wait for completed or skipped. In the order in
    /// which they are handed out. `state` answers for each task of the plan; `None` counts as not done.
    pub fn ready<'a, S: Into<State>>(
        &'a self,
        state: impl Fn(&TaskId) -> Option<S> + 'a,
    ) -> impl Iterator<Item = &'a TaskId> + 'a {
        let mut known = BTreeMap::new();
        let state = move |task: &TaskId| state(task).map(Into::into);
        self.tasks.iter().filter_map(move |node| {
            let on_failed = self.on_failed(&node.id);
            if self.policies.is_some() {
                known.clear(); // What is done for one task need not be for another.
            }
            let is_done = |wait: &Wait| is_done(state(&wait.on), on_failed);
            let may_start = |state: State| state.status == TaskStatus::Pending && !state.needs_approval;
            let ready = state(&node.id).is_some_and(may_start)
                && node.waits.iter().all(is_done)
                && self.open_before(node, is_done, &mut known).is_none();
            ready.then_some(&node.id)
        })
    }

    /// What a task still waits for. An order of phases holds also where the end of a phase was done, or
    /// skipped, before the rest of it: then the phases after it wait for one of that rest.
    pub fn blockers<'a, S: Into<State>>(
        &'a self,
        task: &TaskId,
        state: impl Fn(&TaskId) -> Option<S> + 'a,
    ) -> impl Iterator<Item = &'a Wait> + 'a {
        let (waits, on_failed) = (self.waits(task), self.on_failed(task));
        let is_done = move |wait: &Wait| is_done(state(&wait.on).map(Into::into), on_failed);
        let is_next = waits.iter().all(&is_done);
        let node = self.node(task).filter(|_| is_next);
        let before = node.and_then(|node| self.open_before(node, &is_done, &mut BTreeMap::new()));
        waits.iter().filter(move |wait| !is_done(wait)).chain(before)
    }

    /// What is open in the phases before that of a task of which all is done that it waits for itself.
    ///
    /// What ends a phase comes after the rest of it, and what begins it after the phase before: going back
    /// along both finds all of these phases. `known`: what was found from each task on.
    fn open_before<'a>(
        &'a self,
        node: &'a Node,
        is_done: impl Fn(&Wait) -> bool,
        known: &mut BTreeMap<&'a TaskId, Option<&'a Wait>>,
    ) -> Option<&'a Wait> {
        let ends = node.waits.iter().filter(|wait| wait.why == Why::PhaseSequence);
        for end in ends {
            let (mut left, mut seen) = (vec![&end.on], BTreeSet::new());
            let mut open = None;
            while let Some(id) = left.pop().filter(|_| open.is_none()) {
                match known.get(id) {
                    Some(found) => open = *found,
                    None if seen.insert(id) => {
                        let waits = self.node(id).map_or(&[][..], |node| &node.in_order);
                        open = waits.iter().find(|wait| !is_done(wait));
                        left.extend(waits.iter().map(|wait| &wait.on));
                    }
                    None => {}
                }
            }
            match open {
                Some(_) => drop(known.insert(&end.on, open)),
                None => known.extend(seen.into_iter().map(|id| (id, None))),
            }
            if open.is_some() {
                return open;
            }
        }
        None
    }
}

/// For each task of the plan, what it waits for in its phase and in the phases before; nothing if the plan
/// says no order of phases.
fn in_order(spec: &PlanSpec, waits: &[Vec<Wait>]) -> Vec<Vec<Wait>> {
    if !waits.iter().flatten().any(|wait| wait.why == Why::PhaseSequence) {
        return vec![Vec::new(); waits.len()];
    }
    let phases: BTreeMap<&TaskId, &str> =
        spec.tasks.iter().filter_map(|task| Some((&task.id, task.phase.as_deref()?))).collect();
    let of_task = |(task, waits): (&TaskSpec, &Vec<Wait>)| {
        let is_in_order = |wait: &&Wait| {
            let phase = task.phase.as_deref();
            wait.why == Why::PhaseSequence || phase.is_some() && phases.get(&wait.on).copied() == phase
        };
        let waits = waits.iter().filter(is_in_order);
        waits.map(|wait| Wait { on: wait.on.clone(), why: Why::PhaseSequence }).collect()
    };
    spec.tasks.iter().zip(waits).map(of_task).collect()
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

fn is_done(state: Option<State>, on_failed: OnDependencyFailed) -> bool {
    state.is_some_and(|state| state.satisfies(on_failed))
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
    fn an_order_of_phases_holds_whatever_was_skipped() {
        let in_phase = |id: &str, depends: &[&str]| TaskSpec {
            phase: id.split('.').next().map(str::to_owned),
            ..task(id, depends)
        };
        let phase = |number: &str| PhaseSpec { number: number.into(), ..PhaseSpec::default() };
        let phases = ["1", "2", "3"].map(str::to_owned).to_vec();
        let spec = PlanSpec {
            phases: ["1", "2", "3"].map(phase).to_vec(),
            tasks: vec![
                in_phase("1.1", &[]),
                in_phase("1.2", &["1.1"]),
                in_phase("2.1", &[]),
                in_phase("2.2", &["2.1"]),
                in_phase("3.1", &[]),
                in_phase("3.2", &[]),
            ],
            sequential: vec![crate::spec::Group { phases, ..Default::default() }],
            ..PlanSpec::default()
        };
        let graph = Graph::new(&spec);
        for (done, ready, blocker) in [
            (&[][..], &["1.1"][..], Some("2.2")),
            (&["1.2"], &["1.1"], Some("2.2")),
            (&["1.2", "2.2"], &["1.1"], Some("2.1")),
            (&["1.2", "2.1", "2.2"], &["1.1"], Some("1.1")),
            (&["1.1", "1.2", "2.2"], &["2.1"], Some("2.1")),
            (&["1.1", "1.2", "2.1", "2.2"], &["3.1", "3.2"], None),
        ] {
            let status = |id: &TaskId| {
                let is_done = done.contains(&id.as_str());
                Some(if is_done { TaskStatus::Skipped } else { TaskStatus::Pending })
            };
            assert_eq!(graph.ready(status).map(TaskId::as_str).collect::<Vec<_>>(), ready, "{done:?}");
            let last = TaskId::new("3.1").unwrap();
            assert_eq!(
                graph.blockers(&last, status).next().map(|wait| wait.on.as_str()),
                blocker,
                "{done:?}"
            );
        }
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
