//! Which headings of a checklist are phases, and how they are numbered.

use std::collections::{HashMap, HashSet};

use planlease_core::spec::PhaseSpec;

use super::{outline::Outline, rules::Phases};

/// The phases of a checklist: those headings that have tasks.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) phases: Vec<PhaseSpec>,
    /// Where each begins.
    pub(super) places: Vec<usize>,
    /// The phase of each item.
    pub(super) of_item: Vec<Option<usize>>,
    /// The heading that is the title.
    pub(super) title: Option<usize>,
}

/// Finds the phases that the items are in.
pub(super) fn find(outline: &Outline<'_>, rule: Phases) -> Found {
    let mut found = Found { title: title(outline), ..Found::default() };
    let mut of_section: HashMap<usize, usize> = HashMap::new();
    let mut numbers = Numbers::new(outline);
    for item in &outline.items {
        let phase = section(outline, item.section, rule, found.title).map(|section| {
            *of_section.entry(section).or_insert_with(|| {
                let heading = &outline.sections[section];
                let (number, name) = numbers.of(heading.text);
                found.places.push(heading.at);
                found.phases.push(PhaseSpec { number, name, ..PhaseSpec::default() });
                found.phases.len() - 1
            })
        });
        found.of_item.push(phase);
    }
    found
}

/// The first heading of level 1, unless there are several that tasks stand below.
fn title(outline: &Outline<'_>) -> Option<usize> {
    let first = outline.sections.iter().position(|section| section.level == 1)?;
    let is_phase = |section: usize| number(outline.sections[section].text).is_some();
    (!is_phase(first)).then_some(first)
}

/// The heading that is the phase of what stands below a section.
fn section(
    outline: &Outline<'_>,
    section: Option<usize>,
    rule: Phases,
    title: Option<usize>,
) -> Option<usize> {
    let path: Vec<usize> =
        outline.path(section).into_iter().filter(|section| Some(*section) != title).collect();
    let numbered = || path.iter().find(|section| number(outline.sections[**section].text).is_some());
    match rule {
        Phases::Numbered => numbered().or(path.first()).copied(),
        Phases::Nearest => path.last().copied(),
    }
}

/// Gives each phase a number of its own: the one in its heading, if it is not taken.
struct Numbers {
    /// Those in headings.
    stated: HashSet<String>,
    given: HashSet<String>,
    next: usize,
}

impl Numbers {
    fn new(outline: &Outline<'_>) -> Self {
        let stated = outline.sections.iter().filter_map(|section| number(section.text));
        Self { stated: stated.map(|(number, _)| number.to_owned()).collect(), given: HashSet::new(), next: 1 }
    }

    /// The number and the name of a phase.
    fn of(&mut self, heading: &str) -> (String, String) {
        let plain = heading.trim_matches(['*', '_', ' ']).to_owned();
        let Some((stated, name)) = number(heading) else {
            while self.stated.contains(&self.next.to_string()) || self.given.contains(&self.next.to_string())
            {
                self.next += 1;
            }
            self.given.insert(self.next.to_string());
            return (self.next.to_string(), plain);
        };
        let mut given = stated.to_owned();
        let mut nth = 2_usize;
        while !self.given.insert(given.clone()) {
            given = format!("{stated}-{nth}");
            nth += 1;
        }
        (given, if name.is_empty() { plain } else { name.to_owned() })
    }
}

/// The number in a heading, and what follows it: `Phase 2: Name`, `2. Name`, `🎯 Stage 2b - Name`.
pub(super) fn number(heading: &str) -> Option<(&str, &str)> {
    const WORDS: [&str; 10] =
        ["phase", "stage", "step", "milestone", "sprint", "part", "section", "group", "week", "epic"];
    let text = heading.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = WORDS.into_iter().find_map(|word| {
        let (start, rest) = text.split_at_checked(word.len())?;
        let is_word = start.eq_ignore_ascii_case(word) && rest.starts_with([' ', '-', '#']);
        is_word.then(|| rest.trim_start_matches([' ', '-', '#']))
    });
    let rest = word.unwrap_or(text);
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
    let number = rest[..end].trim_end_matches('.');
    let digits = number.starts_with(|c: char| c.is_ascii_digit());
    let letters = number.len() <= 4 && number.bytes().all(|byte| byte.is_ascii_uppercase());
    let after = &rest[number.len()..];
    let is_number = match word {
        Some(_) => digits || letters,
        // `3 ideas` has no number.
        None => {
            let is_apart = number.len() <= 8 && after.starts_with(['.', ')', ':', '、']);
            digits && (is_apart || number.contains('.'))
        }
    };
    if number.is_empty() || !is_number || number.len() > 16 {
        return None;
    }
    let name = after.trim_start_matches(['.', ')', ':', '*', '_', ' ', '-', '–', '—', '：', '、']);
    Some((number, name.trim_matches(['*', ' '])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_may_have_a_number() {
        for (heading, expected) in [
            ("Phase 1: Setup (Shared)", Some(("1", "Setup (Shared)"))),
            (
                "Phase 3: User Story 1 - Log in (Priority: P1) 🎯 MVP",
                Some(("3", "User Story 1 - Log in (Priority: P1) 🎯 MVP")),
            ),
            ("🚀 Phase 2 — Build", Some(("2", "Build"))),
            ("**Phase 2b:** Build", Some(("2b", "Build"))),
            ("1. Group", Some(("1", "Group"))),
            ("2.1 Group", Some(("2.1", "Group"))),
            ("Milestone A - Build", Some(("A", "Build"))),
            ("Phase 4", Some(("4", ""))),
            ("3 ideas", None),
            ("Phases", None),
            ("Phase Overview", None),
            ("Notes", None),
            ("README.md", None),
            ("v1.2 and later", None),
            ("", None),
        ] {
            assert_eq!(number(heading), expected, "{heading:?}");
        }
    }
}
