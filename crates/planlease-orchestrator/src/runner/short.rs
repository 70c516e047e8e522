//! A host that is short of file descriptors, memory or processes: how many commands may be started meanwhile.
//!
//! After a shortage nothing is started for a while, and then as many at once as ran when it came up; more as
//! time passes.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is started after a shortage: twice as long after each further one …
const REST: Duration = Duration::from_millis(500);

/// … but no longer than this.
const REST_MAX: Duration = Duration::from_secs(15);

/// How long there must have been no shortage before one command more may run at once.
const MORE_AFTER: Duration = Duration::from_secs(5);

/// How long no command may have started before the plan is left to others.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of the shortage, during one ownership.
#[derive(Debug, Default)]
pub(super) struct Short(Option<Known>);

#[derive(Debug)]
struct Known {
    why: String,
    /// How many commands may run at once.
    most: usize,
    /// Nothing is to be started before this.
    until: Instant,
    rest: Duration,
    /// When one more may run at once, and so on.
    more_at: Instant,
    /// The first shortage since a command has shown that it started.
    since: Option<Instant>,
    given_up: bool,
}

impl Known {
    /// How many more may run at once, since there was no shortage for so long.
    fn more(&self, now: Instant) -> usize {
        let Some(passed) = now.checked_duration_since(self.more_at) else { return 0 };
        usize::try_from(passed.as_secs() / MORE_AFTER.as_secs() + 1).unwrap_or(usize::MAX)
    }
}

impl Short {
    /// Notes that a command did not start, while this many others run. True if that is news, and not one of
    /// many at once.
    pub(super) fn note(&mut self, running: usize, why: &str, now: Instant) -> bool {
        let most = running.max(1);
        let known = match &mut self.0 {
            Some(known) if now < known.until => {
                known.most = known.most.min(most);
                return false;
            }
            Some(known) => known,
            none => none.insert(Known {
                why: String::new(),
                most,
                until: now,
                rest: REST / 2,
                more_at: now,
                since: None,
                given_up: false,
            }),
        };
        why.clone_into(&mut known.why);
        known.most = most;
        known.rest = known.rest.saturating_mul(2).min(REST_MAX);
        known.until = now + known.rest;
        known.more_at = known.until + MORE_AFTER;
        known.given_up |= now.duration_since(*known.since.get_or_insert(now)) >= PATIENCE;
        true
    }

    /// Notes that a command has started: it has come to an end of its own.
    pub(super) fn started(&mut self) {
        if let Some(known) = &mut self.0 {
            (known.rest, known.since, known.given_up) = (REST / 2, None, false);
        }
    }

    /// How many more may be started, while this many run.
    pub(super) fn allowance(&self, running: usize, now: Instant) -> usize {
        let Some(known) = &self.0 else { return usize::MAX };
        if now < known.until || known.given_up {
            return 0;
        }
        known.most.saturating_add(known.more(now)).saturating_sub(running)
    }

    /// When that changes by itself.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let known = self.0.as_ref()?;
        let more = u32::try_from(known.more(now)).ok().and_then(|more| MORE_AFTER.checked_mul(more));
        [Some(known.until), more.map(|passed| known.more_at + passed)]
            .into_iter()
            .flatten()
            .filter(|moment| *moment > now)
            .min()
    }

    /// Why the plan is to be left to others, if so.
    pub(super) fn verdict(&self) -> Option<&str> {
        self.0.as_ref().filter(|known| known.given_up).map(|known| known.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_shortage_no_more_run_at_once_than_ran_then() {
        let (mut short, now) = (Short::default(), Instant::now());
        assert_eq!(short.allowance(0, now), usize::MAX);
        assert!(short.note(8, "why", now));
        assert!(!short.note(6, "why", now), "one of many at once");
        assert_eq!(short.allowance(0, now), 0, "nothing for a while");
        let later = short.next(now).unwrap();
        assert_eq!(later, now + REST);
        assert_eq!(
            (short.allowance(4, later), short.allowance(6, later), short.allowance(9, later)),
            (2, 0, 0)
        );
        let more = later + MORE_AFTER;
        assert_eq!(short.next(later), Some(more));
        assert_eq!((short.allowance(6, more), short.allowance(6, more + MORE_AFTER)), (1, 2));
        assert_eq!(short.next(more), Some(more + MORE_AFTER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_cannot_start_commands_gives_up_the_plan() {
        let (mut short, begun) = (Short::default(), Instant::now());
        let mut now = begun;
        while short.verdict().is_none() {
            assert!(short.note(0, "too many open files", now));
            now = short.next(now).unwrap();
            assert!(now.duration_since(begun) < 3 * PATIENCE);
        }
        assert_eq!((short.verdict(), short.allowance(0, now)), (Some("too many open files"), 0));
        short.started();
        assert_eq!((short.verdict(), short.allowance(0, now)), (None, 1));
        assert!(short.note(0, "again", now) && short.verdict().is_none(), "what started counts");
    }
}
