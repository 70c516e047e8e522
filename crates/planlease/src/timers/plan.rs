//! The timers of a plan whose owner runs no attempts of its own: what there is to do, and what to wait for.
//! Its driver brings the changes of the plan.

use std::{collections::BTreeSet, time::Duration};

use planlease_core::{
    BootTime, TaskId,
    change::{Entry, KeyChange},
    keys::{Key, PlanKey},
    orphan,
    overdue::Circumstances,
    spec::PlanSpec,
    transition::Change,
    view::{PlanView, TaskView},
};

use super::tasks::{Hands, TaskTimers};
use crate::{
    authority::Authority,
    clock::sleep_until,
    error::{AuthorityLoss, Error, error_chain},
    feed::Changes,
    ownership::Ownership,
    recovery::Claimants,
    steering::SteeringFollower,
};

/// How long to leave etcd alone after it did not do what was asked.
const AGAIN: Duration = Duration::from_secs(1);

/// How often in a row it is looked what is due after something was done. What is left then is done a second
/// later.
const ROUNDS: usize = 8;

/// Something that the timers of a plan did, or could not do yet.
#[derive(Debug)]
#[non_exhaustive]
pub enum TimerEvent {
    /// Tasks whose claimants are gone were recovered; each as it is now.
    Recovered(Vec<TaskView>),
    /// The time has come for a task: it was put back, given up or handed to a person. As it is now.
    Due {
        /// The task.
        task: Box<TaskView>,
        /// Why, as its record says it.
        why: String,
    },
    /// etcd did not do what was asked, for this reason. It is asked again after a second, for as long as the
    /// ownership lasts.
    Trouble(String),
}

/// The timers of a plan whose owner runs no attempts of its own: a program in a hold, behind a sidecar, or
/// with the library. Without a change of the plan and with nothing due, they make no request.
///
/// They need a driver, which calls [`PlanTimers::work`] after each change and each [`PlanTimers::wait`], and
/// brings the changes: [`TimerKeeper`](super::TimerKeeper) does so by a watch of its own. They follow
/// themselves whether the fleet is paused.
#[derive(Debug)]
pub struct PlanTimers<'o> {
    ownership: &'o Ownership,
    authority: Authority,
    /// `None` until the plan was read.
    view: Option<PlanView>,
    tasks: TaskTimers,
    claimants: Claimants,
    fleet: SteeringFollower,
    /// Whether orphans are recovered.
    recovers: bool,
    /// Whether time does anything.
    keeps_time: bool,
    /// There may be orphans.
    orphans: bool,
    /// What is seen of the plan is not all: it is to be read again.
    stale: bool,
    /// The driver hears from etcd, so that signs of life would reach it.
    in_touch: bool,
    due: Option<BootTime>,
    not_before: Option<BootTime>,
    trouble: String,
}

impl<'o> PlanTimers<'o> {
    /// Nothing is read yet: [`PlanTimers::work`] does so. `recovers`: whether orphans are recovered, at the
    /// beginning and when a claimant is lost; else only time counts.
    #[must_use]
    pub fn new(ownership: &'o Ownership, recovers: bool) -> Self {
        Self {
            ownership,
            authority: ownership.authority(),
            view: None,
            tasks: TaskTimers::new(&PlanSpec::default()),
            claimants: ownership.claimants(),
            fleet: SteeringFollower::new(ownership.session().coordinator().clone()),
            recovers,
            keeps_time: true,
            orphans: recovers,
            stale: true,
            in_touch: false,
            due: None,
            not_before: None,
            trouble: String::new(),
        }
    }

    /// With nothing but the recovery of what lost claimants leave behind, which goes back without a rest: for
    /// an owner that does the rest itself.
    #[must_use]
    pub fn without_time(self) -> Self {
        Self { keeps_time: false, ..self }
    }

    /// The plan as it is seen here; `None` until it was read.
    #[must_use]
    pub fn view(&self) -> Option<&PlanView> {
        self.view.as_ref()
    }

    /// Whether the driver hears from etcd. While it does not, no silence counts.
    pub fn set_in_touch(&mut self, in_touch: bool) {
        self.in_touch = in_touch;
    }

    /// Part of the changes of the plan is missing, or its definition has changed: it is read again.
    pub fn missed(&mut self) {
        self.stale = true;
    }

    /// A key of the plan has changed.
    pub fn changed(&mut self, change: KeyChange) {
        match (change.key, change.entry) {
            (Key::Plan(_, PlanKey::Task(id)), Some(entry)) => self.apply(id, &entry),
            (
                Key::Plan(_, PlanKey::Pause | PlanKey::Close | PlanKey::Spec | PlanKey::Unknown(_))
                | Key::Plan(_, PlanKey::Task(_)),
                _,
            ) => self.stale = true,
            _ => {}
        }
    }

    fn apply(&mut self, task: TaskId, entry: &Entry) {
        if let Some(view) = &mut self.view {
            view.apply_entry(task, entry);
        }
    }

    /// A task has changed.
    pub fn task_changed(&mut self, task: TaskView) {
        if let Some(view) = &mut self.view {
            view.apply_task(task);
        }
    }

    /// Recovers what is lost, does what is due, and finds out what to wait for. Returns what happened.
    ///
    /// # Errors
    /// The ownership is lost: nothing more is to be done.
    ///
    /// # Cancel safety
    /// If the future is dropped, each write is carried out or not; the next call goes on from what is there.
    pub async fn work(&mut self) -> Result<Vec<TimerEvent>, AuthorityLoss> {
        let mut events = Vec::new();
        if self.not_before.is_some_and(|moment| moment > self.now()) {
            return Ok(events);
        }
        self.not_before = None;
        let done = self.try_to_work(&mut events).await;
        match done {
            Ok(()) => self.trouble.clear(),
            Err(Error::AuthorityLost(loss)) => return Err(loss),
            Err(error) => {
                let why = error_chain(&error);
                if self.trouble != why {
                    self.trouble.clone_from(&why);
                    events.push(TimerEvent::Trouble(why));
                }
                self.not_before = Some(self.now().plus(AGAIN));
            }
        }
        Ok(events)
    }

    async fn try_to_work(&mut self, events: &mut Vec<TimerEvent>) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            self.read(events).await?;
            let changes = self.look();
            if let Some(view) = &self.view {
                self.claimants.follow(view).await;
            }
            if changes.is_empty() {
                return Ok(());
            }
            let now = self.now();
            let Some(view) = &mut self.view else { return Ok(()) };
            let carried = self.tasks.carry_out(&self.authority, view, changes, now).await?;
            self.stale |= carried.again;
            events.extend(carried.written.into_iter().filter_map(|(task, change)| {
                let why = change.reason()?.to_owned();
                Some(TimerEvent::Due { task: Box::new(task), why })
            }));
            if let Some(loss) = carried.lost {
                return Err(loss.into());
            }
        }
        self.not_before = Some(self.now().plus(AGAIN));
        Ok(())
    }

    /// Reads the plan if it has to be, and recovers orphans if there may be some; and what is asked of the
    /// fleet, before any time counts.
    async fn read(&mut self, events: &mut Vec<TimerEvent>) -> Result<(), Error> {
        if self.keeps_time {
            self.fleet.catch_up().await?;
        }
        let recovery = if self.keeps_time { orphan::recovery_after_rest } else { orphan::recovery };
        let view = if self.orphans && self.recovers {
            let (recovered, view) = self.ownership.recover_with(recovery).await?;
            if !recovered.is_empty() {
                events.push(TimerEvent::Recovered(recovered));
            }
            view
        } else if self.stale {
            self.ownership.session().coordinator().plan(self.ownership.plan()).await?
        } else {
            return Ok(());
        };
        (self.orphans, self.stale) = (false, false);
        if self.view.as_ref().is_none_or(|known| known.defined() != view.defined()) {
            self.tasks.redefine(view.spec());
        }
        self.view = Some(view);
        Ok(())
    }

    /// What is due now. Enters when the next thing is.
    fn look(&mut self) -> Vec<(TaskId, Change)> {
        let (now, in_touch) = (self.now(), self.in_touch);
        let Some(view) = self.view.as_ref().filter(|_| self.keeps_time) else { return Vec::new() };
        let halted = view.halt().is_some() || self.fleet.fleet_is_paused();
        let free = in_touch && !halted && !view.is_full();
        let ready: BTreeSet<&TaskId> = view.ready().filter(|_| free).collect();
        let own = self.ownership.guard();
        let hands = |task: &TaskView| {
            let claim = task.record.claim.as_ref();
            let ours = claim.is_some_and(|claim| claim.guard.as_ref() == Some(&own));
            if ours { Hands::Delegated } else { Hands::Other }
        };
        let circumstances = Circumstances { now, in_touch, halted };
        let due = self.tasks.look(view, circumstances, |task| ready.contains(task), hands);
        self.due = due.next;
        due.changes
    }

    /// Waits until something is due for which only time has to pass, a claimant is lost, or something else is
    /// asked of the fleet; then there is work. Waits for ever if there is none of that.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&mut self) {
        let moment = self.not_before.or(self.due);
        let ownership = self.ownership;
        let clock = ownership.session().coordinator().clock();
        let passed = async {
            match moment {
                Some(moment) => sleep_until(clock, moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased; // Either way there is work.
            () = passed => {}
            () = self.claimants.gone(), if self.recovers => self.orphans = true,
            () = self.fleet.next(), if self.keeps_time => {}
        }
    }

    /// The changes of the plan since it was read; `None` while it was not.
    pub(super) fn changes(&self) -> Option<Changes> {
        let coordinator = self.ownership.session().coordinator();
        let range = coordinator.layout().halts_and_tasks(self.ownership.plan());
        let from = self.view.as_ref()?.revision().next();
        Some(coordinator.raw().changes(range, from))
    }

    fn now(&self) -> BootTime {
        self.ownership.session().coordinator().clock().boot()
    }
}
