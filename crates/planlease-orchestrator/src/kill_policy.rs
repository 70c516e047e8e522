//! Decides when a supervised command must die. No I/O: the supervisor feeds it with orders and moments.

use std::time::Duration;

use planlease_core::BootTime;

use crate::{control::Order, ending::Cause};

/// How long the command may live, by the orders that the supervisor has received.
#[derive(Debug, Default)]
pub(crate) struct KillPolicy {
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

impl KillPolicy {
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

    /// Whether the command may be started: an orchestrator is there, and a deadline to come.
    pub(crate) fn may_start(&self, now: BootTime) -> bool {
        self.deadline.is_some() && self.verdict(now).is_none() && self.asked == Asked::Nothing
    }

    /// Whether it was asked to stop, kindly or not, or the orchestrator is gone.
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

    fn policy(deadline: u64) -> KillPolicy {
        let mut policy = KillPolicy::default();
        policy.obey(Order::Deadline(at(deadline)), at(0), GRACE);
        policy
    }

    #[test]
    fn nothing_starts_without_a_deadline_to_come() {
        assert!(!KillPolicy::default().may_start(at(0)));
        assert!(policy(5).may_start(at(4)));
        assert!(!policy(5).may_start(at(5)));
        let mut asked = policy(5);
        asked.obey(Order::Terminate, at(1), GRACE);
        assert!(!asked.may_start(at(1)));
    }

    #[test]
    fn the_last_deadline_counts() {
        let mut policy = policy(5);
        assert_eq!((policy.verdict(at(4)), policy.next_moment()), (None, Some(at(5))));
        policy.obey(Order::Deadline(at(8)), at(4), GRACE);
        assert_eq!((policy.verdict(at(7)), policy.next_moment()), (None, Some(at(8))));
        assert_eq!(policy.verdict(at(8)), Some(Cause::Deadline));
    }

    #[test]
    fn a_grace_is_given_once_and_not_beyond_the_deadline() {
        let mut policy = policy(100);
        assert!(policy.obey(Order::Terminate, at(1), GRACE));
        assert!(!policy.obey(Order::Terminate, at(9), GRACE));
        assert_eq!((policy.verdict(at(10)), policy.next_moment()), (None, Some(at(11))));
        assert_eq!(policy.verdict(at(11)), Some(Cause::Asked));
        policy.obey(Order::Deadline(at(5)), at(2), GRACE);
        assert_eq!(policy.next_moment(), Some(at(5)));
        assert_eq!(policy.verdict(at(5)), Some(Cause::Deadline));
    }

    #[test]
    fn an_orphan_dies_at_once() {
        let mut policy = policy(100);
        policy.orphan();
        assert_eq!(policy.verdict(at(0)), Some(Cause::Deadline));
        let mut asked = self::policy(100);
        asked.obey(Order::Kill, at(0), GRACE);
        assert_eq!(asked.verdict(at(0)), Some(Cause::Asked));
    }
}
