//! What a record says there is, for git.

use std::path::PathBuf;

use planlease_core::record::{WorktreeRecord, WorktreeState};
use planlease_worktree::{Site, Stage};

/// The site of a record.
pub(crate) fn site(record: &WorktreeRecord) -> Site {
    Site {
        id: record.id,
        path: PathBuf::from(&record.path),
        branch: record.branch.clone(),
        base: record.base.clone(),
    }
}

/// How far a worktree has come whose record is in this state.
pub(crate) fn stage(state: WorktreeState) -> Stage {
    match state {
        WorktreeState::Adding => Stage::Adding,
        WorktreeState::Ready | WorktreeState::Quarantined => Stage::Made,
        WorktreeState::Removing => Stage::Removing,
    }
}
