//! What a task waits for: which tasks a statement names. It is a dependency or a warning; words of prose that
//! name nothing are words.

use std::collections::HashMap;

use super::{
    ids,
    waits::{Form, Opening, Stated, has_colon, words},
};

/// What names stand for: the places of tasks by their ids, and those of each phase by its number.
#[derive(Debug, Default)]
pub(super) struct Names {
    tasks: HashMap<String, usize>,
    phases: HashMap<String, Vec<usize>>,
    /// The tasks below headings, by what these are called: `phase 2`, `2`, `task 2`, `WP02`. For what is said
    /// of headings.
    headings: HashMap<String, Vec<usize>>,
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
    /// It does not say that all of them come first: `1.1 or 1.2`.
    pub(super) is_conditional: bool,
    /// It names tasks, and may be prose.
    pub(super) is_doubtful: bool,
}

/// Words that begin another relation than that of a dependency.
const RELATIONS: [&str; 18] = [
    "blocks",
    "blocking",
    "unblocks",
    "unblocking",
    "parallel",
    "relates",
    "related",
    "before",
    "precedes",
    "enables",
    "supersedes",
    "replaces",
    "duplicates",
    "alongside",
    "concurrent",
    "concurrently",
    "by", // `needed by`, `followed by`
    "see",
];

/// What may stand between and around names.
const FILLERS: [&str; 25] = [
    "all",
    "of",
    "the",
    "both",
    "each",
    "is",
    "are",
    "has",
    "have",
    "been",
    "on",
    "in",
    "with",
    "also",
    "complete",
    "completes",
    "completed",
    "completion",
    "done",
    "finished",
    "finishes",
    "merged",
    "ready",
    "lands",
    "landed",
];

impl Names {
    pub(super) fn add_task(&mut self, id: &str, place: usize) {
        self.tasks.entry(id.to_lowercase()).or_insert(place);
    }

    pub(super) fn add_to_phase(&mut self, number: &str, place: usize) {
        self.phases.entry(number.to_lowercase()).or_default().push(place);
    }

    pub(super) fn add_heading(&mut self, name: String, places: &[usize]) {
        self.headings.entry(name).or_insert_with(|| places.to_vec());
    }

    /// Whether this is the name of a task.
    pub(super) fn has(&self, name: &str) -> bool {
        self.task(name).is_some()
    }

    fn task(&self, word: &str) -> Option<usize> {
        self.tasks.get(&word.to_lowercase()).copied()
    }

    /// The tasks below the heading of this name.
    fn heading(&self, word: &str, reading: &Reading) -> Option<&[usize]> {
        if self.headings.is_empty() {
            return None;
        }
        let lower = word.to_lowercase();
        let of_kind = match () {
            () if reading.in_phases => self.headings.get(&format!("phase {lower}")),
            () if reading.after_word => self.headings.get(&format!("task {lower}")),
            () => None,
        };
        let is_task = !reading.in_phases && reading.after_word && self.task(word).is_some();
        let bare = || self.headings.get(word).or_else(|| self.headings.get(&lower)).filter(|_| !is_task);
        of_kind.or_else(bare).map(Vec::as_slice)
    }

    /// The tasks below the headings from one to another: `1-3`, `WP01–WP02`.
    fn headings(&self, first: &str, last: &str, reading: &Reading) -> Option<Vec<usize>> {
        let (first_of, last_of) = (self.heading(first, reading)?, self.heading(last, reading)?);
        let mut places = [first_of, last_of].concat();
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            let between = (first..last).skip(1).take(MAX_RANGE);
            places.extend(between.filter_map(|number| self.heading(&number.to_string(), reading)).flatten());
        }
        Some(places)
    }

    /// The tasks below the headings that a word names: one, or a range.
    fn headings_of(&self, word: &str, reading: &Reading) -> Option<Vec<usize>> {
        let one = self.heading(word, reading).map(<[usize]>::to_vec);
        one.or_else(|| {
            let mut dashes = word.match_indices(['-', '–', '—']);
            dashes.find_map(|(at, dash)| self.headings(&word[..at], &word[at + dash.len()..], reading))
        })
    }

    /// Resolves what a statement names.
    pub(super) fn resolve(&self, stated: &Stated) -> Named {
        let mut reading = Reading::default();
        for (nth, part) in stated.names.split(';').enumerate() {
            if nth > 0 && !self.is_list(part) {
                break; // Something else begins.
            }
            self.read(part, stated, &mut reading);
        }
        reading.finish(stated)
    }

    /// Whether a text is names and nothing else.
    fn is_list(&self, part: &str) -> bool {
        words(part).all(|word| {
            let lower = word.to_ascii_lowercase();
            self.task(word).is_some()
                || self.headings.contains_key(word)
                || self.range(word).is_some()
                || resembles_name(word)
                || FILLERS.contains(&lower.as_str())
                || matches!(lower.as_str(), "," | "and" | "or" | "task" | "tasks" | "phase" | "phases")
        })
    }

    /// Reads one list of names, up to a word that begins something else.
    fn read(&self, part: &str, stated: &Stated, reading: &mut Reading) {
        let mut words = words(part).peekable();
        while let Some(word) = words.next() {
            let lower = word.to_ascii_lowercase();
            match lower.as_str() {
                "," | "and" | "plus" => reading.end_item(),
                "or" | "either" => {
                    reading.end_item();
                    reading.is_conditional = true;
                }
                "except" | "unless" | "without" | "not" | "but" => {
                    reading.is_conditional = true;
                    return;
                }
                "phase" | "phases" => reading.in_phases = true,
                "task" | "tasks" | "step" | "steps" | "story" | "stories" => {
                    (reading.after_word, reading.in_phases) = (true, false);
                }
                "none" | "nothing" | "n/a" | "no" | "-" => reading.says_none = true,
                relation if RELATIONS.contains(&relation) => {
                    reading.item.clear(); // `needed by 5`
                    return;
                }
                _ if self.headings_of(word, reading).is_some() => {
                    let to = words.next_if(|word| matches!(*word, "to" | "through" | "–" | "—" | "..."));
                    let last = to.and_then(|_| words.next_if(|last| self.heading(last, reading).is_some()));
                    let all = last.and_then(|last| self.headings(word, last, reading));
                    let places = all.or_else(|| self.headings_of(word, reading)).unwrap_or_default();
                    reading.add(places, false);
                }
                _ if reading.in_phases && self.phases.contains_key(&lower) => {
                    reading.add(self.phases[&lower].iter().copied(), false);
                }
                _ => {
                    let is_number = is_number(word) && !reading.after_word;
                    if let Some(task) = self.task(word) {
                        let to = words.next_if(|word| matches!(*word, "to" | "through" | "–" | "—" | "..."));
                        let last = to.and_then(|_| words.next_if(|last| self.task(last).is_some()));
                        let last = last.and_then(|last| self.task(last)).unwrap_or(task);
                        reading.add(task.min(last)..=task.max(last), is_number);
                    } else if let Some((first, last)) = self.range(word) {
                        reading.add(first.min(last)..=first.max(last), false);
                    } else if resembles_name(word) {
                        reading.unknown.push(word.to_owned());
                        reading.has_name = true;
                    } else if !FILLERS.contains(&lower.as_str()) {
                        (reading.is_list, reading.item) = (false, [&*reading.item, word].join(" "));
                        if stated.form != Form::Marked {
                            reading.is_cut = true;
                            reading.is_doubtful =
                                words.any(|word| self.task(word).is_some() && !is_number_of_anything(word));
                            return;
                        }
                    }
                }
            }
        }
        reading.end_item();
    }

    /// `T001-T005`: the first and the last task.
    fn range(&self, word: &str) -> Option<(usize, usize)> {
        word.match_indices(['-', '–', '—'])
            .find_map(|(at, dash)| Some((self.task(&word[..at])?, self.task(&word[at + dash.len()..])?)))
    }
}

/// What was read of a list of names.
#[derive(Debug)]
struct Reading {
    tasks: Vec<usize>,
    /// Tasks whose ids are numbers: they may be numbers of anything.
    numbers: Vec<usize>,
    unknown: Vec<String>,
    /// Items of the list that name no task.
    lost: Vec<String>,
    /// The words of the current item that are no names.
    item: String,
    /// Whether the current item names something.
    has_name: bool,
    after_word: bool,
    in_phases: bool,
    says_none: bool,
    is_conditional: bool,
    /// Whether there are names and nothing else.
    is_list: bool,
    /// Whether the sentence goes on behind the names.
    is_cut: bool,
    is_doubtful: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            numbers: Vec::new(),
            unknown: Vec::new(),
            lost: Vec::new(),
            item: String::new(),
            has_name: false,
            after_word: false,
            in_phases: false,
            says_none: false,
            is_conditional: false,
            is_list: true,
            is_cut: false,
            is_doubtful: false,
        }
    }
}

/// The most headings between the first and the last one of a range.
const MAX_RANGE: usize = 1_000;

/// The most words of an item that is reported as one that names no task: more are an explanation.
const MAX_ITEM: usize = 3;

impl Reading {
    fn add(&mut self, tasks: impl IntoIterator<Item = usize>, is_number: bool) {
        self.has_name = true;
        if is_number { self.numbers.extend(tasks) } else { self.tasks.extend(tasks) }
    }

    fn end_item(&mut self) {
        let item = std::mem::take(&mut self.item);
        let is_short = (1..=MAX_ITEM).contains(&item.split_whitespace().count());
        if !std::mem::take(&mut self.has_name) && is_short {
            self.lost.push(item.trim().to_owned());
        }
    }

    fn finish(mut self, stated: &Stated) -> Named {
        let is_strong = stated.opening == Opening::Strong;
        let is_sentence = stated.form != Form::Marked;
        // `requires 1.1 GB`, `depends on 3 things`: no numbers of tasks.
        let counts = match stated.opening {
            _ if is_sentence => !self.is_cut,
            Opening::Vague => self.is_list,
            _ => true,
        };
        let has_numbers = !self.numbers.is_empty();
        if counts {
            self.tasks.append(&mut self.numbers);
        }
        let mut named = Named { is_conditional: self.is_conditional, ..Named::default() };
        let knows_none = self.tasks.is_empty();
        match stated.form {
            Form::Marked if is_strong || self.is_list => named.unknown = self.unknown,
            Form::Sentence if is_strong || self.is_list => {
                named.unknown = self.unknown;
                named.unknown.retain(|name| resembles_id(name) || !self.is_cut && is_number(name));
            }
            _ => {}
        }
        let is_clause = stated.form == Form::Sentence && (is_strong || !self.is_cut);
        if stated.form == Form::Marked || is_clause {
            named.tasks = self.tasks;
            named.is_doubtful = is_sentence && knows_none && is_strong && self.is_doubtful;
        } else {
            named.unknown.clear();
            named.is_doubtful = !self.is_cut && !knows_none;
        }
        // `needs: 1.1 for the data`, `needs: Python 3`.
        named.is_doubtful |=
            !counts && stated.form == Form::Marked && has_colon(&stated.names) && has_numbers;
        named.tasks.sort_unstable();
        named.tasks.dedup();
        let names_none = named.tasks.is_empty() && named.unknown.is_empty();
        named.is_unclear = is_strong && !is_sentence && names_none && !self.says_none;
        named.is_conditional &= !names_none;
        if is_strong && !is_sentence && !names_none && !self.says_none {
            named.unknown.append(&mut self.lost);
        }
        named
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether a number has no dot, so that it may count anything: `3 days`.
fn is_number_of_anything(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word may be an id where one is expected: a number, or letters and a number.
fn resembles_name(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    has_digit && (is_number(word) || resembles_id(word) || ids::is_loose(word))
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
    use crate::checklist::waits::{in_detail, in_text};

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
            ("Do (depends on 1.1; blocks 3)", &[0]),
            ("Do (depends on 1.1; 1.2)", &[0, 1]),
            ("Do (after 1.1, parallel with 1.2)", &[0]),
            ("Do (depends on 1.1, unblocks 1.2, 3)", &[0]),
            ("Do (depends on 1.1, needed by 3)", &[0]),
            ("Do (blocks 3; depends on 1.1)", &[0]),
            ("Do, depends on 3", &[6]),
            ("Do depends on 3", &[6]),
            ("Do. Depends on 3.", &[6]),
            ("Do; after 3", &[6]),
            ("Do **Depends:** 3", &[6]),
            ("Do _depends on 3_", &[6]),
            ("Do <!-- depends: 3 -->", &[6]),
            ("Do {depends: 1.1}", &[0]),
            ("Do (needs: 1.1)", &[0]),
            ("Do (dep: 1.1)", &[0]),
            ("Do (requires 1.1)", &[0]),
            ("Do Depends on: 1.1", &[0]),
            ("Do `(depends on 1.1)`", &[]),
            ("Add the ` key (depends on 1.1)", &[0]),
            ("This depends on the weather", &[]),
            ("Retry after 3 attempts", &[]),
            ("It depends on 3 things", &[]),
            ("This does not depend on 3", &[]),
        ] {
            let found: Vec<usize> =
                in_text(text, |at| at).iter().flat_map(|stated| names().resolve(stated).tasks).collect();
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
            ("  - Needs: 1.1", &[0]),
            ("  Depends on: 1.1", &[0]),
            ("  <!-- depends: 3 -->", &[6]),
            ("  - as said (depends on 3)", &[6]),
        ] {
            let found: Vec<usize> =
                in_detail(0, detail).iter().flat_map(|stated| names().resolve(stated).tasks).collect();
            assert_eq!(found, tasks, "{detail:?}");
        }
    }

    #[test]
    fn what_names_no_task_is_said() {
        let named = names().resolve(&in_text("Do (depends on T099)", |at| at)[0]);
        assert_eq!((named.unknown, named.is_unclear), (vec!["T099".to_owned()], false));
        assert!(names().resolve(&in_text("Do (depends on the schema)", |at| at)[0]).is_unclear);
        assert!(!names().resolve(&in_text("Do (depends on: none)", |at| at)[0]).is_unclear);
    }

    /// What a text warns of.
    fn warned(text: &str) -> Vec<String> {
        let mut warned = Vec::new();
        for stated in in_text(text, |at| at) {
            let named = names().resolve(&stated);
            warned.extend(named.unknown);
            let said = [
                ("unclear", named.is_unclear),
                ("conditional", named.is_conditional),
                ("doubtful", named.is_doubtful),
            ];
            warned.extend(said.into_iter().filter(|(_, is)| *is).map(|(word, _)| word.to_owned()));
        }
        warned
    }

    #[test]
    fn details_about_dependencies_are_prose() {
        for detail in [
            "  - Dependency analyzer (related files)",
            "  - Regex pattern: `/(depends: [0-9])/i`",
            "  - Output: { dependencies: [], dependents: [] }",
        ] {
            for stated in in_detail(0, detail) {
                assert_eq!(names().resolve(&stated), Named::default(), "{detail:?}");
            }
        }
    }

    #[test]
    fn no_stated_dependency_is_lost_in_silence() {
        for (text, expected) in [
            ("Do (depends on 3 and 99)", &["99"][..]),
            ("Do (after 99)", &["99"]),
            ("Do (after 99 days)", &[]),
            ("Do (depends on 3, the schema)", &["schema"]),
            ("Do (after 1.1; depends on 99)", &["99"]),
            ("Do, depends on T099", &["T099"]),
            ("Do (depends on T012 or T013)", &["conditional"]),
            ("Do (depends on phase 2 except T013)", &["conditional"]),
            ("Do after 3", &["doubtful"]),
            ("Do depends on the output of T012", &["doubtful"]),
            ("Do (needs: 1.1 for the data)", &["doubtful"]),
            ("Do (depends on A-7)", &["A-7"]),
            ("This depends on the weather", &[]),
            ("Upgrade **dependencies** now", &[]),
            ("Do (requires Python 3.12)", &[]),
            ("Do (depends on 1.1; blocks 99)", &[]),
        ] {
            assert_eq!(warned(text), expected, "{text:?}");
        }
    }
}
