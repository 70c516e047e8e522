//! The predecessor's state files (`status.json`) and its registry: read with places, turned into a plan and
//! its records, and back into an equal document.
//!
//! The state file says which tasks exist and how far they are; the plan file in Markdown is not asked.
//! Whatever a file says that planlease has no field of its own for stays with the definition, so that
//! [`export`] gives it back. One thing does not come back as it was: a summary that disagrees with its tasks
//! is derived again, which is reported.
//!
//! ```
//! use planlease_formats::state::{self, Content, Mode};
//!
//! let file = br#"{"planPath": "docs/plans/tea.md", "planName": "Tea", "createdAt": "2025-12-24T04:16:52.582Z",
//!     "tasks": [{"id": "1.1", "description": "Boil water", "status": "completed", "taste": "none yet"}]}"#;
//! let Content::Plan(plan) = state::read("tea/status.json", file, Mode::Strict)? else { unreachable!() };
//! assert_eq!(plan.spec.tasks[0].description, "Boil water");
//!
//! let cut_off = state::read("tea/status.json", &file[..150], Mode::Strict).unwrap_err();
//! assert!(cut_off.to_string().contains("the file ends in the middle"));
//! # Ok::<(), planlease_formats::Problems>(())
//! ```

mod dependencies;
mod export;
pub(crate) mod fault;
mod file;
mod found;
pub(crate) mod json;
mod misplaced;
mod moment;
mod phases;
mod plan;
mod registry;
mod summary;
mod task;

pub use export::export;
pub use fault::Mode;
pub use file::StateFile;
pub(crate) use misplaced::problem as misplaced;
pub use registry::Instance;
pub use task::{NOBODY, TaskState};

use self::{fault::Faults, json::Json};
use crate::{
    problem::{Problem, Problems},
    text::Text,
};

/// The largest state file that is read, in bytes. Checked before anything looks into it; larger files are
/// refused.
pub const MAX_STATE_FILE: usize = 16 * 1024 * 1024;

/// What a file of the predecessor holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The state of a plan.
    Plan(Box<StateFile>),
    /// What its orchestrators wrote about themselves.
    Registry(Registry),
}

/// The registry of the predecessor's orchestrators: history, whatever it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    /// Its entries.
    pub instances: Vec<Instance>,
    /// What was left out if the file was read leniently.
    pub warnings: Vec<Problem>,
}

/// Reads a file of the predecessor. What is in it decides what it is, not its name.
///
/// `path` is the file's path as the user gave it; it goes into messages and into the plan's source, nothing
/// is opened.
///
/// # Errors
/// All problems of the file; nothing of such a file should be used.
pub fn read(path: &str, bytes: &[u8], mode: Mode) -> Result<Content, Problems> {
    let text = Text::decode_within(path, bytes, MAX_STATE_FILE, "state files")?;
    let mut faults = Faults::new(&text, mode);
    let Some(document) = json::parse(&text, &mut faults) else {
        return Err(refused(faults));
    };
    if !matches!(document.value, Json::Object(_)) {
        let what = format!("the document is {}, and should be an object", document.kind());
        faults.fatal(document.at, what, "This is no file of the predecessor.");
        return Err(refused(faults));
    }
    if registry::is_one(&document) {
        let instances = registry::read(&document, &mut faults);
        return Ok(Content::Registry(Registry { instances, warnings: faults.finish()? }));
    }
    let Some(mut plan) = plan::read(path, bytes, &text, &document, &mut faults) else {
        return Err(refused(faults));
    };
    plan.warnings = faults.finish()?;
    Ok(Content::Plan(Box::new(plan)))
}

/// The problems of a file that nothing can be made of.
fn refused(faults: Faults<'_>) -> Problems {
    match faults.finish() {
        Err(problems) => problems,
        Ok(warnings) => Problems { listed: warnings, left_out: 0 },
    }
}

#[cfg(test)]
mod tests;
