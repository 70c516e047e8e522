//! A file without boxes whose headings are its tasks: `### Task 1: Name`, with what is to be done below.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use planlease_core::counted;

use super::{
    headings,
    outline::{self, Item, Outline, Verbatim},
};
use crate::{
    checkbox::{self, Found},
    report::Report,
    text::Text,
};

/// Whether the headings of a file are its tasks.
pub(crate) fn has_tasks(path: &str, bytes: &[u8]) -> bool {
    let Ok(text) = Text::decode(path, bytes) else { return false };
    let outline = Outline::read(&text, &mut Report::new(&text));
    tasks(&outline, &text).is_some()
}

/// The word and the places of the headings that are tasks: there are two or more, each has a number of its
/// own, and no box stands in the file, not even in code.
fn tasks(outline: &Outline<'_>, text: &Text<'_>) -> Option<(&'static str, Vec<usize>)> {
    let is_box =
        |line: &str| matches!(checkbox::read(line.trim_start().trim_start_matches("<!--")), Found::Box(_));
    if !outline.items.is_empty() || text.lines().any(|(_, line)| is_box(line)) {
        return None;
    }
    ["Task", "Step"].into_iter().find_map(|word| {
        let kinds = outline.sections.iter().enumerate().filter_map(|(nth, section)| {
            headings::kind(section.text).filter(|kind| kind.word == word).map(|kind| (nth, kind.number))
        });
        let found: Vec<(usize, &str)> = kinds.collect();
        let numbers: HashSet<&str> = found.iter().map(|(_, number)| *number).collect();
        let are_tasks = found.len() > 1 && numbers.len() == found.len();
        are_tasks.then(|| (word, found.into_iter().map(|(nth, _)| nth).collect()))
    })
}

/// Makes tasks of the headings of a file without boxes, if they are meant so, and says that it did; whether
/// there are any.
pub(super) fn complete<'a>(outline: &mut Outline<'a>, text: &Text<'a>, report: &mut Report<'_>) -> bool {
    let Some((word, tasks)) = tasks(outline, text) else { return false };
    let lines: Vec<(usize, &'a str)> = text.lines().collect();
    let of_section: HashMap<usize, usize> =
        tasks.iter().enumerate().map(|(place, section)| (*section, place)).collect();
    let mut bodies: Vec<Range<usize>> = Vec::with_capacity(tasks.len());
    let mut items: Vec<Item<'a>> = Vec::with_capacity(tasks.len());
    for &nth in &tasks {
        let section = &outline.sections[nth];
        let body = section.at..end(outline, nth, &of_section, text.as_str().len());
        let above = std::iter::successors(section.parent, |above| outline.sections[*above].parent);
        let parent = above.clone().find_map(|above| of_section.get(&above).copied());
        let phase = above.into_iter().find(|above| !of_section.contains_key(above));
        let offset = text.line_at(section.at).1.find(section.text).unwrap_or_default();
        items.push(Item::headed(section.at + offset, section.text, phase, parent, details(&lines, &body)));
        bodies.push(body);
    }
    let is_detail = |at: usize| {
        let nth = bodies.partition_point(|body| body.start <= at);
        nth > 0 && bodies[nth - 1].contains(&at)
    };
    outline.prose.retain(|(at, _)| !is_detail(*at));
    let number = counted(items.len(), "heading");
    let message = format!("the file has no boxes: {number} `{word} …` are read as tasks");
    let help = "Write `- [ ] What to do` for each task, if others are meant, or so that marks can be kept in the file.";
    report.warning(items[0].at, message, help);
    outline.items = items;
    true
}

/// Where what is below the heading of a task ends: at the next one, or at a heading of its level or above.
fn end(outline: &Outline<'_>, nth: usize, of_section: &HashMap<usize, usize>, length: usize) -> usize {
    let level = outline.sections[nth].level;
    let mut below = outline.sections.iter().enumerate().skip(nth + 1);
    let next = below.find(|(other, section)| section.level <= level || of_section.contains_key(other));
    next.map_or(length, |(_, section)| section.at)
}

/// The lines of a task, without the heading and the blank lines outside of code.
fn details<'a>(lines: &[(usize, &'a str)], body: &Range<usize>) -> Vec<(usize, &'a str)> {
    let first = lines.partition_point(|(at, _)| *at <= body.start);
    let last = lines.partition_point(|(at, _)| *at < body.end);
    let mut below = lines.get(first..last).unwrap_or_default();
    let is_marked = first > 0 && outline::heading(lines[first - 1].1).is_some();
    if let Some((line, rest)) = below.split_first()
        && !is_marked
        && outline::underline(line.1).is_some()
    {
        below = rest; // It makes a heading of the line above.
    }
    let mut verbatim = Verbatim::default();
    let is_kept = |(at, line): &(usize, &'a str)| verbatim.contains(*at, line) || !line.trim().is_empty();
    below.iter().copied().filter(is_kept).collect()
}

#[cfg(test)]
mod tests;
