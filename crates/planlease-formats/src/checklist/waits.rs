//! Where a task says that it waits for others: `(depends on T012, T013)`, `Blocked by: 1.2`, `after phase 2`.
//!
//! A statement stands in brackets, in a comment, in bold or behind a dash in the text of a task, in a
//! sentence of it, or in one of its details. What it names, [`super::names`] resolves once all tasks are
//! known.

use crate::checkbox;

/// A statement: where it stands, and what follows its opening words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) at: usize,
    pub(super) names: String,
    pub(super) opening: Opening,
    pub(super) form: Form,
}

impl Stated {
    /// The words that follow the opening, in lower case.
    pub(super) fn words(&self) -> Vec<String> {
        words(&self.names).map(str::to_lowercase).collect()
    }
}

/// How sure it is that words open a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// `depends on`: what it names has to be there.
    Strong,
    /// `after`: a number may be an id.
    Weak,
    /// `requires`: a number is rather one of something else, unless only names follow.
    Vague,
}

/// Where a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In brackets, in a comment, in bold, behind a dash, or as a detail of its own.
    Marked,
    /// In a sentence, where it ends at the first word that is no name.
    Sentence,
    /// In a sentence that may be about anything: `deploy after 1.1`.
    Prose,
}

const OPENINGS: [(&str, Opening); 24] = [
    ("depends-on", Opening::Strong),
    ("depends_on", Opening::Strong),
    ("depends on", Opening::Strong),
    ("depends upon", Opening::Strong),
    ("depends", Opening::Strong),
    ("depend on", Opening::Strong),
    ("dependent on", Opening::Strong),
    ("dependencies", Opening::Strong),
    ("dependency", Opening::Strong),
    ("dependson", Opening::Strong),
    ("deps", Opening::Strong),
    ("dep", Opening::Weak),
    ("blocked by", Opening::Strong),
    ("blocked-by", Opening::Strong),
    ("blocked on", Opening::Strong),
    ("waits for", Opening::Strong),
    ("waits on", Opening::Strong),
    ("waiting for", Opening::Weak),
    ("waiting on", Opening::Weak),
    ("after", Opening::Weak),
    ("prerequisites", Opening::Weak),
    ("prerequisite", Opening::Weak),
    ("requires", Opening::Vague),
    ("needs", Opening::Vague),
];

const EMPHASIS: [char; 2] = ['*', '_'];

/// The most bytes that are looked at behind an opening.
const MAX_STATEMENT: usize = 4_000;

/// The statements in the text of a task; `place`: where a part of it stands.
pub(super) fn in_text(text: &str, place: impl Fn(usize) -> usize) -> Vec<Stated> {
    let (mut found, mut taken, mut ticks) = (Vec::new(), 0, 0_usize);
    let all_ticks = text.matches('`').count();
    let mut is_boundary = true;
    for (start, c) in text.char_indices() {
        ticks += usize::from(c == '`');
        let begins = std::mem::replace(&mut is_boundary, !c.is_alphanumeric()) && c.is_ascii_alphabetic();
        let is_quoted = !ticks.is_multiple_of(2) && ticks < all_ticks;
        if !begins || start < taken || is_quoted {
            continue;
        }
        let Some((opening, rest)) = opening(&text[start..]) else { continue };
        let Some((form, closing)) =
            form(&text[..start], opening, &text[start..text.len() - rest.len()], rest)
        else {
            continue;
        };
        let names = &rest[..rest.floor_char_boundary(MAX_STATEMENT)];
        let names = names.split(closing).next().unwrap_or_default();
        let names = one_list(names);
        let names = if form == Form::Marked { names } else { sentence(names) };
        let from = text.len() - rest.len();
        taken = from + names.len();
        found.push(Stated { at: place(start), names: names.to_owned(), opening, form });
    }
    found
}

/// The form of a statement, by what stands in front of its opening, and what closes it; `None` if it denies a
/// dependency.
fn form(before: &str, opening: Opening, words: &str, rest: &str) -> Option<(Form, &'static str)> {
    let bare = before.trim_end_matches(|c: char| c.is_whitespace() || EMPHASIS.contains(&c));
    let last_word = bare.rsplit(|c: char| !(c.is_alphabetic() || c == '\'')).next().unwrap_or_default();
    if ["no", "not", "never", "longer", "without"].iter().any(|word| last_word.eq_ignore_ascii_case(word))
        || last_word.ends_with("n't")
    {
        return None;
    }
    let has_colon = has_colon(rest);
    let is_certain = opening == Opening::Strong && (has_colon || has_on(words))
        || has_colon && opening != Opening::Vague && !bare.is_empty();
    if before.trim_end_matches(EMPHASIS).ends_with(char::is_alphanumeric) {
        return None; // `list_depends_on_1`
    }
    Some(match bare.chars().next_back() {
        Some('(') => (Form::Marked, ")"),
        Some('[') => (Form::Marked, "]"),
        Some('{') => (Form::Sentence, "}"), // `{ deps: [] }` is rather a part of a program.
        Some('—' | '–') => (Form::Marked, "("),
        Some('-') if bare.ends_with("<!--") => (Form::Marked, "-->"),
        Some('-') if bare.ends_with(" -") => (Form::Marked, "("),
        Some(_) if is_certain && before.ends_with(EMPHASIS) => (Form::Marked, "("),
        Some(_) if before.ends_with(EMPHASIS) => (Form::Sentence, "("),
        _ if is_certain => (Form::Sentence, "("),
        Some(',' | ';' | '.' | ':') => (Form::Sentence, "("),
        _ => (Form::Prose, "("),
    })
}

/// Whether an opening says more than a noun: `depends on`, `blocked by`.
fn has_on(words: &str) -> bool {
    words.contains([' ', '-', '_']) || words.eq_ignore_ascii_case("dependson")
}

pub(super) fn has_colon(rest: &str) -> bool {
    rest.trim_start_matches(['*', '_', ' ']).starts_with([':', '='])
}

/// A text up to the end of its first sentence.
fn sentence(text: &str) -> &str {
    let end = text.match_indices('.').find(|(at, _)| {
        let after = &text[at + 1..];
        after.is_empty() || after.starts_with(char::is_whitespace)
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// A list of names up to where something else begins: `1.1, after 1.2`, `1.1; the last one`.
fn one_list(names: &str) -> &str {
    let end = names.match_indices([',', ';']).find(|(at, mark)| {
        let after = names[at + 1..].trim_start();
        let word = after.split(char::is_whitespace).next().unwrap_or_default();
        opening(after).is_some() || *mark == ";" && !word.bytes().any(|byte| byte.is_ascii_digit())
    });
    end.map_or(names, |(at, _)| &names[..at])
}

/// The statements that a detail of a task makes: all of it, or what stands in brackets.
pub(super) fn in_detail(at: usize, detail: &str) -> Vec<Stated> {
    let text = detail
        .trim_start_matches([' ', '\t', '-', '*', '+', '_', '>', '(', '[', '{', '<', '!'])
        .trim_end_matches("-->");
    let leading = opening(text)
        .filter(|(opening, names)| *opening == Opening::Strong || has_colon(names))
        .map(|(opening, names)| {
            let is_certain = has_colon(names) || has_on(&text[..text.len() - names.len()]);
            // `Dependency graph` is a thing to make.
            let form = if is_certain { Form::Marked } else { Form::Sentence };
            let start = detail.find(text).unwrap_or_default();
            Stated { at: at + start, names: names.to_owned(), opening, form }
        });
    match leading {
        Some(stated) => vec![stated],
        None => {
            let text = checkbox::behind_bullets(detail.trim_start());
            let mut stated = in_text(text, |offset| at + detail.len() - text.len() + offset);
            stated.retain(|stated| stated.form == Form::Marked);
            stated
        }
    }
}

fn opening(text: &str) -> Option<(Opening, &str)> {
    let (opening, rest) = OPENINGS.into_iter().find_map(|(words, opening)| {
        let (start, rest) = text.split_at_checked(words.len())?;
        let is_it = start.eq_ignore_ascii_case(words) && !rest.starts_with(char::is_alphanumeric);
        is_it.then_some((opening, rest))
    })?;
    // A prerequisite for others, or a dependency of theirs, waits for none of them.
    let next = rest.split_whitespace().next().unwrap_or_default();
    let is_reverse = ["for", "of"].iter().any(|word| next.eq_ignore_ascii_case(word));
    (!is_reverse).then_some((opening, rest))
}

/// Words, without the punctuation around them, and the commas between them.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let pieces = text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, ',' | '&' | '+'));
    pieces.flat_map(|piece| {
        let is_around = |c: char| !c.is_alphanumeric();
        let word = match piece.trim_end() {
            dash @ ("–" | "—" | "..." | "-") => dash,
            word => word.trim_matches(is_around),
        };
        let comma = piece.ends_with([',', '&', '+']).then_some(",");
        [Some(word).filter(|word| !word.is_empty()), comma].into_iter().flatten()
    })
}
