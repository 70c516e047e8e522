//! What one line of a Markdown plan is, by itself. Pure recognisers; the [reader](super) knows the context.

/// One line that is neither blank nor code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `## text`.
    Heading {
        /// From 1 to 6.
        level: usize,
        text: &'a str,
    },
    /// An item of a checklist at the left margin: `- [ ] text`.
    Check { done: bool, text: &'a str },
    /// Another list item at the left margin: `- text`.
    Item(&'a str),
    /// Anything that does not begin at the left margin.
    Indented(&'a str),
    /// Anything else.
    Text(&'a str),
}

const BLANK: [char; 2] = [' ', '\t'];

/// Characters that are not seen, as they come along with copied text.
const UNSEEN: [char; 8] =
    ['\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}', '\u{ad}'];

fn is_blank_or_unseen(c: char) -> bool {
    c.is_whitespace() || UNSEEN.contains(&c)
}

/// Says what a line is; `None` for a blank one.
pub(super) fn classify(line: &str) -> Option<Line<'_>> {
    let line = line.trim_end();
    // Not for indented lines, whose offsets count from the margin.
    let line = if line.starts_with(UNSEEN) { line.trim_start_matches(is_blank_or_unseen) } else { line };
    if line.is_empty() {
        return None;
    }
    if line.starts_with(BLANK) {
        return Some(Line::Indented(line));
    }
    let classified = heading(line).or_else(|| {
        let text = item(line)?;
        Some(check(text).map_or(Line::Item(text), |(done, text)| Line::Check { done, text }))
    });
    Some(classified.unwrap_or(Line::Text(line)))
}

fn heading(line: &str) -> Option<Line<'_>> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    if !(1..=6).contains(&level) || !(text.is_empty() || text.starts_with(BLANK)) {
        return None;
    }
    let text = text.trim();
    let open = text.trim_end_matches('#');
    let text = if open.is_empty() || open.ends_with(BLANK) { open.trim_end() } else { text }; // `## text ##`
    Some(Line::Heading { level, text })
}

/// The text of a list item, bulleted or numbered.
pub(super) fn item(line: &str) -> Option<&str> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match digits {
        0 => line.strip_prefix(['-', '*', '+']),
        1..=9 => line[digits..].strip_prefix(['.', ')']),
        _ => None,
    }?;
    rest.starts_with(char::is_whitespace).then(|| rest.trim_start_matches(is_blank_or_unseen))
}

/// Whether an item of a checklist is done, and its text. Blanks in the box, and one missing behind it, leave
/// no doubt of what is meant.
pub(super) fn check(item: &str) -> Option<(bool, &str)> {
    let (mark, rest) = item.strip_prefix('[')?.split_once(']')?;
    let done = match mark.trim() {
        "" => false,
        "x" | "X" => true,
        _ => return None,
    };
    let is_apart = rest.is_empty() || rest.starts_with(char::is_whitespace);
    (is_apart || task(rest).is_some()).then(|| (done, rest.trim()))
}

/// `2.3 text` or `2.3.1 text`, the number also bold or followed by a colon or a dot.
pub(super) fn task(text: &str) -> Option<(&str, String)> {
    let text = text.trim_start_matches(is_blank_or_unseen);
    let (bold, rest) = match text.strip_prefix("**") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (number, rest) = number(rest.trim_start_matches(UNSEEN))?;
    let after_colon = |rest| str::strip_prefix(rest, [':', '.']).unwrap_or(rest);
    let rest = after_colon(rest);
    let (closed, rest) = match rest.strip_prefix("**") {
        Some(rest) if bold => (true, after_colon(rest)),
        _ => (false, rest),
    };
    if !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
        return None; // `3.5x faster` begins with no number of a task.
    }
    let text = rest.trim();
    // `**2.3 text** more`: the number goes, and with it the beginning of the bold text.
    Some((number, if bold && !closed { text.replacen("**", "", 1) } else { text.to_owned() }))
}

/// Whether a text begins with a number of one part: `3. Do`, `3 Do`, but not `3 days`.
pub(super) fn begins_with_number(text: &str) -> bool {
    let text = text.trim_start_matches('*');
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    let behind = rest.trim_start_matches(['.', ')', ':', '*']);
    let is_marked = behind.len() < rest.len() && (behind.is_empty() || behind.starts_with(BLANK));
    let is_name = rest.starts_with(BLANK) && rest.trim_start().starts_with(char::is_uppercase);
    (1..=3).contains(&digits) && (is_marked || is_name)
}

/// Splits off `N.M` or `N.M.K`.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let number = text[..end].strip_suffix('.').unwrap_or(&text[..end]);
    is_number(number).then(|| text.split_at(number.len()))
}

fn is_number(text: &str) -> bool {
    let parts = text.split('.').count();
    (2..=3).contains(&parts) && text.split('.').all(|part| !part.is_empty())
}

/// Whether a line is a task but for one blank in front of it.
pub(super) fn is_task_behind_one_blank(line: &str) -> bool {
    let Some(line) = line.strip_prefix(BLANK[0]).filter(|line| !line.starts_with(BLANK)) else {
        return false;
    };
    item(line).and_then(check).is_some_and(|(_, text)| task(text).is_some())
}

/// What resembles a task and is written as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Near<'a> {
    /// The number that it seems to have; of one part more than tasks have, too.
    pub(crate) number: &'a str,
    /// Whether it has a box, or something like one.
    pub(crate) has_box: bool,
}

/// Says whether a line would be a task if it stood in the right place, or were written a little differently.
pub(crate) fn near_task(line: &str) -> Option<Near<'_>> {
    const MARKS: [char; 11] = ['-', '*', '+', '•', '–', '—', '·', '●', '◦', '‣', '\\'];
    let line = line.trim_start_matches(is_blank_or_unseen);
    let text = item(line).unwrap_or_else(|| line.trim_start_matches(MARKS).trim_start());
    // The box may be broken in several pieces.
    let (mut text, mut has_box) = (text, false);
    for _ in 0..4 {
        let Some(rest) =
            behind_box(text.trim_start_matches(|c: char| is_blank_or_unseen(c) || MARKS.contains(&c)))
        else {
            break;
        };
        (text, has_box) = (rest, true);
    }
    Some(Near { number: near_number(text, has_box)?, has_box })
}

/// The rest behind what looks like a box: `[~]`, `( )`, `[x`, `☐`.
fn behind_box(text: &str) -> Option<&str> {
    const BOXES: &str = "☐☑☒✅✓✔❌✗✘⬜⬛□■▢🔲🔳";
    const MAX_MARK: usize = 16;
    let first = text.chars().next()?;
    let inside = &text[first.len_utf8()..];
    match first {
        '[' | '(' | '{' => {
            match inside.char_indices().take(MAX_MARK).find(|(_, c)| [']', ')', '}'].contains(c)) {
                Some((close, _)) => {
                    let (mark, rest) = (inside[..close].trim(), &inside[close + 1..]);
                    let is_number = mark.starts_with(|c: char| c.is_ascii_digit()); // `[1.1] text`
                    let is_word = mark.chars().count() > 1;
                    let is_other = is_word && (first != '[' || rest.starts_with('(')); // `(so) 1.1`, `[link](1.1)`
                    (!is_number && !is_other).then(|| rest.trim_start_matches(['*', '+', '?', '!']))
                }
                None => {
                    let rest = inside.trim_start_matches(['x', 'X']);
                    rest.starts_with(char::is_whitespace).then_some(rest)
                }
            }
        }
        ']' | ')' | '}' => Some(inside),
        _ => BOXES.contains(first).then(|| inside.trim_start_matches('\u{fe0f}')),
    }
}

/// The number of a task that a text seems to begin with: `Task 1.1:`, `#1.1`, `(1.1)`, `1.1.1.1`.
pub(super) fn near_number(text: &str, has_box: bool) -> Option<&str> {
    let is_around = |c: char| is_blank_or_unseen(c) || "*_~#:-–—+!?([{<)]}>§\\".contains(c);
    let text = text.trim_start_matches(is_around);
    let word = ["task", "step", "item", "t"].into_iter().find_map(|word| {
        let (start, rest) = text.split_at_checked(word.len())?;
        let rest = rest.trim_start_matches(is_around);
        (start.eq_ignore_ascii_case(word) && rest.starts_with(|c: char| c.is_ascii_digit())).then_some(rest)
    });
    let text = word.unwrap_or(text);
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number = text[..end].trim_end_matches('.');
    if !number.contains('.') || number.starts_with('.') {
        return None;
    }
    let mut rest = text[number.len()..].chars();
    let is_number = match rest.next() {
        // `3.5x`, `2.5%`, `3.8+`
        Some(c) if c.is_alphanumeric() || "%+°€$".contains(c) => false,
        // Several tasks are spoken of: `1.1, 1.2`, `1.1-1.3`. No task is written so.
        Some(',' | '-' | '–' | '/' | '→') => has_box,
        _ => true,
    };
    is_number.then_some(number)
}

/// The number in a row of a table that has a box: the one behind the box, or else in another cell.
pub(super) fn near_row(line: &str) -> Option<&str> {
    if !line.trim_start().starts_with('|') {
        return None;
    }
    let cells = || line.split('|').map(str::trim);
    if let Some(near) = cells().filter_map(near_task).find(|near| near.has_box) {
        return Some(near.number);
    }
    let has_box = cells().any(|cell| check(cell).is_some() || item(cell).and_then(check).is_some());
    cells().find_map(|cell| near_number(cell, false)).filter(|_| has_box)
}

/// What a text begins with instead of the number of a task, and is meant as one: `1.3a`, `1,3`, `1．3`, `1-3`,
/// `v1.3`, `A.1`; and what stands in front of the first mark between its parts.
pub(super) fn odd_number(text: &str) -> Option<(&str, &str)> {
    const BETWEEN: [char; 9] = ['.', ',', '．', '，', '。', '·', '-', '–', '_'];
    let text = text.trim_start_matches(|c: char| is_blank_or_unseen(c) || matches!(c, '*' | '[' | '('));
    let is_part = |c: char| c.is_alphanumeric() || BETWEEN.contains(&c) || UNSEEN.contains(&c);
    let word = &text[..text.find(|c: char| !is_part(c)).unwrap_or(text.len())];
    let word = word.trim_end_matches(BETWEEN);
    let (first, rest) = word.split_once(BETWEEN)?;
    let version =
        first.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let first = version.unwrap_or(first);
    let is_number = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    let is_letter = first.len() == 1 && first.bytes().all(|byte| byte.is_ascii_uppercase());
    // `1.5d`, `3.5x` and `2.5k` are other things than tasks.
    let last = rest.trim_end_matches(['a', 'b', 'c']);
    let is_rest = rest.len() <= last.len() + 1
        && last.chars().any(|c| c.is_ascii_digit())
        && last.chars().all(|c| c.is_ascii_digit() || BETWEEN.contains(&c) || UNSEEN.contains(&c));
    ((is_number || is_letter) && is_rest).then_some((word, first))
}

/// Whether a line of text is words and no more: no quotation, table, label, HTML, and nothing like a task or
/// a phase.
pub(super) fn is_plain(text: &str) -> bool {
    !text.starts_with(['>', '|', '<', '*']) && near_task(text).is_none() && near_phase(text).is_none()
}

/// The number of the phase that a line seems to begin without being such a heading: `##Phase 2: Name`,
/// `**Phase 2: Name**`.
pub(super) fn near_phase(line: &str) -> Option<&str> {
    let inside = line.trim_start_matches(['#', '*', '_', ' ', '\t']);
    let (word, rest) = inside.split_at_checked("phase".len())?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
    let number = rest[..end].trim_end_matches('.');
    if !word.eq_ignore_ascii_case("phase") || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let after = rest[number.len()..].trim_start_matches(['*', '_', ' ']);
    let is_apart = after.is_empty() || after.starts_with([':', '-', '–', '—', '(', ')', '.']);
    let is_marked = inside.len() < line.len() || after.starts_with(':');
    (line.starts_with('#') || is_marked && is_apart).then_some(number)
}

/// `Phase 2: Name` gives `2` and `Name`.
pub(crate) fn phase(heading: &str) -> Option<(&str, &str)> {
    let (bold, heading) = match heading.strip_prefix("**") {
        Some(heading) => ("**", heading),
        None => ("", heading),
    };
    let rest = after_word(heading, "phase")?;
    let end =
        rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))).unwrap_or(rest.len());
    let number = rest[..end].trim_end_matches(['.', '-']);
    // A letter or a Roman number will do as well, but not any word: `Phase Overview: …` is no phase.
    let is_number = number.chars().any(|c| c.is_ascii_digit())
        || (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_number || number.len() > 16 {
        return None;
    }
    let rest = rest[number.len()..].trim_start_matches(bold).trim_start();
    let separators = [":", "- ", "– ", "— "];
    let name = separators.iter().find_map(|separator| rest.strip_prefix(separator)).or_else(|| {
        let ends_here = rest.is_empty() || rest.starts_with('(');
        ends_here.then_some(rest)
    })?;
    Some((number, name.trim_start_matches(bold).trim_end_matches(bold).trim()))
}

/// The rest after a word and blanks, whatever the case of the word.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = text.split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && rest.starts_with(BLANK)).then(|| rest.trim_start_matches(BLANK))
}

/// `**Label:** text` gives `Label` and `text`; the colon may stand behind the stars.
pub(super) fn label(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text.strip_prefix("**")?.split_once("**")?;
    let (label, rest) = match label.trim_end().strip_suffix(':') {
        Some(label) => (label, rest),
        None => (label, rest.strip_prefix(':').unwrap_or(rest)),
    };
    Some((label.trim(), rest.trim()))
}

/// Whether a label says that criteria follow: `VERIFY`, `VERIFY 3`, `VERIFY Phase 3`.
pub(super) fn is_verify(label: &str) -> bool {
    let mut words = label.split_whitespace();
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("verify"))
        && words.all(|word| word.eq_ignore_ascii_case("phase") || word.contains(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_they_begin_with() {
        for (line, expected) in [
            ("  \t ", None),
            ("## A b ##", Some(Line::Heading { level: 2, text: "A b" })),
            ("# C#", Some(Line::Heading { level: 1, text: "C#" })),
            ("#", Some(Line::Heading { level: 1, text: "" })),
            ("####### A", Some(Line::Text("####### A"))),
            ("#A", Some(Line::Text("#A"))),
            ("- [ ] a ", Some(Line::Check { done: false, text: "a" })),
            ("*\t[x]\ta", Some(Line::Check { done: true, text: "a" })),
            ("1. [X] a", Some(Line::Check { done: true, text: "a" })),
            ("- [ ]", Some(Line::Check { done: false, text: "" })),
            ("- [link](x)", Some(Line::Item("[link](x)"))),
            ("- [x](y)", Some(Line::Item("[x](y)"))),
            ("- [x ] 1.1 a", Some(Line::Check { done: true, text: "1.1 a" })),
            ("- [  ] 1.1 a", Some(Line::Check { done: false, text: "1.1 a" })),
            ("- [] a", Some(Line::Check { done: false, text: "a" })),
            ("- [ ]1.1 a", Some(Line::Check { done: false, text: "1.1 a" })),
            ("- [ ]\u{a0}1.1\u{a0}a", Some(Line::Check { done: false, text: "1.1\u{a0}a" })),
            ("- [ ]a", Some(Line::Item("[ ]a"))),
            ("+ a", Some(Line::Item("a"))),
            ("-a", Some(Line::Text("-a"))),
            ("---", Some(Line::Text("---"))),
            ("\ta", Some(Line::Indented("\ta"))),
        ] {
            assert_eq!(classify(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_task_begins_with_a_number_of_two_or_three_parts() {
        for (text, expected) in [
            ("2.3 Do it", Some(("2.3", "Do it"))),
            ("10.20.30\tDo", Some(("10.20.30", "Do"))),
            ("2.3: Do", Some(("2.3", "Do"))),
            ("2.3. Do", Some(("2.3", "Do"))),
            ("**2.3** Do", Some(("2.3", "Do"))),
            ("**2.3:** Do", Some(("2.3", "Do"))),
            ("**2.3**: Do", Some(("2.3", "Do"))),
            ("**2.3 Do** it **now**", Some(("2.3", "Do it **now**"))),
            ("2.3", Some(("2.3", ""))),
            ("2 Do", None),
            ("2.3.4.5 Do", None),
            ("2..3 Do", None),
            (".3 Do", None),
            ("2.3x faster", None),
            ("750+ lines", None),
            ("`2.3` Do", None),
            ("Do 2.3", None),
        ] {
            let expected = expected.map(|(number, text)| (number, text.to_owned()));
            assert_eq!(task(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_phase_has_a_number_and_a_name() {
        for (heading, expected) in [
            ("Phase 1: Build", Some(("1", "Build"))),
            ("phase 2b:Build", Some(("2b", "Build"))),
            ("Phase 0 - Build - test", Some(("0", "Build - test"))),
            ("Phase 1.5 — Build", Some(("1.5", "Build"))),
            ("Phase A: Build", Some(("A", "Build"))),
            ("**Phase 1:** Build", Some(("1", "Build"))),
            ("**Phase 1: Build**", Some(("1", "Build"))),
            ("Phase 1: Build **it**", Some(("1", "Build **it**"))),
            ("Phase 3", Some(("3", ""))),
            ("Phase 3:", Some(("3", ""))),
            ("Phase Overview: all", None),
            ("Phase 1 plan", None),
            ("Phases 1: a", None),
            ("Running Phase 1: a", None),
            ("Phäse 1: a", None),
        ] {
            assert_eq!(phase(heading), expected, "{heading:?}");
        }
    }

    #[test]
    fn labels_are_bold_and_end_with_a_colon_or_not() {
        for (text, expected) in [
            ("**VERIFY Phase 1:**", Some(("VERIFY Phase 1", ""))),
            ("**VERIFY 1**: all **good**", Some(("VERIFY 1", "all **good**"))),
            ("**Note** this", Some(("Note", "this"))),
            ("** open", None),
        ] {
            assert_eq!(label(text), expected, "{text:?}");
        }
        assert!(["VERIFY", "verify 3.1", "VERIFY Phase 2b"].iter().all(|label| is_verify(label)));
        assert!(!["VERIFY that", "VERIFYING", ""].iter().any(|label| is_verify(label)));
    }

    #[test]
    fn near_misses_of_a_task_are_recognised() {
        for line in [
            " - [ ] 1.1 a",
            "- [~] 1.1 a",
            "- [-] 1.1 a",
            "- [!] 1.1",
            "- [done] 1.1 a",
            "\t* [x] **1.1** a",
            "-[ ] 1.1 a",
            "[ ] 1.1 a",
            "• [ ] 1.1 a",
            "- [ ]* 1.1 a",
            "- [ 1.1 a",
            "- [x 1.1 a",
            "- ] 1.1 a",
            "- ( ) 1.1 a",
            "- [ ) 1.1 a",
            "- ☐ 1.1 a",
            "- ✅ 1.1 a",
            "- [ ] Task 1.1: a",
            "- [ ] #1.1 a",
            "- [ ] (1.1) a",
            "- [ ] [1.1] a",
            "- [ ] 1.1, 1.2 a",
            "1. [~] 1.1 a",
            "- [ ] T1.1 a",
        ] {
            assert_eq!(near_task(line), Some(Near { number: "1.1", has_box: true }), "{line:?}");
        }
        for line in
            ["- 1.1 a", "1.1 a", "- **1.1** a", "- 1.1: a", "- Task 1.1 a", "- [1.1] a", "1. 1.1 a", "- 1.1"]
        {
            assert_eq!(near_task(line), Some(Near { number: "1.1", has_box: false }), "{line:?}");
        }
        for line in [
            "- [see](1.1) a",
            "- [ ] a",
            "- [abc](x) 1",
            "- [ ] `1.1` a",
            "- 3.5x a",
            "- 2.5% a",
            "- 1.1, 1.2 a",
            "- 1.1-1.3 a",
            "- [ ] 3 a",
            "- a 1.1",
            "- [ ] 2.0x faster",
            "-1",
            "",
        ] {
            assert_eq!(near_task(line), None, "{line:?}");
        }
        assert_eq!(near_task("- [ ] 1.2.3.4 a").map(|near| near.number), Some("1.2.3.4"));
    }

    #[test]
    fn near_misses_of_a_phase_are_recognised() {
        for line in [
            "##Phase 2: a",
            "### Phase 2",
            "## Phase2: a",
            "## Phase 2 a",
            "**Phase 2: a**",
            "Phase 2: a",
            "**Phase 2**",
        ] {
            assert_eq!(near_phase(line), Some("2"), "{line:?}");
        }
        for line in [
            "Phase 2 is over",
            "- Phase 2: a",
            "## Phases 1-2",
            "## Phase Overview",
            "**Phase 2 is** over",
            "Phäse",
        ] {
            assert_eq!(near_phase(line), None, "{line:?}");
        }
    }
}
