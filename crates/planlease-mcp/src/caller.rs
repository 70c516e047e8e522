//! Where the authority of a call comes from: the one thing in which the transports differ.

use std::{sync::Arc, time::Duration};

use planlease::{Authority, Session};
use planlease_core::PlanName;
use uuid::Uuid;

use crate::reply::Refusal;

/// Finds the session by which a call is made.
pub trait Callers: Clone + Send + Sync + 'static {
    /// What a session of it is.
    type Caller: Caller;

    /// Whether calls name their session, by the argument `session`.
    const NAMED: bool;

    /// The session of a call. `named`: as the call names it. `begins`: whether the call begins new work,
    /// and may open a session where none is named.
    ///
    /// # Errors
    /// If there is no such session, or it is over.
    ///
    /// # Cancel safety
    /// If the future is dropped, a session may have been opened; the next call gets it, or it expires.
    fn caller(
        &self,
        named: Option<Uuid>,
        begins: bool,
    ) -> impl Future<Output = Result<Arc<Self::Caller>, Refusal>> + Send;

    /// Ends a session that a call has opened for a claim which brought nothing: no further call will name it.
    ///
    /// # Cancel safety
    /// If the future is dropped, the session ends all the same.
    fn end_unused(&self, _caller: &Self::Caller) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// What became of an update: `committed`, `refused` or `unknown`.
    fn note_update(&self, _outcome: &'static str) {}
}

/// The session by which a call is made.
pub trait Caller: Send + Sync + 'static {
    /// The session.
    fn session(&self) -> &Session;

    /// How further calls name it; `None` if they need not.
    fn handle(&self) -> Option<Handle> {
        None
    }

    /// Its authority over the tasks of a plan.
    ///
    /// # Errors
    /// If the session is over.
    fn authority(&self, plan: &PlanName) -> Result<Authority, Refusal> {
        Ok(self.session().coordinator().worker(self.session(), plan)?)
    }
}

/// How a call names its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// Its id.
    pub id: Uuid,
    /// How often it has to be heard of; `None` if something else keeps it.
    pub heartbeat: Option<Duration>,
}
