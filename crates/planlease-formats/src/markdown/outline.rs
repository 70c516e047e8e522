//! The headings of a Markdown plan: which one is its title, which ones begin phases.

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
}

impl<'a> Outline<'a> {
    pub(super) fn find(text: &Text<'a>, code: &Code) -> Self {
        let headings: Vec<(usize, usize, &'a str)> = text
            .lines()
            .filter(|(at, line)| line.starts_with('#') && code.at(*at).is_none())
            .filter_map(|(at, line)| match line::classify(line)? {
                Line::Heading { level, text } => Some((at, level, text)),
                _ => None,
            })
            .collect();
        // A level 1 is the title's, so that one counts last.
        let rank = |level: usize| if level == 1 { 7 } else { level };
        let phases = headings.iter().filter(|(_, _, text)| line::phase(text).is_some());
        let phase_level = phases.map(|(_, level, _)| *level).min_by_key(|level| rank(*level)).unwrap_or(2);
        Self { title: title(&headings, phase_level), phase_level }
    }

    /// Number and name of the phase that this heading begins, if it does.
    pub(super) fn phase(&self, level: usize, heading: &'a str) -> Option<(&'a str, &'a str)> {
        (level == self.phase_level).then(|| line::phase(heading)).flatten()
    }
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
