//! The headings of a Markdown plan: which one is its title, which ones begin phases.

use std::collections::BTreeMap;

use super::{
    code::Code,
    line::{self, Line},
};
use crate::text::Text;

/// What the headings say.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    /// The title as written, and where its heading begins.
    pub(super) title: Option<(&'a str, usize)>,
    /// The level of the headings that begin phases. Such headings below it (`### Phase 1: Effort` in a
    /// section about something else) begin none.
    pub(super) phase_level: usize,
    /// The headings that are underlined, by where they begin: their level, their text, and where the line
    /// below it begins.
    underlined: BTreeMap<usize, (usize, &'a str, usize)>,
}

impl<'a> Outline<'a> {
    pub(super) fn find(text: &Text<'a>, code: &Code) -> Self {
        let underlined: BTreeMap<usize, (usize, &'a str, usize)> = code
            .underlined
            .iter()
            .filter_map(|(range, level)| underlined(text, range.start, *level))
            .collect();
        let mut headings: Vec<(usize, usize, &'a str)> = text
            .lines()
            .filter(|(at, line)| line.starts_with('#') && code.at(*at).is_none())
            .filter_map(|(at, line)| match line::classify(line)? {
                Line::Heading { level, text } => Some((at, level, text)),
                _ => None,
            })
            .collect();
        headings.extend(underlined.iter().map(|(at, (level, text, _))| (*at, *level, *text)));
        headings.sort_by_key(|(at, ..)| *at);
        // A level 1 is the title's, so that one counts last.
        let rank = |level: usize| if level == 1 { 7 } else { level };
        let phases = headings.iter().filter(|(_, _, text)| line::phase(text).is_some());
        let phase_level = phases.map(|(_, level, _)| *level).min_by_key(|level| rank(*level)).unwrap_or(2);
        Self { title: title(&headings, phase_level), phase_level, underlined }
    }

    /// The level and the text of the heading in this line, if it is underlined.
    pub(super) fn underlined(&self, at: usize) -> Option<(usize, &'a str)> {
        self.underlined.get(&at).map(|(level, text, _)| (*level, *text))
    }

    /// Whether this line makes a heading of the one above.
    pub(super) fn is_underline(&self, at: usize) -> bool {
        self.underlined.range(..at).next_back().is_some_and(|(_, (.., below))| *below == at)
    }

    /// Number and name of the phase that this heading begins, if it does.
    pub(super) fn phase(&self, level: usize, heading: &'a str) -> Option<(&'a str, &'a str)> {
        (level == self.phase_level).then(|| line::phase(heading)).flatten()
    }
}

/// An underlined heading of one line. A rule below text makes one as well: it counts if it begins a phase, or
/// is a title.
fn underlined<'a>(text: &Text<'a>, at: usize, level: usize) -> Option<(usize, (usize, &'a str, usize))> {
    let (start, line) = text.line_at(at);
    let below = start + text.as_str()[start..].find('\n')? + 1;
    let marks = text.line_at(below).1.trim();
    let is_one_line = !marks.is_empty() && marks.bytes().all(|byte| matches!(byte, b'-' | b'='));
    let counts = level == 1 || line::phase(line.trim()).is_some();
    (is_one_line && counts && start == at).then_some((start, (level, line.trim(), below)))
}

/// The first heading of level 1 above the phases that calls itself a plan (`Implementation Plan: …`), else
/// the first one: above the title there may be a notice in the form of a heading.
fn title<'a>(headings: &[(usize, usize, &'a str)], phase_level: usize) -> Option<(&'a str, usize)> {
    let is_phase = |level: usize, text: &str| level == phase_level && line::phase(text).is_some();
    let above_phases = headings.iter().take_while(|(_, level, text)| !is_phase(*level, text));
    let titles: Vec<_> = above_phases.filter(|(_, level, text)| *level == 1 && !text.is_empty()).collect();
    let calls_itself_plan = |text: &str| {
        let kind = text.split_once(':').and_then(|(kind, _)| kind.split_whitespace().next_back());
        kind.is_some_and(|word| word.eq_ignore_ascii_case("plan"))
    };
    let title = titles.iter().find(|(_, _, text)| calls_itself_plan(text)).or(titles.first())?;
    Some((title.2, title.0))
}
