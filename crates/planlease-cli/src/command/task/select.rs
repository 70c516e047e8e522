//! Selecting tasks by status, label and phase.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use planlease::core::{spec::TaskSpec, transition::TaskStatus};

/// Filters of tasks. A task has to match each kind that is given.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only tasks in this status; in any of them if given more than once
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(TaskStatus::ALL.map(TaskStatus::as_str)).try_map(status)
    )]
    status: Vec<TaskStatus>,
    /// Only tasks with this label; with each of them if given more than once
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Only tasks of this phase; of any of them if given more than once
    #[arg(long = "phase", value_name = "PHASE")]
    phases: Vec<String>,
}

fn status(word: String) -> Result<TaskStatus, String> {
    TaskStatus::ALL.into_iter().find(|status| status.as_str() == word).ok_or(word)
}

impl FilterArgs {
    /// Whether no filter is given.
    pub(super) fn is_empty(&self) -> bool {
        self.status.is_empty() && self.labels.is_empty() && self.phases.is_empty()
    }

    /// Whether statuses are given.
    pub(super) fn names_status(&self) -> bool {
        !self.status.is_empty()
    }

    /// Whether the task is one of those.
    pub(super) fn selects(&self, task: Option<&TaskSpec>, status: TaskStatus) -> bool {
        let phase = task.and_then(|task| task.phase.as_deref());
        let has = |label: &String| task.is_some_and(|task| task.labels.contains(label));
        (self.status.is_empty() || self.status.contains(&status))
            && self.labels.iter().all(has)
            && (self.phases.is_empty() || self.phases.iter().any(|wanted| phase == Some(wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::task_id;

    #[test]
    fn a_task_has_to_match_each_kind_of_filter() {
        let mut task = TaskSpec::new(task_id("1").unwrap(), "work");
        (task.labels, task.phase) = (["gpu".to_owned(), "slow".to_owned()].into(), Some("2".to_owned()));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let filter = |labels: &[&str], phases: &[&str]| FilterArgs {
            status: vec![TaskStatus::Failed, TaskStatus::Skipped],
            labels: words(labels),
            phases: words(phases),
        };
        for (matches, labels, phases) in [
            (true, &["gpu"][..], &["2"][..]),
            (true, &["gpu", "slow"], &["1", "2"]),
            (true, &[], &[]),
            (false, &["gpu", "fast"], &["2"]),
            (false, &["gpu"], &["1"]),
        ] {
            let filter = filter(labels, phases);
            assert_eq!(filter.selects(Some(&task), TaskStatus::Failed), matches, "{filter:?}");
            assert!(!filter.selects(Some(&task), TaskStatus::Pending), "{filter:?}");
        }
    }
}
