//! The execution of one plan during one ownership: keeps ready tasks running, records what comes of them, and
//! stops everything when the ownership ends.
//!
//! It holds no task of its own: the caller that polls it drives it. The plan's state is kept from the answers
//! of its own writes and from one watch on the plan's tasks, since operators and workers may change them too.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future, stream::FuturesUnordered};
use planlease::{
    Authority, AuthorityLoss, Changes, Claimants, Error, Feed, Hands, Outcome, Ownership, PlanView, Refused,
    TaskTimers, TaskView,
    clock::{Clock, sleep_until},
    error_chain,
};
use planlease_core::{
    BootTime, PlanName, Summary, TaskId,
    keys::{Key, PlanKey},
    orphan,
    overdue::{Circumstances, Due, Ours},
    session::Status,
    spec::TaskSpec,
    steering::Steering,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::{
    asked::Asked, left::Left, pools::PoolWaits, short::Short, slots::JobSlots, unrecorded::Unrecorded,
    unstarted::Unstarted,
};
use crate::{
    attempt::{self, Ask},
    command::Pulse,
    executor::Commands,
    inputs::Inputs,
    options::{Options, Plans},
    report::{Report, Reporter},
    trace,
};

/// How long reading a record may take if nothing stands still.
const PROMPT: Duration = Duration::from_secs(1);

/// How long to leave etcd alone after it did not do what was asked.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How often starts are tried in a row, on what was read again in between.
const MAX_ROUNDS: usize = 32;

/// What all runners of an orchestrator share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) options: Arc<Options>,
    pub(crate) commands: Arc<dyn Commands>,
    pub(crate) jobs: Arc<Semaphore>,
    pub(crate) reporter: Reporter,
    pub(crate) stop: watch::Receiver<Stop>,
    /// What operators ask of the fleet.
    pub(crate) steering: watch::Receiver<Steering>,
}

/// Whether the orchestrator is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It is not.
    Run,
    /// Start nothing new, let what runs come to its end, release.
    Drain,
    /// Stop what runs, give its tasks back, release.
    Abort,
}

/// How the execution of a plan came to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Nothing is left to be done.
    Finished(Summary),
    /// The same of a plan that is not done, in which this ownership has done nothing.
    Idle(Summary),
    /// The orchestrator stops.
    Stopped,
    /// The ownership is over.
    Lost,
    /// The same, since an operator ended it by force: others are to have the plan.
    TakenAway,
    /// The plan could not be made ready, so nothing was done in it.
    NotBegun,
    /// Commands do not start on this host, for this reason; the plan was released.
    CannotStart(String),
    /// The same, since the host has been short of resources for long.
    Short(String),
}

pub(super) type Running =
    FuturesUnordered<Pin<Box<dyn Future<Output = (attempt::Result, OwnedSemaphorePermit)> + Send>>>;

/// An attempt that runs here.
pub(super) struct Attempt {
    /// Says that it is to be ended because of the time, or since it was cancelled, and why.
    overdue: watch::Sender<Option<String>>,
    /// When its command last wrote output.
    pulse: Pulse,
}

impl Attempt {
    /// Asks its command to end, for this reason. The first reason counts.
    pub(super) fn end(&self, why: &str) {
        self.overdue.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| why.to_owned());
            first
        });
    }
}

/// Executes one plan during one ownership.
pub(crate) struct Runner {
    pub(super) shared: Shared,
    pub(super) ownership: Ownership,
    pub(super) authority: Authority,
    pub(super) view: PlanView,
    pub(super) running: Running,
    /// The tasks whose attempts run here.
    pub(super) busy: BTreeMap<TaskId, Attempt>,
    /// Attempts that have ended, and whose ends are still to be recorded.
    pub(super) ended: VecDeque<Unrecorded>,
    /// When etcd did not do what was asked: not to be asked again before this.
    pub(super) not_before: Option<Instant>,
    /// The trouble that was reported last, so that it is reported once.
    pub(super) trouble: String,
    /// What is known of commands that did not start.
    pub(super) unstarted: Unstarted,
    /// Whether the plan was given back before since commands did not start: then their programs are looked
    /// for first.
    pub(super) wary: bool,
    /// What is known of a host that is short of resources.
    pub(super) short: Short,
    /// Starts whose answer got lost: they are found in the record if they happened, now or later.
    pub(super) unsure: Vec<(TaskId, Uuid)>,
    pub(super) ask: watch::Sender<Ask>,
    /// The workers that have claimed tasks of the plan.
    pub(super) claimants: Claimants,
    /// Whether one of them is gone, and what it left behind is still to be recovered.
    pub(super) claimant_gone: bool,
    /// The tasks that were reported as claimed by another process.
    pub(super) reported_others: BTreeSet<TaskId>,
    pub(super) slots: JobSlots,
    /// The tasks that are left to claimants.
    pub(super) left: Left,
    /// What is known of the pools that its tasks use.
    pub(super) pools: PoolWaits,
    /// Whether this ownership has done anything: recovered a task, started one, or ended one whose time was
    /// up.
    pub(super) was_of_use: bool,
    /// The timers of its tasks.
    pub(super) timers: TaskTimers,
    /// Whether the watch on the plan's tasks stands.
    pub(super) in_touch: bool,
    /// When the next thing is due for which only time has to pass.
    pub(super) due: Option<BootTime>,
    /// Whether the plan is to be given away.
    pub(super) asked: Asked,
    /// The pause of the plan that was reported, by whom and why.
    pub(super) pause: Option<(String, String)>,
}

impl Runner {
    /// Executes the plan until nothing is left to be done, the orchestrator stops, or the ownership is lost.
    /// `reserved`: the job slot of its first task, if there is one already. `wary`: whether it was given back
    /// before since its commands did not start.
    pub(crate) async fn run(
        shared: Shared,
        ownership: Ownership,
        reserved: Option<OwnedSemaphorePermit>,
        wary: bool,
    ) -> (PlanName, Ended) {
        let plan = ownership.plan().clone();
        let reporter = shared.reporter.clone();
        let (recovered, view) = match ownership.recover_with(orphan::recovery_after_rest).await {
            Ok(recovered) => recovered,
            Err(error) => {
                reporter.send(&Report::Lost { plan: plan.clone(), why: error_chain(&error) });
                let ended = if was_taken_away(&ownership).await { Ended::TakenAway } else { Ended::NotBegun };
                return (plan, ended);
            }
        };
        let (token, recovered) = (ownership.token(), recovered.len());
        reporter.send(&Report::Acquired { plan: plan.clone(), token, recovered });
        let mut ticked = view.pending_of_ticked(view.spec());
        ticked.retain(|task| view.tasks().get(task).is_some_and(|task| task.record.attempt == 0));
        if !ticked.is_empty() {
            reporter.send(&Report::Ticked { plan: plan.clone(), tasks: ticked });
        }
        let authority = ownership.authority();
        let (ask, _) = watch::channel(Ask::Run);
        let claimants = ownership.claimants();
        let timers = TaskTimers::new(view.spec());
        let slots = JobSlots::new(Arc::clone(&shared.jobs), reserved);
        let left = Left::by(&shared.options.offer(), view.spec());
        let runner = Self {
            shared,
            ownership,
            authority,
            view,
            running: Running::new(),
            busy: BTreeMap::new(),
            ended: VecDeque::new(),
            not_before: None,
            trouble: String::new(),
            unstarted: Unstarted::default(),
            wary,
            short: Short::default(),
            unsure: Vec::new(),
            ask,
            claimants,
            claimant_gone: false,
            reported_others: BTreeSet::new(),
            slots,
            left,
            pools: PoolWaits::default(),
            was_of_use: recovered > 0,
            timers,
            in_touch: false,
            due: None,
            asked: Asked::default(),
            pause: None,
        };
        (plan, runner.execute().await)
    }

    async fn execute(mut self) -> Ended {
        let coordinator = self.ownership.session().coordinator().clone();
        let plan = coordinator.layout().halts_and_tasks(self.ownership.plan());
        let mut changes = coordinator.raw().changes(plan, self.view.revision().next());
        loop {
            self.look_at_steering().await;
            self.report_pause();
            let stop = self.stop();
            let is_gone = self.shared.stop.has_changed().is_err(); // The caller.
            self.ask.send_if_modified(|ask| ask.follow(stop == Stop::Abort, is_gone));
            if let Err(why) = self.work(stop).await {
                return self.lose(why).await;
            }
            let recorded = self.ended.is_empty() || (stop == Stop::Abort && self.not_before.is_some());
            if self.running.is_empty()
                && self.ended.is_empty()
                && let Some(why) = self.unstarted.verdict()
            {
                let why = why.to_owned();
                self.release().await;
                return Ended::CannotStart(why);
            }
            if self.running.is_empty()
                && self.ended.is_empty()
                && let Some(why) = self.short.verdict()
            {
                let why = why.to_owned();
                self.release().await;
                return Ended::Short(why);
            }
            let nothing_to_come =
                stop != Stop::Run || !(self.has_ready() || self.waits_for_others() || self.due.is_some());
            if self.running.is_empty() && recorded && nothing_to_come {
                let Some(to) = self.successor() else { return self.finish(stop).await };
                match self.hand_over(&to).await {
                    Ok(ended) => return ended,
                    Err(runner) => self = *runner,
                }
                continue;
            }
            self.claimants.follow(&self.view).await;
            if let Err(why) = self.step(&mut changes).await {
                return self.lose(why).await;
            }
        }
    }

    /// Records what has ended, starts what is ready, and does what is due, unless etcd is in trouble. `Err`
    /// if the ownership is lost.
    async fn work(&mut self, stop: Stop) -> Result<(), String> {
        if self.not_before.is_none_or(|moment| moment <= Instant::now()) {
            self.not_before = None;
            self.record_ended().await?;
            if self.claimant_gone && self.not_before.is_none() {
                self.recover().await?;
            }
            if stop == Stop::Run && self.not_before.is_none() {
                self.start_ready().await?;
            }
        }
        self.end_cancelled();
        let due = self.look(stop);
        self.due = due.next;
        self.end_overdue(&due).await;
        if stop == Stop::Run { self.do_what_is_due(due).await } else { Ok(()) }
    }

    /// Looks what is due.
    fn look(&mut self, stop: Stop) -> Due {
        let in_touch = self.in_touch && self.not_before.is_none();
        let free = stop == Stop::Run && in_touch && self.may_start() && self.slots.is_free();
        let instant = Instant::now();
        let rested = self.view.ready().filter(|task| {
            free && !self.unstarted.rests(task, instant)
                && !self.pools.blocks(self.view.graph().pools(task), instant)
        });
        let ready: BTreeSet<&TaskId> = rested.collect();
        // What a command of ours has claimed by our authority is timed while we wait for that command; later
        // it is left to the next owner, who finds an orphan.
        let claims = if self.busy.is_empty() { Hands::Other } else { Hands::Delegated };
        let own = self.ownership.guard();
        let hands = |task: &TaskView| match self.busy.get(&task.id) {
            Some(attempt) => Hands::Ours(Ours { output: attempt.pulse.last() }),
            None if task.record.claim.as_ref().is_some_and(|claim| claim.guard.as_ref() == Some(&own)) => {
                claims
            }
            None => Hands::Other,
        };
        let now = Circumstances { now: self.now(), in_touch, halted: self.is_halted() };
        let startable = |task: &TaskId| ready.contains(task) && !self.left.has(task);
        self.timers.look(&self.view, now, startable, hands)
    }

    /// The present moment on the clock that decides.
    pub(super) fn now(&self) -> BootTime {
        self.ownership.session().coordinator().clock().boot()
    }

    /// How much of its total time a task has used up, if it is bounded.
    fn spent(&self, task: &TaskId) -> Option<Duration> {
        self.timers.spent(task, self.now())
    }

    /// Ends the attempts whose time is up.
    async fn end_overdue(&mut self, due: &Due) {
        for end in &due.ends {
            let known = self.busy.get(&end.task).is_some_and(|attempt| attempt.overdue.borrow().is_some());
            if known || (end.silent && !(self.in_touch && self.is_silent(&end.task).await)) {
                continue;
            }
            if let Some(attempt) = self.busy.get(&end.task) {
                attempt.end(&end.why);
            }
        }
    }

    /// Whether the last note of a task's command is really the last one. A note can be held up by an etcd
    /// that stands still: only a record that is read without delay proves the silence. Else the silence
    /// begins again as soon as etcd is heard again.
    async fn is_silent(&mut self, task: &TaskId) -> bool {
        self.due = Some(self.now()); // Unless it is ended, its time is to be counted again.
        let coordinator = self.ownership.session().coordinator().clone();
        let read = coordinator.task(self.ownership.plan(), task);
        match tokio::time::timeout(PROMPT, read).await {
            Ok(Ok(Some(present))) => {
                let noted =
                    self.view.tasks().get(task).is_some_and(|known| known.revision < present.revision);
                self.view.apply_task(present);
                !noted
            }
            Ok(Ok(None)) => false,
            Ok(Err(_)) | Err(_) => {
                self.in_touch = false;
                false
            }
        }
    }

    /// Puts back, gives up and hands over what the time has come for. `Err` if the ownership is lost.
    async fn do_what_is_due(&mut self, due: Due) -> Result<(), String> {
        if due.changes.is_empty() {
            return Ok(());
        }
        let now = self.now();
        self.due = Some(now); // What comes of it is to be looked at, and what is not done stays due.
        if self.not_before.is_some() {
            return Ok(());
        }
        let carried = match self.timers.carry_out(&self.authority, &mut self.view, due.changes, now).await {
            Ok(carried) => carried,
            Err(error) => {
                self.wait_for_better(error_chain(&error));
                return Ok(());
            }
        };
        for (task, change) in &carried.written {
            self.was_of_use = true;
            if let Some(why) = change.reason() {
                let (plan, why) = (self.ownership.plan().clone(), why.to_owned());
                let (task, status) = (task.id.clone(), task.record.status);
                self.shared.reporter.send(&Report::Overdue { plan, task, status, why });
            }
        }
        if let Some(loss) = carried.lost {
            return Err(explain(&self.ownership, &loss).await);
        }
        if !carried.again {
            return Ok(());
        }
        self.due = Some(self.now().plus(ASK_AGAIN));
        self.reread().await
    }

    /// Recovers what lost workers left in progress. `Err` if the ownership is lost.
    async fn recover(&mut self) -> Result<(), String> {
        match self.ownership.recover_with(orphan::recovery_after_rest).await {
            Ok((_, view)) => {
                self.claimant_gone = false;
                self.see(view);
                Ok(())
            }
            Err(Error::AuthorityLost(loss)) => Err(explain(&self.ownership, &loss).await),
            Err(error) => {
                self.wait_for_better(error_chain(&error));
                Ok(())
            }
        }
    }

    /// Whether to stay for what others do: while they have tasks in progress, and, for an orchestrator of
    /// named plans, as long as tasks are left to them. One that takes whatever there is leaves a plan in
    /// which only others can start something: one of them may want to own it.
    fn waits_for_others(&mut self) -> bool {
        let news = self.left.news(self.view.ready());
        if !news.is_empty() {
            let plan = self.ownership.plan().clone();
            self.shared.reporter.send(&Report::Left { plan, tasks: news });
        }
        let for_others = self.view.ready().any(|task| self.left.has(task));
        match self.shared.options.plans {
            Plans::Named(_) => self.others_at_work() || for_others,
            Plans::All => self.others_at_work(),
            Plans::Follow => !for_others && self.others_at_work(),
        }
    }

    /// Whether a worker or a person has a task in progress: what depends on it may become ready, and if the
    /// worker is lost, the owner has to recover the task. Nothing works on a task whose result waits
    /// for approval. What was claimed under this ownership, but does not
    /// run here, is not waited for: the claim lasts as long as the ownership, whose end makes an orphan of
    /// it.
    fn others_at_work(&mut self) -> bool {
        let own = self.ownership.guard();
        let others = self.view.tasks().values().filter(|task| {
            let claim = task.record.claim.as_ref();
            claim.is_some_and(|claim| claim.guard.as_ref() != Some(&own))
                && !task.record.result_waits()
                && !self.busy.contains_key(&task.id)
        });
        let others: Vec<_> = others
            .map(|task| (task.id.clone(), task.record.claim.as_ref().map(|claim| claim.by.clone())))
            .collect();
        for (task, by) in &others {
            if self.reported_others.insert(task.clone()) {
                let plan = self.ownership.plan().clone();
                let by = by.clone().unwrap_or_default();
                self.shared.reporter.send(&Report::ClaimedBy { plan, task: task.clone(), by });
            }
        }
        !others.is_empty()
    }

    /// etcd did not do what was asked, but may do it later. Reported once; retried after a while, as long as
    /// the session lives, which is the bound.
    pub(super) fn wait_for_better(&mut self, why: String) {
        if self.trouble != why {
            self.shared.reporter.send(&Report::Trouble(why.clone()));
            self.trouble = why;
        }
        self.not_before = Some(Instant::now() + ASK_AGAIN);
    }

    /// Waits for the next thing to happen, and deals with it. `Err` if the ownership is lost.
    async fn step(&mut self, changes: &mut Changes) -> Result<(), String> {
        let wants_more = self.stop() == Stop::Run && self.not_before.is_none() && self.can_start();
        let (better, yields_at) = (self.not_before, self.yields_at());
        let coordinator = self.ownership.session().coordinator().clone();
        let wants_permits = self.stop() == Stop::Run
            && better.is_none()
            && self.view.graph().uses_pools()
            && self.may_start();
        tokio::select! {
            biased; // The loss first: what runs has to die. Then the wish to stop, then what has ended.
            _ = self.ownership.lost() => Err(explain_end(&self.ownership).await),
            changed = self.shared.stop.changed() => {
                if changed.is_err() {
                    self.ask.send_replace(Ask::Terminate); // No caller is left that could want more.
                }
                Ok(())
            }
            Ok(()) = self.shared.steering.changed() => Ok(()),
            Some(first) = self.running.next() => {
                self.end(first);
                // Those that have ended as well are recorded together with it.
                while let Some(Some(other)) = self.running.next().now_or_never() {
                    self.end(other);
                }
                Ok(())
            }
            () = until(better) => Ok(()),
            () = until(self.asked.look_at) => Ok(()),
            () = until_due(self.ownership.session().coordinator().clock(), yields_at) => Ok(()),
            () = until(self.unstarted.next(Instant::now())) => Ok(()),
            () = until(self.short.next(Instant::now())) => Ok(()),
            () = until(self.pools.next_try()), if wants_permits => Ok(()),
            () = self.pools.changed(&coordinator), if self.view.graph().uses_pools() => {
                self.pools_changed();
                Ok(())
            }
            () = until_due(self.ownership.session().coordinator().clock(), self.due), if better.is_none() => Ok(()),
            () = self.slots.wait(), if wants_more => Ok(()),
            () = self.claimants.gone() => {
                self.claimant_gone = true;
                Ok(())
            }
            feed = changes.next() => self.apply(feed).await,
        }
    }

    /// An attempt is over; what came of it is still to be recorded.
    fn end(&mut self, (result, _permit): (attempt::Result, OwnedSemaphorePermit)) {
        let task = &result.started.id;
        self.busy.remove(task);
        match &result.end {
            attempt::End::NotStarted(why) => self.unstarted.note(task.clone(), why, Instant::now()),
            attempt::End::Short(why) => {
                if self.short.note(self.busy.len(), why, Instant::now()) {
                    let what = format!("this host is short of resources: {why}");
                    self.shared.reporter.send(&Report::Trouble(what));
                }
            }
            _ => {
                self.unstarted.started(task);
                self.short.started();
            }
        }
        let spent = self.spent(task);
        let known = self.view.tasks().get(task);
        let seen = known.filter(|known| known.record.attempt == result.started.record.attempt);
        let seen = seen.cloned();
        self.ended.push_back(Unrecorded::new(result, seen, spent));
    }

    /// Starts ready tasks as long as job slots are free. `Err` if the ownership is lost.
    async fn start_ready(&mut self) -> Result<(), String> {
        let started = self.start_in_turn().await;
        self.slots.give_back();
        started
    }

    /// Starts as many at once as there are free slots: their starts travel together.
    async fn start_in_turn(&mut self) -> Result<(), String> {
        self.launch_unsure();
        for _ in 0..MAX_ROUNDS {
            let some = self.take_ready();
            if some.is_empty() {
                return Ok(());
            }
            let spans: Vec<_> = some.iter().map(|(task, _)| trace::attempt(&self.ownership, task)).collect();
            let starts = some
                .iter()
                .zip(&spans)
                .map(|((task, _), span)| self.authority.start(&self.view, task).instrument(span.clone()));
            let outcomes = future::join_all(starts).await;
            let (mut lost, mut again, mut trouble, mut paused) = (None, false, None, false);
            for (((task, permit), span), outcome) in some.into_iter().zip(spans).zip(outcomes) {
                if !matches!(outcome, Ok(Outcome::Committed(_))) {
                    span.record("result", "not_claimed");
                }
                match outcome {
                    Ok(Outcome::Committed(started)) => {
                        if self.view.graph().pools(&task).is_some() {
                            self.pools.started();
                        }
                        self.launch(started, permit, span);
                    }
                    Ok(Outcome::Refused(Refused::Pool(wait))) => {
                        self.pools.refused(Instant::now());
                        self.waits_for_pool(&task, &wait);
                    }
                    Ok(Outcome::Refused(Refused::AuthorityLost(loss))) => lost = Some(loss),
                    Ok(Outcome::Refused(Refused::Conflict(present) | Refused::NotAllowed(_, present))) => {
                        self.view.apply_task(*present);
                        again = true;
                    }
                    // Not seen here yet. Others of these starts may have happened, before or after it.
                    Ok(Outcome::Refused(Refused::FleetPaused(_))) => paused = true,
                    // Read again: what could not be read is not ready then.
                    Ok(Outcome::Refused(_)) | Err(Error::Unreadable(_)) => again = true,
                    Ok(Outcome::Unknown { op_id, reason }) => {
                        self.unsure.push((task, op_id));
                        trouble = Some(reason);
                        again = true;
                    }
                    Err(error) => trouble = Some(error_chain(&error)),
                }
            }
            if let Some(loss) = lost {
                return Err(explain(&self.ownership, &loss).await);
            }
            if again {
                self.reread().await?;
            }
            if let Some(why) = trouble {
                self.wait_for_better(why);
                self.launch_unsure();
                return Ok(());
            }
            if paused {
                self.not_before = Some(Instant::now() + ASK_AGAIN);
                return Ok(());
            }
        }
        self.wait_for_better("etcd refuses to start tasks that look ready".to_owned());
        Ok(())
    }

    /// Ready tasks, each with a job slot. Where the plan bounds how many are in progress, one: it has to be
    /// counted before the next one can start.
    fn take_ready(&mut self) -> Vec<(TaskId, OwnedSemaphorePermit)> {
        let mut some = Vec::new();
        if !self.may_start() {
            return some;
        }
        let (now, instant) = (self.now(), Instant::now());
        self.rest_while_unfit(instant);
        let most = if self.view.spec().policy.max_in_progress > 0 { 1 } else { usize::MAX };
        let most = most.min(self.short.allowance(self.busy.len(), instant));
        self.note_pools();
        let (left, pools, graph) = (&self.left, &self.pools, self.view.graph());
        let mut room = pools.room();
        let startable = |task: &&TaskId| {
            !left.has(task)
                && !pools.blocks(graph.pools(task), instant)
                && !self.busy.contains_key(*task)
                && !self.unstarted.rests(task, instant)
                && !self.timers.is_used_up(&self.view, task, now)
        };
        let ready = self.view.ready().filter(startable).filter(|task| room.take(graph.pools(task)));
        for task in ready.take(most) {
            let Some(permit) = self.slots.take() else { break };
            some.push((task.clone(), permit));
        }
        some
    }

    /// Ready tasks that did not start rest on while their program is missing: a start would count an attempt.
    fn rest_while_unfit(&mut self, now: Instant) {
        let rested = self.unstarted.rested(now);
        if rested.is_empty() && !self.wary {
            return;
        }
        let looked_for =
            |task: &&TaskId| rested.contains(task) || (self.wary && !self.unstarted.rests(task, now));
        let ready: Vec<TaskId> = self.view.ready().filter(looked_for).cloned().collect();
        for task in ready {
            let Some(spec) = self.view.spec().task(&task) else { continue };
            if let Err(why) = self.shared.options.check_task(spec) {
                self.unstarted.note(task, &why, now);
            }
        }
    }

    /// Launches the attempts whose start turns out to have happened.
    fn launch_unsure(&mut self) {
        for task in self.happened() {
            let Some(permit) = self.slots.take() else { return };
            self.unsure.retain(|(unsure, _)| *unsure != task.id);
            let span = trace::attempt(&self.ownership, &task.id);
            self.launch(task, permit, span);
        }
    }

    /// The starts that were not answered, but turn out to have happened.
    fn happened(&self) -> Vec<TaskView> {
        let happened = |(task, op_id): &(TaskId, Uuid)| {
            let present = self.view.tasks().get(task).filter(|task| task.record.op_id == *op_id);
            present.cloned()
        };
        self.unsure.iter().filter_map(happened).collect()
    }

    /// The ready tasks that do not run here, and have time left.
    pub(super) fn ready(&self) -> impl Iterator<Item = &TaskId> {
        let now = self.now();
        let ready = self.view.ready();
        ready.filter(move |task| {
            !self.left.has(task)
                && !self.busy.contains_key(*task)
                && !self.timers.is_used_up(&self.view, task, now)
        })
    }

    /// Whether nothing may be started: in the plan, or in the whole fleet.
    fn is_halted(&self) -> bool {
        self.view.halt().is_some() || self.fleet_is_paused()
    }

    /// Whether another start is allowed, by the plan and by how commands start here.
    fn may_start(&self) -> bool {
        !self.is_halted()
            && !self.view.is_full()
            && self.unstarted.verdict().is_none()
            && self.short.allowance(self.busy.len(), Instant::now()) > 0
    }

    /// Whether something would be run now if a slot were free.
    fn can_start(&self) -> bool {
        let now = Instant::now();
        let rested = |task: &TaskId| {
            !self.unstarted.rests(task, now) && !self.pools.blocks(self.view.graph().pools(task), now)
        };
        (self.may_start() && self.ready().any(rested)) || !self.happened().is_empty()
    }

    /// Whether something is to be run as soon as a slot is free.
    fn has_ready(&self) -> bool {
        self.ready().next().is_some() || !self.happened().is_empty()
    }

    fn launch(&mut self, started: TaskView, permit: OwnedSemaphorePermit, span: Span) {
        self.was_of_use = true;
        span.record("attempt", started.record.attempt);
        let plan = self.ownership.plan().clone();
        let (task, attempt) = (started.id.clone(), started.record.attempt);
        self.shared.reporter.send(&Report::Started { plan, task: task.clone(), attempt });
        let spec = self.view.spec().task(&task).cloned().unwrap_or_else(|| TaskSpec::new(task.clone(), ""));
        let (overdue, ends) = watch::channel(None);
        let command = attempt::command(&self.shared.options, &self.ownership, &spec, &started, &span);
        let folder = self.shared.options.inputs.as_deref();
        let coordinator = self.ownership.session().coordinator();
        let inputs = folder.and_then(|folder| Inputs::of(coordinator, &self.view, &spec, &started, folder));
        let pulse = command.as_ref().map(|command| command.pulse.clone()).unwrap_or_default();
        let run = attempt::run(
            Arc::clone(&self.shared.commands),
            command,
            inputs,
            (started.clone(), span.clone()),
            ends,
            self.ask.subscribe(),
        );
        let run = run.instrument(span);
        self.view.apply_task(started);
        self.busy.insert(task, Attempt { overdue, pulse });
        self.running.push(Box::pin(async move { (run.await, permit) }));
    }

    pub(super) fn not_recorded(&self, task: &TaskId, why: String) {
        let (plan, task) = (self.ownership.plan().clone(), task.clone());
        self.shared.reporter.send(&Report::NotRecorded { plan, task, why });
    }

    /// The plan as it is now, whose definition may have been edited.
    fn see(&mut self, view: PlanView) {
        if view.defined() != self.view.defined() {
            self.timers.redefine(view.spec());
            self.left = Left::by(&self.shared.options.offer(), view.spec());
        }
        self.view = view;
    }

    async fn reread(&mut self) -> Result<(), String> {
        match self.ownership.session().coordinator().plan(self.ownership.plan()).await {
            Ok(view) => {
                self.see(view);
                Ok(())
            }
            Err(Error::PlanNotFound(_)) => Err("the plan was deleted".to_owned()),
            Err(error) => {
                self.shared.reporter.send(&Report::Trouble(error_chain(&error)));
                Ok(())
            }
        }
    }

    /// Applies what other processes did to the tasks.
    async fn apply(&mut self, feed: Result<Feed, Error>) -> Result<(), String> {
        self.in_touch = !matches!(feed, Ok(Feed::Broken(_)) | Err(_));
        match feed {
            Ok(Feed::Changes(sets)) => {
                let mut stale = false;
                for change in sets.into_iter().flat_map(|set| set.changes) {
                    match (change.key, change.entry) {
                        (Key::Plan(_, PlanKey::Task(id)), Some(entry)) => {
                            self.view.apply_entry(id, &entry);
                        }
                        (
                            Key::Plan(
                                _,
                                PlanKey::Pause | PlanKey::Close | PlanKey::Spec | PlanKey::Unknown(_),
                            ),
                            _,
                        ) => stale = true,
                        _ => {}
                    }
                }
                if stale { self.reread().await } else { Ok(()) }
            }
            Ok(Feed::Compacted(_)) => self.reread().await,
            Ok(Feed::Connected | Feed::Alive(_) | Feed::Broken(_)) => Ok(()),
            Err(error) => {
                self.wait_for_better(error_chain(&error));
                tokio::time::sleep(ASK_AGAIN).await; // The watch itself does not wait.
                Ok(())
            }
        }
    }
}

/// Waits until the moment; for ever if there is none.
pub(crate) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The same by the clock that counts while the host is suspended.
async fn until_due(clock: &dyn Clock, moment: Option<BootTime>) {
    match moment {
        Some(moment) => sleep_until(clock, moment).await,
        None => std::future::pending().await,
    }
}

/// Why the authority is lost, as far as it is known. If the session is over, etcd is not asked: what runs
/// has to be killed at once.
pub(super) async fn explain(ownership: &Ownership, loss: &AuthorityLoss) -> String {
    match loss {
        AuthorityLoss::Session(reason) => reason.to_string(),
        _ => explain_end(ownership).await,
    }
}

/// Whether an operator ended the ownership, as far as etcd shows it.
pub(super) async fn was_taken_away(ownership: &Ownership) -> bool {
    matches!(ownership.session().status(), Status::Live { .. })
        && ownership.was_taken_away().await.unwrap_or_default()
}

/// How the ownership ended, as far as etcd shows it.
async fn explain_end(ownership: &Ownership) -> String {
    match ownership.explain_loss().await {
        Ok(why) => why,
        Err(error) => error_chain(&error),
    }
}
