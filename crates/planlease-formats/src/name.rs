//! The name that a plan gets if it is given none: that of its file, or of its folder.

use planlease_core::{InvalidName, PlanName};

use crate::format::file_name;

/// Why a file's name cannot name its plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file name {path:?} does not give a plan name; rename the file or name the plan explicitly")]
pub struct UnusableFileName {
    /// The path as given.
    pub path: String,
    /// The rule that the name breaks.
    #[source]
    pub reason: InvalidName,
}

/// File names that say nothing about the plan: it is named by its folder.
const GENERIC: [&str; 6] = ["tasks.md", "plan.md", "tasks.json", "prd.json", "issues.jsonl", "beads.jsonl"];

/// Folders that say nothing about the plan either.
const TOOLS: [&str; 12] = [
    "tasks",
    ".taskmaster",
    ".beads",
    ".kiro",
    "specs",
    "openspec",
    "changes",
    "conductor",
    "tracks",
    "backlog",
    ".backlog",
    ".",
];

/// Whether the name of this file says nothing about its plan, so that the folder names it.
#[must_use]
pub fn is_named_by_folder(path: &str) -> bool {
    GENERIC.contains(&file_name(path).to_ascii_lowercase().as_str())
}

/// What a file without a title is called.
pub(crate) fn title(path: &str) -> &str {
    folder(path).unwrap_or(file_name(path))
}

/// The nearest folder that says something, of a file whose own name does not.
fn folder(path: &str) -> Option<&str> {
    let mut parts = path.rsplit(['/', '\\']);
    let file = parts.next()?.to_ascii_lowercase();
    let is_named = |part: &&str| !part.is_empty() && !TOOLS.contains(part) && *part != "..";
    if GENERIC.contains(&file.as_str()) { parts.find(is_named) } else { None }
}

/// The name of the plan in this file: the file's name without folders and without its last extension; of
/// `tasks.md`, `plan.md`, `tasks.json` and their like, the folder's.
///
/// # Errors
/// The rule of plan names that it breaks; then the user has to say a name.
pub fn plan_name(path: &str) -> Result<PlanName, UnusableFileName> {
    let file = file_name(path);
    if let Some(folder) = folder(path) {
        return PlanName::new(folder).map_err(|reason| UnusableFileName { path: path.to_owned(), reason });
    }
    let stem = match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file, // `.md` is a name without extension.
    };
    PlanName::new(stem).map_err(|reason| UnusableFileName { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_plan_is_named_after_its_file() {
        for (path, name) in [
            ("docs/plans/critical-fixes.md", "critical-fixes"),
            ("release 1.4.toml", "release 1.4"),
            (r"c:\plans\größe.md", "größe"),
            ("plan", "plan"),
            (".md", ".md"),
            (".kiro/specs/log-in/tasks.md", "log-in"),
            ("conductor/tracks/log_in_20260101/plan.md", "log_in_20260101"),
            ("shop/.taskmaster/tasks/tasks.json", "shop"),
            ("./tasks.md", "tasks"),
        ] {
            assert_eq!(plan_name(path).unwrap().as_str(), name, "{path:?}");
        }
    }

    #[test]
    fn a_file_name_that_cannot_name_a_plan_says_why() {
        for (path, rule) in [("-x.md", "flag"), ("plans/", "is empty"), ("a\tb.md", "control character")] {
            let error = plan_name(path).unwrap_err();
            assert!(error.source().unwrap().to_string().contains(rule), "{path:?}: {error:?}");
        }
        insta::assert_snapshot!(
            plan_name("-x.md").unwrap_err(),
            @r#"the file name "-x.md" does not give a plan name; rename the file or name the plan explicitly"#
        );
    }
}
