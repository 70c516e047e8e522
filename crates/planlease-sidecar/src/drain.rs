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
        if self.is_draining() {
            return Err(Problem::new(
                Kind::Draining,
                "what is owned can be finished and released; begin new work through another sidecar",
            ));
        }
        Ok(())
    }
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
}
