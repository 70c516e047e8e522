//! Numbers that begin again below each heading: `### Task 2` with `- [ ] Step 1` is the task `2.1`.

use std::collections::HashMap;

use super::{outline::Outline, phases, rules::Label};

/// The ids of tasks whose numbers begin again below another heading: with the number of their own heading in
/// front. A task has none if it has no such number, if its heading has none, or if another task has that id.
pub(super) fn complete(outline: &Outline<'_>, labels: &[Label]) -> Vec<Option<String>> {
    let mut sections: HashMap<&str, Option<usize>> = HashMap::new();
    let mut numbered = outline.items.iter().zip(labels);
    let begins_again = numbered.any(|(item, label)| {
        plain(label).is_some_and(|id| *sections.entry(id).or_insert(item.section) != item.section)
    });
    if !begins_again {
        return vec![None; labels.len()];
    }
    let items = outline.items.iter().zip(labels);
    let mut completed: Vec<Option<String>> = items
        .map(|(item, label)| {
            let id = plain(label)?;
            let number = number(outline.sections[item.section?].text)?;
            Some(format!("{number}.{id}"))
        })
        .collect();
    let mut times: HashMap<String, usize> = HashMap::new();
    for id in completed.iter().flatten().chain(labels.iter().filter_map(|label| label.id.as_ref())) {
        *times.entry(id.clone()).or_default() += 1;
    }
    for id in &mut completed {
        if id.as_ref().is_some_and(|id| times.get(id) != Some(&1)) {
            *id = None;
        }
    }
    completed
}

/// The id of a task that is nothing but a number.
fn plain(label: &Label) -> Option<&str> {
    label.id.as_deref().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The number in a heading: `Task 2: Name`, `Task 10a: Name`, `Phase 2: Name`, `2. Name`.
fn number(heading: &str) -> Option<&str> {
    let text = heading.trim_start_matches(|c: char| !c.is_alphanumeric());
    let of_task = text.strip_prefix("Task ").map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.')
    });
    of_task.filter(|number| is_number(number)).or_else(|| phases::number(heading).map(|(number, _)| number))
}

/// Whether a token is digits, perhaps with dots between them and a letter behind them.
fn is_number(token: &str) -> bool {
    let digits = token.strip_suffix(|c: char| c.is_ascii_alphabetic()).unwrap_or(token);
    digits.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_heading_may_have_a_letter() {
        for (heading, expected) in [
            ("Task 10a: A", Some("10a")),
            ("Task 10b", Some("10b")),
            ("**Task 2.1** A", Some("2.1")),
            ("Task 3. A", Some("3")),
            ("Task 10th: A", None),
            ("Phase 2: A", Some("2")),
            ("2a: first", Some("2a")),
            ("Final checks", None),
        ] {
            assert_eq!(number(heading), expected, "{heading:?}");
        }
    }
}
