//! The session of a process: opened by its first claim, and over when the process ends.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use planlease::{Coordinator, Error, Identity, Session, SessionStatus};
use planlease_core::PlanName;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    caller::{Caller, Callers},
    reply::Refusal,
};

/// How long the end of a process may take: revoking the lease, and putting its tasks back.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The session of this process. An agent that only looks has none, so that nothing is renewed for it.
#[derive(Clone, Debug)]
pub struct ProcessSession {
    coordinator: Coordinator,
    identity: Identity,
    state: Arc<Mutex<State>>,
}

/// How far the process is.
#[derive(Debug, Default)]
enum State {
    /// It has claimed nothing yet, or its session was lost.
    #[default]
    Without,
    With(Arc<Claimant>),
    /// Its agent is gone: a call that is under way opens no session any more.
    Ended,
}

/// A session, and the plans of which it has asked for tasks.
#[derive(Debug)]
pub struct Claimant {
    session: Session,
    plans: std::sync::Mutex<BTreeSet<PlanName>>,
}

impl ProcessSession {
    /// None yet.
    #[must_use]
    pub fn new(coordinator: Coordinator, identity: Identity) -> Self {
        Self { coordinator, identity, state: Arc::default() }
    }

    /// Ends it: revokes the lease, so that all claims are over at once, and does about the tasks what their
    /// policies say of lost ones, where the plan has no owner who does. Bounded in time; what is not done
    /// then is done by the next claim, or the next owner.
    ///
    /// # Cancel safety
    /// If the future is dropped, the lease may be left; it expires after its TTL.
    pub async fn end(&self) {
        if tokio::time::timeout(END_WITHIN, self.end_in_time()).await.is_err() {
            tracing::warn!("etcd did not answer in time: the claims end with the TTL of the session");
        }
    }

    async fn end_in_time(&self) {
        let state = std::mem::replace(&mut *self.state.lock().await, State::Ended);
        let State::With(claimant) = state else { return };
        let plans = std::mem::take(&mut *claimant.plans.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = claimant.session.clone().close().await {
            tracing::warn!(%error, "the session was not closed: its claims end with its TTL");
            return;
        }
        if let Err(error) = self.put_back(&plans).await {
            tracing::warn!(%error, "what was claimed is recovered by the next claim, or the plan's next owner");
        }
    }

    /// By another session: the claims of the first are abandoned only now that it is over.
    async fn put_back(&self, plans: &BTreeSet<PlanName>) -> Result<(), Error> {
        let identity = self.identity.clone().id(None);
        let session = self.coordinator.open_unregistered_session(identity).await?;
        for plan in plans {
            match session.recover_abandoned(plan).await {
                // Nothing can have been claimed there.
                Ok(_) | Err(Error::PlanNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        session.close().await
    }
}

impl Callers for ProcessSession {
    type Caller = Claimant;

    const NAMED: bool = false;

    async fn caller(&self, _named: Option<Uuid>, begins: bool) -> Result<Arc<Claimant>, Refusal> {
        let mut state = self.state.lock().await;
        match &*state {
            State::With(claimant) => {
                let SessionStatus::Lost(reason) = claimant.session.status() else {
                    return Ok(Arc::clone(claimant));
                };
                *state = State::Without;
                return Err(Refusal::new(format!(
                    "the session of this process was lost ({reason}), and with it all that it had claimed. Nothing was \
                     changed. Stop working on those tasks; call `claim` for a task."
                )));
            }
            State::Ended => return Err(Refusal::new("this process ends. Nothing was changed.")),
            State::Without => {}
        }
        if !begins {
            return Err(Refusal::new(
                "this process has claimed no task. Nothing was changed. Call `claim` before you work on one.",
            ));
        }
        let session = self.coordinator.open_session(self.identity.clone()).await?;
        let claimant = Arc::new(Claimant { session, plans: std::sync::Mutex::default() });
        *state = State::With(Arc::clone(&claimant));
        Ok(claimant)
    }
}

impl Caller for Claimant {
    fn session(&self) -> &Session {
        &self.session
    }

    fn authority(&self, plan: &PlanName) -> Result<planlease::Authority, Refusal> {
        let authority = self.session.coordinator().worker(&self.session, plan)?;
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).insert(plan.clone());
        Ok(authority)
    }
}
