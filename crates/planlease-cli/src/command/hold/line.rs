//! Standing in line for a plan or a lock: joining, waiting, and leaving it when asked to.

use std::time::Duration;

use planlease::{
    AcquireOptions, Coordinator, Error, Holder, Identity, Ownership, Session, TryAcquire, core::PlanName,
};
use tokio::time::Instant;

use super::close;
use crate::{
    command::held::Held,
    exit::Exit,
    failure::{Failure, with_cause},
    output::{self, plain},
    signals::{Asked, Signals},
};

/// How long to wait before a new session is tried after one was lost.
const SESSION_AGAIN: Duration = Duration::from_secs(1);

/// How long a takeover may take after the lock delay, if the time to wait for others is up by then.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(5);

/// Why there is a lock delay.
const CRASHED: &str = "the last ownership did not end in order";

/// Something for which one stands in line.
pub(in crate::command) trait Wanted {
    /// What one has then.
    type Right;

    /// Takes it if the queue is empty; else says why it cannot be taken now.
    fn take_now(&self, session: &Session) -> impl Future<Output = Result<Result<Self::Right, Busy>, Error>>;

    /// Waits in line for it.
    fn wait(
        &self,
        session: &Session,
        wait: Option<Duration>,
    ) -> impl Future<Output = Result<Self::Right, Error>>;

    /// What it is called, and what is said of who has it: `release`, `owned by …`.
    fn words(&self, holder: &Holder) -> (String, String);

    /// Somebody has it, and there is to be no waiting.
    fn refused(&self, holder: &Holder) -> Failure;

    /// The time to wait is up.
    fn still_held(&self, coordinator: &Coordinator) -> impl Future<Output = Failure>;
}

/// Why something cannot be taken now.
#[derive(Debug)]
pub(in crate::command) enum Busy {
    /// Another process has it.
    Held(Box<Holder>),
    /// It is free, but a lock delay is left.
    Delayed(Duration),
}

/// The ownership of a plan.
pub(super) struct ForPlan<'a> {
    pub(super) plan: &'a PlanName,
    /// In place of the plan's own.
    pub(super) lock_delay: Option<Duration>,
}

impl Wanted for ForPlan<'_> {
    type Right = Ownership;

    async fn take_now(&self, session: &Session) -> Result<Result<Ownership, Busy>, Error> {
        Ok(match session.try_acquire_with(self.plan, self.options(None)).await? {
            TryAcquire::Acquired(ownership) => Ok(*ownership),
            TryAcquire::HeldBy(holder) => Err(Busy::Held(Box::new(holder))),
            TryAcquire::Delayed(left) => Err(Busy::Delayed(left)),
        })
    }

    async fn wait(&self, session: &Session, wait: Option<Duration>) -> Result<Ownership, Error> {
        session.acquire(self.plan, self.options(wait)).await
    }

    fn words(&self, holder: &Holder) -> (String, String) {
        (self.plan.to_string(), describe(holder))
    }

    fn refused(&self, holder: &Holder) -> Failure {
        refused(self.plan, holder)
    }

    async fn still_held(&self, coordinator: &Coordinator) -> Failure {
        still_owned(coordinator, self.plan).await
    }
}

impl ForPlan<'_> {
    fn options(&self, wait: Option<Duration>) -> AcquireOptions {
        AcquireOptions { wait, lock_delay: self.lock_delay, ..AcquireOptions::default() }
    }
}

/// How long somebody is ready to wait.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct Patience {
    wait: bool,
    until: Option<Instant>,
    /// Whether the line was joined once. From then on etcd may be away for a while.
    joined: bool,
}

impl Patience {
    /// From now on.
    pub(in crate::command) fn new(no_wait: bool, wait: Option<Duration>) -> Self {
        // A time that no clock reaches is no bound.
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        Self { wait: !no_wait, until, joined: false }
    }

    fn left(self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether there is some left, for somebody who has lost what he had waited for.
    pub(in crate::command) fn lasts(self) -> bool {
        self.wait && self.until.is_none_or(|until| until > Instant::now())
    }
}

/// What waiting came to.
#[derive(Debug)]
pub(in crate::command) enum Turn<R> {
    /// It is ours.
    Ours(Box<R>),
    /// A signal came first; the line was left.
    Asked(Asked),
}

/// Why it is not ours.
enum Not {
    Asked(Asked),
    HeldBy(Box<Holder>),
    Failed(Error),
}

/// Gets what is wanted, in a session of its own. What is `held` by commands above is not waited for. While it
/// waits, a lost session is replaced by a new one, at the end of the line: who waits for hours is not sent
/// away by an etcd that is away for a minute.
pub(in crate::command) async fn acquire<W: Wanted>(
    coordinator: &Coordinator,
    wanted: &W,
    held: &Held,
    patience: &mut Patience,
    signals: &mut Signals,
) -> Result<Turn<W::Right>, Failure> {
    loop {
        let opened = tokio::select! {
            biased; // A session that is open has to be closed, so it goes first.
            opened = coordinator.open_session(Identity::of_process()) => opened,
            asked = signals.which() => return Ok(Turn::Asked(asked)),
        };
        let not = match opened {
            Err(error) => Not::Failed(error),
            Ok(session) => {
                let acquired = tokio::select! {
                    biased; // Ours is ours; the signal is told to the command then.
                    acquired = stand(&session, wanted, held, patience) => acquired,
                    asked = signals.which() => Err(Not::Asked(asked)),
                };
                match acquired {
                    Ok(right) => return Ok(Turn::Ours(Box::new(right))),
                    Err(not) => {
                        close(session, signals).await;
                        not
                    }
                }
            }
        };
        match not {
            Not::Asked(asked) => return Ok(Turn::Asked(asked)),
            Not::HeldBy(holder) if held.is_ours(&holder.candidate) => {
                return Err(Held::refusal(&wanted.words(&holder).0));
            }
            Not::HeldBy(holder) => return Err(wanted.refused(&holder)),
            Not::Failed(Error::TimedOut(_)) => return Err(wanted.still_held(coordinator).await),
            Not::Failed(error) if patience.joined && is_passing(&error) && patience.lasts() => {
                output::tell(&format!("lost the place in the queue: {}; trying again", with_cause(&error)));
            }
            Not::Failed(error) => return Err(error.into()),
        }
        tokio::select! {
            biased; // A signal ends the pause.
            asked = signals.which() => return Ok(Turn::Asked(asked)),
            () = tokio::time::sleep(SESSION_AGAIN) => {}
        }
    }
}

async fn stand<W: Wanted>(
    session: &Session,
    wanted: &W,
    held: &Held,
    patience: &mut Patience,
) -> Result<W::Right, Not> {
    loop {
        let busy = match wanted.take_now(session).await.map_err(Not::Failed)? {
            Ok(right) => {
                patience.joined = true;
                return Ok(right);
            }
            Err(busy) => busy,
        };
        let wait = match busy {
            Busy::Held(holder) if !patience.wait || held.is_ours(&holder.candidate) => {
                return Err(Not::HeldBy(holder));
            }
            Busy::Held(holder) => {
                let (what, held) = wanted.words(&holder);
                output::tell(&format!("waiting for {what}: it is {held}"));
                patience.left()
            }
            // On top of the time to wait for others: else a fleet of short waits would never own the plan.
            Busy::Delayed(left) => {
                output::tell(&format!(
                    "waiting {:.1} s for the end of the lock delay: {CRASHED}",
                    left.as_secs_f64()
                ));
                let delay = left.saturating_add(TAKE_OVER_WITHIN);
                match patience.left() {
                    _ if !patience.wait => Some(delay),
                    wait => wait.map(|wait| wait.max(delay)),
                }
            }
        };
        patience.joined = true;
        match wanted.wait(session, wait).await {
            Err(Error::TimedOut(_)) if !patience.wait => {} // Another process was first: it says which one.
            waited => return waited.map_err(Not::Failed),
        }
    }
}

/// Whether it is the connection's fault, and may be mended by itself.
pub(in crate::command) fn is_passing(error: &Error) -> bool {
    error.is_passing() || matches!(error, Error::SessionLost(_))
}

/// What is said after "is": `owned by ci-1 on host-1 (process 42), token 1.3; 2 waiting`
fn describe(holder: &Holder) -> String {
    let first = plain(&holder.candidate.name());
    let owner = match (&holder.term, &holder.candidate.record) {
        (Some(term), Some(record)) => {
            format!(
                "owned by {first} on {} (process {}), token {}",
                plain(&record.host),
                record.pid,
                term.token()
            )
        }
        (None, Some(_)) => format!("about to be taken over by {first}"),
        (_, None) => format!("held by {first}"),
    };
    format!("{owner}; {}", waiting(holder))
}

/// `2 waiting`
pub(in crate::command) fn waiting(holder: &Holder) -> String {
    match holder.waiting {
        0 => "the queue is empty".to_owned(),
        1 => "1 waiting".to_owned(),
        n => format!("{n} waiting"),
    }
}

fn refused(plan: &PlanName, holder: &Holder) -> Failure {
    Failure::new(Exit::OwnedByOther, format!("{plan} is {}", describe(holder)))
        .meaning("The command was not started.")
        .remedy(format!(
            "Without --no-wait it waits its turn; `planlease owner show {plan}` shows the queue."
        ))
}

/// The time to wait is up.
async fn still_owned(coordinator: &Coordinator, plan: &PlanName) -> Failure {
    let why = match coordinator.line(plan).await {
        Ok(line) => match line.candidates().first() {
            Some(first) => format!("is still owned by {}", plain(&first.name())),
            None => format!("has a lock delay: {CRASHED}"),
        },
        Err(_) => "is still owned".to_owned(),
    };
    Failure::new(Exit::TimedOut, format!("the time to wait is up; {plan} {why}"))
        .meaning("The command was not started, and the process left the queue.")
        .remedy("Give a longer --wait, or none to wait as long as it takes.")
}

#[cfg(test)]
mod tests {
    use planlease::core::{Generation, LeaseId, OrchestratorId, Revision, WallTime};
    use planlease_core::{
        record::CandidateRecord,
        term::{Candidate, Successor, succeed},
    };

    use super::*;

    fn holder(waiting: usize) -> Holder {
        let record =
            CandidateRecord::new(OrchestratorId::new("ci-1").unwrap(), "host\x1b[2J-1", 42, WallTime(0));
        let lease = LeaseId::from_wire(7).unwrap();
        let joined = Revision::from_wire(5).unwrap();
        let successor = Successor { record: record.clone(), lease, guard: Some(joined) };
        let term = succeed(None, Generation(1), &successor, WallTime(0)).term;
        Holder { candidate: Candidate { lease, joined, record: Some(record) }, term: Some(term), waiting }
    }

    #[test]
    fn a_refusal_names_the_owner_and_counts_the_waiters() {
        let plan = PlanName::new("release").unwrap();
        let failure = refused(&plan, &holder(2));
        assert_eq!(failure.exit(), Exit::OwnedByOther);
        insta::assert_snapshot!(failure.lines().collect::<Vec<_>>().join("\n"), @r"
        release is owned by ci-1 on host�[2J-1 (process 42), token 1.1; 2 waiting
        The command was not started.
        Without --no-wait it waits its turn; `planlease owner show release` shows the queue.
        ");
        let stranger = Candidate { record: None, ..holder(0).candidate };
        insta::assert_snapshot!(describe(&Holder { candidate: stranger, term: None, waiting: 1 }), @"held by an unmanaged candidate (lease 7); 1 waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_to_wait_counts_from_the_beginning() {
        let patience = Patience::new(false, Some(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(patience.left(), Some(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(!patience.lasts());
        let forever = Patience::new(false, Some(Duration::MAX));
        assert_eq!(forever.left(), None);
    }
}
