//! Which formats of plan files there are, and how a file's name tells which one it is.

use crate::problem::{Problem, Severity};

/// A format of plan files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Checklists in phases: `.md`, `.markdown`.
    Markdown,
    /// The native format: `.toml`.
    Toml,
}

impl Format {
    /// The format that the extension of this path says; `None` if it is none of ours.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let (_, extension) = file_name(path).rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "md" | "markdown" => Some(Self::Markdown),
            "toml" => Some(Self::Toml),
            _ => None,
        }
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
            "Plan files end in .md or .markdown (checklists) or in .toml (native): rename the file.".into(),
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
            ("plan.yaml", None),
            ("some.md/plan", None),
            ("md", None),
            ("", None),
        ] {
            assert_eq!(Format::of(path), format, "{path:?}");
        }
    }
}
