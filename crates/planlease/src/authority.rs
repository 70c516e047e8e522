//! The authority to write the tasks of one plan: an owner's, a worker's, an operator's.
//!
//! Every write names its authority (a guard) and the revision that it saw, and etcd compares both in the
//! transaction that writes. There is no way to write a task record without an [`Authority`], and no way to
//! make one without a guard. The writes are in [`crate::update`].

use std::{sync::Arc, time::Duration};

use planlease_core::{
    FencingToken, LeaseId, OrchestratorId, PlanName, TermNumber,
    keys::{Key, PlanKey},
    record::{Guard, Role, Writer},
    session::LossReason,
    term::{Candidate, Queue},
    trace::TraceContext,
    view::PlanView,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    coordinator::Coordinator,
    error::{AuthorityLoss, Error},
    etcd::{AuthorityGuard, Guarded, Transaction},
    session::Session,
};

/// How long a claim by an operator lasts, if the caller does not say.
pub const CLAIM_LIMIT: Duration = Duration::from_hours(8);

/// The longest and the shortest limit of a claim.
pub const CLAIM_LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24 * 365));

/// The right to write the tasks of one plan. See [`crate::Ownership::authority`], [`Delegation`],
/// [`Coordinator::worker`] and [`Coordinator::operator`].
#[derive(Clone, Debug)]
pub struct Authority {
    coordinator: Coordinator,
    plan: PlanName,
    writer: Writer,
    /// What stands for the right in etcd.
    right: Arc<AuthorityGuard>,
    /// The session that the right hangs on, if it is one of this process: looked at before anything is sent.
    session: Option<Session>,
    /// How long its claims stand, if no session keeps them.
    pub(crate) limit: Option<Duration>,
    /// The id of the write, if its caller has chosen one.
    pub(crate) op_id: Option<Uuid>,
    /// Whether the end of a claim leaves its permits: what ran for it may still run.
    pub(crate) leaves_permits: bool,
    /// The span of the ownership, if it is one of this process that traces.
    trace: Option<Arc<TraceContext>>,
}

/// An ownership's right as plain data, for another process of the same owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The plan.
    pub plan: PlanName,
    /// The owner.
    pub owner: OrchestratorId,
    /// The term.
    pub term: TermNumber,
    /// Its token.
    pub token: FencingToken,
    /// What every write under it compares.
    pub guard: Guard,
}

impl Coordinator {
    /// The authority that another process's ownership delegated to this process.
    #[must_use]
    pub fn delegated(&self, delegation: &Delegation) -> Authority {
        let writer = Writer {
            who: delegation.owner.to_string(),
            role: Role::Owner,
            term: Some(delegation.term),
            guard: delegation.guard.clone(),
        };
        Authority::new(self.clone(), delegation.plan.clone(), writer, None)
    }

    /// The authority of a worker: it claims tasks of a plan that another process owns, fenced by its
    /// registration.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`] if the session is not registered or not alive.
    pub fn worker(&self, session: &Session, plan: &PlanName) -> Result<Authority, Error> {
        session.ensure_live()?;
        let registered = session.registered();
        let revision = registered.ok_or(Error::session_lost(LossReason::Closed))?;
        let guard = Guard::Worker { orchestrator: session.id().clone(), revision };
        let writer = Writer { who: session.id().to_string(), role: Role::Worker, term: None, guard };
        Ok(Authority::new(self.clone(), plan.clone(), writer, Some(session.clone())))
    }

    /// The authority of an operator: it changes tasks that no process works on, while the plan keeps the
    /// owner, or the lack of an owner, that the view shows. Its claims end after [`CLAIM_LIMIT`]: see
    /// [`Authority::claims_for`].
    ///
    /// # Errors
    /// [`Error::PlanOwned`] while a candidate is about to take over: try again.
    pub fn operator(&self, plan: &PlanView, who: &str) -> Result<Authority, Error> {
        self.operator_under(plan.name(), plan.queue(), who)
    }

    /// The same, where only the queue of the plan was read.
    fn operator_under(&self, plan: &PlanName, queue: &Queue, who: &str) -> Result<Authority, Error> {
        let guard = queue.guard().ok_or_else(|| Error::PlanOwned {
            plan: plan.clone(),
            by: queue.candidates().first().map_or_else(String::new, Candidate::name),
        })?;
        let term = queue.owner().map(|(_, term)| term.number);
        let writer = Writer { who: who.to_owned(), role: Role::Operator, term, guard };
        Ok(Authority::of_operator(self.clone(), plan.clone(), writer))
    }

    /// The authority of an operator over a plan that was not read yet. [`Authority::submit`] finds out who
    /// owns the plan; any other write under it is carried out only while the plan has no owner.
    #[must_use]
    pub fn as_operator(&self, plan: &PlanName, who: &str) -> Authority {
        let writer = Writer { who: who.to_owned(), role: Role::Operator, term: None, guard: Guard::Unowned };
        Authority::of_operator(self.clone(), plan.clone(), writer)
    }
}

impl Authority {
    pub(crate) fn new(
        coordinator: Coordinator,
        plan: PlanName,
        writer: Writer,
        session: Option<Session>,
    ) -> Self {
        let layout = coordinator.layout();
        let right = match &writer.guard {
            Guard::Owner { lease, revision } => {
                AuthorityGuard::Key(layout.of(&plan, &PlanKey::Owner(*lease)), *revision)
            }
            Guard::Worker { orchestrator, revision } => {
                AuthorityGuard::Key(layout.key(&Key::Orchestrator(orchestrator.clone())), *revision)
            }
            // An import's is not made outside this crate; imports guard themselves.
            Guard::Unowned | Guard::Import => AuthorityGuard::Unowned(layout.queue(&plan)),
        };
        Self {
            coordinator,
            plan,
            writer,
            right: right.into(),
            session,
            limit: None,
            op_id: None,
            leaves_permits: false,
            trace: None,
        }
    }

    fn of_operator(coordinator: Coordinator, plan: PlanName, writer: Writer) -> Self {
        Self { limit: Some(CLAIM_LIMIT), ..Self::new(coordinator, plan, writer, None) }
    }

    /// An operator's authority, guarded by the owner, or lack of one, that the queue of the plan shows.
    pub(crate) fn renewed(&self, queue: &Queue) -> Result<Self, Error> {
        let renewed = self.coordinator.operator_under(&self.plan, queue, &self.writer.who)?;
        Ok(Self { limit: self.limit, ..renewed })
    }

    /// The plan that it is good for.
    #[must_use]
    pub fn plan(&self) -> &PlanName {
        &self.plan
    }

    /// The session of this process that it hangs on, if it is one.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The store that it writes to.
    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// The same, whose writes belong to this trace.
    pub(crate) fn traced(self, trace: Option<TraceContext>) -> Self {
        Self { trace: trace.map(Arc::new), ..self }
    }

    /// The trace that its writes belong to, if nothing else says so.
    pub(crate) fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_deref()
    }

    /// The writer that its records name.
    #[must_use]
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The same right for *one* update, which carries this id: so that the caller can retry after a lost
    /// answer, and [`find_update`] finds out whether it was carried out. Two updates must not have the same.
    ///
    /// [`find_update`]: crate::PlanHistory::find_update
    #[must_use]
    pub fn identified(self, op_id: Uuid) -> Self {
        Self { op_id: Some(op_id), ..self }
    }

    /// The same authority for the ends of claims whose commands may still run: their permits stay. A claimant
    /// releases them when its late result is refused; else they go with the session.
    pub(crate) fn leaving_permits(&self) -> Self {
        Self { leaves_permits: true, ..self.clone() }
    }

    /// The same authority for any number of updates, each with an id of its own.
    pub(crate) fn unidentified(&self) -> Self {
        Self { op_id: None, ..self.clone() }
    }

    /// The same right with another time limit of its claims, counted from the claim or the last progress
    /// report: after it, each is lost, and the plan's owner or the next claimant takes the task. etcd
    /// measures the time. Within [`CLAIM_LIMITS`]; without effect on claims that a session keeps.
    ///
    /// [`CLAIM_LIMITS`]: crate::CLAIM_LIMITS
    #[must_use]
    pub fn claims_for(self, limit: Duration) -> Self {
        Self { limit: self.limit.map(|_| limit), ..self }
    }

    /// What is lost if etcd refuses because of the guard.
    pub(crate) fn loss(&self) -> AuthorityLoss {
        match self.writer.role {
            Role::Owner => AuthorityLoss::Ownership(self.plan.clone()),
            Role::Worker => AuthorityLoss::Registration(self.writer.who.clone()),
            _ => AuthorityLoss::OwnerChanged(self.plan.clone()),
        }
    }

    /// The transaction, if the right is still there.
    pub(crate) fn guarded(&self, txn: Transaction) -> Guarded {
        Guarded { guard: Arc::clone(&self.right), txn }
    }

    pub(crate) fn ensure_live(&self) -> Result<(), Error> {
        self.session.as_ref().map_or(Ok(()), Session::ensure_live)
    }

    /// The lease that the claims of a process hang on.
    pub(crate) fn claim_lease(&self) -> Result<LeaseId, Error> {
        let lease = self.lease().or_else(|| self.session.as_ref().map(Session::lease));
        lease.ok_or_else(|| Error::session_lost(LossReason::Closed))
    }

    /// The lease under the right, if it is an owner's.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseId> {
        match self.writer.guard {
            Guard::Owner { lease, .. } => Some(lease),
            Guard::Worker { .. } | Guard::Unowned | Guard::Import => None,
        }
    }
}
