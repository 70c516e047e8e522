//! Numbers that begin again below each heading: `### Task 2` with `- [ ] Step 1` is the task `2.1`.

use std::collections::{HashMap, HashSet};

use super::{outline::Outline, phases, rules::Label};

/// Puts the numbers of the headings in front of the numbers of tasks, where these begin again. Everything
/// stays as it is if a task says that it waits for such a number (`waited`: words in lower case), or if the
/// numbers would not tell the tasks apart either.
pub(super) fn complete(outline: &Outline<'_>, labels: &mut [Label], waited: &HashSet<String>) {
    let mut sections: HashMap<&str, HashSet<Option<usize>>> = HashMap::new();
    for (item, label) in outline.items.iter().zip(&*labels) {
        if let Some(id) = plain(label) {
            sections.entry(id).or_default().insert(item.section);
        }
    }
    let begins_again = sections.values().any(|sections| sections.len() > 1);
    if !begins_again || sections.keys().any(|id| waited.contains(*id)) {
        return;
    }
    let mut taken: HashSet<&str> = labels.iter().filter_map(|label| label.id.as_deref()).collect();
    let mut completed: Vec<(usize, String)> = Vec::new();
    for (place, (item, label)) in outline.items.iter().zip(&*labels).enumerate() {
        let number = item.section.and_then(|section| number(outline.sections[section].text));
        if let (Some(id), Some(number)) = (plain(label), number) {
            completed.push((place, format!("{number}.{id}")));
        }
    }
    if completed.iter().all(|(_, id)| taken.insert(id)) {
        drop(taken);
        for (place, id) in completed {
            labels[place].id = Some(id);
        }
    }
}

/// The id of a task that is nothing but a number.
fn plain(label: &Label) -> Option<&str> {
    label.id.as_deref().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The number in a heading: `Task 2: Name`, `Phase 2: Name`, `2. Name`.
fn number(heading: &str) -> Option<&str> {
    let text = heading.trim_start_matches(|c: char| !c.is_alphanumeric());
    let of_task = text.strip_prefix("Task ").and_then(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches('.')).filter(|number| !number.is_empty())
    });
    of_task.or_else(|| phases::number(heading).map(|(number, _)| number))
}
