//! What a cell says of a plan or a task: the same in the tables here and on the screen of `planlease top`,
//! which draw it each in their own way.

use std::borrow::Cow;

use planlease_core::{Summary, cancel::Then, record::TaskRecord, transition::TaskStatus};

use crate::printable::plain;

/// How many tasks of how many are done, skipped ones among them: `4/5`.
#[must_use]
pub fn done(summary: &Summary) -> String {
    format!("{}/{}", summary.completed + summary.skipped, summary.total)
}

/// How much is done (`#`), runs (`>`) and is left (`-`), in so many characters.
#[must_use]
pub fn bar(summary: &Summary, width: usize) -> String {
    let share = |tasks: usize| (tasks * width).checked_div(summary.total).unwrap_or(0).min(width);
    let done = summary.completed + summary.skipped;
    let (done, begun) = (share(done), share(done + summary.in_progress));
    format!("{}{}{}", "#".repeat(done), ">".repeat(begun - done), "-".repeat(width - begun))
}

/// The claimant of a task, and whether it is gone: `ci-1`, `ci-1 (gone)`.
#[must_use]
pub fn claimant(by: &str, is_gone: bool) -> String {
    format!("{by}{}", if is_gone { " (gone)" } else { "" })
}

/// What a task's record last said, whichever field that is in; `None` if nothing.
#[must_use]
pub fn says(record: &TaskRecord) -> Option<Cow<'_, str>> {
    let cancel = record.cancel.as_deref();
    Sayings {
        status: record.status,
        cancel: cancel.map(|cancel| (cancel.by.as_str(), cancel.why.as_str(), cancel.then)),
        question: record.approval_question().map(Cow::Owned),
        progress: record.progress.as_deref(),
        notes: record.notes.as_deref(),
        parked: record.parked.as_deref(),
        error: record.error.as_deref(),
        skip_reason: record.skip_reason.as_deref(),
    }
    .last()
}

/// The fields of a record of which one says what it last said.
#[derive(Debug)]
pub(crate) struct Sayings<'a> {
    pub(crate) status: TaskStatus,
    /// Who asks to end the attempt, why, and what becomes of the task.
    pub(crate) cancel: Option<(&'a str, &'a str, Then)>,
    /// What a person has to approve.
    pub(crate) question: Option<Cow<'a, str>>,
    pub(crate) progress: Option<&'a str>,
    pub(crate) notes: Option<&'a str>,
    pub(crate) parked: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) skip_reason: Option<&'a str>,
}

impl<'a> Sayings<'a> {
    /// The last that was said.
    pub(crate) fn last(self) -> Option<Cow<'a, str>> {
        if let Some((by, why, then)) = self.cancel {
            return Some(format!("cancelled {}", cancelled(by, why, then)).into());
        }
        match self.status {
            TaskStatus::Pending => self.question,
            TaskStatus::InProgress => self.question.or(self.progress.map(Cow::Borrowed)),
            TaskStatus::Completed => self.notes.map(Cow::Borrowed),
            TaskStatus::Failed => self.parked.or(self.error).map(Cow::Borrowed),
            TaskStatus::Skipped => self.skip_reason.map(Cow::Borrowed),
        }
    }
}

/// `by me: wrong branch; becomes skipped when the attempt has ended`
pub(crate) fn cancelled(by: &str, why: &str, then: Then) -> String {
    format!("by {}: {}; becomes {} when the attempt has ended", plain(by), plain(why), then.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_wide_whatever_is_done() {
        let of =
            |(completed, in_progress, total)| Summary { completed, in_progress, total, ..Summary::default() };
        for counts in [(0, 0, 0), (0, 0, 3), (1, 1, 3), (3, 0, 3), (9_999, 1, 10_000)] {
            assert_eq!(bar(&of(counts), 12).len(), 12, "{counts:?}");
        }
        assert_eq!(bar(&of((1, 1, 3)), 12), "####>>>>----");
    }

    #[test]
    fn a_request_to_cancel_is_said_before_anything_else() {
        let sayings = |cancel, question: Option<&'static str>, status| Sayings {
            status,
            cancel,
            question: question.map(Cow::Borrowed),
            progress: Some("half of it"),
            notes: Some("tagged"),
            parked: None,
            error: Some("boom"),
            skip_reason: None,
        };
        let last = |cancel, question, status| sayings(cancel, question, status).last().map(Cow::into_owned);
        let (none, running) = (None::<(&str, &str, Then)>, TaskStatus::InProgress);
        let cancelled = last(Some(("me", "wrong branch", Then::Skip)), Some("approve it"), running);
        let sentence = "cancelled by me: wrong branch; becomes skipped when the attempt has ended";
        assert_eq!(cancelled.as_deref(), Some(sentence));
        assert_eq!(last(none, Some("approve it"), running).as_deref(), Some("approve it"));
        assert_eq!(last(none, None, running).as_deref(), Some("half of it"));
        assert_eq!(last(none, None, TaskStatus::Completed).as_deref(), Some("tagged"));
        assert_eq!(last(none, None, TaskStatus::Failed).as_deref(), Some("boom"));
        assert_eq!(last(none, None, TaskStatus::Skipped), None);
        assert_eq!(last(none, None, TaskStatus::Pending), None);
    }
}
