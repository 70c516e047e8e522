//! Which formats of plan files there are, what they are called, and how a file's name and content tell which
//! one it has.

use std::fmt;

use crate::problem::{Problem, Severity};

/// A format of plan files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Checklists in phases, as planlease defines them: `.md`, `.markdown`.
    Markdown,
    /// The native format: `.toml`.
    Toml,
    /// Kiro's `tasks.md`.
    Kiro,
    /// spec-kit's `tasks.md`.
    SpecKit,
    /// OpenSpec's `tasks.md`.
    OpenSpec,
    /// Conductor's `plan.md`.
    Conductor,
    /// Any other Markdown with a checklist.
    Checklist,
    /// Backlog.md: a folder of tasks, each in a file with front matter.
    Backlog,
    /// Taskmaster's `tasks.json`.
    Taskmaster,
    /// beads: issues, one in a line of JSON.
    Beads,
    /// Ralph's `prd.json`.
    Ralph,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Markdown,
        Self::Toml,
        Self::Kiro,
        Self::SpecKit,
        Self::OpenSpec,
        Self::Conductor,
        Self::Checklist,
        Self::Backlog,
        Self::Taskmaster,
        Self::Beads,
        Self::Ralph,
    ];

    /// What it is called on command lines and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "planlease",
            Self::Toml => "toml",
            Self::Kiro => "kiro",
            Self::SpecKit => "spec-kit",
            Self::OpenSpec => "openspec",
            Self::Conductor => "conductor",
            Self::Checklist => "markdown",
            Self::Backlog => "backlog",
            Self::Taskmaster => "taskmaster",
            Self::Beads => "beads",
            Self::Ralph => "ralph",
        }
    }

    /// The format of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format that the extension of this path stands for; `None` if it is none of ours. The content may
    /// tell more: see [`Format::detect`].
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let (_, extension) = file_name(path).rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "md" | "markdown" => Some(Self::Markdown),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Taskmaster),
            "jsonl" | "ndjson" => Some(Self::Beads),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The part after the last separator.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// What to say of a file whose format is not known. It is not guessed: a wrong guess would read a wrong plan.
pub(crate) fn unknown(path: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: path.to_owned(),
        line: 1,
        column: 1,
        message: format!("{:?} does not say which format it has", file_name(path)),
        help: Some(
            "Plan files end in .md or .markdown (checklists), in .toml (native), or in .json or .jsonl (those of other \
             tools): rename the file."
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_the_format() {
        for (path, format) in [
            ("plan.md", Some(Format::Markdown)),
            ("a/b.c/PLAN.MarkDown", Some(Format::Markdown)),
            (r"c:\plans\x.toml", Some(Format::Toml)),
            ("a/tasks.json", Some(Format::Taskmaster)),
            ("issues.jsonl", Some(Format::Beads)),
            ("plan.yaml", None),
            ("some.md/plan", None),
            ("md", None),
            ("", None),
        ] {
            assert_eq!(Format::of(path), format, "{path:?}");
        }
    }
}
