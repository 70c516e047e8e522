//! A file without boxes: what in it may be meant as tasks, so that its author knows what to write.

use crate::{
    checkbox,
    checklist::outline::{self, Verbatim},
    report::Report,
    text::Text,
};

/// The words that headings of tasks begin with, a number behind them.
const WORDS: [&str; 3] = ["task ", "step ", "stage "];

/// Points at the first heading or item of a list that may be a task, and says how many more there are.
pub(crate) fn report(text: &Text<'_>, report: &mut Report<'_>) {
    let mut verbatim = Verbatim::default();
    let (mut headings, mut items) = (Vec::new(), Vec::new());
    for (at, line) in text.lines().skip(outline::front_matter(text.as_str())) {
        let trimmed = line.trim_start();
        if verbatim.contains(at, line) || trimmed.is_empty() {
            continue;
        }
        let start = at + line.len() - trimmed.len();
        match outline::heading(line) {
            Some((_, heading)) => headings.extend(is_numbered(heading).then_some(start)),
            None => items.extend((checkbox::behind_bullets(trimmed).len() < trimmed.len()).then_some(start)),
        }
    }
    let (found, what) = if headings.is_empty() { (items, "item") } else { (headings, "heading") };
    let Some(first) = found.first() else { return };
    let message = match found.len() - 1 {
        0 => format!("the file has no boxes: this {what} may be meant as a task"),
        more => format!("the file has no boxes: this {what} may be meant as a task, and {more} more"),
    };
    report.error(*first, message, "Write `- [ ] What to do` for each task.");
}

/// Whether a heading is `Task 1.1: Name`.
fn is_numbered(heading: &str) -> bool {
    let heading = heading.trim_start_matches('*').to_ascii_lowercase();
    WORDS
        .iter()
        .filter_map(|word| heading.strip_prefix(word))
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
