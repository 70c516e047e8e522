//! Counts the boxes of a checklist line by line, whatever its format makes of them: what `plan check
//! --explain` compares the tasks with.

use std::collections::HashSet;

use crate::{
    checkbox::{self, Checkbox, Found},
    checklist::outline,
    draft::Draft,
    format::Format,
    markdown::line,
    parsed::{Counts, Other},
    text::Text,
    tracker,
};

/// The most boxes that are listed as read otherwise.
const MAX_LISTED: usize = 100;

/// What became of the boxes of a file with so many tasks, and entries that are none.
pub(crate) fn counts(format: Format, text: &Text<'_>, tasks: usize, others: usize) -> Counts {
    let (in_file, in_code) = match format {
        Format::Toml | Format::Ralph => (tasks + others, 0),
        Format::Taskmaster => (tracker::count(text), 0),
        Format::Beads => (text.lines().filter(|(_, line)| !line.trim().is_empty()).count(), 0),
        Format::Backlog => (text.files().len(), 0),
        // The headings of a file without boxes.
        Format::Checklist => match boxes(text) {
            (0, in_code) => (tasks, in_code),
            found => found,
        },
        _ => boxes(text),
    };
    // What planlease's own format does not schedule, it keeps: steps, criteria, and what is in no phase.
    let others = if format == Format::Markdown { in_file.saturating_sub(tasks) } else { others };
    Counts { in_file, tasks, others, in_code }
}

/// How many boxes stand in the text, and how many in code and comments.
pub(crate) fn boxes(text: &Text<'_>) -> (usize, usize) {
    let mut counted = [0, 0];
    let mut verbatim = outline::Verbatim::default();
    for (at, line) in text.lines() {
        let is_code = verbatim.contains(at, line);
        let line = if is_code { line.trim_start().trim_start_matches("<!--") } else { line };
        counted[usize::from(is_code)] += usize::from(matches!(checkbox::read(line), Found::Box(_)));
    }
    (counted[0], counted[1])
}

/// The boxes of planlease's own format that are no tasks, and why; the first of them.
pub(crate) fn others(format: Format, text: &Text<'_>, draft: &Draft) -> Vec<Other> {
    if format != Format::Markdown {
        return Vec::new();
    }
    let tasks: HashSet<usize> = draft.tasks.iter().map(|task| text.position(task.id).0).collect();
    let (mut found, mut phase_level): (Vec<Other>, Option<usize>) = (Vec::new(), None);
    let mut verbatim = outline::Verbatim::default();
    for (number, (at, content)) in (1..).zip(text.lines()) {
        if verbatim.contains(at, content) || found.len() == MAX_LISTED {
            continue;
        }
        if let Some((level, heading)) = outline::heading(content) {
            let ends = phase_level.is_none_or(|above| level <= above);
            match line::phase(heading) {
                Some(_) => phase_level = Some(level),
                None if ends => phase_level = None,
                None => {}
            }
        } else if let Found::Box(Checkbox { indent, .. }) = checkbox::read(content)
            && !tasks.contains(&number)
        {
            let reason = match (indent, phase_level) {
                (2.., _) => "it is indented: a step of the task above, or a part of a criterion",
                (_, Some(_)) => "it has no number `N.M`, or is a criterion: it is kept with its phase",
                (_, None) => "it is in no phase",
            };
            found.push(Other { line: number, reason });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn boxes_that_are_no_tasks_are_listed_with_the_reason() {
        let text = "# Plan\n## Phase 1: A\n- [ ] 1.1 a\n  - [ ] step\n\nAlso:\n\n- [ ] b\n## Release\n- [ ] c\n- [ ] 3 D\n";
        let parsed = parse("PLAN.md", text.as_bytes()).unwrap();
        assert!(parsed.counts.agree() && parsed.counts.others == 4, "{:?}", parsed.counts);
        let others: Vec<(usize, &str)> =
            parsed.others.iter().map(|other| (other.line, &other.reason[..5])).collect();
        assert_eq!(others, [(4, "it is"), (8, "it ha"), (10, "it is"), (11, "it is")]);
        let lines: Vec<usize> = parsed.warnings.iter().map(|warning| warning.line).collect();
        assert_eq!(lines, [8, 11], "a checklist without numbers, and a number outside of the phases");
    }

    #[test]
    fn boxes_of_a_refused_file_are_counted() {
        let text = "# T\n```\n- [ ] a\n```\n- ( ) b\n";
        assert!(parse("PLAN.md", text.as_bytes()).is_err());
        assert_eq!(crate::boxes("PLAN.md", text.as_bytes()), Some((0, 1)));
        assert_eq!(crate::boxes("plan.toml", b"a"), None);
    }
}
