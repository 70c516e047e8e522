//! How long a plan may still take: its critical path, and what so many jobs at once come to.
//!
//! A task counts as long as its own completed attempt took, else as the mean of the plan's completed ones,
//! else as the given default. What is in progress has the rest of that left. What failed for good, and what
//! waits for it, never ends: it is left out and counted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use crate::{graph::Graph, id::TaskId, time::MAX_DURATION, transition::TaskStatus};

/// What is known about one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where it stands.
    pub status: TaskStatus,
    /// How long it took, if it is done; how long it is in progress.
    pub took: Option<Duration>,
    /// Whether only an operator can reset it.
    pub stuck: bool,
}

/// How long a plan may still take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The longest chain of tasks that wait for each other and are still to be done, first one first.
    pub critical_path: Vec<TaskId>,
    /// How long it takes: with any number of jobs it does not go faster.
    pub critical: Duration,
    /// How long all that is to be done takes, one after the other.
    pub work: Duration,
    /// How long it takes with so many jobs, each of which begins whichever ready task comes first.
    pub with_jobs: Duration,
    /// The mean of what the completed tasks took, if there are any.
    pub mean: Option<Duration>,
    /// How many tasks are to be done.
    pub tasks: usize,
    /// Those that cannot be done: they failed for good, or wait for one that did.
    pub stuck: Vec<TaskId>,
}

impl Estimate {
    /// How many jobs are busy on average if there are enough of them.
    #[must_use]
    pub fn parallelism(&self) -> f64 {
        if self.critical.is_zero() { 0.0 } else { self.work.as_secs_f64() / self.critical.as_secs_f64() }
    }
}

/// Estimates. `known` describes each task of the plan; linear in tasks and dependencies, but for a logarithm.
#[must_use]
pub fn estimate(
    graph: &Graph,
    known: impl Fn(&TaskId) -> Option<Known>,
    jobs: usize,
    default: Duration,
) -> Estimate {
    let tasks: Vec<&TaskId> = graph.tasks().collect();
    let index: BTreeMap<&TaskId, usize> = tasks.iter().enumerate().map(|(i, task)| (*task, i)).collect();
    // Times of records and guesses are bounded, so that no sum of them overflows.
    let bounded = |known: Known| Known { took: known.took.map(|took| took.min(MAX_DURATION)), ..known };
    let known: Vec<Option<Known>> = tasks.iter().map(|task| known(task).map(bounded)).collect();
    let took: Vec<Duration> = known
        .iter()
        .flatten()
        .filter(|known| known.status == TaskStatus::Completed)
        .filter_map(|known| known.took)
        .collect();
    let mean = u32::try_from(took.len()).ok().filter(|count| *count > 0);
    let mean = mean.map(|count| took.iter().sum::<Duration>() / count);
    let usual = mean.unwrap_or(default.min(MAX_DURATION));
    let left = |known: &Known| match known.status {
        TaskStatus::Completed | TaskStatus::Skipped => None,
        TaskStatus::InProgress => Some(usual.saturating_sub(known.took.unwrap_or_default())),
        TaskStatus::Pending | TaskStatus::Failed => Some(usual),
    };
    let left: Vec<Option<Duration>> = known.iter().map(|known| known.as_ref().and_then(left)).collect();
    let mut network = Network::new(graph, &tasks, &index, &left);
    let stuck: Vec<usize> = network.stuck(|i| known[i].is_none_or(|known| known.stuck));
    let mut estimate = Estimate {
        mean,
        tasks: left.iter().flatten().count(),
        stuck: stuck.iter().map(|&i| tasks[i].clone()).collect(),
        work: left.iter().flatten().sum(),
        ..Estimate::default()
    };
    for &i in &stuck {
        estimate.work -= network.left[i].take().unwrap_or_default();
    }
    estimate.tasks -= stuck.len();
    (estimate.critical_path, estimate.critical) = network.longest(&tasks);
    estimate.with_jobs = network.with_jobs(jobs.max(1));
    estimate
}

/// What is to be done, and who waits for whom; places are those of the graph's tasks.
struct Network {
    left: Vec<Option<Duration>>,
    /// Whom each waits for, of those that are to be done.
    waits: Vec<Vec<usize>>,
    /// Who waits for each.
    waiters: Vec<Vec<usize>>,
}

impl Network {
    fn new(
        graph: &Graph,
        tasks: &[&TaskId],
        index: &BTreeMap<&TaskId, usize>,
        left: &[Option<Duration>],
    ) -> Self {
        let mut network = Self {
            left: left.to_vec(),
            waits: vec![Vec::new(); tasks.len()],
            waiters: vec![Vec::new(); tasks.len()],
        };
        for (i, task) in tasks.iter().enumerate().filter(|(i, _)| left[*i].is_some()) {
            let on = graph.waits(task).iter().filter_map(|wait| index.get(&wait.on).copied());
            for j in on.filter(|&j| left[j].is_some()) {
                network.waits[i].push(j);
                network.waiters[j].push(i);
            }
        }
        network
    }

    /// What can never be done, and all that waits for it.
    fn stuck(&self, never: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut stuck: BTreeSet<usize> =
            (0..self.left.len()).filter(|&i| self.left[i].is_some() && never(i)).collect();
        let mut next: Vec<usize> = stuck.iter().copied().collect();
        while let Some(i) = next.pop() {
            next.extend(self.waiters[i].iter().filter(|&&j| stuck.insert(j)));
        }
        stuck.into_iter().collect()
    }

    /// The tasks in an order in which each comes after those it waits for; without what is in a cycle.
    fn sorted(&self) -> Vec<usize> {
        let mut open: Vec<usize> = self.waits.iter().map(Vec::len).collect();
        let mut sorted: Vec<usize> = (0..open.len()).filter(|&i| open[i] == 0).collect();
        let mut next = 0;
        while next < sorted.len() {
            for &j in &self.waiters[sorted[next]] {
                open[j] -= 1;
                if open[j] == 0 {
                    sorted.push(j);
                }
            }
            next += 1;
        }
        sorted
    }

    fn longest(&self, tasks: &[&TaskId]) -> (Vec<TaskId>, Duration) {
        let mut ends: Vec<Duration> = vec![Duration::ZERO; self.left.len()];
        let mut before: Vec<Option<usize>> = vec![None; self.left.len()];
        for i in self.sorted() {
            let Some(left) = self.left[i] else { continue };
            before[i] = self.waits[i]
                .iter()
                .copied()
                .filter(|&j| self.left[j].is_some())
                .max_by_key(|&j| (ends[j], Reverse(j)));
            ends[i] = before[i].map_or(Duration::ZERO, |j| ends[j]) + left;
        }
        let last = (0..ends.len()).filter(|&i| self.left[i].is_some()).max_by_key(|&i| (ends[i], Reverse(i)));
        let critical = last.map_or(Duration::ZERO, |i| ends[i]);
        let mut path: Vec<TaskId> =
            std::iter::successors(last, |&i| before[i]).map(|i| tasks[i].clone()).collect();
        path.reverse();
        (path, critical)
    }

    /// When all is done if so many are at work, each taking the first ready task.
    fn with_jobs(&self, jobs: usize) -> Duration {
        let mut open: Vec<usize> =
            self.waits.iter().map(|on| on.iter().filter(|&&j| self.left[j].is_some()).count()).collect();
        let mut ready: BTreeSet<usize> =
            (0..open.len()).filter(|&i| open[i] == 0 && self.left[i].is_some()).collect();
        let mut running = BinaryHeap::new();
        let mut now = Duration::ZERO;
        loop {
            while running.len() < jobs
                && let Some(i) = ready.pop_first()
            {
                running.push(Reverse((now + self.left[i].unwrap_or_default(), i)));
            }
            let Some(Reverse((end, i))) = running.pop() else { return now };
            now = end;
            for &j in self.waiters[i].iter().filter(|&&j| self.left[j].is_some()) {
                open[j] -= 1;
                if open[j] == 0 {
                    ready.insert(j);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{PlanSpec, TaskSpec};

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    /// `a` before `b` and `c`, both before `d`; `e` alone.
    fn graph() -> Graph {
        let task = |text: &str, depends_on: &[&str]| TaskSpec {
            depends_on: depends_on.iter().map(|text| id(text)).collect(),
            ..TaskSpec::new(id(text), "work")
        };
        let tasks = vec![
            task("a", &[]),
            task("b", &["a"]),
            task("c", &["a"]),
            task("d", &["b", "c"]),
            task("e", &[]),
        ];
        Graph::new(&PlanSpec { tasks, ..PlanSpec::default() })
    }

    fn look(jobs: usize, of: &[(&str, TaskStatus, u64, bool)]) -> Estimate {
        let known = |task: &TaskId| {
            let found = of.iter().find(|(text, ..)| *text == task.as_str());
            Some(found.map_or(
                Known { status: TaskStatus::Pending, took: None, stuck: false },
                |(_, status, secs, stuck)| Known {
                    status: *status,
                    took: Some(Duration::from_secs(*secs)),
                    stuck: *stuck,
                },
            ))
        };
        estimate(&graph(), known, jobs, Duration::from_secs(60))
    }

    fn secs(of: Duration) -> u64 {
        of.as_secs()
    }

    #[test]
    fn stuck_tasks_are_taken_out_of_the_count_and_the_work() {
        let found = look(2, &[("e", TaskStatus::Failed, 0, true)]);
        assert_eq!((found.tasks, found.stuck, secs(found.work)), (4, vec![id("e")], 240));
    }

    #[test]
    fn nothing_done_yet_counts_by_the_default() {
        let found = look(2, &[]);
        assert_eq!(found.critical_path, [id("a"), id("b"), id("d")]);
        assert_eq!((secs(found.critical), secs(found.work), secs(found.with_jobs)), (180, 300, 180));
        assert_eq!((found.tasks, found.mean), (5, None));
        assert!((found.parallelism() - 5.0 / 3.0).abs() < 1e-9);
        assert_eq!(secs(look(1, &[]).with_jobs), 300);
    }

    #[test]
    fn what_was_measured_counts_and_what_runs_has_the_rest_left() {
        let done = TaskStatus::Completed;
        let found = look(
            1,
            &[("a", done, 10, false), ("e", done, 30, false), ("b", TaskStatus::InProgress, 15, false)],
        );
        assert_eq!(found.mean.map(secs), Some(20));
        assert_eq!(found.critical_path, [id("c"), id("d")]);
        assert_eq!((secs(found.critical), secs(found.work), secs(found.with_jobs)), (40, 45, 45));
    }

    #[test]
    fn a_failed_task_blocks_its_dependents_only() {
        let found = look(1, &[("b", TaskStatus::Failed, 5, true)]);
        assert_eq!(found.stuck, [id("b"), id("d")]);
        assert_eq!(found.critical_path, [id("a"), id("c")]);
        assert_eq!((found.tasks, secs(found.work), secs(found.with_jobs)), (3, 180, 180));
    }

    #[test]
    fn times_that_no_clock_measured_do_not_overflow() {
        let known = |task: &TaskId| {
            let status = if task.as_str() < "c" { TaskStatus::Completed } else { TaskStatus::Pending };
            Some(Known { status, took: Some(Duration::MAX), stuck: false })
        };
        let found = estimate(&graph(), known, 2, Duration::MAX);
        assert_eq!((found.mean, found.tasks), (Some(MAX_DURATION), 3));
    }

    #[test]
    fn a_long_chain_is_no_problem() {
        let tasks = (0..50_000_u32).map(|n| TaskSpec {
            depends_on: n.checked_sub(1).map(|before| id(&before.to_string())).into_iter().collect(),
            ..TaskSpec::new(id(&n.to_string()), "work")
        });
        let graph = Graph::new(&PlanSpec { tasks: tasks.collect(), ..PlanSpec::default() });
        let known = |_: &TaskId| Some(Known { status: TaskStatus::Pending, took: None, stuck: false });
        let found = estimate(&graph, known, 4, Duration::from_secs(1));
        assert_eq!((found.critical_path.len(), secs(found.with_jobs)), (50_000, 50_000));
    }
}
