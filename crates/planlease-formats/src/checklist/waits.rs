//! What a task says that it waits for: `(depends on T012, T013)`, `Blocked by: 1.2`, `after phase 2`.
//!
//! A statement stands in brackets or behind a dash in the text of a task, or begins one of its details. What
//! it names is resolved once all tasks are known; words that name nothing are words.

use std::collections::HashMap;

/// A statement: where it stands, and what follows its opening words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) at: usize,
    pub(super) names: String,
    opening: Opening,
}

/// How sure it is that words open a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// `depends on`: what it names has to be there.
    Strong,
    /// `after`: a number may be an id.
    Weak,
    /// `requires`: a number is rather one of something else.
    Vague,
}

const OPENINGS: [(&str, Opening); 19] = [
    ("depends-on", Opening::Strong),
    ("depends_on", Opening::Strong),
    ("depends on", Opening::Strong),
    ("depends upon", Opening::Strong),
    ("depends", Opening::Strong),
    ("dependencies", Opening::Strong),
    ("dependency", Opening::Strong),
    ("dependson", Opening::Strong),
    ("deps", Opening::Strong),
    ("blocked by", Opening::Strong),
    ("blocked-by", Opening::Strong),
    ("blocked on", Opening::Strong),
    ("waits for", Opening::Strong),
    ("waits on", Opening::Strong),
    ("waiting for", Opening::Weak),
    ("after", Opening::Weak),
    ("prerequisites", Opening::Weak),
    ("prerequisite", Opening::Weak),
    ("requires", Opening::Vague),
];

/// The statements in the text of a task.
pub(super) fn in_text(at: usize, text: &str) -> Vec<Stated> {
    let mut found = Vec::new();
    for (open, _) in text.match_indices(['(', '[', '—', '–']).chain(text.match_indices(" - ")) {
        let inside = text[open..].trim_start_matches(['(', '[', '—', '–', ' ', '-', '*', '_']);
        let Some((opening, rest)) = opening(inside) else { continue };
        let closing = match text[open..].chars().next() {
            Some('(') => ')',
            Some('[') => ']',
            _ => '(',
        };
        let names = rest.split(closing).next().unwrap_or_default();
        found.push(Stated { at, names: names.to_owned(), opening });
    }
    found
}

/// The statement that a detail of a task is.
pub(super) fn in_detail(at: usize, detail: &str) -> Option<Stated> {
    let text = detail.trim_start_matches([' ', '\t', '-', '*', '+', '_', '>', '(', '[']);
    let (opening, names) = opening(text).filter(|(opening, names)| {
        *opening == Opening::Strong || names.trim_start_matches(['*', '_', ' ']).starts_with(':')
    })?;
    Some(Stated { at, names: names.to_owned(), opening })
}

fn opening(text: &str) -> Option<(Opening, &str)> {
    OPENINGS.into_iter().find_map(|(words, opening)| {
        let (start, rest) = text.split_at_checked(words.len())?;
        let is_it = start.eq_ignore_ascii_case(words) && !rest.starts_with(char::is_alphanumeric);
        is_it.then_some((opening, rest))
    })
}

/// What names stand for: the places of tasks by their ids, and those of each phase by its number.
#[derive(Debug, Default)]
pub(super) struct Names {
    tasks: HashMap<String, usize>,
    phases: HashMap<String, Vec<usize>>,
}

/// What a statement names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The places of tasks.
    pub(super) tasks: Vec<usize>,
    /// What has the form of an id, and is none of a task here.
    pub(super) unknown: Vec<String>,
    /// It says that it names something, and names nothing.
    pub(super) is_unclear: bool,
}

impl Names {
    pub(super) fn add_task(&mut self, id: &str, place: usize) {
        self.tasks.entry(id.to_lowercase()).or_insert(place);
    }

    pub(super) fn add_to_phase(&mut self, number: &str, place: usize) {
        self.phases.entry(number.to_lowercase()).or_default().push(place);
    }

    fn task(&self, word: &str) -> Option<usize> {
        self.tasks.get(&word.to_lowercase()).copied()
    }

    /// Resolves what a statement names.
    pub(super) fn resolve(&self, stated: &Stated) -> Named {
        let mut named = Named::default();
        let mut words = words(&stated.names).peekable();
        let (mut after_word, mut in_phases) = (false, false);
        let mut says_none = words.peek().is_none();
        while let Some(word) = words.next() {
            let lower = word.to_ascii_lowercase();
            match lower.as_str() {
                "phase" | "phases" => in_phases = true,
                "task" | "tasks" | "step" | "steps" | "story" | "stories" => {
                    (after_word, in_phases) = (true, false);
                }
                "none" | "nothing" | "n/a" | "no" | "-" => says_none = true,
                _ if in_phases && self.phases.contains_key(&lower) => {
                    named.tasks.extend(&self.phases[&lower]);
                }
                _ => {
                    let is_number = word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                    let may_be_id = !is_number || after_word || stated.opening != Opening::Vague;
                    if let Some(task) = self.task(word).filter(|_| may_be_id) {
                        let to = words.next_if(|word| matches!(*word, "to" | "through" | "–" | "—" | "..."));
                        let last = to.and_then(|_| words.next_if(|last| self.task(last).is_some()));
                        let last = last.and_then(|last| self.task(last)).unwrap_or(task);
                        named.tasks.extend(task.min(last)..=task.max(last));
                    } else if let Some((first, last)) = self.range(word) {
                        named.tasks.extend(first.min(last)..=first.max(last));
                    } else if stated.opening == Opening::Strong && resembles_id(word) {
                        named.unknown.push(word.to_owned());
                    }
                }
            }
        }
        named.tasks.sort_unstable();
        named.tasks.dedup();
        let is_strong = stated.opening == Opening::Strong;
        named.is_unclear = is_strong && named.tasks.is_empty() && named.unknown.is_empty() && !says_none;
        named
    }

    /// `T001-T005`: the first and the last task.
    fn range(&self, word: &str) -> Option<(usize, usize)> {
        word.match_indices(['-', '–', '—'])
            .find_map(|(at, dash)| Some((self.task(&word[..at])?, self.task(&word[at + dash.len()..])?)))
    }
}

/// Words, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '&' | '+')).filter_map(|word| {
        let is_around = |c: char| !c.is_alphanumeric();
        match word {
            "–" | "—" | "..." | "-" => Some(word),
            _ => Some(word.trim_matches(is_around)).filter(|word| !word.is_empty()),
        }
    })
}

/// Whether a word has the form of an id: `1.2`, `T001`, `AUTH-3`.
fn resembles_id(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let is_dotted = word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_letters = word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-');
    has_digit && (is_dotted || is_letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        for (place, id) in ["1.1", "1.2", "T012", "T013", "T014", "US-1", "3"].into_iter().enumerate() {
            names.add_task(id, place);
        }
        names.add_to_phase("2", 1);
        names.add_to_phase("2", 2);
        names
    }

    #[test]
    fn statements_name_tasks() {
        for (text, tasks) in [
            ("Do (depends on T012, T013)", &[2, 3][..]),
            ("Do (depends on T012-T014)", &[2, 3, 4]),
            ("Do (depends on T012 – T014)", &[2, 3, 4]),
            ("Do (Depends: 1.1 and 1.2)", &[0, 1]),
            ("Do [blocked by: US-1]", &[5]),
            ("Do (after Task 3 completes)", &[6]),
            ("Do (after 1.1)", &[0]),
            ("Do (depends on phase 2)", &[1, 2]),
            ("Do — depends on `T012`", &[2]),
            ("Do (requires 1.1 GB)", &[]),
            ("Do (requires T012)", &[2]),
            ("Do (after lunch)", &[]),
        ] {
            let found: Vec<usize> =
                in_text(0, text).iter().flat_map(|stated| names().resolve(stated).tasks).collect();
            assert_eq!(found, tasks, "{text:?}");
        }
        for (detail, tasks) in [
            ("  - Depends on: T012", &[2][..]),
            ("  - **Dependencies**: 1.1, 1.2", &[0, 1]),
            ("  - _Blocked by: US-1_", &[5]),
            ("  - After: 1.1", &[0]),
            ("  - After 1.1 look at it", &[]),
            ("  - _Requirements: 1.1_", &[]),
            ("  - Dependencies: none", &[]),
        ] {
            let found: Vec<usize> =
                in_detail(0, detail).iter().flat_map(|stated| names().resolve(stated).tasks).collect();
            assert_eq!(found, tasks, "{detail:?}");
        }
    }

    #[test]
    fn what_names_no_task_is_said() {
        let named = names().resolve(&in_text(0, "Do (depends on T099)")[0]);
        assert_eq!((named.unknown, named.is_unclear), (vec!["T099".to_owned()], false));
        assert!(names().resolve(&in_text(0, "Do (depends on the schema)")[0]).is_unclear);
        assert!(!names().resolve(&in_text(0, "Do (depends on: none)")[0]).is_unclear);
    }
}
