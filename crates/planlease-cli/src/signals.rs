//! Takes the signals by which a process is asked to end.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use planlease_orchestrator::hold::{StopRequests, StopSignal};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Takes the signals that end a process, from the moment it is made; until then they do so as usual. A signal
/// that was ignored when the process was started (`nohup`, a background job of a script) stays ignored.
#[derive(Debug)]
pub(crate) struct Signals {
    taken: Vec<(StopSignal, Signal)>,
}

impl Signals {
    /// Begins to take them.
    pub(crate) fn take() -> Result<Self, Failure> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let taken = StopSignal::ALL.into_iter().filter(|signal| ignored >> (signal.number() - 1) & 1 == 0);
        let taken = taken.map(|stop| {
            let signal = signal(SignalKind::from_raw(stop.number().into()));
            Ok((stop, signal.map_err(|error| Failure::system("cannot take signals", &error))?))
        });
        Ok(Self { taken: taken.collect::<Result<_, Failure>>()? })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.which().await;
    }

    /// Waits for the next one, and returns which it is. Cancel safe.
    pub(crate) async fn which(&mut self) -> StopSignal {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StopSignal> {
        let came =
            |(stop, signal): &mut (StopSignal, Signal)| signal.poll_recv(context).is_ready().then_some(*stop);
        self.taken.iter_mut().find_map(came).map_or(Poll::Pending, Poll::Ready)
    }
}

/// `SIGXFSZ`: a file has reached the largest size that this process may write.
const FILE_SIZE: u8 = 25;

/// Takes the signal by which the system ends a process whose file has become too large, for as long as the
/// process lives: the write fails then, as it does on a full disk. Commands have the signal as usual: a
/// program that is executed begins without the handlers of the one before. To be called within a runtime.
pub(crate) fn survive_large_files() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignored(&status) >> (FILE_SIZE - 1) & 1 == 0 {
        // The handler stays when the stream is dropped. Without one, the signal ends the process as before.
        drop(signal(SignalKind::from_raw(FILE_SIZE.into())));
    }
}

impl StopRequests for Signals {
    async fn next_request(&mut self) -> StopSignal {
        self.which().await
    }
}

/// The signals that this process ignores, as the system reports: bit n - 1 for signal n.
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
