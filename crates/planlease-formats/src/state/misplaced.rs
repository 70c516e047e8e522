//! A state file in the place of a plan file: both are JSON, and its tasks would be read without their states.

use serde_json::Value;

use crate::{
    format::Format,
    problem::{Problem, Severity},
};

/// The fields that tell a state file from the files of other tools.
const FIELDS: [&str; 2] = ["planPath", "planName"];

/// The problem of a text that is to be read in this format and is a state file.
pub(crate) fn problem(format: Format, path: &str, text: &str) -> Option<Problem> {
    if !matches!(format, Format::Taskmaster | Format::Ralph) || !FIELDS.iter().all(|name| text.contains(name))
    {
        return None;
    }
    let document: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let is_state = FIELDS.iter().all(|name| document.get(name).is_some()) && document.get("tasks").is_some();
    is_state.then(|| Problem {
        severity: Severity::Error,
        file: path.to_owned(),
        line: 1,
        column: 1,
        message: "this is a state file (status.json), and no plan file".to_owned(),
        help: Some("`planlease import FILE` makes its plan, with the state of each task.".to_owned()),
    })
}
