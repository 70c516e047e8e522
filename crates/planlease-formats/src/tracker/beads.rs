//! beads, `.beads/issues.jsonl` and `bd export`: issues, one in a line, that block each other or are parts of
//! each other.

use super::fields::{self, Ids, Shape};
use crate::{
    assemble::{Entry, Found},
    format::Format,
    report::Report,
    state::json::Placed,
};

const SHAPE: Shape = Shape {
    format: Format::Beads,
    own: &["id", "title", "labels"],
    steps: &["description", "design", "acceptance_criteria", "notes"],
    state: &["status"],
};

/// The kind of an issue that says nothing about it.
pub(crate) const USUAL: &str = "task";

/// Kinds of issues that are no work: mail, logs and members of a fleet.
const NO_WORK: [&str; 9] = ["message", "event", "agent", "molecule", "convoy", "gate", "role", "rig", "slot"];

/// The issues of a file; how many entries are no tasks.
pub(super) fn read(issues: &[Placed], report: &mut Report<'_>) -> (Found, usize) {
    let (mut entries, mut read, mut ids) = (Vec::new(), Vec::new(), Ids::default());
    let (mut deleted, mut others, mut records) = ((0, 0), (0, 0), (0, 0));
    for issue in issues {
        if is_other_record(issue) {
            records = (if records.1 == 0 { issue.at } else { records.0 }, records.1 + 1);
            continue;
        }
        let Some(id) = issue.get("id").and_then(fields::scalar) else {
            report.error(issue.at, "this issue has no id", "Export the issues again: `bd export`.");
            continue;
        };
        let kind = issue.get("issue_type").and_then(fields::scalar).unwrap_or_default();
        let status = issue.get("status").and_then(fields::scalar).unwrap_or_default();
        let left_out = match () {
            () if status == "tombstone" => Some(&mut deleted),
            () if NO_WORK.contains(&kind.as_str()) => Some(&mut others),
            () => None,
        };
        if let Some((at, number)) = left_out {
            (*at, *number) = (if *number == 0 { issue.at } else { *at }, *number + 1);
            continue;
        }
        let mut labels = fields::texts(issue.get("labels"));
        labels.extend((!matches!(kind.as_str(), "" | USUAL)).then_some(kind));
        let mut entry = Entry {
            at: issue.at,
            id: ids.give(entries.len(), issue.at, id, report),
            description: fields::first(issue, &["title", "description"]).unwrap_or_default(),
            priority: priority(issue),
            labels,
            state: fields::state_of(issue, "status", report),
            ..Entry::default()
        };
        fields::keep(issue, SHAPE, &mut entry, report);
        entries.push(entry);
        read.push(issue);
    }
    link(&mut entries, &read, &ids, report);
    for ((at, number), what) in [(deleted, "deleted"), (others, "of a kind that is no work")] {
        if number > 0 {
            let (issues, verb) =
                (planlease_core::counted(number, "issue"), if number == 1 { "is" } else { "are" });
            report.warning(
                at,
                format!("{issues} {verb} {what}, and no task"),
                "Nothing is to be done for these.",
            );
        }
    }
    if records.1 > 0 {
        let verb = if records.1 == 1 { "is no issue" } else { "are no issues" };
        let message = format!("{} {verb}, and no task", planlease_core::counted(records.1, "line"));
        let help =
            "They are what beads remembers, or a log of changes or deletions: tasks are in `issues.jsonl`.";
        report.warning(records.0, message, help);
    }
    let note = entries.iter_mut().find_map(|entry| entry.note.plan.take());
    (
        Found { entries, note: note.map(|note| *note).unwrap_or_default(), ..Found::default() },
        deleted.1 + others.1 + records.1,
    )
}

/// 0 is the most urgent, and 2 what is usual; words are as everywhere.
fn priority(issue: &Placed) -> i32 {
    let Some(priority) = issue.get("priority").and_then(fields::scalar) else { return 0 };
    match priority.trim_start_matches(['P', 'p']).parse::<i32>() {
        Ok(number) => 2 - number.clamp(0, 9),
        Err(_) => fields::priority(Some(&priority)),
    }
}

/// Whether a line is about something else than an issue: a memory, or what happened to an issue.
fn is_other_record(line: &Placed) -> bool {
    let kind = line.get("_type").and_then(fields::scalar);
    let is_event = line.get("issue_id").is_some() && line.get("title").is_none();
    let has = |name: &&str| line.get(name).is_some();
    // `.beads/deletions.jsonl`: what was deleted, by whom and why.
    let is_deletion = ["ts", "by", "reason", "deleted_at"].iter().any(has)
        && !["title", "description", "status"].iter().any(has);
    kind.is_some_and(|kind| kind != "issue") || is_event || is_deletion
}

/// Whether a kind of dependency says what an issue waits for, or is part of; the others only relate.
pub(crate) fn is_order(kind: Option<&str>) -> bool {
    matches!(kind, None | Some("blocks" | "waits-for" | "conditional-blocks" | "parent-child"))
}

/// Follows the dependencies: `blocks`, `waits-for` and `conditional-blocks` are waited for, `parent-child`
/// nests, and the others only relate.
fn link(entries: &mut [Entry], issues: &[&Placed], ids: &Ids, report: &mut Report<'_>) {
    for (place, issue) in issues.iter().enumerate() {
        if let Some(parent) = issue.get("parent").or(issue.get("parent_id")).and_then(fields::scalar) {
            entries[place].parent = ids.parent(&parent, issue.at, report);
        }
        for dependency in fields::items(issue.get("dependencies")) {
            let kind = dependency.get("type").or(dependency.get("dependency_type")).and_then(fields::scalar);
            let on =
                fields::first(dependency, &["depends_on_id", "id"]).or_else(|| fields::scalar(dependency));
            let Some(on) = on else {
                let help = "beads writes `{\"depends_on_id\": \"a-1\", \"type\": \"blocks\"}`.";
                report.warning(dependency.at, "this dependency names no issue: nothing waits for it", help);
                continue;
            };
            if kind.as_deref() == Some("conditional-blocks") {
                let message =
                    format!("this issue is to start only if {on} fails: it waits until {on} is done");
                let help =
                    "A plan has no conditions: skip what is not to be done, or take it out of the export.";
                report.warning(dependency.at, message, help);
            }
            match kind.as_deref() {
                Some("parent-child") => entries[place].parent = ids.parent(&on, dependency.at, report),
                kind if is_order(kind) => {
                    let on = ids.wanted(&on, dependency.at, report);
                    entries[place].stated.extend(on);
                }
                _ => {}
            }
        }
    }
    break_circles(entries);
}

/// Takes an issue out of what it is part of, where that is part of itself.
fn break_circles(entries: &mut [Entry]) {
    for place in 0..entries.len() {
        let mut above = entries[place].parent;
        for _ in 0..entries.len() {
            match above {
                Some(one) if one == place => {
                    entries[place].parent = None;
                    break;
                }
                Some(one) => above = entries[one].parent,
                None => break,
            }
        }
    }
}
