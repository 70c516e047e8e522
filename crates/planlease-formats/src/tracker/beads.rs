//! beads, `.beads/issues.jsonl` and `bd export`: issues, one in a line, that block each other or are parts of
//! each other.

use super::fields::{self, Ids, Shape};
use crate::{
    assemble::{Entry, Found},
    report::Report,
    state::json::Placed,
};

const SHAPE: Shape = Shape {
    own: &["id", "title", "labels"],
    steps: &["description", "design", "acceptance_criteria", "notes"],
};

/// Kinds of issues that are no work: mail, logs and members of a fleet.
const NO_WORK: [&str; 9] = ["message", "event", "agent", "molecule", "convoy", "gate", "role", "rig", "slot"];

/// The issues of a file; how many entries are no tasks.
pub(super) fn read(issues: &[Placed], report: &mut Report<'_>) -> (Found, usize) {
    let (mut entries, mut read, mut ids) = (Vec::new(), Vec::new(), Ids::default());
    let (mut deleted, mut others) = ((0, 0), (0, 0));
    for issue in issues {
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
        labels.extend((!kind.is_empty()).then_some(kind));
        let mut entry = Entry {
            at: issue.at,
            id: ids.give(entries.len(), issue.at, id, report),
            description: fields::first(issue, &["title", "description"]).unwrap_or_default(),
            // 0 is the most urgent, and 2 what is usual.
            priority: issue
                .get("priority")
                .and_then(fields::scalar)
                .and_then(|priority| priority.trim_start_matches(['P', 'p']).parse::<i32>().ok())
                .map_or(0, |priority| 2 - priority.clamp(0, 9)),
            labels,
            state: fields::state_of(issue, "status", report),
            ..Entry::default()
        };
        fields::keep(issue, SHAPE, &mut entry);
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
    (Found { entries, ..Found::default() }, deleted.1 + others.1)
}

/// Follows the dependencies: `blocks`, `waits-for` and `conditional-blocks` are waited for, `parent-child`
/// nests, and the others only relate.
fn link(entries: &mut [Entry], issues: &[&Placed], ids: &Ids, report: &mut Report<'_>) {
    for (place, issue) in issues.iter().enumerate() {
        if let Some(parent) = issue.get("parent").or(issue.get("parent_id")).and_then(fields::scalar) {
            entries[place].parent = ids.get(&parent);
        }
        for dependency in fields::items(issue.get("dependencies")) {
            let kind = dependency.get("type").or(dependency.get("dependency_type")).and_then(fields::scalar);
            let on =
                fields::first(dependency, &["depends_on_id", "id"]).or_else(|| fields::scalar(dependency));
            let Some(on) = on else { continue };
            if kind.as_deref() == Some("conditional-blocks") {
                let message =
                    format!("this issue is to start only if {on} fails: it waits until {on} is done");
                let help =
                    "A plan has no conditions: skip what is not to be done, or take it out of the export.";
                report.warning(dependency.at, message, help);
            }
            match kind.as_deref() {
                Some("blocks" | "waits-for" | "conditional-blocks") | None => {
                    let on = ids.wanted(&on, dependency.at, report);
                    entries[place].stated.extend(on);
                }
                Some("parent-child") => entries[place].parent = ids.get(&on),
                Some(_) => {}
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
