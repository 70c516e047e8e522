//! Headings that name a kind of work and a number: `Task 1.1: Name`, `WP02 — Name`. Those without a box are
//! reported, so that no list of tasks is lost.

use std::collections::HashSet;

use planlease_core::counted;

use super::outline::Outline;
use crate::report::Report;

/// The words that such headings begin with.
const KINDS: [&str; 9] =
    ["Task", "Step", "Stage", "Phase", "Wave", "Milestone", "Sprint", "Work package", "WP"];

/// What a heading says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kind<'a> {
    pub(crate) word: &'static str,
    pub(crate) number: &'a str,
}

impl Kind<'_> {
    /// Whether it is a task, rather than a part of the plan that has several.
    pub(crate) fn is_task(self) -> bool {
        matches!(self.word, "Task" | "Step")
    }
}

/// What a heading says that it is: `Task 1.1: Name`.
pub(crate) fn kind(heading: &str) -> Option<Kind<'_>> {
    let text = heading.trim_start_matches(|c: char| !c.is_alphanumeric());
    KINDS.into_iter().find_map(|word| {
        let (start, rest) = text.split_at_checked(word.len())?;
        let behind = rest.trim_start_matches([' ', '-', '#']);
        let is_word = start.eq_ignore_ascii_case(word) && (behind.len() < rest.len() || word == "WP");
        let end = behind.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(behind.len());
        let number = behind[..end].trim_end_matches('.');
        let is_number = number.starts_with(|c: char| c.is_ascii_digit());
        (is_word && is_number).then_some(Kind { word, number })
    })
}

/// Warns of headings of tasks and phases that have no box below them. One that is mentioned again, or that
/// divides others, is none of these. `ids`: those of the tasks.
pub(super) fn report_lost(outline: &Outline<'_>, ids: &HashSet<&str>, report: &mut Report<'_>) {
    let sections = &outline.sections;
    let kinds: Vec<Option<Kind<'_>>> = sections.iter().map(|section| kind(section.text)).collect();
    let with_boxes = with_parents(outline, outline.items.iter().filter_map(|item| item.section));
    let of_kind = kinds.iter().zip(sections).filter(|(kind, _)| kind.is_some());
    let divided = with_parents(outline, of_kind.filter_map(|(_, section)| section.parent));
    let known: HashSet<Kind<'_>> =
        kinds.iter().zip(&with_boxes).filter(|(_, has)| **has).filter_map(|(kind, _)| *kind).collect();
    let mut lost: Vec<(&'static str, usize, usize)> = Vec::new();
    for (nth, kind) in kinds.iter().enumerate() {
        let Some(kind) = kind.filter(|_| !with_boxes[nth] && !divided[nth]) else { continue };
        if known.contains(&kind) || kind.is_task() && ids.contains(kind.number) {
            continue;
        }
        match lost.iter_mut().find(|(word, ..)| *word == kind.word) {
            Some((_, _, number)) => *number += 1,
            None => lost.push((kind.word, sections[nth].at, 1)),
        }
    }
    for (word, at, number) in lost {
        let verbs = if number == 1 { "has no box and is no task" } else { "have no box and are not tasks" };
        let message = format!("{} `{word} …` {verbs}", counted(number, "heading"));
        report.warning(at, message, "Write `- [ ] What to do` below each, for what is to be done there.");
    }
}

/// Which sections are among these, or have one of them below.
fn with_parents(outline: &Outline<'_>, sections: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut found = vec![false; outline.sections.len()];
    for section in sections {
        let mut next = Some(section);
        while let Some(one) = next.filter(|one| !found[*one]) {
            found[one] = true;
            next = outline.sections[one].parent;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_say_a_kind_and_a_number() {
        for (heading, expected) in [
            ("Task 1.1: Create it", Some(("Task", "1.1"))),
            ("**Step 2** - Do", Some(("Step", "2"))),
            ("🚀 Phase 2b — Build", Some(("Phase", "2b"))),
            ("WP02 — Fonts", Some(("WP", "02"))),
            ("Work Package 3", Some(("Work package", "3"))),
            ("Tasks", None),
            ("Task overview", None),
            ("Steps 1 and 2", None),
            ("1. Task", None),
        ] {
            let expected = expected.map(|(word, number)| Kind { word, number });
            assert_eq!(kind(heading), expected, "{heading:?}");
        }
    }
}
