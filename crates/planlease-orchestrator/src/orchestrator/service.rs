//! The orchestrator as a service: follows the plans of the namespace by one watch, acquires those that it has
//! a free job for, and stays until it is asked to stop.
//!
//! It stands in no queue but those of plans that are to move to it: the watch shows which plans are free. A
//! job is reserved before a plan is acquired, and becomes that of the plan's first task.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_util::StreamExt as _;
use planlease::{AcquireOptions, Error, MAX_HELD, PlanView, Session, SteeringFollower, TryAcquire};
use planlease_core::{
    PlanName,
    offer::Load,
    session::Status,
    sharing::hesitation,
    steering::{Eligibility, MoveRecord, Steering},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    Orchestrator, Runners, TAKEN_AWAY,
    contending::{SESSION_AGAIN, Won, trouble},
    load::LoadReport,
    logs,
    market::{Market, News},
    open::Open,
};
use crate::{
    executor::{Boxed, extend},
    report::{Report, Reporter},
    runner::{Ended, Runner, Shared, Stop, until},
};

/// How long a plan is left alone that another process turned out to own: by then the watch shows it.
const HELD: Duration = Duration::from_millis(500);

/// How long a plan is left alone in which an ownership had nothing to do, although it looked as if.
const IDLE: Duration = Duration::from_secs(2);

/// What an acquisition came to: of this plan, with the job for its first task, if one was reserved.
type Tried = (PlanName, Option<OwnedSemaphorePermit>, Result<Won, Error>);

/// An acquisition under way.
type Try = Boxed<'static, Tried>;

/// What a service does under one session. A plan is in one of these places at most: a session has it once.
struct Work {
    runners: Runners,
    owned: BTreeSet<PlanName>,
    acquiring: Option<(PlanName, Try)>,
    /// The plans that are to move here, with the waiting in their queues.
    queued: BTreeMap<PlanName, Try>,
    /// When the next plan is to be acquired: an orchestrator that is loaded lets others go first.
    resolve: Option<Instant>,
    /// How many acquisitions there were: makes the next wait another one.
    tries: u64,
}

/// What changes the work of a service.
enum Event {
    /// Something is to be looked at again.
    Look,
    SessionLost,
    Ended(PlanName, Ended),
    Tried(PlanName, Option<OwnedSemaphorePermit>, Box<Result<Won, Error>>),
    /// Operators ask something else of the fleet.
    Steered,
    News(Vec<News>),
    /// The next plan is to be acquired.
    Acquire,
}

impl Orchestrator {
    /// Serves until it is asked to stop.
    pub(super) async fn serve(&mut self) -> Result<(), Error> {
        let mut market = Market::new(self.coordinator.clone(), self.options.offer());
        while *self.stop.borrow() == Stop::Run {
            let Some(session) = self.open_session().await? else { continue };
            let lost = self.serve_under(&session, &mut market).await?;
            self.close(session, lost).await;
        }
        Ok(())
    }

    /// Serves as long as the session lives. Whether it was lost.
    async fn serve_under(&mut self, session: &Session, market: &mut Market) -> Result<bool, Error> {
        let mut follower = SteeringFollower::new(self.coordinator.clone());
        let steering = follower.subscribe();
        let shared = self.shared(session, &steering);
        let commands = Arc::clone(&shared.commands);
        let mut status = session.watch_status();
        extend(commands.as_ref(), *status.borrow_and_update());
        // As in `work`: if this loop is stuck, the plans go to another owner.
        let progress = session.require_progress(session.timing().ttl);
        let mut report = LoadReport::new(session);
        let mut work = Work::new();
        let (options, reporter) = (Arc::clone(&self.options), self.reporter.clone());
        let mut showing = pin!(logs::show(session, &options, &reporter));
        loop {
            progress.note();
            let stopping = *self.stop.borrow() != Stop::Run;
            if stopping && work.runners.is_empty() && work.acquiring.is_none() {
                return Ok(false);
            }
            let asked = steering.borrow().clone();
            let takes = !stopping && asked.eligibility(session.id()) == Eligibility::Eligible;
            self.queue_for_moves(session, &asked, takes, (&*market, &mut work));
            let wanted = if takes && asked.pause.is_none() { self.next_plan(&work, market) } else { None };
            let (jobs, all, owned) = (&self.jobs, self.options.jobs, work.owned.len());
            let has_room = jobs.available_permits() > 0;
            work.resolve(session, wanted.is_some() && has_room, &load(jobs, all, owned));
            let rested = if stopping { None } else { self.next_rested() };
            let event = tokio::select! {
                biased; // Renewals first, so that no command is killed for want of a message.
                changed = status.changed() => match (changed, *status.borrow_and_update()) {
                    (Ok(()), live @ Status::Live { .. }) => {
                        extend(commands.as_ref(), live);
                        Event::Look
                    }
                    (Ok(()), Status::Lost(_)) | (Err(_), _) => Event::SessionLost,
                },
                _ = self.stop.changed() => Event::Look,
                Some((plan, ended)) = work.runners.next() => Event::Ended(plan, ended),
                (plan, permit, won) = under_way(&mut work.acquiring) => {
                    Event::Tried(plan, permit, Box::new(won))
                }
                (plan, permit, won) = first_of(&mut work.queued) => {
                    Event::Tried(plan, permit, Box::new(won))
                }
                () = follower.next() => Event::Steered,
                news = market.news() => Event::News(news),
                () = until(work.resolve) => Event::Acquire,
                () = until(rested) => Event::Look,
                // The runners are polled above, by this very task: a job that they free is seen here at once.
                () = free(jobs), if wanted.is_some() && !has_room => Event::Look,
                () = poll_fn(|context| report.poll(context, &load(jobs, all, owned))) => Event::Look,
                never = &mut showing => match never {},
            };
            if let Event::Steered = event {
                self.steered(session, &asked, &steering);
            } else if self.handle(event, wanted, (session, market), (&shared, &mut work)).await? {
                self.lose(work.runners).await;
                return Ok(true);
            }
        }
    }

    /// Handles an event. Whether the session is lost.
    async fn handle(
        &mut self,
        event: Event,
        wanted: Option<Arc<PlanView>>,
        (session, market): (&Session, &mut Market),
        (shared, work): (&Shared, &mut Work),
    ) -> Result<bool, Error> {
        match event {
            Event::Look | Event::Steered => {}
            Event::SessionLost => return Ok(true),
            Event::Ended(plan, ended) => {
                work.owned.remove(&plan);
                self.ended_in_service(plan, ended);
            }
            Event::News(news) => self.take_note(news).await,
            Event::Acquire => {
                work.resolve = None;
                work.acquiring = wanted.and_then(|plan| self.acquire(session, &plan));
            }
            Event::Tried(plan, permit, won) => match (*won)? {
                Won::Plan(ownership) => {
                    market.take(&plan);
                    self.open.entry(plan.clone()).or_default();
                    work.owned.insert(plan);
                    work.runners.push(Box::pin(Runner::run(shared.clone(), *ownership, permit, false)));
                }
                Won::SessionLost => return Ok(true),
                won => self.not_won(plan, won),
            },
        }
        Ok(false)
    }

    /// The plan to be acquired next, if one more may be owned.
    fn next_plan(&self, work: &Work, market: &Market) -> Option<Arc<PlanView>> {
        let is_full = work.owned.len() >= self.options.most_plans() || work.room() == 0;
        if work.acquiring.is_some() || is_full {
            return None;
        }
        market.first(|plan| work.has(plan) || self.rests(plan))
    }

    fn rests(&self, plan: &PlanName) -> bool {
        self.open.get(plan).is_some_and(Open::rests)
    }

    /// Begins to acquire a plan, with a job for its first task.
    fn acquire(&mut self, session: &Session, plan: &PlanView) -> Option<(PlanName, Try)> {
        let permit = Arc::clone(&self.jobs).try_acquire_owned().ok()?;
        let name = plan.name().clone();
        if let Err(why) = self.options.check_plan(plan) {
            self.cannot_start(name, why);
            return None;
        }
        let (session, reporter, of) = (session.clone(), self.reporter.clone(), name.clone());
        let trying: Try = Box::pin(async move {
            let won = try_acquire(&session, &name, &reporter).await;
            (name, Some(permit), won)
        });
        Some((of, trying))
    }

    /// Waits in the queues of the plans that are to move here, beyond the most that are owned at once; leaves
    /// those for which that is not asked any more. A plan that could not be waited for rests first.
    fn queue_for_moves(
        &self,
        session: &Session,
        asked: &Steering,
        takes: bool,
        (market, work): (&Market, &mut Work),
    ) {
        let to_here: BTreeMap<&PlanName, &MoveRecord> =
            asked.moves_to(session.id()).filter(|_| takes).collect();
        let goes_on =
            |plan: &PlanName, request: &MoveRecord| request.goes_on_with(market.owner(plan).as_ref());
        work.queued.retain(|plan, _| to_here.get(plan).is_some_and(|request| goes_on(plan, request)));
        for (plan, request) in to_here {
            let begins = !work.has(plan) && !self.rests(plan) && work.room() > 0;
            if begins && request.begins_with(market.owner(plan).as_ref()) {
                work.queued.insert(plan.clone(), self.wait_for(session, plan));
            }
        }
    }

    /// Waits in the queue of a plan, and takes it if it has work then.
    fn wait_for(&self, session: &Session, plan: &PlanName) -> Try {
        let (session, reporter, name) = (session.clone(), self.reporter.clone(), plan.clone());
        Box::pin(async move {
            let won = match session.acquire(&name, AcquireOptions::default().only_for_work(true)).await {
                Ok(ownership) => Ok(Won::Plan(Box::new(ownership))),
                Err(error) => trouble(&session, &name, error, &reporter).await,
            };
            (name, None, won)
        })
    }

    async fn take_note(&mut self, news: Vec<News>) {
        for one in news {
            match one {
                News::Other(plan) => drop(self.open.remove(&plan)),
                News::Unreadable(what) => self.reporter.send(&Report::Unreadable(what)),
                News::Ended(why) => {
                    self.reporter.send(&Report::Trouble(format!("the plans cannot be followed: {why}")));
                    self.pause().await;
                }
            }
        }
    }

    /// The plan was not acquired.
    fn not_won(&mut self, plan: PlanName, won: Won) {
        let open = self.open.entry(plan.clone()).or_default();
        match won {
            Won::Failed(_, why) | Won::Unreadable(_, why) => {
                open.rest();
                self.reporter.send(&Report::Trouble(format!("{plan} cannot be owned: {why}")));
            }
            Won::Later(rest) => open.later(rest),
            // Closed or deleted: the watch shows it.
            _ => open.later(SESSION_AGAIN),
        }
    }

    fn cannot_start(&mut self, plan: PlanName, why: String) {
        let again = Some(self.open.entry(plan.clone()).or_default().rest());
        self.reporter.send(&Report::CannotStart { plan, why, again });
    }

    fn ended_in_service(&mut self, plan: PlanName, ended: Ended) {
        match ended {
            Ended::Finished(_) => drop(self.open.remove(&plan)),
            Ended::Idle(_) => self.open.entry(plan).or_default().later(IDLE),
            Ended::Stopped => {
                self.open.remove(&plan);
                if *self.stop.borrow() == Stop::Abort {
                    self.summary.unfinished.push(plan);
                }
            }
            Ended::Lost => self.open.entry(plan).or_default().later(SESSION_AGAIN),
            Ended::TakenAway => {
                self.open.entry(plan.clone()).or_default().later(TAKEN_AWAY);
                self.reporter.send(&Report::LeftAlone { plan, rest: TAKEN_AWAY });
            }
            // A record may be repaired; meanwhile it is tried less and less often. A service stays in a
            // pause.
            Ended::NotBegun | Ended::Unreadable(_) | Ended::Paused { .. } => {
                self.open.entry(plan).or_default().rest();
            }
            Ended::CannotStart(why) | Ended::Short(why) => self.cannot_start(plan, why),
        }
    }
}

impl Work {
    fn new() -> Self {
        Self {
            runners: Runners::new(),
            owned: BTreeSet::new(),
            acquiring: None,
            queued: BTreeMap::new(),
            resolve: None,
            tries: 0,
        }
    }

    /// Whether the session has the plan, or is about to.
    fn has(&self, plan: &PlanName) -> bool {
        let acquires = self.acquiring.as_ref().is_some_and(|(acquired, _)| acquired == plan);
        acquires || self.owned.contains(plan) || self.queued.contains_key(plan)
    }

    /// How many more plans the session may have.
    fn room(&self) -> usize {
        let held = self.owned.len() + self.queued.len() + usize::from(self.acquiring.is_some());
        MAX_HELD.saturating_sub(held)
    }

    /// Sets when to acquire the next plan, if there `is_one` and a job for it.
    fn resolve(&mut self, session: &Session, is_one: bool, load: &Load) {
        if !is_one {
            self.resolve = None;
        } else if self.resolve.is_none() {
            self.tries = self.tries.wrapping_add(1);
            self.resolve = Some(Instant::now() + hesitation(load, chance(session.id().as_str(), self.tries)));
        }
    }
}

/// A number below 1 that differs between orchestrators, and from try to try.
fn chance(name: &str, tries: u64) -> f64 {
    let mut hasher = DefaultHasher::new();
    (name, tries).hash(&mut hasher);
    f64::from(u16::try_from(hasher.finish() & 0xFFFF).unwrap_or_default()) / 65_536.0
}

fn load(jobs: &Semaphore, all: usize, plans: usize) -> Load {
    let (free, all) = (jobs.available_permits(), all.max(1));
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let running = number(all.saturating_sub(free));
    Load { plans: number(plans), running, free: number(free), ..Load::default() }
}

async fn try_acquire(session: &Session, plan: &PlanName, reporter: &Reporter) -> Result<Won, Error> {
    match session.try_acquire_with(plan, AcquireOptions::default()).await {
        Ok(TryAcquire::Acquired(ownership)) => Ok(Won::Plan(ownership)),
        Ok(TryAcquire::HeldBy(_)) => Ok(Won::Later(HELD)),
        Ok(TryAcquire::Delayed(left)) => Ok(Won::Later(left)),
        Err(error) => trouble(session, plan, error, reporter).await,
    }
}

/// Waits for an acquisition under way; for ever if there is none. Cancel safe: it goes on where it was.
async fn under_way(acquiring: &mut Option<(PlanName, Try)>) -> Tried {
    let tried = match acquiring {
        Some((_, tried)) => tried.await,
        None => std::future::pending().await,
    };
    *acquiring = None;
    tried
}

/// The same for several: the first one that comes to its end.
async fn first_of(queued: &mut BTreeMap<PlanName, Try>) -> Tried {
    let tried = poll_fn(|context| {
        let mut polled = queued.values_mut().map(|tried| tried.as_mut().poll(context));
        polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await;
    queued.remove(&tried.0);
    tried
}

/// Ready once a job is free. It wakes no task: to be polled again whenever a job may have become free.
async fn free(jobs: &Semaphore) {
    poll_fn(|_| if jobs.available_permits() > 0 { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn plan(name: &str) -> PlanName {
        PlanName::new(name).unwrap()
    }

    #[test]
    fn a_plan_that_never_comes_holds_up_no_other() {
        let ready = |name: &str| -> Try {
            let plan = plan(name);
            Box::pin(async move { (plan, None, Ok(Won::Nothing)) })
        };
        let never = || -> Try { Box::pin(std::future::pending()) };
        let mut queued =
            BTreeMap::from([(plan("a"), never()), (plan("b"), ready("b")), (plan("c"), never())]);
        let (first, ..) = first_of(&mut queued).now_or_never().unwrap();
        assert_eq!(first, plan("b"));
        assert!(queued.keys().eq([&plan("a"), &plan("c")]));
        assert!(first_of(&mut queued).now_or_never().is_none());
    }

    #[test]
    fn a_session_has_a_plan_once_and_only_so_many() {
        let never = || -> Try { Box::pin(std::future::pending()) };
        let mut work = Work::new();
        work.owned.insert(plan("owned"));
        work.acquiring = Some((plan("acquired"), never()));
        work.queued.insert(plan("queued"), never());
        for name in ["owned", "acquired", "queued"] {
            assert!(work.has(&plan(name)), "{name}");
        }
        assert!(!work.has(&plan("other")));
        assert_eq!(work.room(), MAX_HELD - 3);
        work.owned.extend((0..MAX_HELD).map(|n| plan(&n.to_string())));
        assert_eq!(work.room(), 0);
    }
}
