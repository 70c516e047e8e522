//! The reservation of a plan or of a lock for one part of the process.

use crate::{
    error::Error,
    session::{Reservable, Session},
};

/// The reservation of a plan or of a lock; ended when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    session: Session,
    what: Reservable,
}

impl Reservation {
    /// Reserves the plan, or the lock, for this part of the process.
    ///
    /// # Errors
    /// [`Error::HeldLocally`] or [`Error::LockedLocally`] if another part has it; [`Error::TooManyHeld`].
    pub(super) async fn new(session: &Session, what: Reservable) -> Result<Self, Error> {
        session.reservations().reserve(&what).await?;
        Ok(Self { session: session.clone(), what })
    }

    /// The same for cleaning up; `None` if it is reserved already.
    pub(super) fn for_cleanup(session: &Session, what: &Reservable) -> Option<Self> {
        let free = session.reservations().reserve_for_cleanup(what);
        free.then(|| Self { session: session.clone(), what: what.clone() })
    }

    /// The session that it belongs to.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The same reservation, for what is to be cleaned up: it stays until that is done.
    pub(crate) fn abandoned(self) -> Self {
        self.session.reservations().abandon(&self.what);
        self
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.session.reservations().end(&self.what);
    }
}
