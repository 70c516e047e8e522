//! Property tests: checklists with damaged lines. Each line is a task, or an error at its place; the same for
//! dependencies.

use std::{collections::BTreeSet, fmt::Write as _};

use proptest::{prelude::*, sample::select};

use crate::{Parsed, Problems, Severity, parse};

/// How a line of a checklist may be written: `{}` stands for the number of the task.
const WRITTEN: &[&str] = &[
    "- [ ] {} Do",
    "- [x] {} Do",
    "* [X] {} Do",
    "+ [ ] **{}** Do",
    "1. [ ] {}: Do",
    "- [x ] {} Do",
    "- [ x] {} Do",
    "- [  ] {} Do",
    "- [\t] {} Do",
    "- [] {} Do",
    "- [ ]{} Do",
    "- [ ]  {} Do",
    "-  [ ] {} Do",
    " - [ ] {} Do",
    "- [ ] {}",
    "- [ ]\u{a0}{}\u{a0}Do",
    "- [~] {} Do",
    "- [-] {} Do",
    "- [!] {} Do",
    "- [/] {} Do",
    "- [>] {} Do",
    "- [?] {} Do",
    "- [✓] {} Do",
    "- [done] {} Do",
    "- [ ]* {} Do",
    "- [ ]: {} Do",
    "- [ ] - {} Do",
    "- [ ] #{} Do",
    "- [ ] ({}) Do",
    "- [ ] [{}] Do",
    "- [ ] Task {}: Do",
    "- [ ] step {} Do",
    "- [ ] {}, Do",
    "- [ ] \u{200b}{} Do",
    "\u{feff}- [ ] {} Do",
    "- [ ] {}a Do",
    "- [ ] v{} Do",
    "### {} Do",
    "#### Task {}: Do",
    "| [ ] {} | Do |",
    "- [ ] {}.9.9 Do",
    "- [ {} Do",
    "- [x {} Do",
    "- ] {} Do",
    "- ( ) {} Do",
    "- [ ) {} Do",
    "- {{}} {} Do",
    "- ☐ {} Do",
    "-[ ] {} Do",
    "--[ ] {} Do",
    "• [ ] {} Do",
    "[ ] {} Do",
    "[x] {} Do",
    "- {} Do",
    "- {}: Do",
    "- **{}** Do",
    "- Task {}: Do",
    "* {} Do",
    "{} Do",
    "**{}** Do",
];

/// What stands between two lines.
const BETWEEN: &[&str] =
    &["", "", "", "\n", "  - a detail\n", "  more words\n", "\nSome text.\n\n", "### A section\n"];

/// A checklist of two phases, each line written in some way.
fn checklist() -> impl Strategy<Value = (String, Vec<(String, usize)>)> {
    let line = (select(WRITTEN), select(BETWEEN));
    proptest::collection::vec(proptest::collection::vec(line, 1..7), 2).prop_map(|phases| {
        let (mut text, mut lines) = (String::from("# T\n"), Vec::new());
        for (phase, written) in (1..).zip(phases) {
            writeln!(text, "\n## Phase {phase}: P\n\n- [ ] {phase}.1 Do").unwrap();
            lines.push((format!("{phase}.1"), text.lines().count()));
            for (task, (line, between)) in (2..).zip(written) {
                text.push_str(between);
                let number = format!("{phase}.{task}");
                writeln!(
                    text,
                    "{}",
                    line.replacen("{{}}", "\u{1}", 1).replacen("{}", &number, 1).replace('\u{1}', "{}")
                )
                .unwrap();
                lines.push((number, text.lines().count()));
            }
        }
        (text, lines)
    })
}

/// How a dependency may be stated; the names stand for `{}`.
const STATED: &[&str] = &[
    "(depends: {})",
    "(Depends on: {})",
    "(depends on {})",
    "(DEPENDS ON Task {})",
    "(depends_on: {})",
    "(depends-on {})",
    "(deps: {})",
    "(dep: {})",
    "(dependencies: {})",
    "(dependency: {})",
    "(after {})",
    "(blocked by {})",
    "(requires {})",
    "(waits for {})",
    "(blocked-by: {})",
    "(blockedBy {})",
    "(waits-for: {})",
    "(wait for {})",
    "(wait: {})",
    "(prereq: {})",
    "(prereqs {})",
    "(follows {})",
    "(depends to: {})",
    "[depends: {}]",
    "**(depends: {})**",
    "depends on {}",
    "— depends on Task {}",
    "depends: {}",
    "**Depends on:** {}",
    "_deps: {}_",
    "\n  (depends: {})",
    "\n  **Dependencies:** {}",
    "\n  - Depends on: {}",
    "\n  - **Dependencies**: {}",
    "\n\n  Depends on: {}",
    "\n**Depends on:** {}",
    "\n  - a detail\n  - [ ] a step (depends: {})",
];

/// What is wrong in one, with which it must be an error.
const WRONG: &[&str] = &[
    "(depends: {}",
    "(depends on {} or 9.9)",
    "(depends: {}, 9.9)",
    "(deps: {} 1)",
    "(Depends on: {}-1.3)",
    "(depnds: {})",
    "(blockd-by {})",
    "\n  - **Depnds:** {}",
    "\n\n**Depends on:** {}",
];

fn read(text: &str) -> Result<Parsed, Problems> {
    parse("plan.md", text.as_bytes())
}

fn error_lines(problems: &Problems) -> BTreeSet<usize> {
    let errors = problems.listed.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn each_line_of_a_checklist_is_a_task_or_an_error((text, lines) in checklist()) {
        let wrong = read(&text).err().map(|problems| error_lines(&problems)).unwrap_or_default();
        let tasks: BTreeSet<&str> =
            lines.iter().filter(|(_, line)| !wrong.contains(line)).map(|(number, _)| number.as_str()).collect();
        prop_assert_eq!(tasks.len() + wrong.len(), lines.len(), "there are errors elsewhere:\n{}", text);
        // What is left when the wrong lines are taken out are exactly the other tasks.
        let right: Vec<&str> =
            (1..).zip(text.lines()).map(|(n, line)| if wrong.contains(&n) { "" } else { line }).collect();
        let parsed = read(&right.join("\n")).map_err(|problems| TestCaseError::fail(format!("{problems:#}\n{text}")))?;
        let found: BTreeSet<&str> = parsed.spec.tasks.iter().map(|task| task.id.as_str()).collect();
        prop_assert_eq!(found, tasks, "\n{}", text);
    }

    #[test]
    fn each_dependency_is_read_or_an_error(
        stated in proptest::collection::vec((select(STATED), proptest::collection::btree_set(1..4_u8, 1..4)), 1..4),
        separator in select(&[", ", ",", " and ", " & ", ",\n  ", ", task "][..]),
        wrong in proptest::option::of(select(WRONG)),
    ) {
        let mut text = String::from("# T\n## Phase 1: P\n- [ ] 1.1 Do\n- [ ] 1.2 Do\n- [ ] 1.3 Do\n");
        let mut expected = Vec::new();
        for (task, (stated, on)) in (4..).zip(&stated) {
            let on: Vec<String> = on.iter().map(|n| format!("1.{n}")).collect();
            writeln!(text, "- [ ] 1.{task} Do {}", stated.replace("{}", &on.join(separator))).unwrap();
            expected.push(on.into_iter().collect::<BTreeSet<_>>());
        }
        if let Some(wrong) = wrong {
            writeln!(text, "- [ ] 1.9 Do {}", wrong.replace("{}", "1.2")).unwrap();
            prop_assert!(read(&text).is_err(), "\n{}", text);
            return Ok(());
        }
        let parsed = read(&text).map_err(|problems| TestCaseError::fail(format!("{problems:#}\n{text}")))?;
        let found: Vec<BTreeSet<String>> = parsed.spec.tasks[3..]
            .iter()
            .map(|task| task.depends_on.iter().map(ToString::to_string).collect())
            .collect();
        prop_assert_eq!(found, expected, "\n{}", text);
    }
}
