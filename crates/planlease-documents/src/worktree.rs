//! Worktrees, and what was done about them.

use planlease::{WorktreeView, core::WallTime, core::worktree::Tenure};
use planlease_core::{FencingToken, record::WorktreeState, unreadable::Unreadable};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cell, Document, Table, Time, each_readable, plain,
    unreadable::{UnreadableView, views},
};

/// `worktree show`, `worktree add`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorktreeShown {
    name: String,
    host: String,
    state: WorktreeState,
    /// Whether no live owner has it.
    abandoned: bool,
    path: String,
    repository: String,
    branch: String,
    base: String,
    plan: String,
    task: Option<String>,
    token: Option<FencingToken>,
    by: String,
    since: Time,
    why: Option<String>,
    revision: u64,
}

impl WorktreeShown {
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

    fn standing(&self) -> String {
        let abandoned = if self.abandoned { ", abandoned" } else { "" };
        format!("{}{abandoned}", self.state)
    }

    fn serves(&self) -> String {
        match &self.task {
            Some(task) => format!("{} {}", plain(&self.plan), plain(task)),
            None => plain(&self.plan),
        }
    }
}

impl Document for WorktreeShown {
    const SCHEMA: Option<&'static str> = Some("planlease.worktree.v1");

    fn table(&self, now: WallTime) -> String {
        let token = self.token.map_or_else(String::new, |token| format!(", token {token}"));
        let mut text = format!(
            "worktree    {} on {}\nstate       {}, for {}\n",
            plain(&self.name),
            plain(&self.host),
            self.standing(),
            self.since.age(now)
        );
        if let Some(why) = &self.why {
            text.push_str(&format!("why         {}\n", plain(why)));
        }
        text.push_str(&format!(
            "path        {}\nrepository  {}\nbranch      {}, from {}\nserves      {}\nmade by     {}{token}\n",
            plain(&self.path),
            plain(&self.repository),
            plain(&self.branch),
            plain(self.base.get(..12).unwrap_or(&self.base)),
            self.serves(),
            plain(&self.by),
        ));
        text
    }
}

/// `worktree list`, `worktree abandoned`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorktreeList {
    worktrees: Vec<WorktreeShown>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

impl WorktreeList {
    /// Of all.
    #[must_use]
    pub fn new(worktrees: Vec<WorktreeShown>, unreadable: &[Unreadable]) -> Self {
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

    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["NAME", "HOST", "STATE", "SINCE", "SERVES", "TOKEN", "BRANCH", "PATH"]);
        for tree in &self.worktrees {
            table.row([
                Cell::text(&tree.name),
                Cell::text(&tree.host),
                tree.standing().into(),
                tree.since.age(now).into(),
                tree.serves().into(),
                tree.token.map_or_else(|| "-".to_owned(), |token| token.to_string()).into(),
                Cell::text(&tree.branch),
                Cell::text(&tree.path),
            ]);
        }
        table.render("no worktrees")
    }
}

/// What is done about one worktree.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Tidied {
    name: String,
    /// Before.
    state: WorktreeState,
    /// `keep`, `remove` or `quarantine`.
    action: &'static str,
    why: String,
    path: String,
    branch: String,
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

    /// What was done about it, in a sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let done = if self.action == "remove" { "cleared away" } else { "quarantined" };
        format!(
            "{done} what an interrupted command left of worktree {}: {}",
            plain(&self.name),
            plain(&self.why)
        )
    }
}

/// `worktree clean`, `worktree remove`, `worktree quarantine`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct WorktreesTidied {
    /// Whether it was done, or is only what would be.
    executed: bool,
    worktrees: Vec<Tidied>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
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

    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["NAME", "ACTION", "WHY", "BRANCH", "PATH"]);
        for tree in &self.worktrees {
            let action = match (tree.action, self.executed) {
                ("remove", true) => "removed",
                ("quarantine", true) => "quarantined",
                ("keep", true) => "kept",
                (action, _) => action,
            };
            table.row([
                Cell::text(&tree.name),
                action.into(),
                Cell::text(&tree.why),
                Cell::text(&tree.branch),
                Cell::text(&tree.path),
            ]);
        }
        let mut text = table.render("no worktrees on this host");
        if !self.executed && self.worktrees.iter().any(|tree| tree.action != "keep") {
            text.push_str("\nnothing was done yet; `planlease worktree clean --execute` does it\n");
        }
        text
    }
}
