//! Worktrees, and what was done about them.

use planlease::{WorktreeView, core::worktree::Tenure};
use planlease_core::{FencingToken, record::WorktreeState, unreadable::Unreadable};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each_readable},
    unreadable::{UnreadableView, views},
};
use crate::time::Time;

/// `worktree show`, `worktree add`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorktreeStatusView {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) state: WorktreeState,
    /// Whether no live owner has it.
    pub(crate) abandoned: bool,
    pub(crate) path: String,
    pub(crate) repository: String,
    pub(crate) branch: String,
    pub(crate) base: String,
    pub(crate) plan: String,
    pub(crate) task: Option<String>,
    pub(crate) token: Option<FencingToken>,
    pub(crate) by: String,
    pub(crate) since: Time,
    pub(crate) why: Option<String>,
    pub(crate) revision: u64,
}

impl WorktreeStatusView {
    /// Of a worktree, given whose it is.
    pub fn new(view: &WorktreeView, tenure: Tenure) -> Self {
        let record = &view.record;
        Self {
            name: view.name.to_string(),
            host: view.host.to_string(),
            state: record.state,
            abandoned: tenure.is_over(),
            path: record.path.clone(),
            repository: record.repository.clone(),
            branch: record.branch.clone(),
            base: record.base.clone(),
            plan: record.plan.to_string(),
            task: record.task.as_ref().map(ToString::to_string),
            token: record.token,
            by: record.by.clone(),
            since: record.since.into(),
            why: record.why.clone(),
            revision: view.revision.get(),
        }
    }
}

impl Document for WorktreeStatusView {
    const SCHEMA: Option<&'static str> = Some("planlease.worktree.v1");
}

/// `worktree list`, `worktree abandoned`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorktreeList {
    pub(crate) worktrees: Vec<WorktreeStatusView>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

impl WorktreeList {
    /// Of all.
    #[must_use]
    pub fn new(worktrees: Vec<WorktreeStatusView>, unreadable: &[Unreadable]) -> Self {
        Self { worktrees, unreadable: views(unreadable) }
    }
}

impl Document for WorktreeList {
    const SCHEMA: Option<&'static str> = Some("planlease.worktrees.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.worktree.v1", &self.worktrees, &self.unreadable)
    }
}

/// What is done about one worktree.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Tidied {
    pub(crate) name: String,
    /// Before.
    pub(crate) state: WorktreeState,
    /// `keep`, `remove` or `quarantine`.
    pub(crate) action: &'static str,
    pub(crate) why: String,
    pub(crate) path: String,
    pub(crate) branch: String,
}

impl Tidied {
    /// It stays.
    #[must_use]
    pub fn keep(view: &WorktreeView, why: String) -> Self {
        Self::new(view, "keep", why)
    }

    /// It is removed.
    #[must_use]
    pub fn remove(view: &WorktreeView, why: String) -> Self {
        Self::new(view, "remove", why)
    }

    /// It is kept apart, for a person to look at.
    #[must_use]
    pub fn quarantine(view: &WorktreeView, why: String) -> Self {
        Self::new(view, "quarantine", why)
    }

    fn new(view: &WorktreeView, action: &'static str, why: String) -> Self {
        let (path, branch) = (view.record.path.clone(), view.record.branch.clone());
        Self { name: view.name.to_string(), state: view.record.state, action, why, path, branch }
    }
}

/// `worktree clean`, `worktree remove`, `worktree quarantine`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorktreesTidied {
    /// Whether it was done, or is only what would be.
    pub(crate) executed: bool,
    pub(crate) worktrees: Vec<Tidied>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

impl WorktreesTidied {
    /// Of what was done, or would be.
    #[must_use]
    pub fn new(executed: bool, worktrees: Vec<Tidied>, unreadable: &[Unreadable]) -> Self {
        Self { executed, worktrees, unreadable: views(unreadable) }
    }
}

impl Document for WorktreesTidied {
    const SCHEMA: Option<&'static str> = Some("planlease.worktrees_tidied.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.worktree_tidied.v1", &self.worktrees, &self.unreadable)
    }
}
