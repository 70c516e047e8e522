//! The dependencies that a text states: `(depends: 1.1, 2.3)`, `Depends on: Task 1.1`, `(after phase 2)`.
//!
//! A statement stands in brackets anywhere, at the beginning of a detail (`- **Dependencies:** 1.1`), or
//! within the line of a task (`…, depends on 1.1`). What it names is resolved by [the waits](super::waits),
//! once all tasks are known.

use std::ops::Range;

mod words;

use self::words::Sort;

/// What one statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated<'a> {
    /// Where it begins in the text.
    pub(super) at: usize,
    pub(super) names: Vec<Named<'a>>,
    /// Why it cannot be understood as a whole, if it cannot.
    pub(super) fault: Option<Fault<'a>>,
    /// Where a number stands among its names that is none of a task.
    pub(super) lost: Option<usize>,
}

/// A task or phases as named, with the offset in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) target: Target<'a>,
    pub(super) at: usize,
}

/// What a statement names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A task, or what stands in the place of one.
    Task(&'a str),
    /// From the first to the last phase; the same twice for a single one.
    Phases(&'a str, &'a str),
}

/// Why a statement cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault<'a> {
    /// Its bracket is never closed.
    Unclosed,
    /// It says more than that all of these come first: `1.1 or 1.2`.
    Conditional,
    /// It names no task and no phase.
    NamesNothing,
    /// It may be prose: `deploy after 1.1`.
    Prose,
    /// It says that nothing comes first: `no longer depends on 1.1`.
    Denied,
    /// Its word is none that states a dependency, and may be a misspelt one: `depnds: 1.1`.
    Unknown { word: &'a str, meant: Option<&'static str> },
}

/// Where a text stands, which decides how much of it is a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The line of a task: brackets, and within the sentence.
    Task,
    /// The details of a task: brackets, and at the beginning. Within a sentence it may be about other tasks.
    Detail,
    /// A line of a phase: at the beginning.
    Label,
    /// A heading: brackets.
    Heading,
}

/// All statements of a text. `is_prose` says whether an offset is outside of code: what is quoted there is
/// not meant.
pub(super) fn stated<'a>(text: &'a str, place: Place, is_prose: impl Fn(usize) -> bool) -> Vec<Stated<'a>> {
    let (mut found, mut taken) = (Vec::new(), Vec::new());
    if matches!(place, Place::Detail | Place::Label)
        && let Some(statement) = leading(text).filter(|statement| is_prose(statement.at))
    {
        return vec![statement]; // All of it.
    }
    if place == Place::Label {
        return found;
    }
    if place == Place::Detail
        && let Some(statement) = unknown_label(text).filter(|statement| is_prose(statement.at))
    {
        return vec![statement];
    }
    for (open, end, statement) in groups(text, place) {
        taken.push(open..end);
        found.extend(statement.filter(|_| is_prose(open)));
    }
    if place == Place::Task {
        found.extend(unknown_groups(text, &taken).filter(|statement| is_prose(statement.at)));
    }
    if place != Place::Heading {
        within(text, place, &taken, is_prose, &mut found);
    }
    found
}

/// One of [the words](words::WORDS) with what belongs to it: `depends on`, `**Dependencies:**`.
#[derive(Clone, Copy)]
struct Opening {
    length: usize,
    is_strong: bool,
    /// Whether it is as likely to be prose, also in brackets: `once 1.1 is done`.
    is_hint: bool,
    has_on: bool,
    has_colon: bool,
}

impl Opening {
    /// Whether it can hardly be anything but the beginning of a statement.
    fn is_statement(self) -> bool {
        self.is_strong && (self.has_colon || self.has_on)
    }
}

const EMPHASIS: [char; 3] = ['*', '_', '~'];

/// Signs that point from a task to what it waits for.
const ARROWS: [&str; 4] = ["←", "⟵", "⇐", "<-"];

/// Reads an opening at the beginning of a text.
fn opening(text: &str) -> Option<Opening> {
    if let Some(arrow) = ARROWS.iter().find(|arrow| text.starts_with(**arrow) && !text.starts_with("<--")) {
        let length = arrow.len();
        return Some(Opening { length, is_strong: false, is_hint: true, has_on: false, has_colon: false });
    }
    let (length, sort) = words::opening(text)?;
    let is_strong = matches!(sort, Sort::Strong | Sort::On);
    let mut rest = &text[length..];
    let after = rest.trim_start_matches(words::is_joint);
    let on = ["upon", "on"].into_iter().find(|on| sort == Sort::Strong && begins_with_word(after, on));
    if let Some(on) = on {
        rest = &after[on.len()..];
    }
    let skipped = rest.trim_start_matches(|c: char| c.is_whitespace() || EMPHASIS.contains(&c));
    let colon = skipped.strip_prefix([':', '=']);
    if let Some(colon) = colon {
        rest = colon.trim_start_matches(EMPHASIS);
    }
    Some(Opening {
        length: text.len() - rest.len(),
        is_strong,
        is_hint: sort == Sort::Hint || sort == Sort::Label && colon.is_none(),
        has_on: on.is_some() || sort == Sort::On,
        has_colon: colon.is_some(),
    })
}

/// Whether a text begins with a word, whatever its case, and not with a longer one.
fn begins_with_word(text: &str, word: &str) -> bool {
    let Some((start, rest)) = text.split_at_checked(word.len()) else { return false };
    start.eq_ignore_ascii_case(word) && !rest.starts_with(char::is_alphanumeric)
}

/// The brackets that begin with an opening: where they open, where they end, and what they state.
fn groups(text: &str, place: Place) -> impl Iterator<Item = (usize, usize, Option<Stated<'_>>)> {
    const BRACKETS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];
    let mut from = 0;
    let mut unclosed = [false; BRACKETS.len()]; // Of these kinds there is no closing one any more.
    std::iter::from_fn(move || {
        loop {
            let open = from + text[from..].find(BRACKETS.map(|(open, _)| open))?;
            from = open + 1;
            if text[..open].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue; // A call: `create(deps: list)`.
            }
            let inside =
                text[from..].trim_start_matches(|c: char| c.is_whitespace() || EMPHASIS.contains(&c));
            let Some(word) = opening(inside).filter(|word| !word.is_hint) else { continue };
            let start = text.len() - inside.len() + word.length;
            let kind = BRACKETS.iter().position(|(one, _)| text[open..].starts_with(*one))?;
            let close = if unclosed[kind] { None } else { text[start..].find(BRACKETS[kind].1) };
            let Some(length) = close else {
                let is_first = !std::mem::replace(&mut unclosed[kind], true);
                if is_first && word.is_statement() && BRACKETS[kind].0 != '{' {
                    let fault = Some(Fault::Unclosed);
                    return Some((
                        open,
                        text.len(),
                        Some(Stated { at: open, names: Vec::new(), fault, lost: None }),
                    ));
                }
                continue;
            };
            let end = start + length;
            if text[end..].starts_with("](") {
                continue; // A link.
            }
            from = end;
            let is_brace = BRACKETS[kind].0 == '{'; // `{ deps: [] }` is rather a part of a program.
            let extent = if place == Place::Task && !is_brace { Extent::Strict } else { Extent::Bracket };
            let statement = names(&text[start..end], start, word, extent);
            let statement = statement.filter(|listed| !is_brace || !listed.names.is_empty());
            return Some((open, end, statement.map(|listed| listed.stated_at(open))));
        }
    })
}

/// What the text states if it begins with an opening, behind the mark of a list.
fn leading(text: &str) -> Option<Stated<'_>> {
    let is_mark = |c: char| c.is_whitespace() || EMPHASIS.contains(&c) || matches!(c, '-' | '+' | '>');
    let inside = text.trim_start_matches(is_mark);
    let at = text.len() - inside.len();
    // `After that, …` states nothing.
    let word = opening(inside).filter(|word| word.has_colon || word.is_statement())?;
    let start = at + word.length;
    Some(names(&text[start..], start, word, Extent::Label)?.stated_at(at))
}

/// The most bytes that are looked at behind an opening within a sentence.
const MAX_SENTENCE: usize = 1_000;

/// Statements within a sentence, outside of brackets: the names follow at once.
fn within<'a>(
    text: &'a str,
    place: Place,
    taken: &[Range<usize>],
    is_prose: impl Fn(usize) -> bool,
    found: &mut Vec<Stated<'a>>,
) {
    let mut taken = taken.iter().peekable();
    let mut is_boundary = true;
    for (at, c) in text.char_indices() {
        let is_first = std::mem::replace(&mut is_boundary, !c.is_alphanumeric());
        let begins = is_first && c.is_ascii_alphabetic() || matches!(c, '←' | '⟵' | '⇐' | '<');
        while taken.next_if(|range| range.end <= at).is_some() {}
        if !begins || taken.peek().is_some_and(|range| range.contains(&at)) {
            continue;
        }
        let Some(word) = opening(&text[at..]).filter(|word| place == Place::Task || word.is_statement())
        else {
            continue;
        };
        let start = at + word.length;
        let is_denied = is_denied(&text[..at]);
        if is_denied && (place != Place::Task || word.has_colon && !word.has_on) {
            continue; // `no dependencies: …`
        }
        let end = text.floor_char_boundary(start + MAX_SENTENCE);
        if let Some(Listed { names, fault, .. }) = names(&text[start..end], start, word, Extent::Sentence)
            && !names.is_empty()
            && is_prose(at)
        {
            let is_meant = word.is_statement() && place == Place::Task;
            let fault = match is_meant {
                _ if is_denied => Some(Fault::Denied),
                true => fault,
                false => Some(Fault::Prose),
            };
            found.push(Stated { at, names, fault, lost: None });
        }
    }
}

/// Whether the words in front of an opening deny it: `no longer`, `does not`, `not strictly`.
fn is_denied(before: &str) -> bool {
    const MAX_WORDS: usize = 40; // In bytes.
    let from = before.floor_char_boundary(before.len().saturating_sub(MAX_WORDS));
    let sentence = before[from..].rsplit(|c: char| !(c.is_alphabetic() || " *_'’".contains(c))).next();
    let words = sentence.unwrap_or_default().split([' ', '*', '_']);
    let words = words.filter(|word| !word.is_empty());
    words.rev().take(2).any(|word| {
        let word = word.to_ascii_lowercase();
        matches!(word.as_str(), "no" | "not" | "never" | "longer" | "without" | "cannot")
            || word.ends_with("n't")
            || word.ends_with("n’t")
    })
}

/// The brackets in the line of a task that name tasks behind a word that states no dependency:
/// `(depnds: 1.1)`.
fn unknown_groups<'a>(text: &'a str, taken: &[Range<usize>]) -> impl Iterator<Item = Stated<'a>> {
    const MAX_GROUP: usize = 200;
    let mut taken = taken.iter().peekable();
    text.match_indices(['(', '[', '{']).filter_map(move |(open, _)| {
        while taken.next_if(|range| range.end <= open).is_some() {}
        let is_call = text[..open].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_call || taken.peek().is_some_and(|range| range.contains(&open)) {
            return None;
        }
        let start = open + 1;
        let end = text.floor_char_boundary(start + MAX_GROUP);
        let length = text[start..end].find(['(', '[', '{', ')', ']', '}'])?;
        let is_closed = text[start + length..].starts_with([')', ']', '}']);
        let is_link = text[start + length..].starts_with("](");
        let (word, names) = unknown(text, start..start + length).filter(|_| is_closed && !is_link)?;
        let meant = words::meant(word);
        let is_label = text[word_end(text, word)..].trim_start().starts_with([':', '=']);
        // `(verified in 5.4)` is a mention.
        let is_one_word = !word.contains(words::is_joint);
        let fault = Some(Fault::Unknown { word, meant });
        let is_named = meant.is_some() || is_label || is_one_word;
        is_named.then_some(Stated { at: open, names, fault, lost: None })
    })
}

/// What a detail names behind a label that states no dependency: `- **Depnds:** 1.1`.
fn unknown_label(text: &str) -> Option<Stated<'_>> {
    let inside = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '+' | '*' | '_'));
    let at = text.len() - inside.len();
    let (word, names) = unknown(text, at..text.len())?;
    let behind =
        text[word_end(text, word)..].trim_start_matches(|c: char| c.is_whitespace() || EMPHASIS.contains(&c));
    let meant = words::meant(word);
    let is_label = behind.starts_with([':', '=']) && (meant.is_some() || text[..at].ends_with("**"));
    let fault = Some(Fault::Unknown { word, meant });
    is_label.then_some(Stated { at, names, fault, lost: None })
}

/// Where a word ends that is a part of a text.
fn word_end(text: &str, word: &str) -> usize {
    word.as_ptr().addr() - text.as_ptr().addr() + word.len()
}

/// The words and the names in a part of a text that is a few words, none that states a dependency, and
/// nothing but names.
fn unknown(text: &str, part: Range<usize>) -> Option<(&str, Vec<Named<'_>>)> {
    const MAX_WORD: usize = 40;
    let inside = text[part].trim_start_matches(|c: char| c.is_whitespace() || EMPHASIS.contains(&c));
    let digit = inside.find(|c: char| c.is_ascii_digit()).filter(|digit| *digit <= MAX_WORD)?;
    let mut word = inside[..digit].trim_end_matches(|c: char| !c.is_alphabetic());
    if let Some((bare, last)) = word.rsplit_once(words::is_joint)
        && ["task", "tasks"].iter().any(|task| last.eq_ignore_ascii_case(task))
    {
        word = bare.trim_end_matches(|c: char| !c.is_alphabetic());
    }
    let is_words = word.chars().all(|c| c.is_alphabetic() || words::is_joint(c));
    if word.is_empty() || !is_words || words::is_mention(word) || opening(inside).is_some() {
        return None;
    }
    let mut names = Vec::new();
    let mut at = word_end(text, inside) - inside.len() + digit;
    for list in inside[digit..].split([',', ';', '&']) {
        for (start, piece) in pieces(list) {
            if resembles_task(piece) {
                names.push(Named { target: Target::Task(piece), at: at + start });
            } else if !FILLERS.contains(&piece.to_ascii_lowercase().as_str()) {
                return None;
            }
        }
        at += list.len() + 1;
    }
    (!names.is_empty()).then_some((word, names))
}

/// Where the names stand that follow an opening.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Up to the closing bracket.
    Bracket,
    /// The same in the line of a task, where `(depends: …)` means nothing else: what is no name is a wrong
    /// one.
    Strict,
    /// Up to the end of the text.
    Label,
    /// Up to the first word that names nothing.
    Sentence,
}

/// What may stand between and around names.
const FILLERS: [&str; 23] = [
    "task",
    "tasks",
    "step",
    "steps",
    "and",
    "all",
    "of",
    "the",
    "both",
    "each",
    "every",
    "on",
    "in",
    "from",
    "with",
    "plus",
    "completion",
    "completing",
    "complete",
    "completed",
    "done",
    "finished",
    "being",
];

/// What makes a list of names say something else than that all of them come first.
const CONDITIONS: [&str; 8] = ["or", "either", "except", "unless", "not", "without", "but", "any"];

/// Words that begin another relation than that of a dependency: `blocks`, `in parallel with`, `needed by`.
const RELATIONS: [&str; 8] =
    ["blocks", "blocking", "unblocks", "parallel", "relates", "related", "enables", "by"];

/// What says that nothing comes first.
const NONE: [&str; 4] = ["none", "nothing", "n/a", "no"];

/// The names in a text that begins at `base`, and why they are not all there is to it; `None` if the text
/// states nothing.
fn names(text: &str, base: usize, word: Opening, extent: Extent) -> Option<Listed<'_>> {
    let is_strict = word.is_strong && word.has_colon && extent == Extent::Strict;
    let mut reader = Names::default();
    let mut says_none = false;
    let mut at = base;
    for part in text.split([',', ';', '&']) {
        if !is_strict && text[..at - base].ends_with(';') && !is_list(part) {
            break; // Something else begins.
        }
        let trimmed = part.trim().trim_matches(EMPHASIS).trim();
        let is_none = matches!(trimmed, "" | "-") || NONE.iter().any(|none| begins_with_word(trimmed, none));
        says_none |= is_none;
        let before = reader.found.len();
        let is_over = !is_none && reader.part(part, at, extent);
        if reader.is_ended || extent == Extent::Sentence && (is_over || is_none) {
            break;
        }
        if is_strict && !is_none && (is_over || reader.found.len() == before) {
            reader.found.truncate(before);
            let place = at + part.find(trimmed).unwrap_or_default();
            reader.found.push(Named { target: Target::Task(trimmed), at: place });
        }
        at += part.len() + 1;
    }
    let lost = reader.lost.filter(|_| extent != Extent::Sentence && word.is_strong);
    let fault = match reader.found.is_empty() {
        false => reader.is_conditional.then_some(Fault::Conditional),
        true if says_none => return None,
        // `after 99`, and not `after 3 days`.
        true if reader.lost.is_some() && extent != Extent::Sentence && is_list(text) => {
            Some(Fault::NamesNothing)
        }
        true if !word.is_statement() => return None,
        true => Some(Fault::NamesNothing),
    };
    let lost = lost.filter(|_| fault.is_none() && !is_strict);
    Some(Listed { names: reader.found, fault, lost })
}

/// What a list names.
struct Listed<'a> {
    names: Vec<Named<'a>>,
    fault: Option<Fault<'a>>,
    /// Where a number stands that names no task.
    lost: Option<usize>,
}

impl<'a> Listed<'a> {
    fn stated_at(self, at: usize) -> Stated<'a> {
        Stated { at, names: self.names, fault: self.fault, lost: self.lost }
    }
}

/// Whether a part of a list is names and nothing else.
fn is_list(part: &str) -> bool {
    pieces(part).all(|(_, piece)| {
        let word = piece.to_ascii_lowercase();
        piece.starts_with(|c: char| c.is_ascii_digit())
            || FILLERS.contains(&word.as_str())
            || CONDITIONS.contains(&word.as_str())
            || matches!(word.as_str(), "phase" | "phases")
    })
}

/// Collects names word by word.
#[derive(Default)]
struct Names<'a> {
    found: Vec<Named<'a>>,
    is_conditional: bool,
    /// Whether another relation begins.
    is_ended: bool,
    /// Where a number stands that is none of a task or phase.
    lost: Option<usize>,
    /// Whether `phase` was read, so that plain numbers are those of phases.
    in_phases: bool,
}

impl<'a> Names<'a> {
    /// Reads one part of a list; whether it came to a word that is no name. Numbers behind such a word are
    /// not those of tasks: `Python 3.12`.
    fn part(&mut self, part: &'a str, base: usize, extent: Extent) -> bool {
        let (mut is_over, mut is_prose) = (false, false);
        let mut is_phase = false; // The word before was `phase`.
        for (at, piece) in pieces(part) {
            let at = base + at;
            let word = piece.to_ascii_lowercase();
            let follows_phase = std::mem::take(&mut is_phase);
            if matches!(word.as_str(), "phase" | "phases") {
                (self.in_phases, is_phase) = (true, true);
            } else if CONDITIONS.contains(&word.as_str()) {
                self.is_conditional = true;
            } else if FILLERS.contains(&word.as_str()) {
                self.in_phases &= !word.starts_with("task");
                is_prose &= !matches!(word.as_str(), "and" | "plus" | "of");
            } else if let Some((first, last)) =
                phases(piece).filter(|_| follows_phase || self.in_phases && !resembles_task(piece))
            {
                self.found.push(Named { target: Target::Phases(first, last), at });
            } else if !is_prose && resembles_task(piece) {
                self.found.push(Named { target: Target::Task(piece), at });
            } else if RELATIONS.contains(&word.as_str()) {
                self.is_ended = true;
                return true;
            } else {
                if !is_prose && piece.bytes().all(|byte| byte.is_ascii_digit()) {
                    self.lost.get_or_insert(at);
                }
                (is_over, is_prose) = (true, true);
                if extent == Extent::Sentence {
                    break;
                }
            }
        }
        is_over
    }
}

/// Words, without the punctuation around them, and where they begin.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_around = |c: char| !c.is_alphanumeric() && c != '-';
    text.split(|c: char| c.is_whitespace() || matches!(c, '+' | '/')).filter_map(move |piece| {
        let trimmed = piece.trim_matches(is_around);
        // Both are parts of one text, so that their distance is the offset.
        let at = trimmed.as_ptr().addr() - text.as_ptr().addr();
        trimmed.contains(char::is_alphanumeric).then_some((at, trimmed))
    })
}

/// `1.1`, `1.1.2`, and what is one of them with a mistake: `1.1a`, `1.1-1.3`.
fn resembles_task(piece: &str) -> bool {
    let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
    end > 0
        && piece[end..].strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// `2`, `2b`, `A` or `1-3`.
fn phases(piece: &str) -> Option<(&str, &str)> {
    let (first, last) = piece.split_once(['-', '–']).unwrap_or((piece, piece));
    let is_number = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            || text.len() == 1 && text.starts_with(|c: char| c.is_ascii_uppercase())
    };
    (is_number(first) && is_number(last)).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each statement of a text: its names with `?` for phases, and its fault.
    fn read(text: &str, place: Place) -> Vec<String> {
        let show = |stated: Stated<'_>| {
            let names = stated.names.iter().map(|named| match named.target {
                Target::Task(name) => {
                    assert!(text[named.at..].starts_with(name), "{named:?}");
                    name.to_owned()
                }
                Target::Phases(first, last) => {
                    assert!(text[named.at..].starts_with(first), "{named:?}");
                    format!("{first}?{last}")
                }
            });
            let names = names.collect::<Vec<_>>().join(" ");
            let lost = stated.lost.map_or("", |at| &text[at..][..2]);
            let names = format!("{names} {lost}").trim().to_owned();
            stated.fault.map_or(names.clone(), |fault| format!("{names} {fault:?}").trim().to_owned())
        };
        stated(text, place, |at| text[..at].matches('`').count().is_multiple_of(2))
            .into_iter()
            .map(show)
            .collect()
    }

    fn check(place: Place, cases: &[(&str, &[&str])]) {
        for (text, expected) in cases {
            assert_eq!(read(text, place), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_bracket_states_what_comes_first() {
        check(
            Place::Heading,
            &[
                ("Do (depends: 1.1)", &["1.1"]),
                ("Do (depends:1.1,2.3 ,  4.5) it (Depends: 6.7)", &["1.1 2.3 4.5", "6.7"]),
                ("Do (Depends on: 1.1)", &["1.1"]),
                ("Do (depends on Task 1.1 and task 1.2)", &["1.1 1.2"]),
                ("Do (deps: 1.1 & 1.2)", &["1.1 1.2"]),
                ("Do (deps 1.1)", &["1.1"]),
                ("Do (dependencies: #1.1)", &["1.1"]),
                ("Do (**depends-on:** [1.1, 1.2])", &["1.1 1.2"]),
                ("Do [depends_on = 1.1]", &["1.1"]),
                ("Do (dependsOn: 1.1.2)", &["1.1.2"]),
                ("Do (after 1.1)", &["1.1"]),
                ("Do (requires tasks 1.1, 1.2)", &["1.1 1.2"]),
                ("Do (blocked by 1.1)", &["1.1"]),
                ("Do (depends: 1.1,\n  1.2)", &["1.1 1.2"]),
                ("Do (depends on the output of 1.1)", &["1.1"]),
                ("Do (after phases 1, 2 and 1.3)", &["1?1 2?2 1.3"]),
                ("Do (after phase 1.5)", &["1.5?1.5"]),
                ("Do (depends on 1.1 output)", &["1.1"]),
                ("Do (depends on Phases 1 & 2)", &["1?1 2?2"]),
                ("Do (depends on all Phase 3)", &["3?3"]),
                ("Do (after phases 1-3, task 4.1)", &["1?3 4.1"]),
                ("ä(ö (depends: 1.1)", &["1.1"]),
                ("Explain `(depends: 1.1)`", &[]),
                ("Use Python (requires Python 3.12)", &[]),
                ("Do (after lunch)", &[]),
                ("Do (no dependencies)", &[]),
                ("Do (depends: none)", &[]),
                ("Do (Dependencies: None)", &[]),
                ("Do (depends: )", &[]),
                ("Do (dependency graph 1.1)", &[]),
                ("See [depends on 1.1](x)", &[]),
            ],
        );
    }

    #[test]
    fn what_is_wrong_in_a_bracket_is_kept_or_named() {
        check(
            Place::Task,
            &[
                ("Do (depends: 1.1-1.3; x y, -z)", &["1.1-1.3 x y -z"]),
                ("Do (depends: 1, 1.1a)", &["1 1.1a"]),
                ("Do (depends on 1.1; blocks 1.5)", &["1.1"]),
                ("Do (depends: 1.1; blocks 1.5)", &["1.1"]),
                ("Do (depends on 1.1; 1.5 is optional)", &["1.1"]),
                ("Do (depends on 1.1; 1.2)", &["1.1 1.2"]),
                ("Do (after 1.18, parallel with 1.2)", &["1.18"]),
                ("Do {depends: 1.16}", &["1.16"]),
                ("Do (depends on 1.1, needed by 1.5)", &["1.1"]),
                ("Do (depends on 1.1 and 99)", &["1.1 99"]),
                ("Do (after 99)", &["NamesNothing"]),
                ("Do (after 3 days)", &[]),
                ("Do (Blocked-By: 1.1, 1.2)", &["1.1 1.2"]),
                ("Do (blockedBy 1.1)", &["1.1"]),
                ("Do (wait: 1.1)", &["1.1"]),
                ("Do (wait 1.1)", &["1.1 Prose"]),
                ("Do (depends to: 1.1)", &["1.1"]),
                ("Do (once 1.1 is done)", &["1.1 Prose"]),
                ("Do (← 1.1)", &["1.1 Prose"]),
                (
                    "Do (depnds: 1.1, 1.2)",
                    &["1.1 1.2 Unknown { word: \"depnds\", meant: Some(\"depends\") }"],
                ),
                (
                    "Do (blockd by task 1.1)",
                    &["1.1 Unknown { word: \"blockd by\", meant: Some(\"blocked by\") }"],
                ),
                ("Do (before 1.1)", &["1.1 Unknown { word: \"before\", meant: None }"]),
                ("Do (see 1.1) (verified in 1.1) (1.1) (took 1.1 hours) (requirements: 1.1)", &[]),
                ("Do [wiats for](1.1)", &[]),
                ("Do (depends: 1.1 1.2 b)", &["1.1 1.2 b"]),
                ("Do (depends on 1.1 or 1.2)", &["1.1 1.2 Conditional"]),
                ("Do (depends on either 1.1, 1.2)", &["1.1 1.2 Conditional"]),
                ("Do (depends on all of it)", &["NamesNothing"]),
                ("Do (depends: 1.1", &["Unclosed"]),
                ("Do (depends on: 1.1 [deps: 1.2]", &["Unclosed", "1.2"]),
                ("Call create(deps: list)", &[]),
                ("- Map of { dependencies: [], dependents: [] }", &[]),
            ],
        );
    }

    #[test]
    fn the_line_of_a_task_may_say_it_within_the_sentence() {
        check(
            Place::Task,
            &[
                ("Do, depends on 1.1", &["1.1"]),
                ("Do, depends on Task 1.1 and 1.2 for the data of 2.1", &["1.1 1.2"]),
                ("Do depends: 1.1", &["1.1"]),
                ("Do — **Dependencies:** 1.1, 1.2", &["1.1 1.2"]),
                ("Do (depends: 1.1) depends:1.2", &["1.1", "1.2"]),
                ("Do after 1.1", &["1.1 Prose"]),
                ("Do what 1.2 needs: 1.1", &["1.1 Prose"]),
                ("Do, depends on 1.1 or 1.2", &["1.1 1.2 Conditional"]),
                ("See what depends on it", &[]),
                ("Parse depends: groups", &[]),
                ("Add the dependency on Python 3.12", &[]),
                ("Independent of 1.1", &[]),
                ("Do (no longer depends on 1.1)", &["1.1 Denied"]),
                ("Do (not dependent on 1.1)", &["1.1 Denied"]),
                ("Do, does not depend on 1.1", &["1.1 Denied"]),
                ("Do, doesn't strictly depend on 1.1", &["1.1 Denied"]),
                ("Do not wait, depends on 1.1", &["1.1"]),
                ("Do, when 1.1 completes", &["1.1 Prose"]),
            ],
        );
    }

    #[test]
    fn a_detail_says_it_at_its_beginning() {
        check(
            Place::Detail,
            &[
                ("- **Dependencies:** 1.1, Task 1.2", &["1.1 1.2"]),
                ("  * _Depends on_: 1.1", &["1.1"]),
                ("Depends on 1.1", &["1.1"]),
                ("- Prerequisites: 1.1", &["1.1"]),
                ("- **Blocked by**: 1.1", &["1.1"]),
                ("- as said (depends: 1.1)", &["1.1"]),
                ("- Dependencies: none", &[]),
                ("- **Depnds:** 1.1", &["1.1 Unknown { word: \"Depnds\", meant: Some(\"depends\") }"]),
                ("- **Tests:** 1.1", &["1.1 Unknown { word: \"Tests\", meant: None }"]),
                ("- Tests: 1.1", &[]),
                ("- Dependencies: express 4.18, the schema", &["NamesNothing"]),
                ("- Tasks with no dependencies: 1.1", &[]),
                ("- As in (deps: the schema)", &["NamesNothing"]),
                ("- Dependency analysis of 1.1", &[]),
                ("- After 1.1 completes, look at it", &[]),
                ("- If task 3.1 depends only on 1.1, it can start", &[]),
                ("- All tasks depend on task 0.1", &["0.1 Prose"]),
            ],
        );
    }
}
