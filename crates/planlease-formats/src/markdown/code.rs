//! Which parts of a Markdown text are not prose: code, fenced, indented or inline, and HTML.
//!
//! This is the part of Markdown that takes a real parser, and all that one is used for; see
//! [the reader](super).

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

/// What a part of the text is, if it is not prose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verbatim {
    /// A block of code, fenced or indented.
    Code,
    /// Code within a line of prose. May go on over several lines of a paragraph.
    Span,
    /// An HTML comment, block or inline.
    Comment,
    /// Any other HTML.
    Html,
}

/// The parts of a text that are not prose.
#[derive(Debug)]
pub(super) struct Code {
    /// Sorted, none overlapping another.
    parts: Vec<(Range<usize>, Verbatim)>,
    /// Where fenced blocks and comments begin that have no end.
    pub(super) unclosed: Vec<usize>,
    /// The headings that are underlined, with their level.
    pub(super) underlined: Vec<(Range<usize>, usize)>,
}

impl Code {
    pub(super) fn find(text: &str) -> Self {
        let mut parts: Vec<(Range<usize>, Verbatim)> = Vec::new();
        let (mut unclosed, mut underlined) = (Vec::new(), Vec::new());
        for (event, range) in Parser::new_ext(text, Options::ENABLE_GFM).into_offset_iter() {
            let kind = match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    if matches!(kind, CodeBlockKind::Fenced(_)) && !ends_with_fence(&text[range.clone()]) {
                        unclosed.push(range.start);
                    }
                    Verbatim::Code
                }
                Event::Code(_) => Verbatim::Span,
                Event::Start(Tag::HtmlBlock) | Event::InlineHtml(_) => {
                    let html = text[range.clone()].trim_start();
                    let is_comment = html.starts_with("<!--");
                    if is_comment && !html.contains("-->") {
                        unclosed.push(range.start);
                    }
                    if is_comment { Verbatim::Comment } else { Verbatim::Html }
                }
                Event::Start(Tag::Heading { level, .. }) => {
                    let is_underlined = !text[range.clone()].trim_start().starts_with('#');
                    underlined.extend(is_underlined.then_some((range, level as usize)));
                    continue;
                }
                _ => continue,
            };
            parts.push((range, kind));
        }
        parts.sort_by_key(|(range, _)| range.start);
        Self { parts, unclosed, underlined }
    }

    /// The part that begins at this offset.
    pub(super) fn block(&self, start: usize) -> Option<Range<usize>> {
        let found = self.parts.binary_search_by_key(&start, |(range, _)| range.start);
        found.ok().map(|place| self.parts[place].0.clone())
    }

    /// What stands at this offset, if it is not prose.
    pub(super) fn at(&self, offset: usize) -> Option<Verbatim> {
        let after = self.parts.partition_point(|(range, _)| range.start <= offset);
        let (range, kind) = self.parts.get(after.checked_sub(1)?)?;
        range.contains(&offset).then_some(*kind)
    }
}

/// Whether a fenced block, from its first fence on, ends with its closing one.
fn ends_with_fence(block: &str) -> bool {
    let Some(fence) = block.chars().next() else { return false };
    let fence_length = |line: &str| line.bytes().take_while(|byte| char::from(*byte) == fence).count();
    let opening = fence_length(block);
    let mut lines = block.trim_end().lines();
    let last = lines.next_back().unwrap_or_default();
    // Inside a quotation each line of the block begins with `>`.
    let last = last.trim_start_matches([' ', '\t', '>']).trim_end();
    lines.next().is_some() && fence_length(last) >= opening && fence_length(last) == last.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_html_are_distinguished_from_prose() {
        let text = "a `b` c <!-- d --> e\n\n```\nf\n```\n\n    g\n\n<p>\nh\n</p>\n\n- i\n  ~~~\n  j\n  ~~~\n";
        let code = Code::find(text);
        let kind = |needle: &str| code.at(text.find(needle).unwrap());
        for (needle, expected) in [
            ("a", None),
            ("b", Some(Verbatim::Span)),
            ("c", None),
            ("d", Some(Verbatim::Comment)),
            ("e", None),
            ("f", Some(Verbatim::Code)),
            ("g", Some(Verbatim::Code)),
            ("h", Some(Verbatim::Html)),
            ("i", None),
            ("j", Some(Verbatim::Code)),
        ] {
            assert_eq!(kind(needle), expected, "{needle}");
        }
        assert!(code.unclosed.is_empty());
    }

    #[test]
    fn blocks_without_an_end_are_found() {
        for (text, unclosed) in [
            ("```\na\n```\n", &[][..]),
            ("````\na\n```\n", &[0]),
            ("x\n\n~~~ text\na", &[3]),
            ("```", &[0]),
            ("```\n```", &[]),
            ("> ```\n> a\n> ```\n", &[]),
            ("- a\n  ```\n  b\n\nc\n", &[6]),
            ("a\n\n<!-- b\n\nc\n", &[3]),
            ("<!-- b\n\nc -->\n", &[]),
        ] {
            assert_eq!(Code::find(text).unclosed, unclosed, "{text:?}");
        }
    }
}
