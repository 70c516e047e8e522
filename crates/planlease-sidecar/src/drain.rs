//! The end of a sidecar, in two steps: it begins nothing new, and, when its programs are gone, it ends what is left.

use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem};

/// How far the end has come.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// No session, ownership or claim is begun any more.
    pub(crate) began: CancellationToken,
    /// Streams end, connections close.
    pub(crate) ended: CancellationToken,
}

impl Drain {
    /// That something new may begin.
    ///
    /// # Errors
    /// [`Kind::Draining`].
    pub(crate) fn allows_new(&self) -> Result<(), Problem> {
        if self.began.is_cancelled() {
            return Err(Problem::new(
                Kind::Draining,
                "what is owned can be finished and released; begin new work through another sidecar",
            ));
        }
        Ok(())
    }
}
