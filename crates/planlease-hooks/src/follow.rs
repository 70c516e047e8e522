//! Running one hook: waits until it is this process's turn, follows the store from the hook's position,
//! delivers, and moves the position.

use std::{collections::BTreeSet, time::Duration};

use planlease::{Error, Feed, HookRunner, Session};
use planlease_core::{HookName, Revision, change::RawChangeSet, keys::Key};
use planlease_watcher::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    deliver::{Deliveries, Delivery, Retries},
    event::{Event, EventKind, States},
    not_delivered::NotDelivered,
    receiver::Receiver,
};

/// How often the position moves at most while nothing is delivered: so that etcd's history reaches back to
/// it.
const KEEP_UP: Duration = Duration::from_secs(30);

/// The pause before a hook is run again after a transient failure.
const AGAIN: Duration = Duration::from_secs(1);

/// One hook.
#[derive(Debug)]
pub struct Hook {
    /// Its name, under which its position is kept.
    pub name: HookName,
    /// What is notified.
    pub receiver: Receiver,
    /// Of what; empty for everything.
    pub events: BTreeSet<EventKind>,
    /// How often a delivery is tried.
    pub retries: Retries,
}

/// What a hook does.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report<'a> {
    /// This process runs it from now on, from this revision.
    Running(Revision),
    /// An event was delivered, after so many tries.
    Delivered(&'a Event, u32),
    /// An event was given up after so many tries.
    GivenUp(&'a Event, u32, &'a NotDelivered),
    /// The history since its position is compacted: the events of the present state follow.
    Gap,
}

/// Which of the events of one transaction were delivered, or given up.
#[derive(PartialEq, Eq)]
enum Delivered {
    /// The hook is for none of them.
    Nothing,
    All,
    /// It was stopped before the last one: the position does not move.
    InPart,
}

/// Why following ended.
enum Ended {
    Stopped,
    /// The hook is another process's now, or its position was removed.
    NotRunner,
}

impl Hook {
    /// Runs the hook until `stop`, or until the session is over. Waits while another process runs it.
    ///
    /// A hook that never ran begins with what happens from now on. A try that is under way at `stop` is
    /// ended first, within [`Retries::timeout`]: what was delivered is not delivered again by the next
    /// runner, unless one transaction caused several events and only some of them were delivered.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`] if the session is over; what is not transient otherwise.
    ///
    /// # Cancel safety
    /// If the future is dropped, an event may have been delivered without the position having moved: it is
    /// delivered again. The session still runs the hook until it ends.
    pub async fn run(
        &self,
        session: &Session,
        stop: &CancellationToken,
        report: impl Fn(&Report<'_>),
    ) -> Result<(), Error> {
        loop {
            let Some(runner) = stop.run_until_cancelled(session.run_hook(&self.name)).await else {
                return Ok(());
            };
            let mut runner = match runner {
                Ok(runner) => runner,
                Err(error) if error.is_transient() => {
                    tracing::warn!(hook = %self.name, %error, "the hook cannot be run yet");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let ended = tokio::select! {
                biased;
                reason = session.lost() => return Err(Error::AuthorityLost(planlease::AuthorityLoss::Session(reason))),
                ended = self.follow(session, &mut runner, stop, &report) => ended,
            };
            let over = match ended {
                Ok(Ended::Stopped) => Some(Ok(())),
                Ok(Ended::NotRunner) => {
                    tracing::warn!(hook = %self.name, "the hook, or its position, was taken away; run again");
                    None
                }
                Err(error) if error.is_transient() || matches!(error, Error::Compacted) => {
                    tracing::warn!(hook = %self.name, %error, "the hook is run again");
                    None
                }
                Err(error) => Some(Err(error)),
            };
            // For whatever reason it ended: the session may live on for long, and with it the runner's key.
            if let Err(error) = runner.release().await {
                tracing::warn!(hook = %self.name, %error, "not released: no other process can run it yet");
            }
            if let Some(over) = over {
                return over;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn follow(
        &self,
        session: &Session,
        runner: &mut HookRunner,
        stop: &CancellationToken,
        report: &impl Fn(&Report<'_>),
    ) -> Result<Ended, Error> {
        let (coordinator, everything) = (session.coordinator(), session.coordinator().layout().everything());
        let mut deliveries = Deliveries::new(&self.receiver, self.retries, stop);
        let mut gap = false;
        let base = match runner.position() {
            Some(from) => match coordinator.raw().snapshot_at(&everything, from).await {
                Ok(base) => planlease::RawSnapshot { revision: from, ..base },
                Err(Error::Compacted) => {
                    gap = true;
                    coordinator.raw().snapshot(&everything).await?
                }
                Err(error) => return Err(error),
            },
            None => coordinator.raw().snapshot(&everything).await?,
        };
        // What happens from now on is kept for it, also if this process ends at once.
        if runner.position().is_none() && !runner.advance(base.revision).await? {
            return Ok(Ended::NotRunner);
        }
        report(&Report::Running(base.revision));
        let mut store = Store::load(&base);
        let mut states = States::of(store.snapshot());
        if gap {
            report(&Report::Gap);
            let events = States::present(store.snapshot());
            if self.deliver(&mut deliveries, &events, report).await == Delivered::InPart {
                return Ok(Ended::Stopped);
            }
        }
        if !runner.advance(base.revision).await? {
            return Ok(Ended::NotRunner);
        }
        let mut changes = coordinator.raw().changes(everything.clone(), base.revision.next());
        // What was read and is not the position yet: without events, it moves seldom.
        let (mut read, mut kept_up) = (None, Instant::now());
        loop {
            let Some(feed) = stop.run_until_cancelled(changes.next()).await else {
                return Ok(Ended::Stopped);
            };
            let sets = match feed? {
                Feed::Changes(sets) => sets,
                Feed::Compacted(_) => return Err(Error::Compacted), // Begins again, with a gap.
                Feed::Broken(reason) => {
                    tracing::debug!(hook = %self.name, reason, "the connection broke");
                    continue;
                }
                Feed::Alive(_) | Feed::Connected => Vec::new(),
            };
            for set in &sets {
                let events = match store.apply(set) {
                    Some(applied) => states.events(&applied, store.snapshot()),
                    None => Vec::new(),
                };
                match self.deliver(&mut deliveries, &events, report).await {
                    Delivered::InPart => return Ok(Ended::Stopped),
                    Delivered::All => {
                        if !runner.advance(set.revision).await? {
                            return Ok(Ended::NotRunner);
                        }
                        (read, kept_up) = (None, Instant::now());
                    }
                    Delivered::Nothing if !is_ours(set) => read = Some(set.revision),
                    Delivered::Nothing => {}
                }
            }
            if let Some(revision) = read.filter(|_| kept_up.elapsed() >= KEEP_UP) {
                if !runner.advance(revision).await? {
                    return Ok(Ended::NotRunner);
                }
                (read, kept_up) = (None, Instant::now());
            }
        }
    }

    /// Delivers those of these events that the hook is for, one after the other.
    async fn deliver(
        &self,
        deliveries: &mut Deliveries<'_>,
        events: &[Event],
        report: &impl Fn(&Report<'_>),
    ) -> Delivered {
        let mut delivered = Delivered::Nothing;
        for event in events.iter().filter(|event| self.events.is_empty() || self.events.contains(&event.kind))
        {
            match deliveries.deliver(event).await {
                Delivery::Delivered(tries) => report(&Report::Delivered(event, tries)),
                Delivery::GivenUp(tries, error) => report(&Report::GivenUp(event, tries, &error)),
                Delivery::Stopped => return Delivered::InPart,
            }
            delivered = Delivered::All;
        }
        delivered
    }
}

/// Whether these changes are the hooks' own: they are no reason to move a position, which would be one more.
fn is_ours(set: &RawChangeSet) -> bool {
    set.changes.iter().all(|change| matches!(change.key, Key::Hook(_) | Key::HookRunner(_)))
}
