//! A file as text: decoded, bounded, and with places that people can find in an editor.

use std::ops::Range;

use crate::{
    parsed::Place,
    problem::{Problem, Problems, Severity},
};

/// The largest plan file that is read, in bytes. Checked before anything looks into it; larger files are
/// refused.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// The text of one file. Places in it are offsets in bytes until they are shown.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    file: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
    /// Where each file begins, and its path: one, or several that were put together.
    files: Vec<(usize, &'a str)>,
}

impl<'a> Text<'a> {
    /// Checks the size, decodes UTF-8 and drops a byte order mark.
    pub(crate) fn decode(file: &'a str, bytes: &'a [u8]) -> Result<Self, Problems> {
        Self::decode_within(file, bytes, MAX_FILE, "plan files")
    }

    /// As [`Text::decode`], for another kind of file with a bound of its own.
    pub(crate) fn decode_within(
        file: &'a str,
        bytes: &'a [u8],
        max: usize,
        kind: &str,
    ) -> Result<Self, Problems> {
        let refuse = |line, column, message: String, help: &str| {
            let help = Some(help.to_owned());
            Problems::from(Problem {
                severity: Severity::Error,
                file: file.into(),
                line,
                column,
                message,
                help,
            })
        };
        if bytes.len() > max {
            let message = format!("the file has {} bytes; {kind} of at most {max} are read", bytes.len());
            return Err(refuse(1, 1, message, "Split the plan, or keep long texts in files of their own."));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let good = &bytes[..error.valid_up_to()];
                let before = Self::new(file, std::str::from_utf8(good).unwrap_or_default());
                let (line, column) = before.position(good.len());
                let message = format!("byte 0x{:02x} is not UTF-8: the file is no text", bytes[good.len()]);
                let help = match bytes {
                    [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "It looks like UTF-16: save it as UTF-8.",
                    _ => "Save it as UTF-8.",
                };
                return Err(refuse(line, column, message, help));
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            let help = "docs/plan-file.md shows what belongs into it.";
            return Err(refuse(1, 1, "the file is empty: there is no plan in it".into(), help));
        }
        Ok(Self::new(file, text))
    }

    fn new(file: &'a str, text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts, files: vec![(0, file)] }
    }

    /// With the places at which other files begin.
    pub(crate) fn of_files(self, files: Vec<(usize, &'a str)>) -> Self {
        Self { files, ..self }
    }

    /// The path of the file that an offset is in, and where that begins.
    fn file_at(&self, at: usize) -> (usize, &'a str) {
        let after = self.files.partition_point(|(start, _)| *start <= at);
        self.files[after.saturating_sub(1)]
    }

    /// The path as given.
    pub(crate) fn file(&self) -> &'a str {
        self.file
    }

    pub(crate) fn as_str(&self) -> &'a str {
        self.text
    }

    /// The part of each file.
    pub(crate) fn files(&self) -> Vec<Range<usize>> {
        let starts = self.files.iter().map(|(start, _)| *start);
        let ends = starts.clone().skip(1).chain([self.text.len()]);
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Each line with the offset of its first byte, without its line ending.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> + '_ {
        self.line_starts.iter().enumerate().map(|(i, &start)| {
            let end = self.line_starts.get(i + 1).copied().unwrap_or(self.text.len());
            (start, self.text[start..end].trim_end_matches(['\n', '\r']))
        })
    }

    /// The line that an offset is in, and where it begins.
    pub(crate) fn line_at(&self, at: usize) -> (usize, &'a str) {
        let after = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[after.saturating_sub(1)];
        let end = self.line_starts.get(after).copied().unwrap_or(self.text.len());
        (start, self.text[start..end].trim_end_matches(['\n', '\r']))
    }

    /// Line and column, from 1, of an offset.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[line - 1]; // The first line starts at 0, so `line` is at least 1.
        let first = self.line_starts.partition_point(|start| *start < self.file_at(at).0);
        let characters =
            self.text.as_bytes()[start..at].iter().filter(|byte| !is_continuation(**byte)).count();
        (line - first, characters + 1)
    }

    /// The file and the line of an offset.
    pub(crate) fn place(&self, at: usize) -> Place {
        Place { file: self.file_at(at).1.to_owned(), line: self.position(at).0 }
    }

    pub(crate) fn problem(
        &self,
        severity: Severity,
        at: usize,
        message: String,
        help: Option<String>,
    ) -> Problem {
        let (line, column) = self.position(at);
        let file = self.file_at(at).1.to_owned();
        Problem { severity, file, line, column, message, help }
    }
}

/// Whether this byte of UTF-8 is not the first of its character.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        format!("{:#}", Text::decode("plan.md", bytes).unwrap_err())
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = Text::decode("plan.md", "\u{feff}äb\r\nc".as_bytes()).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), [(0, "äb"), (5, "c")]);
        for (at, position) in [(0, (1, 1)), (2, (1, 2)), (5, (2, 1)), (6, (2, 2)), (99, (2, 2))] {
            assert_eq!(text.position(at), position, "{at}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        insta::assert_snapshot!(refusal(b"# Plan\nca\xc3\xa9 \xff"), @r"
        plan.md:2:5: error: byte 0xff is not UTF-8: the file is no text
          help: Save it as UTF-8.
        ");
        insta::assert_snapshot!(refusal(b"\xff\xfe#\0"), @r"
        plan.md:1:1: error: byte 0xff is not UTF-8: the file is no text
          help: It looks like UTF-16: save it as UTF-8.
        ");
    }

    #[test]
    fn an_empty_file_is_refused() {
        for empty in ["", "\u{feff}", " \r\n\t\n"] {
            assert!(refusal(empty.as_bytes()).contains("the file is empty"), "{empty:?}");
        }
    }

    #[test]
    fn a_huge_file_is_refused_before_it_is_read() {
        let largest = vec![b'x'; MAX_FILE];
        Text::decode("plan.md", &largest).unwrap();
        let too_large = vec![0xff; MAX_FILE + 1]; // Not even UTF-8, which is not looked at.
        insta::assert_snapshot!(refusal(&too_large), @r"
        plan.md:1:1: error: the file has 4194305 bytes; plan files of at most 4194304 are read
          help: Split the plan, or keep long texts in files of their own.
        ");
    }
}
