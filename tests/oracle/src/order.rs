//! Whether the order of the answers to clients is one in which things can have happened.
//!
//! Strict serializability, given a witness: etcd's revisions are the order of all writes. So each call has a
//! range of revisions at which it can have taken effect: a write its own; a read of a record all from the one
//! that wrote it to the one before it was written over; a read of a plan the one that it names. What reads a
//! revision comes after what wrote it, so each revision has two points. It remains to be seen whether a point
//! can be chosen for each so that a call that began after another one had been answered does not come before
//! it. As all ranges lie on one line, choosing the lowest point that is left, call by call in the order in
//! which they began, finds a choice if there is one: polynomial, where the search without a witness
//! ([`crate::search`]) is exponential.

use std::{collections::BTreeMap, time::Duration};

use planlease_core::{PlanName, Revision, TaskId};

use crate::{
    history::TaskWrite,
    journal::{Call, Reply, What},
};

/// When a call can take effect: the writes of a revision, and after them what sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    revision: u64,
    seen: bool,
}

impl Point {
    fn written(revision: Revision) -> Self {
        Self { revision: revision.get(), seen: false }
    }

    fn seen(revision: Revision) -> Self {
        Self { revision: revision.get(), seen: true }
    }
}

/// A call with the points at which it can have taken effect, both inclusive.
#[derive(Clone, Debug)]
struct Span {
    what: String,
    began: Duration,
    ended: Duration,
    low: Point,
    high: Point,
}

/// Checks the order, and that what was read is what was there. One sentence per violation.
#[must_use]
pub fn check(writes: &[TaskWrite], calls: &[Call]) -> Vec<String> {
    let mut violations = Vec::new();
    let tasks = Tasks::of(writes);
    let mut spans: Vec<Span> = calls.iter().filter_map(|call| span(call, &tasks, &mut violations)).collect();
    spans.sort_by_key(|span| span.began);
    // The answers in the order in which they came: what was known to a client when a call began.
    let mut answers: Vec<(Duration, usize)> =
        spans.iter().enumerate().map(|(index, span)| (span.ended, index)).collect();
    answers.sort_unstable();
    let mut answers = answers.into_iter().peekable();
    let mut floor = (Point::default(), None);
    for index in 0..spans.len() {
        let began = spans[index].began;
        while let Some((_, earlier)) = answers.next_if(|(ended, _)| *ended < began) {
            floor = floor.max((spans[earlier].low, Some(earlier)));
        }
        let span = &mut spans[index];
        span.low = span.low.max(floor.0);
        if span.low > span.high {
            let earlier = floor.1.map_or_else(String::new, |earlier| spans[earlier].what.clone());
            let span = &spans[index];
            violations.push(format!(
                "{} (called at {:?}) took effect at revision {} at the latest, but {earlier} was answered before, with \
                 revision {}",
                span.what, span.began, span.high.revision, floor.0.revision
            ));
        }
    }
    violations
}

fn span(call: &Call, tasks: &Tasks, violations: &mut Vec<String>) -> Option<Span> {
    let (ended, reported) = call.reported.as_ref()?;
    let of = |what: String, low: Point, high: Point| {
        Some(Span { what, began: call.began, ended: *ended, low, high })
    };
    let who = |verb: &str, task: &TaskId| format!("{} {verb} task {task} of {}", call.client, call.plan);
    match (&call.what, reported) {
        (What::Write { task, .. }, Reply::Committed(_, revision)) => {
            of(who("writing", task), Point::written(*revision), Point::written(*revision))
        }
        (What::Write { task, .. }, Reply::Refused(_, Some(present)))
        | (What::Read(task) | What::Write { task, .. }, Reply::Record(Some(present))) => {
            let what = who("reading", task);
            let Some(until) = tasks.until(&call.plan, task, *present) else {
                violations.push(format!("{what} was shown revision {present}, which did not write it"));
                return None;
            };
            of(what, Point::seen(*present), until)
        }
        (What::ReadPlan, Reply::Plan(at, records)) => {
            let what = format!("{} reading {}", call.client, call.plan);
            for (task, shown) in records {
                let there = tasks.at(&call.plan, task, *at);
                if there != Some(*shown) {
                    violations.push(format!(
                        "{what} at revision {at} was shown task {task} of revision {shown}, where {there:?} was there"
                    ));
                }
            }
            of(what, Point::seen(*at), Point::seen(*at))
        }
        _ => None,
    }
}

/// A revision that wrote a task, and the one that deleted what it wrote.
type Lived = (Revision, Option<Revision>);

/// What wrote each task, in order.
struct Tasks(BTreeMap<PlanName, BTreeMap<TaskId, Vec<Lived>>>);

impl Tasks {
    fn of(writes: &[TaskWrite]) -> Self {
        let mut tasks: BTreeMap<PlanName, BTreeMap<TaskId, Vec<Lived>>> = BTreeMap::new();
        for write in writes {
            let plan = tasks.entry(write.plan.clone()).or_default();
            plan.entry(write.task.clone()).or_default().push((write.revision, write.gone));
        }
        Self(tasks)
    }

    fn revisions(&self, plan: &PlanName, task: &TaskId) -> &[Lived] {
        self.0.get(plan).and_then(|plan| plan.get(task)).map_or(&[], Vec::as_slice)
    }

    /// The last moment at which the record of `written` was still there.
    fn until(&self, plan: &PlanName, task: &TaskId, written: Revision) -> Option<Point> {
        let revisions = self.revisions(plan, task);
        let index = revisions.iter().position(|(revision, _)| *revision == written)?;
        let next = revisions[index].1.or_else(|| revisions.get(index + 1).map(|(next, _)| *next));
        let next = next.map_or(u64::MAX, Revision::get);
        Some(Point { revision: next - 1, seen: true })
    }

    /// The revision that had written the record at that time.
    fn at(&self, plan: &PlanName, task: &TaskId, at: Revision) -> Option<Revision> {
        let (written, gone) =
            self.revisions(plan, task).iter().rev().find(|(revision, _)| *revision <= at)?;
        gone.is_none_or(|gone| at < gone).then_some(*written)
    }
}
