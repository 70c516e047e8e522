//! Worktrees, and what was done about them.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::worktree::{Tidied, WorktreeList, WorktreeStatusView, WorktreesTidied},
};

impl Tabular for WorktreeStatusView {
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

impl Tabular for WorktreeList {
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

impl Tabular for WorktreesTidied {
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

impl WorktreeStatusView {
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

impl Tidied {
    /// What was done about it, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let done = if self.action == "remove" { "cleared away" } else { "quarantined" };
        format!(
            "{done} what an interrupted command left of worktree {}: {}",
            plain(&self.name),
            plain(&self.why)
        )
    }
}
