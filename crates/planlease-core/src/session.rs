//! The state machine of a session: when to renew, until when to trust, when it is over.
//!
//! A session is an etcd lease that its process keeps alive. This machine decides; the driver (`planlease`'s
//! session task) owns the connection and the timer and does what the [`Command`]s say.
//!
//! ```text
//!            Woke/Renewed/StreamFailed, in time
//!              ┌──────┐
//!   open ─────►│ live │── deadline passed, lease gone, closed ──► lost (for good)
//!              └──────┘
//! ```
//!
//! The law of lease timing: the holder's deadline has to come before the granter's. The server restarts its
//! clock when it handles a renewal, some time after the holder *sent* it; so the deadline is counted from the
//! sending, minus a margin for clocks that run at different rates and for the time it takes to stop. Counting
//! from the answer, as etcd's own client does, lets a holder believe in a lease that the server has dropped.
//!
//! Renewals are sent on schedule, whether or not the last one was answered: `etcd grpc-proxy` answers up to a
//! third of the TTL late, and a renewal that waits for the answer before it comes too late then. The answers
//! of a stream come in the order of its renewals, so each answer belongs to the oldest renewal without one.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::time::BootTime;

/// How a session is timed. All relations are checked by [`Timing::validate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The lease's time to live, as the *server* granted it.
    pub ttl: Duration,
    /// How long before the server can drop the lease the holder stops believing in it.
    pub margin: Duration,
}

/// Why a session cannot be timed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// Below it, ordinary pauses look like crashes, and many servers raise it anyway.
    #[error(
        "the ttl ({ttl:?}) is below the least that is allowed ({min:?}): an ordinary pause would look like a crash"
    )]
    TtlTooShort {
        /// The TTL that was asked for.
        ttl: Duration,
        /// The least that is allowed.
        min: Duration,
    },
    /// A renewal that fails once would already cost the session.
    #[error(
        "two renewals ({renewals:?}) and the margin ({margin:?}) do not fit into the ttl ({ttl:?}); lower the margin or raise the ttl"
    )]
    NoRoomToRetry {
        /// The time until the second renewal is sent.
        renewals: Duration,
        /// The margin.
        margin: Duration,
        /// The TTL.
        ttl: Duration,
    },
}

/// How much later than at the next renewal `etcd grpc-proxy` answers one: it looks twice a second which
/// leases it has to renew.
const PROXY_DELAY: Duration = Duration::from_millis(500);

/// The shortest TTL that is allowed.
pub const MIN_TTL: Duration = Duration::from_secs(2);

/// The margin that is used when none is asked for: a tenth of the TTL, at least half a second, at most 5 s.
#[must_use]
pub fn default_margin(ttl: Duration) -> Duration {
    (ttl / 10).clamp(Duration::from_millis(500), Duration::from_secs(5))
}

impl Timing {
    /// Checks that the session can survive one failed renewal.
    ///
    /// # Errors
    /// [`TimingError`], with the numbers.
    pub fn validate(self) -> Result<Self, TimingError> {
        if self.ttl < MIN_TTL {
            return Err(TimingError::TtlTooShort { ttl: self.ttl, min: MIN_TTL });
        }
        let renewals = self.renew_every() * 2;
        if renewals.saturating_add(self.margin) >= self.ttl {
            return Err(TimingError::NoRoomToRetry { renewals, margin: self.margin, ttl: self.ttl });
        }
        Ok(self)
    }

    /// How often the lease is renewed: three times per TTL.
    #[must_use]
    pub fn renew_every(self) -> Duration {
        self.ttl / 3
    }

    /// The time that another endpoint is given to answer, before the deadline, and how long any answer may
    /// take at least: half of the time between two renewals.
    #[must_use]
    pub fn patience(self) -> Duration {
        self.renew_every() / 2
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// No renewal was answered in time. The server may drop the lease any moment, or keep it for a while.
    DeadlinePassed,
    /// The work under the session made no progress, so it was not renewed any more.
    NoProgress,
    /// The server says that the lease does not exist: it expired or was revoked.
    LeaseGone,
    /// The session was closed by its own process.
    Closed,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadlinePassed => "no renewal was answered before the deadline",
            Self::NoProgress => "the work under it made no progress, so it was not renewed",
            Self::LeaseGone => "etcd says that the lease does not exist (expired or revoked)",
            Self::Closed => "the session was closed",
        })
    }
}

/// Whether the session can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It can, until the deadline (which moves with each renewal).
    Live {
        /// When to stop believing in it.
        deadline: BootTime,
    },
    /// It cannot, and never will again.
    Lost(LossReason),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time asked for has come, or the driver woke up for another reason.
    Woke,
    /// The oldest renewal that is under way was answered; the lease has this long to live from then on.
    Renewed {
        /// The TTL that the server returned.
        ttl: Duration,
    },
    /// The server answered that there is no such lease.
    LeaseGone,
    /// The stream of renewals broke; try again after this long.
    StreamFailed {
        /// How long to wait, as the driver's backoff says.
        retry_after: Duration,
    },
    /// The renewal that was to be sent was held back, since the work under the session makes no progress.
    HeldBack {
        /// When to look again whether it does.
        retry_after: Duration,
    },
    /// The process wants to end the session.
    CloseRequested,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send a renewal now; on a new stream, to another endpoint if there is one, if `reconnect`.
    Renew {
        /// Whether the present stream is to be given up.
        reconnect: bool,
    },
    /// Send [`Event::Woke`] at this time; replaces the time said before.
    WakeAt(BootTime),
    /// Tell everybody.
    Publish(Status),
}

/// The state machine of one session.
#[derive(Clone, Debug)]
pub struct Machine {
    timing: Timing,
    status: Status,
    /// When the renewals that are under way on the present stream were sent, the oldest first. At most three:
    /// the stream is given up when the oldest is half a second older than the time between two.
    sent: VecDeque<BootTime>,
    /// When the next renewal is due.
    due: BootTime,
    /// Whether the next renewal needs a new stream.
    reconnect: bool,
    /// Whether the renewal under way is the one that opens the stream: no other one can be sent before its
    /// answer.
    opening: bool,
    /// Whether the last renewal was held back.
    held_back: bool,
}

impl Machine {
    /// A session whose lease was asked for at `sent` and granted.
    #[must_use]
    pub fn open(timing: Timing, sent: BootTime) -> Self {
        let deadline = sent.plus(timing.ttl).minus(timing.margin);
        Self {
            timing,
            status: Status::Live { deadline },
            sent: VecDeque::new(),
            due: sent.plus(timing.renew_every()),
            reconnect: true,
            opening: false,
            held_back: false,
        }
    }

    /// Whether the session can be relied on.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// How the session is timed; the TTL is the one that the server returned last.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// What follows from an event. After the loss: nothing, whatever comes.
    #[must_use = "the commands are what keeps the session alive"]
    pub fn handle(&mut self, now: BootTime, event: Event) -> Vec<Command> {
        let Status::Live { deadline } = self.status else {
            return Vec::new(); // A late answer revives nothing.
        };
        match event {
            Event::CloseRequested => return self.lose(LossReason::Closed),
            Event::LeaseGone => return self.lose(LossReason::LeaseGone),
            _ if deadline <= now && self.held_back => return self.lose(LossReason::NoProgress),
            _ if deadline <= now => return self.lose(LossReason::DeadlinePassed),
            _ => {}
        }
        let mut commands = Vec::new();
        match event {
            Event::Renewed { ttl } => {
                self.timing.ttl = ttl;
                if let Some(sent) = self.sent.pop_front() {
                    self.held_back = false;
                    self.opening = false;
                    let renewed = sent.plus(ttl).minus(self.timing.margin).max(deadline);
                    self.status = Status::Live { deadline: renewed };
                    commands.push(Command::Publish(self.status));
                }
            }
            Event::StreamFailed { retry_after } => self.give_up(now.plus(retry_after)),
            Event::HeldBack { retry_after } => {
                self.sent.pop_back();
                self.reconnect |= std::mem::take(&mut self.opening);
                self.held_back = true;
                self.due = now.plus(retry_after);
            }
            Event::Woke | Event::CloseRequested | Event::LeaseGone => {}
        }
        if self.silent_at().is_some_and(|silent| silent <= now) {
            self.give_up(now);
        }
        if !self.opening && self.due <= now {
            self.sent.push_back(now);
            self.due = now.plus(self.timing.renew_every());
            self.opening = std::mem::take(&mut self.reconnect);
            commands.push(Command::Renew { reconnect: self.opening });
        }
        commands.push(Command::WakeAt(self.wake_at()));
        commands
    }

    /// The first moment at which something is to be decided: no wait may be longer than until then.
    #[must_use]
    pub fn wake_at(&self) -> BootTime {
        let due = (!self.opening).then_some(self.due);
        let deadline = match self.status {
            Status::Live { deadline } => Some(deadline),
            Status::Lost(_) => None,
        };
        [due, self.silent_at(), deadline].into_iter().flatten().min().unwrap_or(self.due)
    }

    /// When the stream counts as dead if the oldest renewal is not answered: late enough for a proxy's
    /// answer, and early enough for another endpoint to answer before the deadline.
    fn silent_at(&self) -> Option<BootTime> {
        let (oldest, patience) = (*self.sent.front()?, self.timing.patience());
        let proxied = oldest.plus(self.timing.renew_every()).plus(PROXY_DELAY);
        let last_chance = match self.status {
            Status::Live { deadline } => proxied.min(deadline.minus(patience)),
            Status::Lost(_) => proxied,
        };
        Some(last_chance.max(oldest.plus(patience)))
    }

    /// Gives up the stream with all that is under way on it; the next one is opened at `due`.
    fn give_up(&mut self, due: BootTime) {
        self.sent.clear();
        self.opening = false;
        self.reconnect = true;
        self.due = due;
    }

    fn lose(&mut self, reason: LossReason) -> Vec<Command> {
        self.status = Status::Lost(reason);
        vec![Command::Publish(self.status)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime::since_boot(Duration::from_millis(millis))
    }

    const TIMING: Timing = Timing { ttl: Duration::from_secs(9), margin: Duration::from_secs(1) };

    /// Runs events (milliseconds, event) through a session opened at 0 and writes down what it wants.
    fn transcript(events: &[(u64, Event)]) -> String {
        let mut machine = Machine::open(TIMING, at(0));
        let mut lines = format!("open -> {:?}\n", machine.status());
        for (millis, event) in events {
            let commands = machine.handle(at(*millis), *event);
            lines += &format!("{millis} {event:?} -> {commands:?}\n");
        }
        lines.replace("BootTime(", "(")
    }

    const RENEWED: Event = Event::Renewed { ttl: Duration::from_secs(9) };

    #[test]
    fn the_deadline_is_counted_from_the_sending() {
        insta::assert_snapshot!(transcript(&[(0, Event::Woke), (3000, Event::Woke), (4200, RENEWED)]), @r"
        open -> Live { deadline: (8s) }
        0 Woke -> [WakeAt((3s))]
        3000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        4200 Renewed { ttl: 9s } -> [Publish(Live { deadline: (11s) }), WakeAt((6s))]
        ");
    }

    #[test]
    fn a_silent_stream_is_given_up_while_there_is_time_for_another() {
        insta::assert_snapshot!(transcript(&[
            (3000, Event::Woke),
            (6500, Event::Woke),
            (7000, RENEWED),
        ]), @r"
        open -> Live { deadline: (8s) }
        3000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        6500 Woke -> [Renew { reconnect: true }, WakeAt((8s))]
        7000 Renewed { ttl: 9s } -> [Publish(Live { deadline: (14.5s) }), WakeAt((9.5s))]
        ");
    }

    /// As `etcd grpc-proxy` does it: every answer comes half a second after the next renewal was due.
    #[test]
    fn renewals_are_sent_on_schedule_before_the_last_is_answered() {
        insta::assert_snapshot!(transcript(&[
            (3000, Event::Woke),
            (3010, RENEWED),
            (6000, Event::Woke),
            (9000, Event::Woke),
            (9400, RENEWED),
            (9400, RENEWED),
            (12000, Event::Woke),
            (15000, Event::Woke),
            (15500, Event::Woke),
            (15600, RENEWED),
        ]), @r"
        open -> Live { deadline: (8s) }
        3000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        3010 Renewed { ttl: 9s } -> [Publish(Live { deadline: (11s) }), WakeAt((6s))]
        6000 Woke -> [Renew { reconnect: false }, WakeAt((9s))]
        9000 Woke -> [Renew { reconnect: false }, WakeAt((9.5s))]
        9400 Renewed { ttl: 9s } -> [Publish(Live { deadline: (14s) }), WakeAt((12s))]
        9400 Renewed { ttl: 9s } -> [Publish(Live { deadline: (17s) }), WakeAt((12s))]
        12000 Woke -> [Renew { reconnect: false }, WakeAt((15s))]
        15000 Woke -> [Renew { reconnect: false }, WakeAt((15.5s))]
        15500 Woke -> [Renew { reconnect: true }, WakeAt((17s))]
        15600 Renewed { ttl: 9s } -> [Publish(Live { deadline: (23.5s) }), WakeAt((18.5s))]
        ");
    }

    /// Whatever the TTL and however the stream behaves, few renewals are under way, and a stream is given up
    /// while there is time for another.
    #[test]
    fn a_silent_stream_has_few_renewals_under_way() {
        for seconds in 2..120 {
            let ttl = Duration::from_secs(seconds);
            let timing = Timing { ttl, margin: default_margin(ttl) };
            let mut machine = Machine::open(timing, at(0));
            drop(machine.handle(machine.wake_at(), Event::Woke));
            drop(machine.handle(machine.wake_at(), Event::Renewed { ttl }));
            let Status::Live { deadline } = machine.status() else { panic!("{seconds} s") };
            let given_up = loop {
                let now = machine.wake_at();
                let commands = machine.handle(now, Event::Woke);
                assert!(machine.sent.len() <= 3, "{seconds} s: {:?}", machine.sent);
                if commands.contains(&Command::Renew { reconnect: true }) {
                    break now;
                }
            };
            assert!(given_up.plus(timing.patience()) <= deadline, "{seconds} s: {given_up:?}, {deadline:?}");
        }
    }

    #[test]
    fn a_broken_stream_is_tried_again_after_the_backoff() {
        insta::assert_snapshot!(transcript(&[
            (3000, Event::Woke),
            (3100, Event::StreamFailed { retry_after: Duration::from_millis(200) }),
            (3300, Event::Woke),
            (3400, RENEWED),
            (6300, Event::Woke),
        ]), @r"
        open -> Live { deadline: (8s) }
        3000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        3100 StreamFailed { retry_after: 200ms } -> [WakeAt((3.3s))]
        3300 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        3400 Renewed { ttl: 9s } -> [Publish(Live { deadline: (11.3s) }), WakeAt((6.3s))]
        6300 Woke -> [Renew { reconnect: false }, WakeAt((9.3s))]
        ");
    }

    #[test]
    fn a_session_whose_work_stands_still_ends_for_that_reason() {
        let held_back = Event::HeldBack { retry_after: Duration::from_secs(2) };
        insta::assert_snapshot!(transcript(&[
            (3000, Event::Woke),
            (3000, held_back),
            (5000, Event::Woke),
            (5000, held_back),
            (8000, Event::Woke),
        ]), @r"
        open -> Live { deadline: (8s) }
        3000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        3000 HeldBack { retry_after: 2s } -> [WakeAt((5s))]
        5000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        5000 HeldBack { retry_after: 2s } -> [WakeAt((7s))]
        8000 Woke -> [Publish(Lost(NoProgress))]
        ");
    }

    #[test]
    fn a_late_answer_revives_nothing() {
        insta::assert_snapshot!(transcript(&[
            (3000, Event::Woke),
            (8000, RENEWED),
            (8100, RENEWED),
            (8200, Event::Woke),
        ]), @r"
        open -> Live { deadline: (8s) }
        3000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        8000 Renewed { ttl: 9s } -> [Publish(Lost(DeadlinePassed))]
        8100 Renewed { ttl: 9s } -> []
        8200 Woke -> []
        ");
    }

    #[test]
    fn a_lease_that_is_gone_ends_the_session_at_once() {
        insta::assert_snapshot!(transcript(&[(3000, Event::Woke), (3010, Event::LeaseGone)]), @r"
        open -> Live { deadline: (8s) }
        3000 Woke -> [Renew { reconnect: true }, WakeAt((6.5s))]
        3010 LeaseGone -> [Publish(Lost(LeaseGone))]
        ");
    }

    #[test]
    fn timings_without_a_second_renewal_are_refused() {
        assert!(TIMING.validate().is_ok());
        assert!(Timing { ttl: Duration::from_secs(1), ..TIMING }.validate().is_err());
        let error = Timing { margin: Duration::from_secs(3), ..TIMING }.validate().unwrap_err().to_string();
        assert!(error.contains("6s") && error.contains("3s") && error.contains("9s"), "{error}");
        for seconds in 2..600 {
            let ttl = Duration::from_secs(seconds);
            Timing { ttl, margin: default_margin(ttl) }.validate().unwrap();
        }
    }
}
