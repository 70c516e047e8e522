//! Notes about the order of execution, as plans state them in prose.
//!
//! `**Execution Note:** Tasks 2.1-2.6 are [SEQUENTIAL] - reason`, the same with `Phases` and `[PARALLEL]`,
//! and `**pipeline-start:** when 1.3 completes`. Here they are read; [`super::notes`] makes rules of them.

/// What a note says of those it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Sequential,
    Parallel,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Tasks,
    Phases,
}

/// An execution note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note<'a> {
    pub(super) order: Order,
    pub(super) subject: Subject,
    /// From the first to the last of each range; the same twice for a single one.
    pub(super) ranges: Vec<(&'a str, &'a str)>,
    pub(super) reason: Option<&'a str>,
}

/// Reads what follows `**Execution Note:**`; `None` if it says nothing of an order.
pub(super) fn execution(text: &str) -> Option<Note<'_>> {
    let (order, before, after) = [(Order::Sequential, "[SEQUENTIAL]"), (Order::Parallel, "[PARALLEL]")]
        .into_iter()
        .find_map(|(order, mark)| text.split_once(mark).map(|(before, after)| (order, before, after)))?;
    let is_about_phases = before.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("phase"));
    let reason = after.trim_start_matches([' ', '\t', '-', '–', '—', ':']).trim_end();
    Some(Note {
        order,
        subject: if is_about_phases { Subject::Phases } else { Subject::Tasks },
        ranges: ranges(before),
        reason: (!reason.is_empty()).then_some(reason),
    })
}

/// The task named by `when 1.3 completes`.
pub(super) fn pipeline_start(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace();
    let is_when = words.next()?.eq_ignore_ascii_case("when");
    let mut task = words.next()?;
    if task.eq_ignore_ascii_case("task") {
        task = words.next()?;
    }
    is_when.then_some(task)
}

/// Splits `Name (pipeline-start: when 1.3 completes)` into the name and what the brackets say.
pub(super) fn split_pipeline_start(name: &str) -> (&str, Option<&str>) {
    let split = || {
        let (before, rest) = name.rsplit_once('(')?;
        let (label, text) = rest.strip_suffix(')')?.split_once(':')?;
        label.trim().eq_ignore_ascii_case("pipeline-start").then(|| (before.trim_end(), text.trim()))
    };
    split().map_or((name, None), |(name, text)| (name, Some(text)))
}

/// All numbers and ranges of numbers in a text.
fn ranges(text: &str) -> Vec<(&str, &str)> {
    let mut ranges: Vec<(&str, &str)> = Vec::new();
    let mut is_open = false; // A dash or `to` was read after the last number.
    for word in pieces(text) {
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            match ranges.last_mut() {
                Some(last) if is_open => last.1 = word,
                _ => ranges.push((word, word)),
            }
            is_open = false;
        } else {
            is_open = matches!(word, "-" | "–" | "—" | "to" | "through");
        }
    }
    ranges
}

/// Words, numbers and dashes.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let first = rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '.';
        let end =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece.trim_end_matches('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_name_an_order_and_whom_it_is_about() {
        let note = |text| {
            execution(text)
                .map(|note| (note.order, note.subject, note.ranges, note.reason.unwrap_or_default()))
        };
        let (sequential, parallel) = (Order::Sequential, Order::Parallel);
        assert_eq!(
            note("Tasks 2.1-2.6 are [SEQUENTIAL] - all modify `x-y`"),
            Some((sequential, Subject::Tasks, vec![("2.1", "2.6")], "all modify `x-y`"))
        );
        assert_eq!(
            note("Tasks 5.2 and 5.4, 5.6 to 5.8 are [SEQUENTIAL]"),
            Some((sequential, Subject::Tasks, vec![("5.2", "5.2"), ("5.4", "5.4"), ("5.6", "5.8")], ""))
        );
        assert_eq!(
            note("phases 1–3, 5 are [PARALLEL]: no shared files"),
            Some((parallel, Subject::Phases, vec![("1", "3"), ("5", "5")], "no shared files"))
        );
        assert_eq!(note("All of them [PARALLEL]"), Some((parallel, Subject::Tasks, vec![], "")));
        assert_eq!(note("Run this at night"), None);
    }

    #[test]
    fn a_pipeline_starts_when_a_task_completes() {
        assert_eq!(pipeline_start("when 1.3 completes"), Some("1.3"));
        assert_eq!(pipeline_start("When task 1.3 completes"), Some("1.3"));
        assert_eq!(pipeline_start("soon"), None);
        assert_eq!(pipeline_start("after 1.3"), None);
        assert_eq!(
            split_pipeline_start("API (v2) (pipeline-start: when 1.3 completes)"),
            ("API (v2)", Some("when 1.3 completes"))
        );
        assert_eq!(split_pipeline_start("API (No: none)"), ("API (No: none)", None));
    }
}
