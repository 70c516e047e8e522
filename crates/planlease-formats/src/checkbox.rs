//! One line of a checklist: its bullet, its box, and what the mark in the box says.

use std::ops::Range;

/// What the mark in a box says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `[ ]`, `[]`.
    Open,
    /// `[x]`, `[X]`, `[✓]`.
    Done,
    /// `[~]`, `[/]`, `[>]`.
    Begun,
    /// `[-]`: dropped, or begun, by the format.
    Dash,
    /// `[⏭️]`, `[skipped]`: not to be done any more, in every format.
    Dropped,
    /// `[!]`, `[?]`.
    Blocked,
}

/// A line with a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkbox<'a> {
    /// The columns of blanks in front of the bullet; a tab goes to the next multiple of four.
    pub(crate) indent: usize,
    /// Where the mark stands in the line: what is between the brackets, or the character that is the box.
    pub(crate) inside: Range<usize>,
    pub(crate) mark: Mark,
    /// Whether a star follows the box: `[ ]*`.
    pub(crate) is_optional: bool,
    pub(crate) text: &'a str,
    /// Where the text stands in the line.
    pub(crate) text_at: usize,
}

/// What a line is to a checklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Box(Checkbox<'a>),
    /// A box in a quotation.
    Quoted,
    /// It resembles a box; why it is none.
    Broken(Broken),
    /// A letter in brackets behind a bullet: a mark that is not known, or a word of the text.
    Letter,
    Other,
}

/// Why a line that resembles a box is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The bracket is never closed, or never opened.
    Half,
    /// It is written with other brackets.
    Brackets,
    /// The mark is not known.
    Mark,
}

impl Broken {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Half => "this looks like a task, but half of its box is missing",
            Self::Brackets => "this looks like a task, but its box is written with other brackets",
            Self::Mark => "this looks like a task, but the mark in its box is not known",
        }
    }

    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Half | Self::Brackets => "Write `- [ ] ` in front of what is to be done.",
            Self::Mark => {
                "Known are `[ ]` to do, `[x]` done, `[~]` and `[/]` begun, `[-]` dropped, `[!]` blocked."
            }
        }
    }
}

/// What stands in front of a bullet; editors write blanks that do not break, too.
const BLANKS: [char; 4] = [' ', '\t', '\u{a0}', '\u{3000}'];

/// The most bytes of a mark.
const MAX_MARK: usize = 12;

/// Says what a line is.
pub(crate) fn read(line: &str) -> Found<'_> {
    let rest = line.trim_start_matches(BLANKS);
    let indent = columns(&line[..line.len() - rest.len()]);
    if let Some(quoted) = rest.strip_prefix('>') {
        let inner = quoted.trim_start_matches(['>', ' ', '\t']);
        return if matches!(read(inner), Found::Box(_)) { Found::Quoted } else { Found::Other };
    }
    let text = behind_bullets(rest);
    let has_bullet = text.len() < rest.len();
    let at = line.len() - text.len();
    if let Some(found) = ballot(line, text, indent) {
        return found;
    }
    let Some(inside) = text.strip_prefix('[') else {
        return if has_bullet { broken_box(text) } else { Found::Other };
    };
    let close = inside.bytes().take(MAX_MARK).position(|byte| byte == b']');
    let Some(close) = close else {
        let unmarked = inside.trim_start_matches(['x', 'X']);
        let is_half = has_bullet && unmarked.starts_with([' ', '\t']) && !inside.contains(']');
        return if is_half { Found::Broken(Broken::Half) } else { Found::Other };
    };
    let (written, rest) = (&inside[..close], &inside[close + 1..]);
    if !has_bullet && (written.chars().count() != 1 || !rest.starts_with([' ', '\t'])) {
        return Found::Other;
    }
    let is_blank = written.trim().is_empty();
    let is_link = rest.starts_with('(') || !is_blank && rest.starts_with(['[', ':']);
    match mark(written.trim()) {
        _ if is_link => Found::Other,
        Some(mark) => {
            let is_optional = rest.starts_with("* ") || rest.trim_end() == "*";
            let text = if is_optional { &rest[1..] } else { rest };
            let inside = at + 1..at + 1 + close;
            let text_at = line.len() - text.trim_start().len();
            Found::Box(Checkbox { indent, inside, mark, is_optional, text: text.trim(), text_at })
        }
        None => {
            let is_word = written.chars().any(char::is_alphanumeric);
            let is_apart = has_bullet && rest.starts_with([' ', '\t']);
            match () {
                () if !is_apart || written.contains('\\') => Found::Other,
                () if !is_word => Found::Broken(Broken::Mark),
                () if is_letter(written) => Found::Letter,
                () => Found::Other,
            }
        }
    }
}

/// The columns that blanks take.
pub(crate) fn columns(blanks: &str) -> usize {
    blanks.chars().fold(0, |column, c| if c == '\t' { (column / 4 + 1) * 4 } else { column + 1 })
}

/// The text behind the marks of a list; all of it if there are none.
pub(crate) fn behind_bullets(text: &str) -> &str {
    let mut rest = text;
    while let Some(behind) = behind_bullet(rest) {
        rest = behind;
    }
    rest
}

fn behind_bullet(text: &str) -> Option<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let behind = match digits {
        0 => text.strip_prefix(['-', '*', '+', '•', '–', '—', '◦', '▪'])?,
        1..=9 => text[digits..].strip_prefix(['.', ')'])?,
        _ => return None,
    };
    let rest = behind.trim_start_matches([' ', '\t', '\u{a0}']);
    (rest.len() < behind.len() || rest.starts_with('[')).then_some(rest)
}

/// A character that is a box: `☐`.
fn ballot<'a>(line: &'a str, text: &'a str, indent: usize) -> Option<Found<'a>> {
    let first = text.chars().next()?;
    let mark = match first {
        '☐' => Mark::Open,
        '☑' => Mark::Done,
        '☒' => Mark::Dash,
        _ => return None,
    };
    let at = line.len() - text.len();
    let (inside, rest) = (at..at + first.len_utf8(), &text[first.len_utf8()..]);
    let text = rest.trim_start_matches('\u{fe0f}').trim_start();
    let text_at = line.len() - text.len();
    Some(Found::Box(Checkbox { indent, inside, mark, is_optional: false, text: text.trim_end(), text_at }))
}

/// Whether these brackets hold one letter. `[P]` says in other tools that a task is parallel.
fn is_letter(written: &str) -> bool {
    let mut chars = written.chars();
    matches!((chars.next(), chars.next()), (Some(letter), None) if letter.is_alphabetic() && letter != 'P')
}

/// What a mark says; `None` for an unknown one.
fn mark(written: &str) -> Option<Mark> {
    let written = written.trim_end_matches('\u{fe0f}');
    Some(match written {
        "" | "⬜" | "🔲" | "☐" => Mark::Open,
        "x" | "X" | "×" | "v" | "V" | "✓" | "✔" | "✅" | "☑" | "√" => Mark::Done,
        "~" | "/" | ">" | "." | "…" | "*" | "🔄" | "⏳" | "🚧" => Mark::Begun,
        "-" | "–" | "—" => Mark::Dash,
        "⏭" | "⏩" | "🗑" => Mark::Dropped,
        "!" | "?" | "❌" | "⚠" | "🚫" | "⏸" => Mark::Blocked,
        _ => return mark_word(written),
    })
}

/// What a word in a box says.
fn mark_word(written: &str) -> Option<Mark> {
    Some(match written.to_ascii_lowercase().as_str() {
        "todo" => Mark::Open,
        "done" => Mark::Done,
        "wip" => Mark::Begun,
        "skip" | "skipped" => Mark::Dropped,
        "blocked" => Mark::Blocked,
        _ => return None,
    })
}

/// What resembles a box behind a bullet, and does not begin with a square bracket.
fn broken_box(text: &str) -> Found<'_> {
    if text.starts_with("] ") {
        return Found::Broken(Broken::Half);
    }
    let is_other = ["( ) ", "(x) ", "(X) ", "{ } ", "{x} "].iter().any(|start| text.starts_with(start));
    if is_other { Found::Broken(Broken::Brackets) } else { Found::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_read_with_their_marks() {
        for (line, indent, inside, mark, text) in [
            ("- [ ] a", 0, " ", Mark::Open, "a"),
            ("  * [x] a ", 2, "x", Mark::Done, "a"),
            ("\t+ [X] a", 4, "X", Mark::Done, "a"),
            ("1. [~] a", 0, "~", Mark::Begun, "a"),
            ("2) [-] a", 0, "-", Mark::Dash, "a"),
            ("- [/] a", 0, "/", Mark::Begun, "a"),
            ("- [!] a", 0, "!", Mark::Blocked, "a"),
            ("- [ x] a", 0, " x", Mark::Done, "a"),
            ("- [] a", 0, "", Mark::Open, "a"),
            ("- [ ]a", 0, " ", Mark::Open, "a"),
            ("-[ ] a", 0, " ", Mark::Open, "a"),
            ("• [ ] a", 0, " ", Mark::Open, "a"),
            ("1. - [ ] a", 0, " ", Mark::Open, "a"),
            ("[ ] a", 0, " ", Mark::Open, "a"),
            ("- [✅] a", 0, "✅", Mark::Done, "a"),
            ("- ☐ a", 0, "☐", Mark::Open, "a"),
            ("- [v] a", 0, "v", Mark::Done, "a"),
            ("- [⏭️] a", 0, "⏭️", Mark::Dropped, "a"),
            ("- [Skipped] a", 0, "Skipped", Mark::Dropped, "a"),
            ("- [Todo] a", 0, "Todo", Mark::Open, "a"),
            ("- [ ]", 0, " ", Mark::Open, ""),
        ] {
            let Found::Box(found) = read(line) else { panic!("{line:?}") };
            assert_eq!((found.indent, &line[found.inside.clone()]), (indent, inside), "{line:?}");
            assert_eq!((found.mark, found.text, found.is_optional), (mark, text, false), "{line:?}");
        }
        let Found::Box(found) = read("- [ ]* 2.2 a") else { panic!("a box") };
        assert_eq!((found.text, found.is_optional), ("2.2 a", true));
    }

    #[test]
    fn what_resembles_a_box_is_told_from_text() {
        for (line, found) in [
            ("- [ a", Found::Broken(Broken::Half)),
            ("- [x a", Found::Broken(Broken::Half)),
            ("- ] a", Found::Broken(Broken::Half)),
            ("- ( ) a", Found::Broken(Broken::Brackets)),
            ("- [%] a", Found::Broken(Broken::Mark)),
            ("> - [ ] a", Found::Quoted),
            ("- [x](y)", Found::Other),
            ("- [x][y]", Found::Other),
            ("[x]: y", Found::Other),
            ("- [link](y) a", Found::Other),
            ("- [P] T001 a", Found::Other),
            ("- [1] a", Found::Other),
            ("- [o] a", Found::Letter),
            ("- [é] a", Found::Letter),
            ("[o] a", Found::Other),
            ("- [o]: a", Found::Other),
            ("- [Setup] a", Found::Other),
            ("- a [ ]", Found::Other),
            ("| [ ] | a |", Found::Other),
            ("[see] a", Found::Other),
            ("", Found::Other),
        ] {
            assert_eq!(read(line), found, "{line:?}");
        }
    }
}
