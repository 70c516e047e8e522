//! What is known of a worktree.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::writer::Guard;
use crate::{
    codec::FormatVersion,
    extra::Extra,
    id::{PlanName, TaskId},
    revision::FencingToken,
    time::WallTime,
};

/// A worktree of a git repository (`worktrees/{host}/{name}`). On no lease: it must outlive the process that
/// made it, since it says what is to be cleared away. What it says about a folder is true under the lock of
/// its repository only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorktreeRecord {
    /// See [`FormatVersion`].
    #[serde(default)]
    pub v: FormatVersion,
    /// Identifies it among all worktrees ever made: the files made for it carry this id.
    pub id: Uuid,
    /// Where it stands.
    pub state: WorktreeState,
    /// The folder, absolute.
    pub path: String,
    /// The repository: its common git folder, absolute and without symbolic links.
    pub repository: String,
    /// The branch that was made for it.
    pub branch: String,
    /// The commit that the branch began at.
    pub base: String,
    /// The plan that it serves.
    pub plan: PlanName,
    /// The task that it serves, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The token of the ownership under which it was made, if it was under one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<FencingToken>,
    /// What must exist for it not to be abandoned. `None` if a person made it: then it is theirs to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// The orchestrator or person that made it.
    pub by: String,
    /// When it came to its present state, on the writer's wall clock.
    pub since: WallTime,
    /// Why it is where it is, if there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Identifies the write: the proof that it happened when its answer got lost.
    pub op_id: Uuid,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Where a worktree stands. The end is that its record is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WorktreeState {
    /// It is being made, or was when its maker died: there may be all of it, a part, or nothing.
    Adding,
    /// It can be worked in.
    Ready,
    /// It holds work that is nowhere else and has no owner: kept until an operator has looked.
    Quarantined,
    /// It is being removed, or was when its remover died: nothing in it was worth keeping.
    Removing,
}

impl WorktreeState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Adding, Self::Ready, Self::Quarantined, Self::Removing];

    /// The word for it, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Adding => "adding",
            Self::Ready => "ready",
            Self::Quarantined => "quarantined",
            Self::Removing => "removing",
        }
    }
}

impl std::fmt::Display for WorktreeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
