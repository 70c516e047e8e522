//! Commands that did not start: when each is tried again, and when there is no point in going on on this
//! host.

use std::{collections::BTreeMap, time::Duration};

use planlease_core::TaskId;
use tokio::time::Instant;

/// How many attempts in a row may fail to start before nothing more is tried.
const IN_A_ROW: u32 = 3;

/// How long a task rests after its command did not start: twice as long after each further time …
const REST: Duration = Duration::from_secs(1);

/// … but no longer than this.
const REST_MAX: Duration = Duration::from_secs(60);

/// What is known of the commands that did not start, during one ownership.
#[derive(Debug, Default)]
pub(super) struct Unstarted {
    /// How often in a row, and until when the task rests.
    tasks: BTreeMap<TaskId, (u32, Instant)>,
    in_a_row: u32,
    why: String,
}

impl Unstarted {
    /// Notes that the command of a task did not start.
    pub(super) fn note(&mut self, task: TaskId, why: &str, now: Instant) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.why = format!("task {task} did not start: {why}");
        let (times, until) = self.tasks.entry(task).or_insert((0, now));
        *until = now + REST.saturating_mul(1 << (*times).min(16)).min(REST_MAX);
        *times = times.saturating_add(1);
    }

    /// Notes that the command of a task did start: something works here.
    pub(super) fn started(&mut self, task: &TaskId) {
        self.in_a_row = 0;
        self.tasks.remove(task);
    }

    /// Whether the task is not to be tried yet.
    pub(super) fn rests(&self, task: &TaskId, now: Instant) -> bool {
        self.tasks.get(task).is_some_and(|(_, until)| *until > now)
    }

    /// The tasks that have rested.
    pub(super) fn rested(&self, now: Instant) -> Vec<TaskId> {
        let rested = self.tasks.iter().filter(|(_, (_, until))| *until <= now);
        rested.map(|(task, _)| task.clone()).collect()
    }

    /// When the next task has rested.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.tasks.values().map(|(_, until)| *until).filter(|until| *until > now).min()
    }

    /// Why nothing more is to be started for now, if so.
    pub(super) fn verdict(&self) -> Option<&str> {
        (self.in_a_row >= IN_A_ROW).then_some(self.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str) -> TaskId {
        TaskId::new(id).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_start_rests_twice_as_long_each_time() {
        let (mut unstarted, now) = (Unstarted::default(), Instant::now());
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            unstarted.note(task("1"), "why", now);
            unstarted.in_a_row = 0;
            assert_eq!(unstarted.next(now), Some(now + Duration::from_secs(rest)));
        }
        assert!(unstarted.rests(&task("1"), now) && !unstarted.rests(&task("2"), now));
        assert!(!unstarted.rests(&task("1"), now + REST_MAX));
        assert_eq!((unstarted.rested(now), unstarted.rested(now + REST_MAX)), (vec![], vec![task("1")]));
    }

    #[tokio::test(start_paused = true)]
    async fn failed_starts_in_a_row_pause_further_starts() {
        let (mut unstarted, now) = (Unstarted::default(), Instant::now());
        unstarted.note(task("1"), "why", now);
        unstarted.note(task("2"), "why", now);
        assert_eq!(unstarted.verdict(), None);
        unstarted.started(&task("3"));
        unstarted.note(task("1"), "why", now);
        unstarted.note(task("1"), "why", now);
        assert_eq!(unstarted.verdict(), None, "something started in between");
        unstarted.note(task("2"), "no such file", now);
        assert_eq!(unstarted.verdict(), Some("task 2 did not start: no such file"));
        unstarted.started(&task("4"));
        assert_eq!(unstarted.verdict(), None);
    }
}
