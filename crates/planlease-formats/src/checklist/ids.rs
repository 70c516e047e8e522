//! The ids of tasks: the one that a task's text begins with, else a short number made of a hash.

use sha2::{Digest as _, Sha256};

use crate::tracker::fields;

/// The longest id that is taken from a text, in bytes.
const MAX_ID: usize = 32;

/// Words in front of a number that say that it is an id.
const WORDS: [&str; 8] = ["task", "step", "item", "story", "ticket", "issue", "todo", "phase"];

/// The id that a text begins with, and the rest of the text: `1.2 Do`, `T001 Do`, `**AUTH-3**: Do`,
/// `Task 4: Do`.
pub(super) fn explicit(text: &str) -> Option<(&str, String)> {
    beginning(text).filter(|(id, _)| !is_priority(id))
}

/// The priority that a text begins with, as a number, and the rest of the text: `P1: Do`, `**P0** Do`.
pub(super) fn priority(text: &str) -> Option<(i32, String)> {
    let (word, rest) = beginning(text).filter(|(word, rest)| is_priority(word) && !rest.is_empty())?;
    Some((fields::priority(Some(word)), rest))
}

/// Whether a token is a word for a priority: many tasks may have the same.
pub(super) fn is_priority(token: &str) -> bool {
    matches!(token, "P0" | "P1" | "P2" | "P3" | "P4")
}

/// The id or the priority that a text begins with, and the rest of the text.
fn beginning(text: &str) -> Option<(&str, String)> {
    const OPENING: [char; 6] = ['*', '_', '`', '[', '(', '#'];
    let begin = text.trim_start_matches(OPENING);
    let opening = &text[..text.len() - begin.len()];
    let word = WORDS.into_iter().find_map(|word| {
        let (start, rest) = begin.split_at_checked(word.len())?;
        let rest = rest.strip_prefix([' ', '#', '-']).map(|rest| rest.trim_start_matches([' ', '#']))?;
        (start.eq_ignore_ascii_case(word) && rest.starts_with(|c: char| c.is_ascii_digit())).then_some(rest)
    });
    // `PHASE-1` is an id like `AUTH-1`, and `Phase 1` none of a task.
    let word = word.filter(|_| !begin.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("phase")));
    let candidate = word.unwrap_or(begin);
    let id = token(candidate)?;
    let after = &candidate[id.len()..];
    let is_marked = word.is_some() || opening.contains(['[', '`', '#']);
    let rest = behind(after, opening, strength(id), is_marked)?;
    if word.is_some() && !is_separated(after) {
        return Some((id, text.trim().to_owned())); // `task-212 achieves it` is a sentence about the task.
    }
    // `**1.1 Do** it`: with the number goes the beginning of the bold text.
    let is_open = opening.contains("**") && !after.trim_start_matches([':', '.', ')']).starts_with("**");
    let rest = if is_open { rest.replacen("**", "", 1) } else { rest.to_owned() };
    Some((id, rest.trim().to_owned()))
}

/// Whether something stands between an id and the rest of the text, or nothing follows.
fn is_separated(after: &str) -> bool {
    const MARKS: [char; 13] = [':', '.', ')', ']', '(', '[', '*', '_', '`', '-', '–', '—', '|'];
    let after = after.trim_start();
    after.is_empty() || after.starts_with(MARKS)
}

/// The longest beginning of a text that has the form of an id.
fn token(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
        .unwrap_or(text.len());
    let id = text[..end].trim_end_matches(['.', '-', '_']);
    let is_id = !id.is_empty() && id.len() <= MAX_ID && strength(id) != Strength::None;
    is_id.then_some(id)
}

/// The id that a text begins with if other tasks of the file say that it is one, and the rest of the text:
/// `A-1 Do`, `A1 Do`, `a.1 Do`, `PROJ_3 Do`, `1 Do`. Alone it may be a word: `S3 bucket`, `2 tests`.
pub(super) fn loose(text: &str) -> Option<(&str, String)> {
    let begin = text.trim_start_matches(['*', '_', '`', '[', '(']);
    let opening = &text[..text.len() - begin.len()];
    let end = begin
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
        .unwrap_or(begin.len());
    let id = begin[..end].trim_end_matches(['.', '-', '_']);
    if !(is_loose(id) || is_number(id)) {
        return None;
    }
    let rest = behind(&begin[id.len()..], opening, Strength::Strong, false)?;
    let is_open = opening.contains("**") && !begin[id.len()..].starts_with("**");
    let rest = if is_open { rest.replacen("**", "", 1) } else { rest.to_owned() };
    (!rest.trim().is_empty()).then(|| (id, rest.trim().to_owned()))
}

/// The most letters of an id that is one only if other tasks say so.
const MAX_LETTERS: usize = 10;

/// Whether a token is letters and a number, with or without a mark between: `A1`, `a.1`, `PROJ_3`.
pub(super) fn is_loose(token: &str) -> bool {
    let letters = token.bytes().take_while(u8::is_ascii_alphabetic).count();
    let number = token[letters..].strip_prefix(['.', '-', '_']).unwrap_or(&token[letters..]);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (1..=MAX_LETTERS).contains(&letters) && token.len() <= MAX_ID && number.split(['.', '-', '_']).all(digits)
}

/// Whether a token is a number, which is an id only where a dependency names it.
pub(super) fn is_number(token: &str) -> bool {
    (1..=5).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an id can hardly be anything else.
pub(super) fn is_certain(id: &str) -> bool {
    strength(id) == Strength::Strong
}

/// How sure it is that a token is an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    /// It is a word.
    None,
    /// A number, or letters and a number: it is one with a separator behind it.
    Weak,
    /// `1.2`, `T001`, `AUTH-3`.
    Strong,
}

fn strength(token: &str) -> Strength {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A letter may follow: `T012a`.
    let stem = token.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(token);
    if token.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
        let parts = stem.split('.').count();
        return match stem.split('.').all(digits) && stem.len() <= 12 {
            true if parts >= 2 && stem.len() == token.len() => Strength::Strong,
            true if stem.len() <= 5 => Strength::Weak,
            _ => Strength::None,
        };
    }
    let letters = stem.bytes().take_while(u8::is_ascii_uppercase).count();
    let (prefix, number) = stem.split_at(letters);
    if prefix == "T" && number.len() >= 2 && number.split(['.', '-']).all(digits) {
        return Strength::Strong;
    }
    if (1..=5).contains(&letters) && digits(number) {
        return Strength::Weak;
    }
    let dotted = number.contains('.') && number.split(['.', '-']).all(digits);
    let dashed = stem.split_once('-').is_some_and(|(prefix, number)| {
        let is_prefix = prefix.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let last = number.rsplit(['.', '-']).next().unwrap_or_default();
        let last = last.trim_start_matches(|c: char| c.is_ascii_uppercase());
        is_prefix && digits(last) && prefix.len() >= 2
    });
    if (1..=5).contains(&letters) && dotted || dashed { Strength::Strong } else { Strength::None }
}

/// What follows an id and its separators; `None` if it is none after all.
fn behind<'a>(after: &'a str, opening: &str, strength: Strength, is_marked: bool) -> Option<&'a str> {
    let is_apart = |text: &str| text.is_empty() || text.starts_with(char::is_whitespace);
    let closing: &[char] = if opening.is_empty() { &['*', '_', '`'] } else { &['*', '_', '`', ']', ')'] };
    let closed = after.trim_start_matches(closing);
    let was_closed = !opening.is_empty() && closed.len() < after.len();
    let separated = closed.trim_start_matches([':', '.', ')', ']']).trim_start_matches(['*', '_']);
    let has_separator = closed.starts_with([':', '.', ')']) && is_apart(separated)
        || [" - ", " – ", " — ", ": "].iter().any(|separator| closed.starts_with(separator));
    let is_id = match strength {
        Strength::Strong => is_apart(separated),
        _ => has_separator || (was_closed || is_marked) && is_apart(separated),
    };
    let rest = separated.trim_start();
    is_id.then(|| ["- ", "– ", "— "].iter().find_map(|dash| rest.strip_prefix(dash)).unwrap_or(rest))
}

/// A short number for a task without an id: made of the headings above it and its text, so that it stays
/// when others are added, moved or taken out. `nth`: how many tasks of the same text are above it there.
pub(super) fn hashed(path: &[&str], text: &str, nth: usize, digits: usize) -> String {
    let mut hash = Sha256::new();
    for part in path.iter().chain([&text]) {
        hash.update(essence(part).as_bytes());
        hash.update([0]);
    }
    hash.update(nth.to_be_bytes());
    let first = hash.finalize()[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let least = 10_u64.pow(u32::try_from(digits).unwrap_or(u32::MAX).saturating_sub(1).min(17));
    (least + first % (9 * least)).to_string()
}

/// What of a text stays when it is formatted in another way, and when its progress is noted behind it.
fn essence(text: &str) -> String {
    const PROGRESS: [&str; 10] =
        ["✅", "✓", "✔", "☑", "🚧", "🔄", "⏳", "[checkpoint", "[COMPLETE", "(COMPLETE"];
    let end = PROGRESS.iter().filter_map(|mark| text.find(mark).filter(|at| *at > 0)).min();
    let text = &text[..end.unwrap_or(text.len())];
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_begin_with_an_id() {
        for (text, expected) in [
            ("1. Do", Some(("1", "Do"))),
            ("1.2 Do", Some(("1.2", "Do"))),
            ("1.2.3. Do", Some(("1.2.3", "Do"))),
            ("2.1: Do", Some(("2.1", "Do"))),
            ("**2.1** Do", Some(("2.1", "Do"))),
            ("**2.1 Do** it **now**", Some(("2.1", "Do it **now**"))),
            ("**2.1:** Do", Some(("2.1", "Do"))),
            ("T001 [P] Do", Some(("T001", "[P] Do"))),
            ("[T001] Do", Some(("T001", "Do"))),
            ("T012a Do", Some(("T012a", "Do"))),
            ("AUTH-3: Do", Some(("AUTH-3", "Do"))),
            ("**P1-T3** - Do", Some(("P1-T3", "Do"))),
            ("M1.2 Do", Some(("M1.2", "Do"))),
            ("Task 4: Do", Some(("4", "Do"))),
            ("Task 4 Do", Some(("4", "Task 4 Do"))),
            ("Task 4 - Do", Some(("4", "Do"))),
            ("Task 4 [P] Do", Some(("4", "[P] Do"))),
            ("**Task 4** Do", Some(("4", "Do"))),
            ("task-212 achieves >85%", Some(("212", "task-212 achieves >85%"))),
            ("task-212: Do", Some(("212", "Do"))),
            ("#12 Do", Some(("12", "Do"))),
            ("1) Do", Some(("1", "Do"))),
            ("A1: Do", Some(("A1", "Do"))),
            ("1.2", Some(("1.2", ""))),
            ("3 files are changed", None),
            ("3.5x faster", None),
            ("S3 bucket", None),
            ("MP3 support", None),
            ("Phase 1: Do", None),
            ("Do 1.2", None),
            ("E2E tests", None),
            ("`1.2` Do", Some(("1.2", "Do"))),
            ("P0: Do", None),
            ("[P1] Do", None),
            ("P5: Do", Some(("P5", "Do"))),
            ("P1.2 Do", Some(("P1.2", "Do"))),
            ("", None),
        ] {
            let expected = expected.map(|(id, rest)| (id, rest.to_owned()));
            assert_eq!(explicit(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_may_begin_with_a_priority() {
        for (text, expected) in [
            ("P0: Do", Some((20, "Do"))),
            ("**P1**: Do", Some((10, "Do"))),
            ("[P2] Do", Some((0, "Do"))),
            ("P3 - Do", Some((-10, "Do"))),
            ("P0:", None),
            ("P0 Do", None),
            ("P5: Do", None),
            ("Do P0", None),
        ] {
            let expected = expected.map(|(number, rest)| (number, rest.to_owned()));
            assert_eq!(priority(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_hash_depends_on_what_a_task_says_and_where() {
        let id = |path: &[&str], text| hashed(path, text, 0, 5);
        assert_eq!(id(&["A"], "Do **it**"), id(&["A ✅ done"], "do it"));
        assert_ne!(id(&["A"], "Do it"), id(&["B"], "Do it"));
        assert_ne!(id(&["A"], "Do it"), hashed(&["A"], "Do it", 1, 5));
        assert!((10_000..100_000).contains(&id(&[], "x").parse::<u32>().unwrap()));
    }
}
