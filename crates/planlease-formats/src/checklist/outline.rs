//! The outline of a Markdown checklist, read once for all dialects: headings, boxes, how they are nested, and
//! the lines below each.
//!
//! Nesting goes by columns: a box stands below the nearest one above that begins at least two columns further
//! to the left, unless other text ended that list in between.

use planlease_core::spec::MAX_TASKS;

use crate::{
    checkbox::{self, Checkbox, Found, Mark},
    report::Report,
    text::Text,
};

/// The headings and boxes of a file.
#[derive(Debug, Default)]
pub(crate) struct Outline<'a> {
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) items: Vec<Item<'a>>,
    /// The lines that are neither: text outside of tasks, with their offsets.
    pub(crate) prose: Vec<(usize, &'a str)>,
}

/// A heading.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) at: usize,
    pub(crate) level: usize,
    pub(crate) text: &'a str,
    /// The section that it is part of.
    pub(crate) parent: Option<usize>,
}

/// A box, with the text behind it.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    /// Where its line begins.
    pub(crate) at: usize,
    pub(crate) mark: Mark,
    pub(crate) is_optional: bool,
    /// The text of its paragraph, in one line.
    pub(crate) text: String,
    pub(crate) indent: usize,
    pub(crate) section: Option<usize>,
    /// The item that it is nested below.
    pub(crate) parent: Option<usize>,
    /// The lines below it that are no boxes, with their offsets.
    pub(crate) details: Vec<(usize, &'a str)>,
}

impl<'a> Outline<'a> {
    /// Reads a text; what resembles a task and cannot be read goes into the report.
    pub(crate) fn read(text: &Text<'a>, report: &mut Report<'_>) -> Self {
        let mut reader = Reader::default();
        let mut lines = text.lines().peekable();
        if lines.peek().is_some_and(|(_, line)| line.trim_end() == "---") {
            skip_front_matter(text, &mut lines);
        }
        for (at, line) in lines {
            reader.line(at, line, report);
        }
        reader.end(report)
    }

    /// The sections that a section is part of, from the outermost to itself.
    pub(crate) fn path(&self, section: Option<usize>) -> Vec<usize> {
        let mut path: Vec<usize> =
            std::iter::successors(section, |section| self.sections[*section].parent).collect();
        path.reverse();
        path
    }
}

/// Skips the lines between `---` at the top, if there is a second one.
fn skip_front_matter<'a>(text: &Text<'a>, lines: &mut impl Iterator<Item = (usize, &'a str)>) {
    let end = text.lines().skip(1).position(|(_, line)| line.trim_end() == "---");
    if let Some(end) = end {
        lines.take(end + 2).for_each(drop);
    }
}

/// Knows which lines are part of a block of code or of a comment.
#[derive(Debug, Default)]
pub(crate) struct Verbatim(Option<Block>);

/// What is verbatim up to its end.
#[derive(Clone, Copy, Debug)]
enum Block {
    /// A fenced block: the character of its fence, how many, and where it began.
    Fence(u8, usize, usize),
    /// A comment, and where it began.
    Comment(usize),
}

impl Verbatim {
    /// Whether this line, the next one of the text, is part of such a block, its first and last line
    /// included.
    pub(crate) fn contains(&mut self, at: usize, line: &str) -> bool {
        let trimmed = line.trim();
        match self.0 {
            Some(Block::Fence(fence, length, _)) => {
                if trimmed.len() >= length && trimmed.bytes().all(|byte| byte == fence) {
                    self.0 = None;
                }
                true
            }
            Some(Block::Comment(_)) => {
                if let Some(end) = line.find("-->").map(|end| end + 3) {
                    self.0 = opens_comment(&line[end..]).map(|open| Block::Comment(at + end + open));
                }
                true
            }
            None => match fence(trimmed) {
                Some((fence, length)) => {
                    self.0 = Some(Block::Fence(fence, length, at));
                    true
                }
                // What stands in front of a comment is text.
                None => match opens_comment(line) {
                    Some(open) => {
                        self.0 = Some(Block::Comment(at + open));
                        trimmed.starts_with("<!--")
                    }
                    None => trimmed.starts_with("<!--") && trimmed.ends_with("-->"),
                },
            },
        }
    }

    /// Where the block begins that the text ended in, and what it is.
    fn unclosed(&self) -> Option<(usize, &'static str)> {
        Some(match self.0? {
            Block::Fence(_, _, at) => (at, "block of code"),
            Block::Comment(at) => (at, "comment"),
        })
    }
}

/// Reads line by line.
#[derive(Debug, Default)]
struct Reader<'a> {
    outline: Outline<'a>,
    /// The items that the next line may belong to, from the outermost one.
    open: Vec<usize>,
    verbatim: Verbatim,
    /// Where the first box stands in the block of code that is open.
    box_in_block: Option<usize>,
    /// Whether a line of text goes on with the text of the last item.
    in_text: bool,
    /// Whether the line before was blank.
    after_blank: bool,
    /// Whether there are more boxes than a plan may have tasks.
    is_full: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, at: usize, line: &'a str, report: &mut Report<'_>) {
        if self.is_verbatim(at, line) {
            return;
        }
        let trimmed = line.trim();
        if trimmed.is_empty() {
            (self.in_text, self.after_blank) = (false, true);
            return;
        }
        if let Some((level, text)) = heading(line) {
            self.section(at, level, text);
        } else {
            match checkbox::read(line) {
                Found::Box(found) => self.item(at, &found, report),
                Found::Broken(broken) => {
                    report.error(at, broken.message(), broken.help());
                    self.text(at, line);
                }
                Found::Quoted => {
                    let help = "Take the `>` away to make a task of it.";
                    report.warning(at, "this box is quoted, and no task", help);
                    self.text(at, line);
                }
                Found::Other => self.text(at, line),
            }
        }
        self.after_blank = false;
    }

    /// Whether the line is part of a block of code or of a comment; it is a detail of the item above then.
    fn is_verbatim(&mut self, at: usize, line: &'a str) -> bool {
        if !self.verbatim.contains(at, line) {
            self.box_in_block = None;
            return false;
        }
        if matches!(checkbox::read(line.trim_start().trim_start_matches("<!--")), Found::Box(_)) {
            self.box_in_block.get_or_insert(at);
        }
        self.in_text = false;
        if let Some(item) = self.open.last() {
            self.outline.items[*item].details.push((at, line));
        }
        true
    }

    fn section(&mut self, at: usize, level: usize, text: &'a str) {
        let sections = &mut self.outline.sections;
        let above = std::iter::successors(sections.len().checked_sub(1), |last| sections[*last].parent);
        let parent = above.into_iter().find(|above| sections[*above].level < level);
        sections.push(Section { at, level, text, parent });
        self.open.clear();
        self.in_text = false;
    }

    fn item(&mut self, at: usize, found: &Checkbox<'a>, report: &mut Report<'_>) {
        let items = &mut self.outline.items;
        if items.len() >= MAX_TASKS {
            if !std::mem::replace(&mut self.is_full, true) {
                let message = format!("the file has more than {MAX_TASKS} boxes");
                report.error(at, message, format!("Split it into plans of at most {MAX_TASKS} tasks."));
            }
            return;
        }
        while self.open.pop_if(|open| items[*open].indent + 1 >= found.indent).is_some() {}
        items.push(Item {
            at,
            mark: found.mark,
            is_optional: found.is_optional,
            text: found.text.to_owned(),
            indent: found.indent,
            section: self.outline.sections.len().checked_sub(1),
            parent: self.open.last().copied(),
            details: Vec::new(),
        });
        self.open.push(items.len() - 1);
        self.in_text = !found.text.ends_with("-->"); // A comment ends the paragraph.
    }

    /// A line of text: it goes on with an item, is one of its details, or ends the list.
    fn text(&mut self, at: usize, line: &'a str) {
        let trimmed = line.trim_start_matches([' ', '\t']);
        let indent = checkbox::columns(&line[..line.len() - trimmed.len()]);
        let is_list = checkbox::behind_bullets(trimmed).len() < trimmed.len();
        let items = &mut self.outline.items;
        if self.in_text
            && !is_list
            && is_plain(trimmed)
            && let Some(last) = self.open.last()
        {
            let text = &mut items[*last].text;
            text.push(' ');
            text.push_str(trimmed.trim_end());
            return;
        }
        self.in_text = false;
        // A paragraph right below an item is part of it, wherever it begins.
        if is_list || self.after_blank {
            while self.open.pop_if(|open| items[*open].indent >= indent).is_some() {}
        }
        match self.open.last() {
            Some(open) => items[*open].details.push((at, line)),
            None => self.outline.prose.push((at, line)),
        }
    }

    fn end(self, report: &mut Report<'_>) -> Outline<'a> {
        if let (Some((at, block)), Some(_)) = (self.verbatim.unclosed(), self.box_in_block) {
            let help = "Everything below it is part of it, up to the end of the file: close it.";
            report.error(at, format!("this {block} has no end, and tasks are in it"), help);
        }
        self.outline
    }
}

/// The level and the text of a heading.
pub(crate) fn heading(line: &str) -> Option<(usize, &str)> {
    let line = line.trim_end();
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']);
    is_heading.then(|| (level, text.trim().trim_end_matches('#').trim_end()))
}

/// The character and the length of a fence that opens a block of code.
fn fence(line: &str) -> Option<(u8, usize)> {
    let first = line.bytes().next().filter(|byte| matches!(byte, b'`' | b'~'))?;
    let length = line.bytes().take_while(|byte| *byte == first).count();
    let info = &line[length..];
    (length >= 3 && !(first == b'`' && info.contains('`'))).then_some((first, length))
}

/// Where a comment begins in this line that does not end in it.
fn opens_comment(line: &str) -> Option<usize> {
    let at = line.rfind("<!--")?;
    let is_open = !line[at..].contains("-->") && line[..at].matches('`').count().is_multiple_of(2);
    is_open.then_some(at)
}

/// Whether a line is words that go on with the paragraph above: no quotation, table, HTML or label.
fn is_plain(line: &str) -> bool {
    let is_label = line.starts_with("**") || line.starts_with('_');
    let is_rule = line.bytes().all(|byte| matches!(byte, b'-' | b'*' | b'_' | b' ' | b'='));
    !is_label && !is_rule && !line.starts_with(['>', '|', '<'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Vec<(String, Option<usize>, usize)> {
        let text = Text::decode("t.md", text.as_bytes()).unwrap();
        let outline = Outline::read(&text, &mut Report::new(&text));
        outline.items.into_iter().map(|item| (item.text, item.parent, item.details.len())).collect()
    }

    #[test]
    fn boxes_nest_by_columns() {
        let text = "- [ ] a\n  - [ ] b\n      - [ ] c\n  - [ ] d\n - [ ] e\n\n\t- [ ] f\n- g\n  - [ ] h\n";
        let parents: Vec<_> = outline(text).into_iter().map(|(text, parent, _)| (text, parent)).collect();
        let expected =
            [("a", None), ("b", Some(0)), ("c", Some(1)), ("d", Some(0)), ("e", None), ("f", Some(4))];
        let expected: Vec<_> = expected.map(|(text, parent)| (text.to_owned(), parent)).into();
        assert_eq!(parents[..6], expected);
        assert_eq!(parents[6], ("h".to_owned(), None), "`g` has no box, and ended the list above");
    }

    #[test]
    fn text_belongs_to_the_item_above() {
        let text = "- [ ] a goes\n  on\n  - detail\n\n  a paragraph\n  - [ ] b\nlazy\n\nnot any more\n";
        assert_eq!(outline(text), [("a goes on".into(), None, 2), ("b lazy".into(), Some(0), 0)]);
    }

    #[test]
    fn code_and_comments_hold_no_tasks() {
        let text = Text::decode(
            "t.md",
            "---\nid: 1\n---\n- [ ] a\n  ```\n  - [ ] b\n  ```\n<!-- - [ ] c -->\n<!--\n- [ ] d\n-->\n    - [ ] e\n"
                .as_bytes(),
        )
        .unwrap();
        let outline = Outline::read(&text, &mut Report::new(&text));
        let texts: Vec<&str> = outline.items.iter().map(|item| item.text.as_str()).collect();
        assert_eq!(texts, ["a", "e"]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for text in [
            "- [ ] a\n- [ b\n",
            "- [ ] a\n```\n- [ ] b\n",
            "- [ ] a\n- ( ) b\n",
            "- [ ] a\n<!-- b\n- [ ] c\n",
        ] {
            let text = Text::decode("t.md", text.as_bytes()).unwrap();
            let mut report = Report::new(&text);
            Outline::read(&text, &mut report);
            let problems = report.into_problems();
            assert_eq!((problems.listed.len(), problems.listed[0].line), (1, 2), "{problems}");
        }
    }
}
