//! Tries a session out: are its requests permitted, is the way to etcd fast enough for the TTL.

use std::time::Duration;

use planlease::{
    AuthorityLoss, Config, Coordinator, Error, Identity,
    core::{PlanName, session::Timing},
};
use tokio::time::Instant;

use crate::{failure::library::remedy, output::Finding};

/// How many requests are timed.
const REQUESTS: usize = 5;

/// The TTL of the session that is tried out: short, so that its first renewal comes soon.
const TTL: Duration = Duration::from_secs(3);

/// How often a renewal must fit into the time that it has, so that there is room for bad moments.
const ROOM: u32 = 5;

/// Everything about sessions.
pub(super) async fn look(coordinator: &Coordinator) -> Vec<Finding> {
    vec![round_trip(coordinator).await, session(coordinator).await]
}

async fn round_trip(coordinator: &Coordinator) -> Finding {
    const WHAT: &str = "round trip";
    let plan = PlanName::new("doctor").expect("a plain word is a name");
    let mut slowest = Duration::ZERO;
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        if let Err(error) = coordinator.queue(&plan).await {
            return Finding::problem(
                WHAT,
                planlease::error_chain(&error),
                "Fix what is reported about the endpoints first.",
            );
        }
        slowest = slowest.max(begun.elapsed());
    }
    judge(WHAT, slowest, coordinator.config().timing())
}

/// A renewal has to be answered within the session's patience.
fn judge(what: &str, slowest: Duration, timing: Timing) -> Finding {
    let patience = timing.patience();
    let found =
        format!("{slowest:.1?} at most; a renewal may take {patience:.1?} with a TTL of {:?}", timing.ttl);
    if slowest > patience {
        Finding::problem(what, found, "Raise --ttl: sessions would be lost all the time.")
    } else if slowest * ROOM > patience {
        Finding::warning(
            what,
            found,
            "Raise --ttl, or use a nearer endpoint: there is little room for bad moments.",
        )
    } else {
        Finding::ok(what, found)
    }
}

async fn session(coordinator: &Coordinator) -> Finding {
    const WHAT: &str = "session";
    match try_session(coordinator.config()).await {
        Ok(granted) if granted > TTL => Finding::warning(
            WHAT,
            format!("the server raises a TTL of {TTL:?} to {granted:?}"),
            "Its --election-timeout is long: after a crash, plans are free that much later.",
        ),
        Ok(_) => Finding::ok(WHAT, "a lease can be granted, renewed and revoked, and a registration written"),
        Err(error) => Finding::problem(WHAT, planlease::error_chain(&error), remedy(&error)),
    }
}

/// Opens a session, waits for its first renewal, closes it. Returns the TTL that was granted.
async fn try_session(config: &Config) -> Result<Duration, Error> {
    let config = config.clone().ttl(TTL).margin(None);
    let coordinator = Coordinator::connect(config).await?;
    let mut identity = Identity::of_process();
    identity.labels.insert("purpose".to_owned(), "doctor".to_owned());
    let session = coordinator.open_session(identity).await?;
    let timing = session.timing();
    let mut status = session.watch_status();
    status.mark_unchanged();
    let renewed = tokio::time::timeout(timing.ttl, status.changed()).await;
    let lost = session.status();
    session.close().await?;
    match (renewed, lost) {
        (_, planlease::core::session::Status::Lost(reason)) => Err(AuthorityLoss::Session(reason).into()),
        (Err(_), _) => Err(Error::TimedOut("no renewal of the session was answered")),
        (Ok(_), _) => Ok(timing.ttl),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Verdict;

    #[test]
    fn a_slow_way_is_judged_by_the_ttl() {
        let timing = Timing { ttl: Duration::from_secs(6), margin: Duration::from_millis(600) };
        for (millis, verdict) in [(1, Verdict::Ok), (300, Verdict::Warning), (1100, Verdict::Problem)] {
            assert_eq!(judge("x", Duration::from_millis(millis), timing).verdict, verdict, "{millis}");
        }
    }
}
