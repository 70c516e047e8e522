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

use futures_util::stream::FuturesUnordered;
use planlease::{Authority, Claimants, Error, Ownership, PlanView, TaskTimers, error_chain};
use planlease_core::{BootTime, PlanName, Summary, TaskId, orphan, steering::Steering};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{
    asked::Asked, left::Left, loss::was_taken_away, pools::PoolWaits, short::Short, slots::JobSlots,
    unrecorded::Unrecorded, unstarted::Unstarted,
};
use crate::{
    attempt::{self, Ask},
    command::Pulse,
    executor::Commands,
    options::Options,
    report::{Report, Reporter},
};

/// How long to leave etcd alone after it did not do what was asked.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);

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
    /// A record of the plan cannot be read, for this reason, so nothing was done in it.
    Unreadable(String),
    /// Nothing starts while the plan is paused, or the fleet; the plan was released.
    Paused { fleet: bool, by: String, why: String },
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
    pub(super) overdue: watch::Sender<Option<String>>,
    /// When its command last wrote output.
    pub(super) pulse: Pulse,
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
                let ended = match error {
                    _ if was_taken_away(&ownership).await => Ended::TakenAway,
                    Error::Unreadable(unreadable) => Ended::Unreadable(unreadable.to_string()),
                    _ => Ended::NotBegun,
                };
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
            if self.running.is_empty()
                && self.ended.is_empty()
                && let Some(paused) = self.idle_in_pause(stop)
            {
                self.release().await;
                return paused;
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

    /// etcd did not do what was asked, but may do it later. Reported once; retried after a while, as long as
    /// the session lives, which is the bound.
    pub(super) fn wait_for_better(&mut self, why: String) {
        if self.trouble != why {
            self.shared.reporter.send(&Report::Trouble(why.clone()));
            self.trouble = why;
        }
        self.not_before = Some(Instant::now() + ASK_AGAIN);
    }
}
