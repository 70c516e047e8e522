//! A file without tasks: what in it may be meant as tasks, so that its author knows what to write.

use crate::{
    checkbox::{self, Found},
    checklist::{
        headings,
        outline::{self, Verbatim},
    },
    report::Report,
    text::Text,
};

/// Points at the block of code that holds the boxes; else at the first heading or item of a list that may be
/// a task, and says how many more there are.
pub(crate) fn report(text: &Text<'_>, report: &mut Report<'_>) {
    let mut verbatim = Verbatim::default();
    let (mut headings, mut items) = (Vec::new(), Vec::new());
    let mut blocks: Vec<Block> = Vec::new();
    for (at, line) in text.lines().skip(outline::front_matter(text.as_str())) {
        let trimmed = line.trim_start();
        if verbatim.contains(at, line) || trimmed.is_empty() {
            if let Some((at, what)) = verbatim.unclosed().filter(|_| is_box(line)) {
                count(&mut blocks, at, what);
            }
            continue;
        }
        let start = at + line.len() - trimmed.len();
        match outline::heading(line) {
            Some((_, heading)) => headings.extend(may_be_task(heading).then_some(start)),
            None => items.extend((checkbox::behind_bullets(trimmed).len() < trimmed.len()).then_some(start)),
        }
    }
    if let Some(block) = blocks.iter().max_by_key(|block| block.boxes) {
        return block.report(text, report);
    }
    let (found, what) = if headings.is_empty() { (items, "item") } else { (headings, "heading") };
    let Some(first) = found.first() else { return };
    let message = match found.len() - 1 {
        0 => format!("the file has no boxes: this {what} may be meant as a task"),
        more => format!("the file has no boxes: this {what} may be meant as a task, and {more} more"),
    };
    report.error(*first, message, "Write `- [ ] What to do` for each task.");
}

/// A block of code, or a comment, with boxes.
struct Block {
    at: usize,
    what: &'static str,
    boxes: usize,
}

impl Block {
    fn report(&self, text: &Text<'_>, report: &mut Report<'_>) {
        let Self { at, what, boxes } = self;
        let stand = if *boxes == 1 { "1 box stands".to_owned() } else { format!("{boxes} boxes stand") };
        let line = text.position(*at).0;
        let message = format!("{stand} in a {what} that begins at line {line}: there is no task elsewhere");
        let help =
            "Boxes in code and comments are no tasks: close the block in front of them, or the one above it.";
        report.error(*at, message, help);
    }
}

/// Counts a box in the block that begins here.
fn count(blocks: &mut Vec<Block>, at: usize, what: &'static str) {
    match blocks.last_mut().filter(|last| last.at == at) {
        Some(last) => last.boxes += 1,
        None => blocks.push(Block { at, what, boxes: 1 }),
    }
}

fn is_box(line: &str) -> bool {
    matches!(checkbox::read(line), Found::Box(_))
}

/// Whether a heading is `Task 1.1: Name`; phases are parts of a plan.
fn may_be_task(heading: &str) -> bool {
    headings::kind(heading).is_some_and(|kind| kind.word != "Phase")
}
