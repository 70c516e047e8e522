//! Counts the boxes of a checklist line by line, whatever its format makes of them: what `plan check
//! --explain` compares the tasks with.

use crate::{
    checkbox::{self, Found},
    checklist::outline,
    format::Format,
    parsed::Counts,
    text::Text,
    tracker,
};

/// What became of the boxes of a file with so many tasks, and entries that are none.
pub(crate) fn counts(format: Format, text: &Text<'_>, tasks: usize, others: usize) -> Counts {
    let (in_file, in_code) = match format {
        Format::Toml | Format::Ralph => (tasks + others, 0),
        Format::Taskmaster => (tracker::count(text), 0),
        Format::Beads => (text.lines().filter(|(_, line)| !line.trim().is_empty()).count(), 0),
        Format::Backlog => (text.files().len(), 0),
        _ => boxes(text),
    };
    // What planlease's own format does not schedule, it keeps: steps, criteria, and what is in no phase.
    let others = if format == Format::Markdown { in_file.saturating_sub(tasks) } else { others };
    Counts { in_file, tasks, others, in_code }
}

/// How many boxes stand in the text, and how many in code and comments.
fn boxes(text: &Text<'_>) -> (usize, usize) {
    let mut counted = [0, 0];
    let mut verbatim = outline::Verbatim::default();
    for (at, line) in text.lines() {
        let is_code = verbatim.contains(at, line);
        let line = if is_code { line.trim_start().trim_start_matches("<!--") } else { line };
        counted[usize::from(is_code)] += usize::from(matches!(checkbox::read(line), Found::Box(_)));
    }
    (counted[0], counted[1])
}
