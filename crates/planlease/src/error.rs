//! The one error type of the crate: variants by what the caller can do.

use std::time::Duration;

use planlease_core::{
    InvalidName, LockName, OrchestratorId, PlanName, PoolName, Summary, TaskId, codec::CodecError,
    record::Halt, session::LossReason, soundness::SpecError, steering::Eligibility, term::HandOverError,
    unreadable::Unreadable, view::MissingTask,
};

use crate::{
    config::ConfigError,
    etcd::{Fault, FaultKind},
};

/// Why an operation failed. A refusal because another process was first is not an error; see
/// [`crate::TryAcquire`] and [`crate::Outcome`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings cannot be used: correct them.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No server answers, and it is proven that nothing was changed. Look whether etcd runs, and where.
    #[error("etcd cannot be reached")]
    Unreachable(#[source] Cause),
    /// The request may or may not have been carried out, or may still be. Look before doing it again.
    #[error("etcd did not answer: the request may or may not have been carried out")]
    OutcomeUnknown(#[source] Cause),
    /// The local server cannot be started, or is not to be trusted, and another try does not help. Nothing
    /// was changed.
    #[error("the local server cannot be used")]
    LocalServer(#[source] Cause),
    /// The certificates do not fit. Nothing was changed.
    #[error("no encrypted connection could be made")]
    Tls(#[source] Cause),
    /// User or password are wrong, or missing. Nothing was changed.
    #[error("etcd does not accept the user and password")]
    Unauthenticated(#[source] Cause),
    /// The user may not do that. Nothing was changed.
    #[error("etcd does not permit that to this user")]
    PermissionDenied(#[source] Cause),
    /// etcd's database is full. Compact, defragment, and disarm the alarm; reading and releasing still work.
    #[error("etcd's database is full (alarm NOSPACE); compact and defragment it, then disarm the alarm")]
    NoSpace(#[source] Cause),
    /// etcd refuses for another reason.
    #[error("etcd refused the request")]
    Refused(#[source] Cause),
    /// The server does not grant so short a TTL. The lease was given back; ask for what it grants, or more.
    #[error(
        "a ttl of {asked:?} was asked for, but etcd grants {granted:?} at least (1.5 times its election timeout)"
    )]
    TtlNotGranted {
        /// What was asked for.
        asked: Duration,
        /// What was granted.
        granted: Duration,
    },
    /// The server lacks what the protocol needs.
    #[error("etcd {version} is too old; {needed} or newer is needed")]
    ServerTooOld {
        /// The version that it reports.
        version: String,
        /// The oldest that works.
        needed: &'static str,
    },
    /// The keys were written on another cluster: etcd was restored or copied. Old tokens could come again, so
    /// nothing goes on until an operator has looked and raised the generation.
    #[error(
        "this store belongs to etcd cluster {recorded}, but cluster {found} answers: restored or copied? \
         check that no process works on the other one, then adopt the store"
    )]
    StoreMoved {
        /// The cluster that the store was made on.
        recorded: String,
        /// The cluster that answers.
        found: String,
    },
    /// etcd was restored from an older state under the same cluster id. Old tokens could come again, so
    /// nothing goes on until an operator has looked and raised the generation.
    #[error(
        "etcd was restored from an older state: {0}. Fencing tokens could be given out twice; check that no process works \
         on the old data, then adopt the store"
    )]
    StoreRestored(String),
    /// There is no such plan.
    #[error("there is no plan {0}")]
    PlanNotFound(PlanName),
    /// The plan was cancelled or archived: no process can own it until it is resumed.
    #[error("plan {plan} was {how} by {by}: {why}")]
    PlanClosed {
        /// The plan.
        plan: PlanName,
        /// How.
        how: Halt,
        /// The owner, or the process that imports it.
        by: String,
        /// Why.
        why: String,
    },
    /// The orchestrator is cordoned or drained: it takes no new plan until an operator uncordons it.
    /// Nothing was changed.
    #[error("orchestrator {id} is {state} by {by}: {why}")]
    Cordoned {
        /// The orchestrator.
        id: OrchestratorId,
        /// Cordoned, or draining.
        state: Eligibility,
        /// Who said so.
        by: String,
        /// Why.
        why: String,
    },
    /// The plan cannot be moved to that orchestrator; nothing was changed.
    #[error("plan {plan} cannot be moved to {to}: {why}")]
    CannotMove {
        /// The plan.
        plan: PlanName,
        /// The orchestrator that was to own it.
        to: OrchestratorId,
        /// Why not.
        why: String,
    },
    /// Every task of the plan is done: there is nothing to cancel.
    #[error("plan {0} is finished")]
    PlanFinished(PlanName),
    /// An owner would find nothing to do: no task is in progress, ready, or may be tried again without an
    /// operator.
    #[error("plan {plan} has no task left for an owner")]
    NothingLeft {
        /// The plan.
        plan: PlanName,
        /// The counts of its tasks.
        summary: Summary,
    },
    /// There is a plan of this name already; nothing was changed.
    #[error("there is a plan {0} already")]
    PlanExists(PlanName),
    /// One edit adds and removes more tasks than one transaction can, with those whose approval it changes;
    /// nothing was changed. Make it in steps.
    #[error(
        "{tasks} tasks would be added, removed, or asked for another approval at once; at most {most} can be"
    )]
    EditTooLarge {
        /// How many.
        tasks: usize,
        /// The most.
        most: usize,
    },
    /// One edit changes more of the definition than one transaction can; nothing was changed. Make it in
    /// steps.
    #[error("the edit would write {bytes} bytes of the definition at once; at most {most} can be")]
    EditTooWide {
        /// How many.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// An all-or-nothing batch is larger than one transaction of etcd can be; nothing was changed. Submit it
    /// in parts, or each update by itself.
    #[error("the batch has {size} {unit}; at most {most} can be changed all or nothing")]
    BatchTooLarge {
        /// How many.
        size: usize,
        /// The most.
        most: usize,
        /// Of what.
        unit: &'static str,
    },
    /// An all-or-nothing batch that no single transaction can carry out; nothing was changed.
    #[error("the batch cannot be carried out all or nothing: {0}")]
    BatchNotPossible(String),
    /// Another process imports a plan of this name at this moment; nothing was changed.
    #[error("plan {plan} is being imported by {by}")]
    ImportUnderWay {
        /// The plan.
        plan: PlanName,
        /// The owner, or the process that imports it.
        by: String,
    },
    /// The plan is owned or waited for; nothing was changed.
    #[error("plan {plan} is owned by {by}")]
    PlanOwned {
        /// The plan.
        plan: PlanName,
        /// The owner, or the process that imports it.
        by: String,
    },
    /// Permits of the pool are taken; nothing was changed.
    #[error("pool {pool} is in use by {}", users.join(", "))]
    PoolInUse {
        /// The pool.
        pool: PoolName,
        /// The tasks that have a permit.
        users: Vec<String>,
    },
    /// There cannot be such a pool; nothing was changed.
    #[error("pool {pool} {why}")]
    InvalidPool {
        /// The pool.
        pool: PoolName,
        /// Why not, as the rest of a sentence.
        why: String,
    },
    /// The plan has no owner; nothing was changed.
    #[error("plan {0} has no owner")]
    NotOwned(PlanName),
    /// The owner is not the one that was expected; nothing was changed.
    #[error("plan {plan} is owned by {by}, not by {expected}")]
    OtherOwner {
        /// The plan.
        plan: PlanName,
        /// The owner.
        by: String,
        /// The expected owner.
        expected: OrchestratorId,
    },
    /// The plan has no such task.
    #[error("plan {plan} has no task {task}")]
    TaskNotFound {
        /// The plan.
        plan: PlanName,
        /// The task.
        task: TaskId,
    },
    /// Another process runs under this name; a new process needs a new one.
    #[error("an orchestrator {0} is registered already")]
    IdentityTaken(OrchestratorId),
    /// A name cannot be used.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// This process owns the plan already; two parts of it cannot own it both.
    #[error("this process owns plan {0} already")]
    HeldLocally(PlanName),
    /// This process has the lock, or waits for it, already; nothing was changed.
    #[error("this process has lock {lock}{}, or waits for it, already", of_plan(plan.as_ref()))]
    LockedLocally {
        /// The plan; `None` for a lock of the namespace.
        plan: Option<PlanName>,
        /// The lock.
        lock: LockName,
    },
    /// The lock has passed to another session, or is free.
    #[error("lock {lock}{} is lost", of_plan(plan.as_ref()))]
    LockLost {
        /// The plan; `None` for a lock of the namespace.
        plan: Option<PlanName>,
        /// The lock.
        lock: LockName,
    },
    /// A process that was first in the queue has the lock with another number of permits; nothing was
    /// changed.
    #[error("lock {lock} is used with {theirs} by {by}, and was asked for with {ours}")]
    LockPermits {
        /// The lock.
        lock: LockName,
        /// The process before this one.
        by: String,
        /// How many permits it says there are, in words.
        theirs: String,
        /// How many this process says, in words.
        ours: String,
    },
    /// The session has as many plans as it may; nothing was changed. Open another session.
    #[error("the session owns or waits for {max} plans already, which is the most")]
    TooManyHeld {
        /// The most.
        max: usize,
    },
    /// The authority is lost, so that nothing more is written under it; nothing was changed. An update of a
    /// task reports the same as a value, [`crate::Refused::AuthorityLost`].
    #[error(transparent)]
    AuthorityLost(#[from] AuthorityLoss),
    /// The plan cannot be handed over so; nothing was changed.
    #[error(transparent)]
    HandOver(#[from] HandOverError),
    /// The definition is not sound; nothing was changed.
    #[error("the plan is not sound: {}", list(.0))]
    Unsound(Vec<SpecError>),
    /// A stored record cannot be read: it is damaged, or a newer planlease wrote it. What needs it fails;
    /// nothing was changed.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A record would be too large to be stored; nothing was changed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The history from that revision on is gone.
    #[error("the history before that revision is compacted")]
    Compacted,
    /// No answer within the time that the caller gave.
    #[error("the time was up: {0}")]
    TimedOut(&'static str),
}

impl From<MissingTask> for Error {
    fn from(missing: MissingTask) -> Self {
        match missing {
            MissingTask::Unreadable(unreadable) => unreadable.into(),
            MissingTask::NotFound { plan, task } => Self::TaskNotFound { plan, task },
        }
    }
}

/// Why an authority is lost, whichever operation finds it out. Lost is lost: the same authority never holds
/// again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityLoss {
    /// The session is over, and with it every ownership, lock and claim that depends on it. Open a new one.
    #[error("the session is over: {0}")]
    Session(LossReason),
    /// The ownership of this plan is over: the plan was released, or an operator or another session has ended
    /// the ownership. Acquire the plan again.
    #[error("the ownership of plan {0} is over")]
    Ownership(PlanName),
    /// The registration of this worker is gone. Open a new session.
    #[error("the registration of worker {0} is gone")]
    Registration(String),
    /// The plan has another owner, or lack of one, than the operator saw. Read the plan again.
    #[error("the owner of plan {0} has changed")]
    OwnerChanged(PlanName),
}

/// ` of plan release`, for messages.
fn of_plan(plan: Option<&PlanName>) -> String {
    plan.map_or_else(String::new, |plan| format!(" of plan {plan}"))
}

fn list(problems: &[SpecError]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What lay below an [`Error`]: endpoint and message, for people.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Error {
    /// Whether the same operation may succeed later with the same settings and the same session: the network,
    /// a member, or the certificate, password, token or role of either side, once they have worked, may be
    /// right again in a moment. A waiter or a watcher goes on after such an error; a command with one thing
    /// to do reports it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::OutcomeUnknown(_)
                | Self::NoSpace(_)
                | Self::LocalServer(_)
                | Self::Tls(_)
                | Self::Unauthenticated(_)
                | Self::PermissionDenied(_)
        )
    }

    /// Whether no retry can succeed with these settings on this store: the settings have to be corrected, the
    /// server upgraded, or the store adopted first.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Config(_) | Self::ServerTooOld { .. } | Self::StoreMoved { .. } | Self::StoreRestored(_)
        )
    }

    /// Whether the session is over: the same operation may succeed with a new one.
    #[must_use]
    pub fn is_session_lost(&self) -> bool {
        matches!(self, Self::AuthorityLost(AuthorityLoss::Session(_)))
    }

    pub(crate) fn session_lost(reason: LossReason) -> Self {
        AuthorityLoss::Session(reason).into()
    }

    pub(crate) fn ownership_lost(plan: PlanName) -> Self {
        AuthorityLoss::Ownership(plan).into()
    }

    /// What was sent may have been carried out by a try that was not answered, and what is there now does not
    /// tell.
    pub(crate) fn outcome_unknown(why: &str) -> Self {
        Self::OutcomeUnknown(Cause(why.to_owned()))
    }
}

/// An error with all its causes, in one line.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let cause = Cause(fault.to_string());
        match fault.kind {
            FaultKind::Tls | FaultKind::Config => Self::Tls(cause), // What cannot be used are the TLS files.
            // Its endpoint says less than the folder that the cause names.
            FaultKind::Unusable => Self::LocalServer(Cause(fault.message)),
            FaultKind::Unauthenticated | FaultKind::BadCredentials => Self::Unauthenticated(cause),
            FaultKind::PermissionDenied => Self::PermissionDenied(cause),
            FaultKind::NoSpace => Self::NoSpace(cause),
            FaultKind::Restored => Self::StoreRestored(cause.0),
            FaultKind::Compacted => Self::Compacted,
            FaultKind::LeaseNotFound => Self::session_lost(LossReason::LeaseGone),
            FaultKind::Unreachable | FaultKind::TimedOut | FaultKind::Unavailable if fault.not_executed => {
                Self::Unreachable(cause)
            }
            FaultKind::Unreachable | FaultKind::TimedOut | FaultKind::Unavailable => {
                Self::OutcomeUnknown(cause)
            }

            FaultKind::LeaseExists | FaultKind::TooLarge | FaultKind::Other => Self::Refused(cause),
        }
    }
}
