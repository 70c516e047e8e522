//! Standing in line for a plan: joining, waiting, and leaving it when asked to.

use std::time::Duration;

use planlease::{
    AcquireOptions, Coordinator, Error, Holder, Identity, Ownership, Session, TryAcquire, core::PlanName,
};
use tokio::time::Instant;

use super::close;
use crate::{
    exit::Exit,
    failure::{Failure, with_cause},
    output::{self, plain},
    signals::{Asked, Signals},
};

/// How long to wait before a new session is tried after one was lost.
const SESSION_AGAIN: Duration = Duration::from_secs(1);

/// How long somebody is ready to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    wait: bool,
    until: Option<Instant>,
    lock_delay: Duration,
    /// Whether the line was joined once. From then on etcd may be away for a while.
    joined: bool,
}

impl Patience {
    /// From now on.
    pub(super) fn new(no_wait: bool, wait: Option<Duration>, lock_delay: Duration) -> Self {
        // A time that no clock reaches is no bound.
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        Self { wait: !no_wait, until, lock_delay, joined: false }
    }

    fn options(self) -> AcquireOptions {
        let wait = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        AcquireOptions { wait, lock_delay: self.lock_delay }
    }

    /// Whether there is some left, for somebody who has lost what he had waited for.
    pub(super) fn lasts(self) -> bool {
        self.wait && self.until.is_none_or(|until| until > Instant::now())
    }
}

/// What waiting came to.
#[derive(Debug)]
pub(super) enum Turn {
    /// The plan is ours.
    Ours(Box<Ownership>),
    /// A signal came first; the line was left.
    Asked(Asked),
}

/// Why there is no ownership.
enum Not {
    Asked(Asked),
    HeldBy(Box<Holder>),
    Failed(Error),
}

/// Acquires the plan in a session of its own. While it waits, a lost session is replaced by a new one, at the end of the
/// line: who waits for hours is not sent away by an etcd that is away for a minute.
pub(super) async fn acquire(
    coordinator: &Coordinator,
    plan: &PlanName,
    patience: &mut Patience,
    signals: &mut Signals,
) -> Result<Turn, Failure> {
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
                    acquired = stand(&session, plan, patience) => acquired,
                    asked = signals.which() => Err(Not::Asked(asked)),
                };
                match acquired {
                    Ok(ownership) => return Ok(Turn::Ours(Box::new(ownership))),
                    Err(not) => {
                        close(session, signals).await;
                        not
                    }
                }
            }
        };
        match not {
            Not::Asked(asked) => return Ok(Turn::Asked(asked)),
            Not::HeldBy(holder) => return Err(refused(plan, &holder)),
            Not::Failed(Error::TimedOut(_)) => return Err(still_owned(coordinator, plan).await),
            Not::Failed(error) if patience.joined && is_passing(&error) && patience.lasts() => {
                output::tell(&format!("lost the place in line: {}; trying again", with_cause(&error)));
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

async fn stand(session: &Session, plan: &PlanName, patience: &mut Patience) -> Result<Ownership, Not> {
    let holder = match session.try_acquire(plan).await.map_err(Not::Failed)? {
        TryAcquire::Acquired(ownership) => {
            patience.joined = true;
            return Ok(*ownership);
        }
        TryAcquire::HeldBy(holder) => holder,
    };
    if !patience.wait {
        return Err(Not::HeldBy(Box::new(holder)));
    }
    output::tell(&format!("waiting for {plan}: it is {}", describe(&holder)));
    patience.joined = true;
    session.acquire(plan, patience.options()).await.map_err(Not::Failed)
}

/// Whether it is the connection's fault, and may be mended by itself.
pub(super) fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::SessionLost(_) | Error::Unreachable(_) | Error::OutcomeUnknown(_) | Error::NoSpace(_)
    )
}

/// What is said after "is": `owned by ci-1 on host-1 (process 42), token 1.3; 2 wait in line`
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
    let waiting = match holder.waiting {
        0 => "nobody waits in line".to_owned(),
        1 => "1 waits in line".to_owned(),
        n => format!("{n} wait in line"),
    };
    format!("{owner}; {waiting}")
}

fn refused(plan: &PlanName, holder: &Holder) -> Failure {
    Failure::new(Exit::OwnedByOther, format!("{plan} is {}", describe(holder)))
        .meaning("The command was not started.")
        .remedy(format!("Without --no-wait it waits its turn; `planlease owner show {plan}` shows the line."))
}

/// The time to wait is up.
async fn still_owned(coordinator: &Coordinator, plan: &PlanName) -> Failure {
    let by = match coordinator.line(plan).await {
        Ok(line) => line
            .candidates()
            .first()
            .map_or_else(String::new, |first| format!(" by {}", plain(&first.name()))),
        Err(_) => String::new(),
    };
    Failure::new(Exit::TimedOut, format!("the time to wait is up; {plan} is still owned{by}"))
        .meaning("The command was not started, and the line was left.")
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
    fn who_is_refused_learns_by_whom_and_how_many_wait() {
        let plan = PlanName::new("release").unwrap();
        let failure = refused(&plan, &holder(2));
        assert_eq!(failure.exit(), Exit::OwnedByOther);
        insta::assert_snapshot!(failure.lines().collect::<Vec<_>>().join("\n"), @r"
        release is owned by ci-1 on host�[2J-1 (process 42), token 1.1; 2 wait in line
        The command was not started.
        Without --no-wait it waits its turn; `planlease owner show release` shows the line.
        ");
        let stranger = Candidate { record: None, ..holder(0).candidate };
        insta::assert_snapshot!(describe(&Holder { candidate: stranger, term: None, waiting: 1 }), @"held by a stranger to planlease (lease 7); 1 waits in line");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_to_wait_counts_from_the_beginning() {
        let patience = Patience::new(false, Some(Duration::from_secs(10)), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(patience.options().wait, Some(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(!patience.lasts());
        let forever = Patience::new(false, Some(Duration::MAX), Duration::ZERO);
        assert_eq!(forever.options().wait, None);
    }
}
