//! The signals by which a process is asked to end: the first one asks, the second one insists.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Takes `SIGINT` and `SIGTERM` from the moment it is made; until then they end the process as usual.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// Which of them it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `SIGINT`: Ctrl-C.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
}

impl Asked {
    /// The status of a process that the signal ends, as shells have it.
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        }
    }
}

impl Signals {
    /// Begins to take them.
    pub(crate) fn take() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(|error| Failure::system("cannot take signals", &error));
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.which().await;
    }

    /// Waits for the next one, and tells which it is. Cancel safe.
    pub(crate) async fn which(&mut self) -> Asked {
        tokio::select! {
            biased; // The order does not matter: each of them comes.
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Terminate,
        }
    }
}
