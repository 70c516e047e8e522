//! The outline of a Markdown checklist, read once for all dialects: headings, boxes, how they are nested, and
//! the lines below each.
//!
//! Nesting goes by columns: a box stands below the nearest one above that begins at least two columns further
//! to the left, unless other text ended that list in between.

use planlease_core::spec::MAX_TASKS;
use serde_json::Value;

use crate::{
    checkbox::{self, Broken, Checkbox, Found, Mark},
    note,
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
    /// What planlease noted of the plan, and where.
    pub(crate) note: Option<(usize, Value)>,
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
    /// Where its text begins.
    pub(crate) at: usize,
    pub(crate) mark: Mark,
    pub(crate) is_optional: bool,
    /// The text of its paragraph, in one line.
    pub(crate) text: String,
    /// Where further lines of the text begin in it, and where these stand.
    more: Vec<(usize, usize)>,
    pub(crate) indent: usize,
    pub(crate) section: Option<usize>,
    /// The item that it is nested below.
    pub(crate) parent: Option<usize>,
    /// The lines below it that are no boxes, with their offsets.
    pub(crate) details: Vec<(usize, &'a str)>,
    /// What planlease noted of it, and where.
    pub(crate) note: Option<(usize, Value)>,
}

impl<'a> Item<'a> {
    /// A task that is a heading: below the heading `section`, and part of another one, `parent`.
    pub(super) fn headed(
        at: usize,
        text: &str,
        section: Option<usize>,
        parent: Option<usize>,
        details: Vec<(usize, &'a str)>,
    ) -> Self {
        let (mark, text) = (Mark::Open, text.to_owned());
        let (more, note) = (Vec::new(), None);
        Self { at, mark, is_optional: false, text, more, indent: 0, section, parent, details, note }
    }

    /// Where a part of its text stands in the file.
    pub(crate) fn place(&self, offset: usize) -> usize {
        let line = self.more.iter().rev().find(|(start, _)| *start <= offset);
        line.map_or(self.at + offset, |(start, at)| at + (offset - start))
    }
}

impl<'a> Outline<'a> {
    /// Reads a text; what resembles a task and cannot be read goes into the report.
    pub(crate) fn read(text: &Text<'a>, report: &mut Report<'_>) -> Self {
        let mut reader = Reader::default();
        for (at, line) in text.lines().skip(front_matter(text.as_str())) {
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

/// How many lines at the top are front matter: fields between two lines `---`. A rule at the top, with tasks
/// below it, is none.
pub(crate) fn front_matter(text: &str) -> usize {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().is_none_or(|line| line.trim_end() != "---") {
        return 0;
    }
    let (mut number, mut has_field) = (1, false);
    for line in lines {
        number += 1;
        let is_item =
            line.starts_with([' ', '\t', '-', '#', '}', ']']) || line.trim().is_empty() && has_field;
        match line.trim_end() {
            "---" | "..." if number > 2 => return if has_field { number } else { 0 },
            _ if matches!(checkbox::read(line), Found::Box(_)) => return 0,
            line if line.contains(':') && !is_item => has_field = true,
            _ if is_item && has_field => {}
            _ => return 0,
        }
    }
    0
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

    /// Whether no such block is open.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_none()
    }

    /// Where the block begins that is open, and what it is.
    pub(crate) fn unclosed(&self) -> Option<(usize, &'static str)> {
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
    /// The line before, if it is text outside of tasks: the next one may make a heading of it.
    above: Option<(usize, &'a str)>,
    /// Whether a table with boxes was reported.
    has_table: bool,
    /// Whether there are more boxes than a plan may have tasks.
    is_full: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, at: usize, line: &'a str, report: &mut Report<'_>) {
        if self.is_verbatim(at, line) {
            return;
        }
        let trimmed = line.trim();
        let above = self.above.take();
        if trimmed.is_empty() {
            (self.in_text, self.after_blank) = (false, true);
            return;
        }
        self.odd(at, line, report);
        if let Some((level, text)) = heading(line) {
            self.section(at, level, text);
        } else if let (Some(level), Some((at, text))) = (underline(line), above) {
            self.outline.prose.pop();
            self.section(at, level, text.trim());
        } else {
            match checkbox::read(line) {
                Found::Box(found) => self.item(at, &found, report),
                Found::Broken(broken) => {
                    let text = checkbox::behind_bullets(line.trim_start());
                    report.error(at + line.len() - text.len(), broken.message(), broken.help());
                    self.text(at, line);
                }
                Found::Quoted => {
                    let help = "Take the `>` away to make a task of it.";
                    let at_quote = at + line.len() - line.trim_start().len();
                    report.warning(at_quote, "this box is quoted, and no task", help);
                    self.text(at, line);
                }
                Found::Letter => {
                    let at_letter = at + line.len() - checkbox::behind_bullets(line.trim_start()).len();
                    let message = "this letter is no mark of a box that is known: the line is no task";
                    report.warning(at_letter, message, Broken::Mark.help());
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
        (self.in_text, self.above) = (false, None);
        let item = self.open.last().map(|item| &mut self.outline.items[*item]);
        match (item, note::in_line(line)) {
            (Some(item), None) => item.details.push((at, line)),
            (Some(item), Some(note)) => item.note = Some((at, note)),
            (None, Some(note)) => self.outline.note = Some((at, note)),
            (None, None) => {}
        }
        true
    }

    /// Reports boxes where none is read, and the marks that git puts around what it could not merge.
    fn odd(&mut self, at: usize, line: &str, report: &mut Report<'_>) {
        if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
            let help = "The file has both sides: take one, and delete the lines that git has put there.";
            report.error(at, "this is what git could not merge", help);
        }
        if heading(line).is_some_and(|(_, text)| is_box(text.trim_start_matches('*'))) {
            let help = "Write it as `- [ ] What to do` to make a task of it.";
            report.warning(at, "this box is in a heading, and no task", help);
        }
        if is_row_with_box(line) && !std::mem::replace(&mut self.has_table, true) {
            let help = "Write each row as `- [ ] What to do` to make a task of it.";
            report.warning(at, "the boxes of this table are no tasks", help);
        }
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
            at: at + found.text_at,
            mark: found.mark,
            is_optional: found.is_optional,
            text: found.text.to_owned(),
            more: Vec::new(),
            indent: found.indent,
            section: self.outline.sections.len().checked_sub(1),
            parent: self.open.last().copied(),
            details: Vec::new(),
            note: None,
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
            let item = &mut items[*last];
            item.text.push(' ');
            item.more.push((item.text.len(), at + line.len() - trimmed.len()));
            item.text.push_str(trimmed.trim_end());
            return;
        }
        self.in_text = false;
        // A paragraph right below an item is part of it, wherever it begins.
        if is_list || self.after_blank {
            while self.open.pop_if(|open| items[*open].indent >= indent).is_some() {}
        }
        match self.open.last() {
            Some(open) => items[*open].details.push((at, line)),
            None => {
                self.outline.prose.push((at, line));
                let may_be_heading = !is_list && indent < 4 && is_plain(trimmed);
                self.above = Some((at, line)).filter(|_| may_be_heading);
            }
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

/// Whether a row of a table has a box.
fn is_row_with_box(line: &str) -> bool {
    let mut cells = line.trim_start().strip_prefix('|').into_iter().flat_map(|row| row.split('|'));
    cells.any(|cell| is_box(&format!("{} ", cell.trim())))
}

fn is_box(text: &str) -> bool {
    matches!(checkbox::read(text), Found::Box(_))
}

/// The level and the text of a heading.
pub(crate) fn heading(line: &str) -> Option<(usize, &str)> {
    let line = line.trim_end();
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']);
    is_heading.then(|| (level, text.trim().trim_end_matches('#').trim_end()))
}

/// The level of the heading that a line makes of the text above it: `=====`, `-----`.
pub(crate) fn underline(line: &str) -> Option<usize> {
    let marks = line.trim();
    let is_line = |mark: u8| marks.len() > 1 && marks.bytes().all(|byte| byte == mark);
    let is_indented = line.starts_with("    ") || line.starts_with('\t');
    match () {
        () if is_indented => None,
        () if is_line(b'=') => Some(1),
        () if is_line(b'-') => Some(2),
        () => None,
    }
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
mod tests;
