//! Queueing for a hold: joining, waiting, leaving when asked to, joining again after an outage.

use std::time::Duration;

use planlease::{Coordinator, Error, Holder, Identity, Session};

use super::{
    inherited::Inherited,
    patience::Patience,
    session::close,
    stop::{StopRequests, StopSignal},
    wanted::{Busy, Wanted},
    work::{Notice, Work},
};

/// How long to wait before a new session is tried after one was lost.
const SESSION_AGAIN: Duration = Duration::from_secs(1);

/// How long a takeover may take after the lock delay, if the time to wait for others is up by then.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(5);

/// What queueing came to.
pub(super) enum Turn<H> {
    /// It is held.
    Held(Box<H>),
    /// A signal came first; the queue was left.
    Stopped(StopSignal),
    /// Another process holds it, and is not waited for.
    HeldBy(Box<Holder>),
    /// The time to wait is up.
    TimedOut,
    /// etcd refused something, or was away before the queue was joined.
    Failed(Error),
}

/// Acquires what is wanted, in a session of its own. What commands above hold is not waited for. While it
/// waits, a lost session is replaced by a new one, at the end of the queue: a process that waits for hours is
/// not sent away by an etcd that is away for a minute.
pub(super) async fn acquire<W: Wanted>(
    coordinator: &Coordinator,
    wanted: &W,
    inherited: &Inherited,
    patience: &mut Patience,
    work: &impl Work<W::Held>,
    stops: &mut impl StopRequests,
) -> Turn<W::Held> {
    loop {
        let opened = tokio::select! {
            biased; // A session that is open has to be closed, so it goes first.
            opened = coordinator.open_session(Identity::of_process()) => opened,
            signal = stops.next_request() => return Turn::Stopped(signal),
        };
        let turn = match opened {
            Err(error) => Turn::Failed(error),
            Ok(session) => {
                let turn = tokio::select! {
                    biased; // What is acquired is held; the signal is forwarded to the command then.
                    turn = wait(&session, wanted, inherited, patience, work) => turn,
                    signal = stops.next_request() => Turn::Stopped(signal),
                };
                if !matches!(turn, Turn::Held(_)) {
                    close(session, stops).await;
                }
                turn
            }
        };
        match turn {
            Turn::Failed(Error::TimedOut(_)) => return Turn::TimedOut,
            Turn::Failed(error) if patience.joined && is_passing(&error) && patience.lasts() => {
                work.notice(Notice::PlaceLost(&error));
            }
            turn => return turn,
        }
        tokio::select! {
            biased; // A signal ends the pause.
            signal = stops.next_request() => return Turn::Stopped(signal),
            () = tokio::time::sleep(SESSION_AGAIN) => {}
        }
    }
}

/// Waits in one session.
async fn wait<W: Wanted>(
    session: &Session,
    wanted: &W,
    inherited: &Inherited,
    patience: &mut Patience,
    work: &impl Work<W::Held>,
) -> Turn<W::Held> {
    loop {
        let busy = match wanted.take_now(session).await {
            Ok(Ok(held)) => {
                patience.joined = true;
                return Turn::Held(Box::new(held));
            }
            Ok(Err(busy)) => busy,
            Err(error) => return Turn::Failed(error),
        };
        let wait = match busy {
            Busy::Held(holder) if !patience.waits() || inherited.contains(&holder.candidate) => {
                return Turn::HeldBy(holder);
            }
            Busy::Held(holder) => {
                work.notice(Notice::Waiting(&holder));
                patience.left()
            }
            // On top of the time to wait for others: else a fleet of short waits would never own the plan.
            Busy::Delayed(left) => {
                work.notice(Notice::LockDelay(left));
                let delay = left.saturating_add(TAKE_OVER_WITHIN);
                match patience.left() {
                    _ if !patience.waits() => Some(delay),
                    wait => wait.map(|wait| wait.max(delay)),
                }
            }
        };
        patience.joined = true;
        match wanted.wait(session, wait).await {
            Ok(held) => return Turn::Held(Box::new(held)),
            Err(Error::TimedOut(_)) if !patience.waits() => {} // Another process was first: take_now names it.
            Err(error) => return Turn::Failed(error),
        }
    }
}

/// Whether the connection is the cause, and a retry may succeed.
pub(super) fn is_passing(error: &Error) -> bool {
    error.is_transient() || error.is_session_lost()
}
