//! The documents of the sidecar's own: sessions, and what hangs on them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use planlease::{Lock, Ownership, Session, core::session::Status};
use planlease_core::{BootTime, FencingToken, LockName, LockToken, OrchestratorId, PlanName, WallTime};
use planlease_documents::Time;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    cancelled::CancelledView,
    client_session::{Bond, ClientSession},
    shape::Own,
    sse,
    watchers::Watchers,
};

/// Time until which an authority is certain. After it nothing is known, and nothing may be done with it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Trust {
    /// Until when, on the wall clock; `None` if it is over.
    trusted_until: Option<Time>,
    /// For how many more seconds; 0 if it is over. Count from this value, by a monotonic clock.
    trusted_for_s: f64,
}

impl Own for Trust {
    const SCHEMA: &'static str = "planlease.trust.v1";
}

impl Own for SessionView {
    const SCHEMA: &'static str = "planlease.session.v1";
}

impl Own for OwnedView {
    const SCHEMA: &'static str = "planlease.owned.v1";
}

impl Own for LockedView {
    const SCHEMA: &'static str = "planlease.locked.v1";
}

impl Trust {
    fn until(session: &Session, deadline: Option<BootTime>) -> Self {
        let clock = session.coordinator().clock();
        let left = deadline.map(|deadline| clock.boot().until(deadline)).filter(|left| !left.is_zero());
        let until = |left: Duration| {
            let millis = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
            Time(WallTime(clock.wall().0.saturating_add(millis)))
        };
        Self { trusted_until: left.map(until), trusted_for_s: left.unwrap_or_default().as_secs_f64() }
    }

    /// Time until which a session's authority is certain.
    fn of(session: &Session) -> Self {
        let deadline = match session.status() {
            Status::Live { deadline } => Some(deadline),
            Status::Lost(_) => None,
        };
        Self::until(session, deadline)
    }

    /// Whether there is still something to believe in.
    pub(crate) fn is_there(&self) -> bool {
        self.trusted_until.is_some()
    }

    /// For how many more seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.trusted_for_s
    }
}

/// A session.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SessionView {
    /// Names the session in `Planlease-Session`. A client that knows it acts with its authority. Only in the
    /// answers to its own client.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Uuid>,
    /// Under which name others see it.
    pub(crate) orchestrator: OrchestratorId,
    /// Which client has opened it, as the kernel or its token says: `uid:1000,pid:4711`, `token:ci`.
    client: String,
    /// The lease under it.
    lease: String,
    /// The time to live of the lease.
    ttl_s: f64,
    /// How often it has to be heard of; `None` if it is bound to a connection.
    heartbeat_s: Option<f64>,
    #[serde(flatten)]
    trust: Trust,
    /// What it owns.
    pub(crate) plans: Vec<OwnedView>,
    /// What it has locked.
    locks: Vec<LockedView>,
    /// The attempts of its program that were cancelled; absent if there are none. In the answers to its
    /// own client.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cancelled: Vec<CancelledView>,
}

/// A plan that a session owns.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct OwnedView {
    pub(crate) plan: PlanName,
    /// The fencing token.
    token: FencingToken,
    pub(crate) term: u64,
    since: Time,
    #[serde(flatten)]
    pub(crate) trust: Trust,
}

/// A lock that a session has.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LockedView {
    plan: PlanName,
    lock: LockName,
    /// The fencing token.
    token: LockToken,
    #[serde(flatten)]
    trust: Trust,
}

impl OwnedView {
    pub(crate) fn of(ownership: &Ownership) -> Self {
        Self {
            plan: ownership.plan().clone(),
            token: ownership.token(),
            term: ownership.term().number.0,
            since: ownership.term().since.into(),
            trust: Trust::until(ownership.session(), ownership.deadline()),
        }
    }
}

impl LockedView {
    pub(crate) fn of(plan: &PlanName, lock: &Lock) -> Self {
        Self {
            plan: plan.clone(),
            lock: lock.name().clone(),
            token: lock.token(),
            trust: Trust::until(lock.session(), lock.deadline()),
        }
    }
}

impl ClientSession {
    /// The document. `named`: with the id that gives its right away.
    pub(crate) fn view(&self, named: bool) -> SessionView {
        SessionView {
            session: named.then_some(self.id),
            orchestrator: self.session.id().clone(),
            client: self.origin.to_string(),
            lease: self.session.lease().to_string(),
            ttl_s: self.session.timing().ttl.as_secs_f64(),
            heartbeat_s: match self.bond {
                Bond::Connection => None,
                Bond::Heartbeat(every) => Some(every.as_secs_f64()),
            },
            trust: Trust::of(&self.session),
            plans: self.look_at_plans(OwnedView::of),
            locks: self.look_at_locks(LockedView::of),
            cancelled: Vec::new(),
        }
    }

    /// The document for its own client, with what was cancelled.
    pub(crate) fn view_with_cancelled(&self, watchers: &Arc<Watchers>) -> SessionView {
        SessionView { cancelled: self.cancelled(watchers), ..self.view(true) }
    }

    /// The attempts of its program that were cancelled, as far as the watchers of their plans have seen.
    pub(crate) fn cancelled(&self, watchers: &Arc<Watchers>) -> Vec<CancelledView> {
        self.claims.cancelled(&self.session, watchers)
    }

    /// What the session owns of a plan, if it may be believed in.
    pub(crate) fn owned(&self, plan: &PlanName) -> Option<OwnedView> {
        self.look_at(plan, OwnedView::of).filter(|owned| owned.trust.is_there())
    }

    /// The event that says until when the session can be relied on.
    pub(crate) fn trusted(&self) -> Bytes {
        sse::document("trusted", &Trust::of(&self.session))
    }
}
