//! The counts that a state file has of its tasks: the tasks are believed, not the counts.

use planlease_core::Summary;

use super::{
    export::{named, says},
    json::Placed,
    task::TaskState,
};
use crate::{
    problem::{Problem, Severity},
    text::Text,
};

/// Where the stored summary says something else than the tasks do.
pub(super) fn check<'a>(
    text: &Text<'_>,
    document: &Placed,
    states: impl IntoIterator<Item = &'a TaskState>,
) -> Vec<Problem> {
    let Some(stored) = document.get("summary") else { return Vec::new() };
    let mut summary = Summary::default();
    for state in states {
        summary.add(state.status);
    }
    let wrong = named(&summary).into_iter().filter_map(|(name, count)| {
        let value = stored.get(name).filter(|value| !says(&value.to_value(), count))?;
        let was = value.to_value();
        let message =
            format!("the summary says {name}: {}, and the tasks {count}", super::json::cut(&was.to_string()));
        let help = Some("It is derived again.".to_owned());
        Some(text.problem(Severity::Warning, value.at, message, help))
    });
    wrong.collect()
}
