//! The orchestrator: opens a session, waits in the queues of the plans, executes those that it acquires, and
//! starts over when the session is lost. As a service, it follows the plans instead: see `service.rs`.

mod contending;
mod load;
mod market;
mod open;
mod service;
mod summary;

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use planlease::{Coordinator, Error, MAX_HELD, PlanView, Session, SteeringFollower, error_chain};
use planlease_core::{
    OrchestratorId, PlanName,
    keys::{Key, PlanKey},
    record::{HaltRecord, Registration},
    session::Status,
    steering::{Eligibility, Steering},
    unreadable::Unreadable,
};
use planlease_observe::Sweeper;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

pub use self::summary::{Dropped, Summary};
use self::{
    contending::{SESSION_AGAIN, Won, contend},
    open::Open,
};
use crate::{
    executor::extend,
    inputs, logs,
    options::{Options, Plans},
    report::{Report, Reporter},
    runner::{Ended, Runner, Shared, Stop, until},
};

/// How long a plan is left alone that an operator took away from this orchestrator (`owner release`): time in
/// which another one takes it, or the operator looks at this one.
const TAKEN_AWAY: Duration = Duration::from_secs(60);

/// How often a plan is released because no command starts here, before it is given up.
const SETBACKS: u32 = 5;

/// Owns plans, one session at a time, and executes them.
#[derive(Debug)]
pub struct Orchestrator {
    coordinator: Coordinator,
    options: Arc<Options>,
    reporter: Reporter,
    stop: watch::Receiver<Stop>,
    jobs: Arc<Semaphore>,
    /// Whether it has opened a session, or may have.
    has_tried: bool,
    /// The plans that are still to be executed.
    open: BTreeMap<PlanName, Open>,
    summary: Summary,
}

type Runners = FuturesUnordered<Pin<Box<dyn Future<Output = (PlanName, Ended)> + Send>>>;

impl Orchestrator {
    /// An orchestrator that reports what it does to `reporter`, and stops when `stop` says so.
    #[must_use]
    pub fn new(
        coordinator: Coordinator,
        options: Options,
        reporter: Reporter,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let jobs = Arc::new(Semaphore::new(options.jobs.max(1)));
        Self {
            coordinator,
            options: Arc::new(options),
            reporter,
            stop,
            jobs,
            has_tried: false,
            open: BTreeMap::new(),
            summary: Summary::default(),
        }
    }

    /// Executes the plans until nothing is left to be done in any of them, by this or another process, or
    /// until it is asked to stop. A lost session is replaced by a new one. A plan of which no command could
    /// start here is not acquired; one whose commands turn out not to start is released, tried again a few
    /// times, and given up. So is, at once, a plan with a record that cannot be read. With [`Plans::All`] a
    /// pause of a plan or of the fleet is not waited for: such a plan is given back.
    ///
    /// With [`Plans::Follow`] it ends only when it is asked to stop, or by an error. It follows the plans by
    /// one watch, and makes no request while there is nothing to do but to renew its session. It acquires a
    /// plan only with a free job for it, in the order of [`planlease_core::sharing`]; it gives no plan up,
    /// but leaves one alone for up to 5 minutes in which its commands do not start.
    ///
    /// # Errors
    /// [`Error::PlanNotFound`] and [`Error::PlanClosed`] for a named plan that is not there, or is cancelled
    /// or archived, and what trying again cannot fix: a wrong configuration, missing permissions.
    ///
    /// # Cancel safety
    /// Dropping the future kills what runs; its ownerships are released by the session's task or expire.
    pub async fn run(mut self) -> Result<Summary, Error> {
        let _sweeper = self.options.outputs.clone().map(Sweeper::start);
        if let Some(folder) = self.options.inputs.clone() {
            drop(tokio::task::spawn_blocking(move || inputs::sweep(&folder)).await);
        }
        let ended =
            if self.options.plans == Plans::Follow { self.serve().await } else { self.execute().await };
        if let Some(server) = &self.options.log_server {
            server.finish().await; // Readers on other hosts see the end of what they follow.
        }
        ended.map(|()| self.summary)
    }

    /// Executes the plans that there are, until nothing is left to be done or it is asked to stop.
    async fn execute(&mut self) -> Result<(), Error> {
        self.open = self.plans_to_execute().await?;
        while !self.open.is_empty() && *self.stop.borrow() == Stop::Run {
            let Some(session) = self.open_session().await? else { continue };
            let lost = self.work(&session).await?;
            self.close(session, lost).await;
        }
        self.summary.unfinished = std::mem::take(&mut self.open).into_keys().collect();
        Ok(())
    }

    /// Opens a session. `None`, after a pause, if that did not work but may work later.
    async fn open_session(&mut self) -> Result<Option<Session>, Error> {
        let identity = self.options.identity.clone().offer(self.options.offer());
        let error = match self.coordinator.open_session(identity).await {
            Ok(session) => {
                self.has_tried = true;
                self.reporter.send(&Report::SessionOpened(session.id().clone()));
                return Ok(Some(session));
            }
            Err(error) => error,
        };
        let passes = match &error {
            // The session before, whose lease has not expired yet.
            Error::IdentityTaken(id) => self.has_tried && self.is_this_process(id).await,
            // Also a lease that was gone again before the session stood: everything took too long.
            error => error.is_transient() || error.is_session_lost(),
        };
        if !passes {
            return Err(error);
        }
        self.has_tried = true;
        self.reporter.send(&Report::Trouble(error_chain(&error)));
        self.pause().await;
        Ok(None)
    }

    /// Whether this very process is registered under a name, or none is, or that cannot be found out now. It
    /// is bounded by the lease of the session before.
    async fn is_this_process(&self, id: &OrchestratorId) -> bool {
        let Ok(registered) = self.coordinator.orchestrators().await else { return true };
        let identity = &self.options.identity;
        let own = |record: &Registration| {
            (&record.host, record.pid, &record.boot_id) == (&identity.host, identity.pid, &identity.boot_id)
        };
        registered.iter().filter(|one| one.id == *id).all(|one| own(&one.record))
    }

    /// Closes a session. After one that was `lost`, there is a pause.
    async fn close(&mut self, session: Session, lost: bool) {
        if let Err(error) = session.close().await {
            self.reporter.send(&Report::Trouble(error_chain(&error)));
        }
        if lost {
            self.pause().await;
        }
    }

    /// What the runners of a session share.
    fn shared(&self, session: &Session, steering: &watch::Receiver<Steering>) -> Shared {
        Shared {
            options: Arc::clone(&self.options),
            commands: self.options.executor.for_session(session),
            jobs: Arc::clone(&self.jobs),
            reporter: self.reporter.clone(),
            stop: self.stop.clone(),
            steering: steering.clone(),
        }
    }

    async fn plans_to_execute(&mut self) -> Result<BTreeMap<PlanName, Open>, Error> {
        let mut views = Vec::new();
        let options = Arc::clone(&self.options);
        match &options.plans {
            Plans::All | Plans::Follow => {
                let plans = self.coordinator.plans().await?;
                for unreadable in &plans.unreadable {
                    self.left_out(unreadable);
                }
                let left = |plan: &PlanView| !plan.summary().is_finished() || plan.has_work();
                let offer = self.options.offer();
                let open = |plan: &PlanView| {
                    plan.halts().closed.is_none()
                        && offer.takes_plan(plan.name(), &plan.spec().labels)
                        && left(plan)
                };
                views.extend(plans.into_iter().filter(open));
            }
            Plans::Named(names) => {
                for name in names {
                    let view = match self.coordinator.plan(name).await {
                        Err(Error::Unreadable(unreadable)) if names.len() > 1 => {
                            self.left_out(&unreadable);
                            continue;
                        }
                        view => view?,
                    };
                    if let Some((_, HaltRecord { how, by, why, .. })) = view.halts().closed.clone() {
                        return Err(Error::PlanClosed { plan: name.clone(), how, by, why });
                    }
                    views.push(view);
                }
            }
        }
        let mut open = BTreeMap::new();
        for view in views {
            // A run that ends when it is idle does not wait for the end of a pause.
            if options.plans == Plans::All
                && view.has_work()
                && let Some((_, HaltRecord { by, why, .. })) = view.halts().paused.clone()
            {
                self.dropped(view.name(), Dropped::Paused { fleet: false, by, why });
                continue;
            }
            match self.options.check_plan(&view) {
                Ok(()) => drop(open.insert(view.name().clone(), Open::default())),
                Err(why) => self.dropped(view.name(), Dropped::CannotStart(why)),
            }
        }
        Ok(open)
    }

    /// Reports a record that cannot be read. Without its definition a plan is not executed.
    fn left_out(&mut self, unreadable: &Unreadable) {
        match &unreadable.key {
            Key::Plan(plan, PlanKey::Spec) => {
                self.dropped(&plan.clone(), Dropped::Unreadable(unreadable.to_string()));
            }
            _ => self.reporter.send(&Report::Unreadable(unreadable.to_string())),
        }
    }

    /// Leaves a plan alone that cannot be owned at the moment, and for good if that happens again and again.
    fn failed(&mut self, plan: &PlanName, why: String) {
        let Some(open) = self.open.get_mut(plan) else { return };
        if open.setbacks >= SETBACKS {
            return self.dropped(plan, Dropped::Unreadable(why));
        }
        open.rest();
        self.reporter.send(&Report::Trouble(format!("{plan} cannot be owned: {why}")));
    }

    async fn pause(&mut self) {
        tokio::select! {
            biased; // A wish to stop ends the pause.
            _ = self.stop.changed() => {}
            () = tokio::time::sleep(SESSION_AGAIN) => {}
        }
    }

    /// Works as long as the session lives. Whether it was lost.
    async fn work(&mut self, session: &Session) -> Result<bool, Error> {
        let mut follower = SteeringFollower::new(self.coordinator.clone());
        let steering = follower.subscribe();
        let shared = self.shared(session, &steering);
        let commands = Arc::clone(&shared.commands);
        let mut status = session.watch_status();
        extend(commands.as_ref(), *status.borrow_and_update());
        // Each renewal passes here. If this loop is stuck, no progress is noted, and the plans go to another
        // owner.
        let progress = session.require_progress(session.timing().ttl);
        let mut runners = Runners::new();
        let mut owned: BTreeSet<PlanName> = BTreeSet::new();
        let mut reported: BTreeSet<PlanName> = BTreeSet::new();
        let reporter = self.reporter.clone();
        let options = Arc::clone(&self.options);
        let mut showing = std::pin::pin!(logs::show(session, &options, &reporter));
        loop {
            let stopping = *self.stop.borrow() != Stop::Run;
            if runners.is_empty() && (stopping || self.open.is_empty()) {
                return Ok(false);
            }
            let asked = steering.borrow().clone();
            let takes = !stopping && asked.eligibility(session.id()) == Eligibility::Eligible;
            let full = !takes || owned.len() >= self.options.most_plans();
            let wanted =
                if full { self.moved_here(session, &asked, takes, &owned) } else { self.wanted(&owned) };
            let room = MAX_HELD.saturating_sub(owned.len());
            let rested = if stopping { None } else { self.next_rested() };
            // Dropped before anything else is waited for: a waiter may hold what a runner needs.
            let event = {
                let mut next = std::pin::pin!(contend(session, wanted, room, &reporter, &mut reported));
                // Waiting goes on while sessions are renewed; only something that changes what is
                // wanted ends it.
                loop {
                    progress.note();
                    tokio::select! {
                        biased; // Renewals first, so that no command is killed for want of a message.
                        changed = status.changed() => match (changed, *status.borrow_and_update()) {
                            (Ok(()), live @ Status::Live { .. }) => extend(commands.as_ref(), live),
                            (Ok(()), Status::Lost(_)) | (Err(_), _) => break Event::SessionLost,
                        },
                        _ = self.stop.changed() => break Event::Stop,
                        Some((plan, ended)) = runners.next() => break Event::Ended(plan, ended),
                        () = follower.next() => break Event::Steered,
                        won = &mut next => break Event::Won(won?),
                        () = until(rested) => break Event::Rested,
                        never = &mut showing => match never {},
                    }
                }
            };
            match event {
                Event::Steered => self.steered(session, &asked, &steering),
                Event::Stop | Event::Rested | Event::Won(Won::Nothing | Won::Later(_)) => {}
                // Also reported before the session itself has found out: its keys are gone, and the runners
                // hear of that.
                Event::SessionLost | Event::Won(Won::SessionLost) => {
                    self.lose(runners).await;
                    return Ok(true);
                }
                Event::Ended(plan, ended) => {
                    owned.remove(&plan);
                    self.ended(&plan, ended);
                }
                Event::Won(Won::Plan(ownership)) => {
                    owned.insert(ownership.plan().clone());
                    let wary = self.open.get(ownership.plan()).is_some_and(|open| open.setbacks > 0);
                    runners.push(Box::pin(Runner::run(shared.clone(), *ownership, None, wary)));
                }
                Event::Won(Won::Dropped(plan, why)) => self.dropped(&plan, why),
                Event::Won(Won::Failed(plan, why)) => self.failed(&plan, why),
                Event::Won(Won::Unreadable(plan, why)) => self.dropped(&plan, Dropped::Unreadable(why)),
                Event::Won(Won::Done(plan, summary, failed)) => {
                    self.reporter.send(&Report::Finished { plan: plan.clone(), summary, failed });
                    self.ended(&plan, Ended::Finished(summary));
                }
            }
        }
    }

    /// The session is lost: waits until everything that ran under it has come to its end.
    async fn lose(&mut self, mut runners: Runners) {
        while let Some((plan, ended)) = runners.next().await {
            self.ended(&plan, ended);
        }
    }

    fn ended(&mut self, plan: &PlanName, ended: Ended) {
        let Some(open) = self.open.get_mut(plan) else { return };
        match ended {
            Ended::Finished(summary) | Ended::Idle(summary) => {
                self.open.remove(plan);
                let success = summary.completed + summary.skipped == summary.total;
                self.summary.finished.push((plan.clone(), success));
            }
            Ended::CannotStart(why) if open.setbacks >= SETBACKS => {
                self.dropped(plan, Dropped::CannotStart(why));
            }
            // A shortage passes: the plan is tried again for as long as it takes.
            Ended::CannotStart(why) | Ended::Short(why) => {
                let again = Some(open.rest());
                self.reporter.send(&Report::CannotStart { plan: plan.clone(), why, again });
            }
            Ended::NotBegun => drop(open.rest()),
            Ended::Unreadable(why) => self.dropped(plan, Dropped::Unreadable(why)),
            Ended::Paused { fleet, by, why } => {
                self.open.remove(plan);
                self.reporter.send(&Report::Released(plan.clone()));
                self.summary.dropped.push((plan.clone(), Dropped::Paused { fleet, by, why }));
            }
            Ended::TakenAway => {
                *open = Open::default();
                open.later(TAKEN_AWAY);
                self.reporter.send(&Report::LeftAlone { plan: plan.clone(), rest: TAKEN_AWAY });
            }
            Ended::Stopped | Ended::Lost => *open = Open::default(),
        }
    }

    /// The plan is not executed any further.
    fn dropped(&mut self, plan: &PlanName, why: Dropped) {
        self.open.remove(plan);
        self.reporter.send(&why.report(plan.clone()));
        self.summary.dropped.push((plan.clone(), why));
    }

    /// The plans that are to be acquired now.
    fn wanted(&self, owned: &BTreeSet<PlanName>) -> Vec<PlanName> {
        let wanted = self.open.iter().filter(|(plan, open)| !owned.contains(*plan) && !open.rests());
        wanted.map(|(plan, _)| plan.clone()).collect()
    }

    /// The plans that are to move here: they are queued for also beyond the most that are owned at once.
    fn moved_here(
        &self,
        session: &Session,
        asked: &Steering,
        takes: bool,
        owned: &BTreeSet<PlanName>,
    ) -> Vec<PlanName> {
        let waits = |plan: &PlanName| self.open.get(plan).is_some_and(|open| !open.rests());
        let to_here = asked.moves_to(session.id()).map(|(plan, _)| plan).filter(|_| takes);
        to_here.filter(|plan| waits(plan) && !owned.contains(*plan)).cloned().collect()
    }

    /// Reports what is asked of this orchestrator now.
    fn steered(&self, session: &Session, before: &Steering, now: &watch::Receiver<Steering>) {
        let now = now.borrow();
        let state = now.eligibility(session.id());
        if state != before.eligibility(session.id()) {
            let why = now.cordons.get(session.id()).map(|cordon| (cordon.by.clone(), cordon.why.clone()));
            self.reporter.send(&Report::Eligibility { state, why });
        }
        if now.pause.is_some() != before.pause.is_some() {
            let why = now.pause.as_ref().map(|pause| (pause.by.clone(), pause.why.clone()));
            self.reporter.send(&Report::FleetPaused(why));
        }
    }

    /// When the next plan has rested.
    fn next_rested(&self) -> Option<Instant> {
        self.open.values().filter(|open| open.rests()).filter_map(|open| open.not_before).min()
    }
}

/// What changes the work of an orchestrator.
enum Event {
    Stop,
    /// Operators ask something else of the fleet.
    Steered,
    /// A plan may be acquired again.
    Rested,
    SessionLost,
    /// The execution of a plan.
    Ended(PlanName, Ended),
    Won(Won),
}
