//! The state machine of a companion: when the lease of a session may be revoked because its process is gone.
//!
//! A companion is a process beside that of the session, on the same host. It sees the end of that process at
//! once, while a server waits for the TTL. This machine decides; the driver (`planlease::companion::run`)
//! listens and revokes.
//!
//! ```text
//!   watching ──► owner closed ────────────────────────────────► end, nothing to do
//!       │
//!       └──────► owner gone ──► no command is left ───────────► revoke, until the lease has expired anyway
//!                    └────────► a command is left for a TTL ──► end, the lease has expired
//!
//!   whenever a command's end cannot be known ─────────────────► end, the lease expires after its TTL
//! ```
//!
//! The order is the supervisors': no other process may own what the session owned before every command of
//! the session has ended. A companion that does not know revokes nothing. What it does in a wrong case costs
//! a TTL; it never shortens one while work may go on.

use std::time::Duration;

use crate::time::BootTime;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A supervisor has announced a command, which it has not started yet.
    CommandAnnounced,
    /// A supervisor reported that of its command nothing is left.
    CommandEnded,
    /// A supervisor is gone, or reported that processes are left: whether its command has ended is unknown.
    CommandUnaccounted,
    /// The process of the session has closed it, or goes on without a companion.
    OwnerClosed,
    /// The process of the session is gone, or has dropped the session without closing it.
    OwnerGone,
}

/// What the companion does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Waits for the next event, or until then.
    Wait(Option<BootTime>),
    /// Revokes the lease; gives up at that moment, at which it has expired.
    Revoke {
        /// When the lease has expired without any revocation.
        until: BootTime,
    },
    /// Ends without a revocation.
    End(Reason),
}

/// Why a companion ends without a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The session was closed.
    Closed,
    /// Whether a command has ended is unknown.
    Unaccounted,
    /// The lease has expired.
    Expired,
}

/// The companion of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Companion {
    ttl: Duration,
    owner: Owner,
    /// The commands that were announced and have not ended.
    commands: usize,
    unaccounted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    There,
    Closed,
    /// Since then. It has sent no renewal after it.
    Gone(BootTime),
}

impl Companion {
    /// The companion of a session whose lease lives this long after its last renewal.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, owner: Owner::There, commands: 0, unaccounted: false }
    }

    /// Takes note of an event. Of events that are seen at the same time, the owner's comes *first*, and then
    /// those of the commands: a command was announced before it could start, and it starts by an order of the
    /// owner only, so whatever the owner ever started is among them.
    pub fn note(&mut self, now: BootTime, event: Event) {
        match event {
            Event::CommandAnnounced => self.commands += 1,
            Event::CommandEnded => self.commands = self.commands.saturating_sub(1),
            Event::CommandUnaccounted => self.unaccounted = true,
            Event::OwnerClosed if self.owner == Owner::There => self.owner = Owner::Closed,
            Event::OwnerGone if self.owner == Owner::There => self.owner = Owner::Gone(now),
            Event::OwnerClosed | Event::OwnerGone => {}
        }
    }

    /// What to do now.
    #[must_use]
    pub fn verdict(&self, now: BootTime) -> Verdict {
        let gone = match self.owner {
            Owner::Closed => return Verdict::End(Reason::Closed),
            _ if self.unaccounted => return Verdict::End(Reason::Unaccounted),
            Owner::There => return Verdict::Wait(None),
            Owner::Gone(since) => since,
        };
        let until = gone.plus(self.ttl);
        if until <= now {
            Verdict::End(Reason::Expired)
        } else if self.commands > 0 {
            Verdict::Wait(Some(until))
        } else {
            Verdict::Revoke { until }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> BootTime {
        BootTime::since_boot(Duration::from_secs(seconds))
    }

    /// The verdict at second 5, after these events at second 1.
    fn after(events: &[Event]) -> Verdict {
        let mut companion = Companion::new(TTL);
        events.iter().for_each(|event| companion.note(at(1), *event));
        companion.verdict(at(5))
    }

    #[test]
    fn only_the_death_of_the_owner_is_a_reason_to_revoke() {
        assert_eq!(after(&[]), Verdict::Wait(None));
        assert_eq!(after(&[Event::CommandAnnounced, Event::CommandEnded]), Verdict::Wait(None));
        assert_eq!(after(&[Event::OwnerClosed]), Verdict::End(Reason::Closed));
        assert_eq!(after(&[Event::OwnerClosed, Event::OwnerGone]), Verdict::End(Reason::Closed));
        assert_eq!(after(&[Event::OwnerGone]), Verdict::Revoke { until: at(11) });
    }

    #[test]
    fn every_command_ends_before_the_lease_is_revoked() {
        use Event::{CommandAnnounced, CommandEnded, CommandUnaccounted, OwnerGone};
        let wait = Verdict::Wait(Some(at(11)));
        assert_eq!(after(&[CommandAnnounced, OwnerGone]), wait);
        assert_eq!(after(&[OwnerGone, CommandAnnounced]), wait, "announced before, seen after");
        assert_eq!(after(&[CommandAnnounced, CommandAnnounced, OwnerGone, CommandEnded]), wait);
        let revoke = Verdict::Revoke { until: at(11) };
        assert_eq!(after(&[CommandAnnounced, OwnerGone, CommandEnded]), revoke);
        let unknown = Verdict::End(Reason::Unaccounted);
        assert_eq!(after(&[CommandAnnounced, OwnerGone, CommandUnaccounted]), unknown);
        assert_eq!(after(&[CommandAnnounced, CommandUnaccounted]), unknown, "it is of no use any more");
    }

    #[test]
    fn nothing_is_done_after_the_lease_has_expired() {
        let mut companion = Companion::new(TTL);
        companion.note(at(1), Event::CommandAnnounced);
        companion.note(at(2), Event::OwnerGone);
        companion.note(at(9), Event::OwnerGone);
        assert_eq!(companion.verdict(at(11)), Verdict::Wait(Some(at(12))));
        companion.note(at(12), Event::CommandEnded);
        assert_eq!(companion.verdict(at(12)), Verdict::End(Reason::Expired));
    }
}
