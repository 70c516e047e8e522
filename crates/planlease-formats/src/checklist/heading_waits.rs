//! What the tasks below a heading wait for: `## Phase 2: Build (depends on Phase 1)`, and lines such as
//! `**Depends on:** WP01` outside of tasks. Each task below waits for each task of what is named.

use std::collections::HashSet;

use planlease_core::spec::MAX_DEPENDENCIES;

use super::{
    headings,
    names::{Named, Names},
    outline::Outline,
    phases,
    waits::{self, Form, Stated},
};
use crate::{checkbox::Mark, report::Report};

const HELP: &str =
    "Name phases and tasks as their headings do, or by their ids: `**Depends on:** Phase 1, 2.1`.";

/// What each item waits for by what is said of the headings above it. `title`: the heading that is the title;
/// `names`: those of tasks and phases.
pub(super) fn find(
    outline: &Outline<'_>,
    title: Option<usize>,
    mut names: Names,
    parents: &[Option<usize>],
    report: &mut Report<'_>,
) -> Vec<Vec<usize>> {
    let mut waits: Vec<Vec<usize>> = vec![Vec::new(); outline.items.len()];
    let below = below(outline);
    for (nth, items) in
        below.iter().enumerate().filter(|(nth, items)| Some(*nth) != title && !items.is_empty())
    {
        for name in names_of(outline.sections[nth].text) {
            names.add_heading(name, items);
        }
    }
    for (section, stated) in statements(outline) {
        let named = names.resolve(&stated);
        let section = section.filter(|section| Some(*section) != title && !below[*section].is_empty());
        let Some(section) = section else {
            if stated.form == Form::Marked && !named.tasks.is_empty() {
                let message = "this does not stand below the heading of a phase with tasks: nothing waits";
                report.warning(
                    stated.at,
                    message,
                    "Write it below the heading whose tasks wait, or into a task.",
                );
            }
            continue;
        };
        report_lost(&stated, &named, report);
        let on = waited(outline, &stated, &named, &below[section], parents, report);
        if !on.is_empty() {
            below[section].iter().for_each(|item| waits[*item].extend(&on));
        }
    }
    waits
}

/// The items below each heading, and below the headings that divide it.
fn below(outline: &Outline<'_>) -> Vec<Vec<usize>> {
    let mut below = vec![Vec::new(); outline.sections.len()];
    for (place, item) in outline.items.iter().enumerate() {
        let mut next = item.section;
        while let Some(section) = next {
            below[section].push(place);
            next = outline.sections[section].parent;
        }
    }
    below
}

/// What headings, and lines outside of tasks, say; with the heading that they stand in or below.
fn statements(outline: &Outline<'_>) -> Vec<(Option<usize>, Stated)> {
    let mut found = Vec::new();
    for (nth, section) in outline.sections.iter().enumerate() {
        let stated = waits::in_text(section.text, |_| section.at).into_iter();
        found.extend(stated.filter(|stated| stated.form != Form::Prose).map(|stated| (Some(nth), stated)));
    }
    for (at, line) in &outline.prose {
        let section = outline.sections.partition_point(|section| section.at <= *at).checked_sub(1);
        found.extend(waits::in_detail(*at, line).into_iter().map(|stated| (section, stated)));
    }
    found
}

/// What a heading may be called: `phase 2` and `2`, `task 2`, `WP02`, the `B` of `B: Name`.
fn names_of(heading: &str) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(kind) = headings::kind(heading) {
        let word = if kind.is_task() { "task" } else { "phase" };
        let number = kind.number.to_lowercase();
        names.extend([format!("{word} {number}"), number]);
    } else if let Some((number, _)) = phases::number(heading) {
        let number = number.to_lowercase();
        names.extend([format!("phase {number}"), number]);
    }
    names.extend(short_name(heading).map(str::to_owned));
    names
}

/// The word in capitals, or with a number, that stands in front of the name: `WP02 — Name`, `B: Name`.
fn short_name(heading: &str) -> Option<&str> {
    const MAX_NAME: usize = 8;
    let text = heading.trim_start_matches(|c: char| !c.is_alphanumeric());
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let is_apart =
        after.is_empty() || [":", ".", "**", " -", " –", " —"].iter().any(|mark| after.starts_with(mark));
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-');
    (is_apart && is_name && name.len() <= MAX_NAME).then_some(name)
}

/// Warns of what cannot be understood.
fn report_lost(stated: &Stated, named: &Named, report: &mut Report<'_>) {
    for unknown in &named.unknown {
        let message = format!("no task and no heading with tasks is called {unknown}: nothing waits for it");
        report.warning(stated.at, message, HELP);
    }
    if named.is_unclear {
        let message = "this names no task and no heading with tasks, so that nothing waits for it";
        report.warning(stated.at, message, HELP);
    }
    if named.is_conditional {
        report.warning(stated.at, "the condition of this dependency is not understood", HELP);
    }
    if named.is_doubtful {
        report.warning(stated.at, "this is not read as a dependency", HELP);
    }
}

/// What the items below a heading wait for: what is named, without these items themselves, and without what
/// others of it wait for as their sub-tasks.
fn waited(
    outline: &Outline<'_>,
    stated: &Stated,
    named: &Named,
    own: &[usize],
    parents: &[Option<usize>],
    report: &mut Report<'_>,
) -> Vec<usize> {
    let own: HashSet<usize> = own.iter().copied().collect();
    let mut on: Vec<usize> = named.tasks.iter().copied().filter(|place| !own.contains(place)).collect();
    if on.is_empty() && !named.tasks.is_empty() && stated.form == Form::Marked {
        let message = "this names tasks below the same heading: this dependency is left out";
        report.warning(stated.at, message, "Say in each task which others it waits for.");
    }
    let all: HashSet<usize> = on.iter().copied().collect();
    on.retain(|place| parents[*place].is_none_or(|parent| !all.contains(&parent)));
    if on.len() > MAX_DEPENDENCIES {
        on.retain(|place| !matches!(outline.items[*place].mark, Mark::Done | Mark::Dropped));
    }
    if on.len() > MAX_DEPENDENCIES {
        let message =
            format!("this names {} tasks, more than the {MAX_DEPENDENCIES} that one may wait for", on.len());
        report.error(stated.at, message, "Name the last ones among them.");
        return Vec::new();
    }
    on
}

#[cfg(test)]
mod tests;
