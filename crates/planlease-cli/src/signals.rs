//! The signals by which a process is asked to end: the first one asks, the second one insists.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Takes the signals that end a process, from the moment it is made; until then they do so as usual. A signal
/// that was ignored when the process was started (`nohup`, a background job of a script) stays ignored.
#[derive(Debug)]
pub(crate) struct Signals {
    taken: Vec<(Asked, Signal)>,
}

/// One of them, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked(u8);

impl Asked {
    /// `SIGHUP`: the terminal is gone.
    const HANGUP: Self = Self(1);
    /// `SIGINT`: Ctrl-C.
    pub(crate) const INTERRUPT: Self = Self(2);
    /// `SIGQUIT`: Ctrl-\\.
    pub(crate) const QUIT: Self = Self(3);
    const USER_1: Self = Self(10);
    const USER_2: Self = Self(12);
    const ALARM: Self = Self(14);
    /// `SIGTERM`.
    pub(crate) const TERMINATE: Self = Self(15);

    /// Each of them ends a process that does not take it.
    const ALL: [Self; 7] =
        [Self::INTERRUPT, Self::TERMINATE, Self::HANGUP, Self::QUIT, Self::USER_1, Self::USER_2, Self::ALARM];

    /// The status of a process that the signal ends, as shells have it.
    pub(crate) const fn status(self) -> u8 {
        128 + self.0
    }
}

impl Signals {
    /// Begins to take them.
    pub(crate) fn take() -> Result<Self, Failure> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let taken = Asked::ALL.into_iter().filter(|Asked(number)| ignored >> (number - 1) & 1 == 0);
        let taken = taken.map(|asked| {
            let signal = signal(SignalKind::from_raw(asked.0.into()));
            Ok((asked, signal.map_err(|error| Failure::system("cannot take signals", &error))?))
        });
        Ok(Self { taken: taken.collect::<Result<_, Failure>>()? })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.which().await;
    }

    /// Waits for the next one, and tells which it is. Cancel safe.
    pub(crate) async fn which(&mut self) -> Asked {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Asked> {
        let came =
            |(asked, signal): &mut (Asked, Signal)| signal.poll_recv(context).is_ready().then_some(*asked);
        self.taken.iter_mut().find_map(came).map_or(Poll::Pending, Poll::Ready)
    }
}

/// The signals that this process ignores, as the system tells: bit n - 1 for signal n.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tplanlease\nSigBlk:\t0000000000000004\nSigIgn:\t0000000000001003\n";
        let ignored = ignored(status);
        assert_eq!([1, 2, 3, 13].map(|number| ignored >> (number - 1) & 1), [1, 1, 0, 1]);
        assert_eq!(super::ignored(""), 0);
    }
}
