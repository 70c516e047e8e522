//! The end of a sidecar, in steps: it accepts no new work; its process is to end; when its programs are gone,
//! it ends what is left.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem};

/// How far the end has come.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    phase: watch::Sender<Phase>,
    /// Streams end, connections close.
    pub(crate) ended: CancellationToken,
}

/// Whether something new may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It may.
    #[default]
    Open,
    /// No session, ownership or claim is begun. A client has asked for it, and it can be undone.
    Draining,
    /// The same, and the process is to end.
    Ending,
}

impl Drain {
    /// Whether nothing new is begun.
    pub(crate) fn is_draining(&self) -> bool {
        *self.phase.borrow() > Phase::Open
    }

    /// Begins nothing new any more. `ending`: the process is to end, so that this cannot be undone.
    pub(crate) fn begin(&self, ending: bool) {
        let wanted = if ending { Phase::Ending } else { Phase::Draining };
        self.phase.send_if_modified(|phase| {
            let further = *phase < wanted;
            *phase = (*phase).max(wanted);
            further
        });
    }

    /// Lets new work begin again. Whether it can.
    pub(crate) fn undo(&self) -> bool {
        self.phase.send_if_modified(|phase| {
            let undone = phase.undone();
            std::mem::replace(phase, undone) != undone
        });
        !self.is_draining()
    }

    /// The phase, as it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// That something new may begin.
    ///
    /// # Errors
    /// [`Kind::Draining`].
    pub(crate) fn allows_new(&self) -> Result<(), Problem> {
        if self.is_draining() { Err(draining()) } else { Ok(()) }
    }

    /// What comes of waiting for something new, unless a drain begins before that: then the wait is dropped.
    ///
    /// # Errors
    /// [`Kind::Draining`], and those of the wait.
    pub(crate) async fn while_open<T>(
        &self,
        wait: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        tokio::select! {
            biased; // Nothing is granted once the drain has begun.
            () = self.begun() => Err(draining()),
            done = wait => done,
        }
    }

    /// Waits until nothing new is begun any more.
    async fn begun(&self) {
        drop(self.phase.subscribe().wait_for(|phase| *phase > Phase::Open).await);
    }
}

/// Why nothing new is begun.
fn draining() -> Problem {
    Problem::new(
        Kind::Draining,
        "what is owned can be finished and released; begin new work through another sidecar",
    )
}

impl Phase {
    /// What becomes of it when a drain is undone.
    fn undone(self) -> Self {
        match self {
            Self::Open | Self::Draining => Self::Open,
            Self::Ending => Self::Ending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_can_be_undone_until_the_process_is_to_end() {
        let drain = Drain::default();
        assert!(drain.allows_new().is_ok() && drain.undo());
        drain.begin(false);
        assert!(drain.allows_new().is_err());
        assert!(drain.undo() && drain.allows_new().is_ok());
        drain.begin(true);
        drain.begin(false);
        assert!(!drain.undo() && drain.allows_new().is_err());
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_drain_begins() {
        let drain = Drain::default();
        let waiting = drain.while_open(std::future::pending::<Result<(), Problem>>());
        let (ended, ()) = tokio::join!(waiting, async { drain.begin(false) });
        assert_eq!(ended.unwrap_err().kind(), Kind::Draining);
        // Nothing is granted any more, however soon it could be; and again once the drain is undone.
        assert!(drain.while_open(std::future::ready(Ok(()))).await.is_err());
        assert!(drain.undo() && drain.while_open(std::future::ready(Ok(()))).await.is_ok());
    }
}
