//! Plan files, and the predecessor's files, to and from planlease's own types.
//!
//! Two formats of plan files, told apart by the extension: [`Format::Markdown`], checklists in phases as
//! people and agents write them, and [`Format::Toml`], the native one, in which everything can be said.
//! `docs/plan-file.md` describes both for users.
//!
//! Everything here is a pure function of bytes: whoever calls reads the file. What is returned is sound: a
//! plan whose dependencies make sense, or all that is wrong with the file, each problem with its place.
//!
//! ```
//! let file = "# Plan: Tea\n## Phase 1: Kitchen\n- [ ] 1.1 Boil water\n- [ ] 1.2 Brew (depends: 1.1)\n";
//! let parsed = planlease_formats::parse("tea.md", file.as_bytes())?;
//! assert_eq!(parsed.spec.tasks[1].depends_on[0].as_str(), "1.1");
//!
//! let wrong = planlease_formats::parse("tea.md", file.replace("1.1)", "1.7)").as_bytes()).unwrap_err();
//! assert_eq!(wrong.to_string(), "tea.md:4:26: error: task 1.2 depends on 1.7, which the plan does not have");
//! # Ok::<(), planlease_formats::Problems>(())
//! ```

mod bulk;
mod draft;
mod format;
mod markdown;
mod name;
mod native;
mod problem;
mod soundness;
pub mod state;
mod text;

use planlease_core::spec::{PlanSpec, Source};
use sha2::{Digest, Sha256};

pub use bulk::memory;
pub use format::Format;
pub use name::{UnusableFileName, plan_name};
pub use native::schema;
pub use problem::{Problem, Problems, Severity};

/// The largest plan file that is read, in bytes. Checked before anything looks into it; larger files are
/// refused.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// A plan file that could be read, and what its author should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The plan: sound, see [`PlanSpec::problems`].
    pub spec: PlanSpec,
    /// What may not mean what its author thinks it means. Warnings only, in the order of the file; at most
    /// 100.
    pub warnings: Vec<Problem>,
    /// How many more warnings there are.
    pub left_out: usize,
}

/// Reads a plan file, in the format that its extension says.
///
/// `path` is the file's path as the user gave it; it goes into messages and into [`PlanSpec::source`],
/// nothing is opened.
///
/// # Errors
/// All problems of the file, at least one of them an error; nothing of such a file should be used.
pub fn parse(path: &str, bytes: &[u8]) -> Result<Parsed, Problems> {
    match Format::of(path) {
        Some(format) => parse_as(format, path, bytes),
        None => Err(Problems::from(format::unknown(path))),
    }
}

/// Reads a plan file of a known format, whatever it is called.
///
/// # Errors
/// As for [`parse`].
pub fn parse_as(format: Format, path: &str, bytes: &[u8]) -> Result<Parsed, Problems> {
    let text = text::Text::decode(path, bytes)?;
    let mut report = problem::Report::new(&text);
    let mut draft = match format {
        Format::Markdown => markdown::read(&text, &mut report),
        Format::Toml => match native::read(&text, &mut report) {
            Some(draft) => draft,
            None => return Err(report.into_problems()), // Not TOML: nothing to look for in it.
        },
    };
    soundness::check(&draft, &mut report);
    draft.spec.source = Some(Source { path: path.to_owned(), sha256: sha256(bytes), location: None });
    report.finish(draft.spec)
}

/// SHA-256 in lower-case hex, of the bytes as they are: a changed line ending is a changed file.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
