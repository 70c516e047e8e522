//! What owners and workers do with the tasks of a plan, one step at a time: start, report, end, in every way
//! the library has. What is theirs they read from the store, and not from memory: a start whose answer was
//! lost is found there.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use planlease::{
    Authority, Error, Findings, Outcome, PlanView, TaskView,
    core::{
        TaskId,
        transition::{Change, TaskStatus},
    },
};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{
    actions::{Reply, What},
    clients::{Life, Member},
};

/// How many tasks one of them has in progress at once.
const AT_ONCE: usize = 4;

/// After how many failures a task is given up.
const FAILURES_MAX: u32 = 3;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// There is nothing to do here now.
    Idle,
    /// All tasks have come to their end.
    Finished,
    /// The authority is lost, or the plan is gone.
    Gone,
}

/// A text that no other actor writes.
pub(crate) fn words(who: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{who} says {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits for the answer; sometimes loses interest half way. `None` then.
pub(crate) async fn patiently<T>(random: &mut StdRng, future: impl Future<Output = T>) -> Option<T> {
    if !random.random_bool(0.03) {
        return Some(future.await);
    }
    tokio::time::timeout(Duration::from_millis(random.random_range(0..20)), future).await.ok()
}

/// The tasks in progress under this authority.
fn mine<'a>(view: &'a PlanView, authority: &Authority) -> Vec<&'a TaskView> {
    let guard = &authority.writer().guard;
    let is_mine = |task: &&TaskView| {
        task.record.claim.as_ref().is_some_and(|claim| claim.guard.as_ref() == Some(guard))
    };
    view.tasks().values().filter(is_mine).collect()
}

/// One step. `stale`: a view that may be out of date, from which is written now and then.
pub(crate) async fn step(
    member: &mut Member,
    life: &Life,
    authority: &Authority,
    stale: &mut Option<PlanView>,
) -> Step {
    let coordinator = life.session.coordinator();
    let read = life.client.plan(coordinator, authority.plan()).await;
    member.world.figures.answer("read a plan", &read);
    let present = match read {
        Ok(view) => view,
        Err(Error::PlanNotFound(_)) => return Step::Gone,
        Err(_) => return Step::Idle,
    };
    if present.summary().is_finished() {
        return Step::Finished;
    }
    let old = stale.replace(present.clone()).filter(|_| member.random.random_bool(0.05));
    let view = old.unwrap_or(present);
    let mine = mine(&view, authority);
    let ready: Vec<TaskId> = view.ready().cloned().collect();
    let busy = mine.len() >= AT_ONCE || ready.is_empty();
    let outcome = if !mine.is_empty() && (busy || member.random.random_bool(0.5)) {
        go_on(member, life, authority, &mine).await
    } else if let Some(task) = ready.choose(&mut member.random) {
        start(member, life, authority, &view, task).await
    } else {
        return Step::Idle;
    };
    match outcome {
        Some(Ok(Outcome::Refused(planlease::Refused::AuthorityLost(_)))) => Step::Gone,
        _ => Step::Done,
    }
}

type Answer = Option<Result<Outcome, Error>>;

async fn start(
    member: &mut Member,
    life: &Life,
    authority: &Authority,
    view: &PlanView,
    task: &TaskId,
) -> Answer {
    // Without dependencies there is nothing more to be compared, and the other ways are as good.
    let free = view.graph().waits(task).is_empty();
    let way = if free { member.random.random_range(0..4) } else { 0 };
    let answer = match (way, view.tasks().get(task)) {
        (1, Some(seen)) => {
            let start = life.client.update(authority, seen, None, &Change::Start);
            patiently(&mut member.random, start).await
        }
        (2, _) => {
            let start = life.client.modify(authority, task, |record| {
                (record.status == TaskStatus::Pending).then_some(Change::Start)
            });
            patiently(&mut member.random, start).await
        }
        _ => patiently(&mut member.random, life.client.start(authority, view, task)).await,
    };
    reported(member, "start", answer)
}

/// Reports on what is in progress, or ends it.
async fn go_on(member: &mut Member, life: &Life, authority: &Authority, mine: &[&TaskView]) -> Answer {
    if mine.len() > 1 && member.random.random_bool(0.3) {
        return all_at_once(member, life, authority, mine).await;
    }
    let seen = *mine.choose(&mut member.random)?;
    let (kind, change) = draw(member, &life.name);
    if kind == "complete" && member.random.random_bool(0.3) {
        output(member, life, authority, seen).await;
    }
    let attempt = match member.random.random_range(0..20) {
        0 => Some(seen.record.attempt.wrapping_sub(1)), // One that is over: it has to be refused.
        1..5 => None,
        _ => Some(seen.record.attempt),
    };
    if member.random.random_bool(0.2) {
        let holds = |guard| guard == Some(authority.writer().guard.clone());
        let modify = life.client.modify(authority, &seen.id, |record| {
            holds(record.claim.as_ref().and_then(|claim| claim.guard.clone())).then(|| change.clone())
        });
        let answer = patiently(&mut member.random, modify).await;
        return reported(member, "modify", answer);
    }
    let update = life.client.update(authority, seen, attempt, &change);
    let answer = patiently(&mut member.random, update).await;
    reported(member, kind, answer)
}

fn draw(member: &mut Member, who: &str) -> (&'static str, Change) {
    match member.random.random_range(0..20) {
        0..6 => ("progress", Change::Progress(words(who))),
        6..8 => ("fail", Change::Fail(words(who))),
        8 => ("return", Change::Return(words(who))),
        9 => ("skip", Change::Skip(words(who))),
        _ => ("complete", Change::Complete(Some(words(who)))),
    }
}

async fn all_at_once(member: &mut Member, life: &Life, authority: &Authority, mine: &[&TaskView]) -> Answer {
    let updates: Vec<(TaskView, Change)> =
        mine.iter().map(|seen| (TaskView::clone(seen), draw(member, &life.name).1)).collect();
    let all = life.client.update_all(authority, &updates);
    let answers = patiently(&mut member.random, all).await;
    match answers {
        None => {
            member.world.figures.count("update all", "dropped");
            None
        }
        Some(Err(error)) => reported(member, "update all", Some(Err(error))),
        Some(Ok(outcomes)) => {
            let mut last = None;
            for outcome in outcomes {
                last = reported(member, "update all", Some(Ok(outcome)));
            }
            last
        }
    }
}

async fn output(member: &mut Member, life: &Life, authority: &Authority, seen: &TaskView) {
    let text = words(&life.name);
    let what = What::Output(seen.id.clone(), text.clone());
    let entered = member.world.actions.enter(&life.name, authority.plan(), what);
    let findings = Findings::of_attempt(seen.record.attempt, &text);
    let write = authority.write_findings(&seen.id, &findings);
    let Some(answer) = patiently(&mut member.random, write).await else { return };
    member.world.figures.answer("write an output", &answer);
    entered.reported(Reply::of(&answer, |()| None));
}

fn reported(member: &Member, kind: &'static str, answer: Answer) -> Answer {
    match &answer {
        Some(answer) => member.world.figures.update(kind, answer),
        None => member.world.figures.count(kind, "dropped"),
    }
    answer
}

/// What an owner does about tasks that have failed and hold up others: tries them again, or leaves them out.
pub(crate) async fn repair(member: &mut Member, life: &Life, authority: &Authority, view: &PlanView) -> bool {
    let failed = |task: &&TaskView| task.record.status == TaskStatus::Failed;
    let Some(seen) = view.tasks().values().find(failed) else { return false };
    let again = seen.record.failures < FAILURES_MAX && seen.record.parked.is_none();
    let text = words(&life.name);
    let (kind, change) = if again { ("retry", Change::Retry(text)) } else { ("skip", Change::Skip(text)) };
    let update = life.client.update(authority, seen, None, &change);
    let answer = patiently(&mut member.random, update).await;
    matches!(reported(member, kind, answer), Some(Ok(Outcome::Committed(_))))
}
