//! How much memory it takes to read a file, estimated before it is parsed.
//!
//! A parser keeps a node for each part of a file, and a part can be as short as one byte. So a file of a few
//! MiB can take hundreds of them. The weights are measured: the peak of a process that reads 4 MiB of one
//! part after the other.

use toml_parser::{Source, lexer::TokenKind};

use crate::format::Format;

/// The estimated peak of memory while a file is read, in bytes, without the file itself. Rather too high than
/// too low.
///
/// A pure function of the bytes that keeps nothing but counts.
#[must_use]
pub fn memory(format: Format, bytes: &[u8]) -> usize {
    let parts = match format {
        // What is no text is refused before it is parsed.
        Format::Toml => std::str::from_utf8(bytes).map_or(0, toml),
        Format::Taskmaster | Format::Beads | Format::Ralph => json(bytes),
        Format::Markdown => markdown(bytes, ITEM),
        // Each box is a task, up to as many as a plan may have.
        _ => markdown(bytes, BOX),
    };
    bytes.len().saturating_mul(2).saturating_add(parts)
}

/// What a token takes, as a token and as an event.
const TOKEN: usize = 64;

/// What a table takes: at least one node of a tree.
const TABLE: usize = 1_700;

/// What a key, or an element of a list, takes besides.
const VALUE: usize = 250;

fn toml(text: &str) -> usize {
    let mut sum = 0_usize;
    let mut begins_line = true;
    let mut after_header = false;
    for token in Source::new(text).lex() {
        let kind = token.kind();
        let is_header = begins_line && kind == TokenKind::LeftSquareBracket;
        let more = match kind {
            TokenKind::Whitespace => continue,
            TokenKind::LeftCurlyBracket | TokenKind::Dot => TABLE,
            TokenKind::LeftSquareBracket if is_header => TABLE,
            TokenKind::LeftSquareBracket if after_header => 0, // The second one of `[[task]]`.
            TokenKind::LeftSquareBracket | TokenKind::Equals | TokenKind::Comma => VALUE,
            _ => 0,
        };
        sum = sum.saturating_add(TOKEN + more);
        (begins_line, after_header) = (kind == TokenKind::Newline, is_header);
    }
    sum
}

/// What a line takes.
const LINE: usize = 110;

/// What a heading or an item takes besides: it may be a phase or a task.
const ITEM: usize = 750;

/// What a mark of a nested list or quotation takes.
const NESTED: usize = 160;

/// What a mark within a line takes.
const MARK: usize = 140;

/// What a box of a checklist takes besides, in which each is a task.
const BOX: usize = 1_600;

/// What a value in JSON takes: twice, as it is read and as it is kept.
const JSON: usize = 400;

fn json(bytes: &[u8]) -> usize {
    let values = bytes.iter().filter(|byte| matches!(byte, b'[' | b'{' | b',' | b':')).count();
    values.saturating_mul(JSON)
}

fn markdown(bytes: &[u8], item: usize) -> usize {
    let mut sum = 0_usize;
    for line in bytes.split(|byte| *byte == b'\n') {
        let prefix = line.iter().take_while(|byte| b" \t>-+*0123456789.)".contains(byte)).count();
        let (prefix, rest) = line.split_at(prefix);
        let nested = prefix.iter().filter(|byte| b">-+*.)".contains(byte)).count();
        let is_item = matches!(rest.first(), Some(b'#')) || nested > 0 && rest.first() == Some(&b'[');
        let mut before = 0;
        let marks = rest.iter().filter(|&&byte| {
            let repeats = std::mem::replace(&mut before, byte) == byte;
            match byte {
                b'[' | b']' | b'<' | b'&' | b'\\' | b'(' => true,
                b'*' | b'_' | b'~' | b'`' => !repeats, // A run is one mark.
                _ => false,
            }
        });
        let line = LINE + nested * NESTED + marks.count() * MARK + if is_item { item } else { 0 };
        sum = sum.saturating_add(line);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_FILE;

    /// A file as large as it may be, of the same text again and again.
    fn filled(with: &str) -> Vec<u8> {
        with.as_bytes().iter().copied().cycle().take(MAX_FILE).collect()
    }

    #[test]
    fn dense_files_are_known_before_they_are_parsed() {
        const MIB: usize = 1024 * 1024;
        // Beside each text: what reading 4 MiB of it takes, in MiB, as measured.
        for (format, text, peak) in [
            (Format::Toml, "[", 197),
            (Format::Toml, "{", 197),
            (Format::Toml, "=", 197), // Of a large file, one mistake is reported.
            (Format::Toml, "x=[{a=1},\n{a=1},", 960),
            (Format::Toml, "[[task]]\nid=\"1\"\ndescription=\"x\"\n", 199),
            (Format::Toml, "x=[1,1,1,1,1,1,1,", 309),
            (Format::Markdown, "[", 257),
            (Format::Markdown, ">", 225),
            (Format::Markdown, "<", 193),
            (Format::Markdown, "1. ", 150),
            (Format::Markdown, "a\n", 209),
            (Format::Markdown, "- [x ] 1.12345 x\n", 200),
            (Format::Markdown, "*a*", 193),
            (Format::Markdown, "`a`", 140),
        ] {
            let estimated = memory(format, &filled(text)) / MIB;
            assert!(estimated >= peak, "{text:?}: {estimated} MiB rather than {peak}");
        }
    }

    #[test]
    fn prose_takes_little() {
        let task = "- [ ] 1.1 Write the release notes and `publish` them on the page of the project (depends: 1.2)\n  - \
                    ask **everybody** who has changed something since the last release, see [the list](people.md)\n";
        assert!(memory(Format::Markdown, &filled(task)) < 20 * MAX_FILE);
        let task = "[[task]]\nid = \"1.1\"\ndescription = \"Write the release notes. Publish them, and tell the people \
                    who have asked for them, [all] of them\"\ndepends_on = [\"1.2\"]\n";
        assert!(memory(Format::Toml, &filled(task)) < 32 * MAX_FILE);
    }
}
