//! Checks on prose, in comments and in Markdown: the length of lines, and words that the project does not
//! use.

use super::finding::Finding;

/// The longest line of a comment, in characters.
const LONGEST_COMMENT: usize = 110;

/// The longest line of prose in Markdown, in characters.
const LONGEST_MARKDOWN: usize = 120;

/// Words that hide who does what, and what to write instead. Split in two, so that this file does not find
/// itself.
const WORDS: [(&str, &str); 19] = [
    (concat!("to", "ld"), "reports, returns, notifies, sends: name what does it to what"),
    (concat!("te", "lls"), "reports, shows, says: name what does it to what"),
    (concat!("an", "ew"), "again, or a verb with re-"),
    (concat!("who", "ever"), "the caller, the owner, a waiter: name the thing that acts"),
    (concat!("no", "body"), "no owner, no process, no caller"),
    (concat!("some", "body"), "another process, an operator"),
    (concat!("str", "anger"), "unmanaged candidate"),
    (concat!("men", "ded"), "fixed, repaired"),
    (concat!("me", "nd"), "fix, repair"),
    (concat!("by ", "hand"), "manually, by an operator"),
    (concat!("in ", "earnest"), "in production"),
    (concat!("in ", "line"), "in the queue, waiting"),
    (concat!("line of ", "candidates"), "queue of candidates"),
    (concat!("foreign ", "candidate"), "unmanaged candidate"),
    (concat!("guard ", "process"), "supervisor process"),
    (concat!("le", "ash"), "kill policy"),
    (concat!("ten", "ure"), "authority"),
    (concat!("vi", "gil"), "key watch"),
    (concat!("li", "ar"), "faulty server"),
];

/// Where these words may stand: in entries of past changes, and in the name of an imported claim, which is
/// stored.
const EXEMPT: [&str; 2] = ["CHANGELOG.md", "docs/migration.md"];

/// A doc comment that says nothing. Split in two likewise.
const EMPTY: &str = concat!("See the ", "module");

/// Written by programs: `tools/cli-reference.sh`, `tools/json-reference.py`.
const GENERATED: [&str; 2] = ["docs/cli.md", "docs/json.md"];

/// Findings on a Rust or Markdown file.
pub(super) fn check(name: &str, text: &str) -> Vec<Finding> {
    let (prose, longest) = if name.ends_with(".rs") {
        (comments(text), LONGEST_COMMENT)
    } else if name.ends_with(".md") && !GENERATED.contains(&name) {
        (paragraphs(text), LONGEST_MARKDOWN)
    } else {
        return Vec::new();
    };
    let clean = !EXEMPT.contains(&name);
    let mut findings = Vec::new();
    for (line, text) in prose {
        let long = text.chars().count();
        if long > longest && can_be_wrapped(text) {
            findings.push(Finding::new(name, line, format!("{long} columns; prose ends at {longest}")));
        }
        if text.contains(EMPTY) {
            let message = format!("`{EMPTY}` says nothing; say what the item is or does");
            findings.push(Finding::new(name, line, message));
        }
        for (word, instead) in WORDS.iter().filter(|(word, _)| clean && has_word(text, word)) {
            findings.push(Finding::new(name, line, format!("`{word}` is not used here; write: {instead}")));
        }
    }
    findings
}

/// The lines that are comments, outside of code blocks in them.
fn comments(source: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let lines = source.lines().enumerate().filter(|(_, line)| {
        let Some(comment) = line.trim_start().strip_prefix("//") else {
            in_code = false;
            return false;
        };
        let fence = comment.trim_start_matches(['/', '!']).trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    lines.map(|(index, line)| (index + 1, line)).collect()
}

/// The lines outside of code blocks.
fn paragraphs(text: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    lines.map(|(index, line)| (index + 1, line)).collect()
}

/// Whether the line can be made shorter: it is no row of a table, heading or picture, and more than one word.
fn can_be_wrapped(line: &str) -> bool {
    let text = line.trim_start().trim_start_matches(['/', '!']).trim_start();
    let kept = ["|", "#", "![", "[", "<"].iter().any(|start| text.starts_with(start));
    !kept && text.split_whitespace().nth(1).is_some()
}

/// Whether the text has this word, in any case, not as part of a longer one or of a name in code.
fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let part =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-`".contains(byte));
    text.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
        !part(before) && !part(text.as_bytes().get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, text: &str) -> Vec<usize> {
        check(name, text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn long_lines_are_found_where_they_can_be_wrapped() {
        let long = |width: usize| "ab ".repeat(width / 3 + 1);
        assert_eq!(lines("a.rs", &format!("// short\n    /// {}\nlet x = 1;", long(110))), [2]);
        assert_eq!(lines("a.rs", &format!("let x = \"{}\";", long(200))), [0; 0], "code is rustfmt's");
        assert_eq!(lines("a.rs", &format!("/// ```\n/// {}\n/// ```\n/// {}", long(110), long(110))), [4]);
        assert_eq!(lines("a.rs", &format!("/// | {} |", long(110))), [0; 0], "a table has no other form");
        assert_eq!(lines("a.md", &format!("{}\n| {} |\n```\n{}\n```", long(120), long(120), long(120))), [1]);
        assert_eq!(lines("docs/cli.md", &long(120)), [0; 0], "generated");
        assert_eq!(lines("a.md", &format!("https://{}", "x".repeat(130))), [0; 0], "one word");
    }

    #[test]
    fn unused_words_are_found_in_prose_where_none_is_left() {
        let bad = concat!("// Some", "body is to", "ld.\nlet to", "ld = 1;\n// `to", "ld` and to", "lds");
        assert_eq!(lines("crates/planlease/src/a.rs", bad), [1, 1]);
        assert_eq!(lines("CHANGELOG.md", concat!("It runs by ", "hand.")), [0; 0], "what was written then");
        assert_eq!(lines("README.md", concat!("It runs by ", "hand.")), [1]);
    }

    #[test]
    fn a_doc_comment_that_says_nothing_is_found_everywhere() {
        assert_eq!(lines("tests/src/a.rs", concat!("/// See the ", "module.\nstruct A;")), [1]);
    }
}
