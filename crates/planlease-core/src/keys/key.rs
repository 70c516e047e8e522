//! What keys stand for.

use crate::{
    id::{HookName, HostName, LeaseId, LockName, OrchestratorId, PlanName, PoolName, TaskId, WorktreeName},
    revision::TermNumber,
};

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The store's identity.
    Store,
    /// A process's registration.
    Orchestrator(OrchestratorId),
    /// Where the output of a process's commands can be followed.
    Logs(OrchestratorId),
    /// Something of a plan.
    Plan(PlanName, PlanKey),
    /// A worktree on a host.
    Worktree(HostName, WorktreeName),
    /// Something that is asked of the fleet.
    Steering(SteeringKey),
    /// How far the receiver of a hook was notified.
    Hook(HookName),
    /// The process that runs a hook.
    HookRunner(HookName),
    /// A candidate for a lock of the namespace; the one with the lowest create revision has it.
    Lock(LockName, LeaseId),
    /// The definition of a pool.
    Pool(PoolName),
    /// A permit of a pool that is taken: its number, and the lease of the claim.
    Permit(PoolName, u32, LeaseId),
    /// A key below the namespace that this version does not know, as it is written there: of a newer version,
    /// or of another program.
    Unknown(Vec<u8>),
}

/// What a key below `steering/` stands for; see [`crate::steering`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SteeringKey {
    /// Nothing starts in the namespace.
    Pause,
    /// An orchestrator takes nothing new.
    Cordon(OrchestratorId),
    /// A plan is to move to a named orchestrator.
    Move(PlanName),
}

/// What a key below a plan stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanKey {
    /// The plan's definition.
    Spec,
    /// A further part of a large definition.
    SpecPart(u32),
    /// Which definition the excerpts are of.
    Excerpts,
    /// The definitions of the tasks up to this one, in the order of their keys.
    Excerpt(TaskId),
    /// The mark of an import under way.
    Import,
    /// Nothing is started.
    Pause,
    /// No process can own it.
    Close,
    /// A candidate in the queue; the one with the lowest create revision owns, or is about to.
    Owner(LeaseId),
    /// A candidate for a lock; the one with the lowest create revision has it.
    Lock(LockName, LeaseId),
    /// The present term, or the last one.
    Term,
    /// A past term.
    PastTerm(TermNumber),
    /// A task's record.
    Task(TaskId),
    /// A task's output.
    Findings(TaskId),
    /// A task's results that came too late.
    Late(TaskId),
    /// A key below the plan that this version does not know, as it is written there.
    Unknown(Vec<u8>),
}

impl PlanKey {
    /// Whether a read of the plan leaves the key out: it is read by itself, if at all.
    #[must_use]
    pub fn is_beside(&self) -> bool {
        matches!(
            self,
            Self::Excerpts
                | Self::Excerpt(_)
                | Self::Import
                | Self::PastTerm(_)
                | Self::Findings(_)
                | Self::Late(_)
                | Self::Lock(..)
        )
    }
}

impl Key {
    /// The plan that the key belongs to, if it belongs to one.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanName> {
        match self {
            Self::Plan(plan, _) => Some(plan),
            Self::Store
            | Self::Orchestrator(_)
            | Self::Logs(_)
            | Self::Worktree(..)
            | Self::Steering(_)
            | Self::Hook(_)
            | Self::HookRunner(_)
            | Self::Lock(..)
            | Self::Pool(_)
            | Self::Permit(..)
            | Self::Unknown(_) => None,
        }
    }
}
