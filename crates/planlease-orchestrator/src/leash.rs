//! Decides when a guarded command must die. No I/O: the guard feeds it with orders and moments.

use std::time::Duration;

use planlease_core::BootTime;

use crate::control::{Cause, Order};

/// How long the command may live, as far as the guard was told.
#[derive(Debug, Default)]
pub(crate) struct Leash {
    deadline: Option<BootTime>,
    asked: Asked,
    orphaned: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    /// SIGTERM was sent; SIGKILL follows then.
    Terminate {
        until: BootTime,
    },
    Kill,
}

impl Leash {
    /// Takes an order; true if SIGTERM is to be sent now.
    pub(crate) fn obey(&mut self, order: Order, now: BootTime, grace: Duration) -> bool {
        match order {
            Order::Deadline(deadline) => self.deadline = Some(deadline),
            Order::Kill => self.asked = Asked::Kill,
            Order::Terminate if self.asked == Asked::Nothing => {
                self.asked = Asked::Terminate { until: now.plus(grace) };
                return true;
            }
            // The first grace counts: asking again does not prolong it.
            Order::Terminate => {}
        }
        false
    }

    /// The orchestrator is gone.
    pub(crate) fn orphan(&mut self) {
        self.orphaned = true;
    }

    /// Whether the command may be started: somebody stands behind it, for some time to come.
    pub(crate) fn may_start(&self, now: BootTime) -> bool {
        self.deadline.is_some() && self.verdict(now).is_none() && self.asked == Asked::Nothing
    }

    /// Whether it was asked to stop, kindly or not, or nobody is there any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.orphaned || self.asked != Asked::Nothing
    }

    /// Why the command must be killed now, if so.
    pub(crate) fn verdict(&self, now: BootTime) -> Option<Cause> {
        let passed = |moment: BootTime| moment <= now;
        match self.asked {
            Asked::Kill => Some(Cause::Asked),
            _ if self.orphaned || self.deadline.is_some_and(passed) => Some(Cause::Deadline),
            Asked::Terminate { until } if passed(until) => Some(Cause::Asked),
            _ => None,
        }
    }

    /// When to ask for the verdict again, if nothing happens before.
    pub(crate) fn next_moment(&self) -> Option<BootTime> {
        let grace = match self.asked {
            Asked::Terminate { until } => Some(until),
            _ => None,
        };
        self.deadline.into_iter().chain(grace).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> BootTime {
        BootTime::since_boot(Duration::from_secs(seconds))
    }

    fn leash(deadline: u64) -> Leash {
        let mut leash = Leash::default();
        leash.obey(Order::Deadline(at(deadline)), at(0), GRACE);
        leash
    }

    #[test]
    fn nothing_starts_without_a_deadline_to_come() {
        assert!(!Leash::default().may_start(at(0)));
        assert!(leash(5).may_start(at(4)));
        assert!(!leash(5).may_start(at(5)));
        let mut asked = leash(5);
        asked.obey(Order::Terminate, at(1), GRACE);
        assert!(!asked.may_start(at(1)));
    }

    #[test]
    fn the_last_deadline_counts() {
        let mut leash = leash(5);
        assert_eq!((leash.verdict(at(4)), leash.next_moment()), (None, Some(at(5))));
        leash.obey(Order::Deadline(at(8)), at(4), GRACE);
        assert_eq!((leash.verdict(at(7)), leash.next_moment()), (None, Some(at(8))));
        assert_eq!(leash.verdict(at(8)), Some(Cause::Deadline));
    }

    #[test]
    fn a_grace_is_given_once_and_not_beyond_the_deadline() {
        let mut leash = leash(100);
        assert!(leash.obey(Order::Terminate, at(1), GRACE));
        assert!(!leash.obey(Order::Terminate, at(9), GRACE));
        assert_eq!((leash.verdict(at(10)), leash.next_moment()), (None, Some(at(11))));
        assert_eq!(leash.verdict(at(11)), Some(Cause::Asked));
        leash.obey(Order::Deadline(at(5)), at(2), GRACE);
        assert_eq!(leash.next_moment(), Some(at(5)));
        assert_eq!(leash.verdict(at(5)), Some(Cause::Deadline));
    }

    #[test]
    fn an_orphan_dies_at_once() {
        let mut leash = leash(100);
        leash.orphan();
        assert_eq!(leash.verdict(at(0)), Some(Cause::Deadline));
        let mut asked = self::leash(100);
        asked.obey(Order::Kill, at(0), GRACE);
        assert_eq!(asked.verdict(at(0)), Some(Cause::Asked));
    }
}
