//! Tests of ids: each text keeps its own while the file around it is edited.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use crate::{Parsed, checklist::ids, parse};

fn read(text: &str) -> Parsed {
    parse("PLAN.md", text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The ids of the tasks in the order of the file, and the warnings.
fn listed(text: &str) -> (Vec<String>, Vec<String>) {
    let parsed = read(text);
    let warnings = parsed.warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.message));
    (parsed.spec.tasks.iter().map(|task| task.id.to_string()).collect(), warnings.collect())
}

/// The id of each task, by what it says without its priority.
fn known(text: &str) -> BTreeMap<String, String> {
    let tasks = read(text).spec.tasks.into_iter().map(|task| {
        let text = ids::priority(&task.description).map(|(_, text)| text);
        (text.unwrap_or(task.description), task.id.to_string())
    });
    tasks.collect()
}

/// Each text of the first file that is in the second one has the same id there.
fn assert_kept(before: &str, after: &str) {
    let after = known(after);
    for (text, id) in known(before) {
        assert_eq!(after.get(&text), Some(&id), "{text}");
    }
}

#[test]
fn a_priority_is_no_id() {
    let before = "# To do\n- [ ] P0: Fix login\n- [-] P0: Fix logout\n- [ ] P1: Write docs\n";
    let after = before.replace("- [-]", "- [ ] P0: Fix signup\n- [-]").replace("P1:", "P2:");
    assert_kept(before, &after);
    let parsed = read(before);
    let priorities: Vec<i32> = parsed.spec.tasks.iter().map(|task| task.priority).collect();
    assert_eq!(priorities, [20, 20, 10]);
    assert_eq!(parsed.spec.tasks[0].description, "P0: Fix login");
    assert!(parsed.spec.tasks.iter().all(|task| !task.id.as_str().starts_with('P')));
}

#[test]
fn a_noted_priority_goes_before_that_of_the_text() {
    let parsed = read("- [ ] P0: Do\n  <!-- planlease: {\"priority\":5} -->\n- [ ] 1.1 P1: Do\n");
    let tasks = &parsed.spec.tasks;
    assert_eq!((tasks[0].priority, tasks[1].priority, tasks[1].id.as_str()), (5, 10, "1.1"));
}

#[test]
fn a_priority_is_an_id_where_a_dependency_names_it() {
    let (ids, warnings) = listed("- [ ] P1: Parse\n- [ ] P2: Check (depends on P1)\n- [ ] P3: Run\n");
    assert_eq!((ids.join(" ").as_str(), warnings), ("P1 P2 P3", Vec::new()));
    let (ids, _) = listed("- [ ] P0: Parse\n- [ ] P1: Check\n- [ ] P2: Run\n");
    assert!(ids.iter().all(|id| id.len() == 5), "{ids:?}");
}

#[test]
fn an_id_of_several_texts_is_the_id_of_none() {
    let before =
        "# P\n## Backend\n- [ ] 1. Store\n- [ ] 2. Serve\n## Frontend\n- [ ] 1. Page\n- [ ] 2. Style\n";
    let after = before.replace("## Backend", "## Infra\n- [ ] 1. Hosts\n## Backend");
    assert_kept(before, &after);
    assert_kept(before, &after.replace("1. Store", "2. Store").replace("2. Serve", "1. Serve"));
    let (ids, warnings) = listed("- [ ] AB-1 One\n- [ ] AB-1 Two\n- [ ] AB-2 Three\n");
    assert_eq!((ids[0].len(), ids[1].len(), ids[2].as_str()), (5, 5, "AB-2"));
    assert_eq!(warnings, ["2: 2 tasks are called AB-1: it is the id of none of them"]);
    let (_, warnings) = listed("- [ ] AB-1: One\n- [ ] AB-1: Two\n- [ ] AB-2: Three (depends on AB-1)\n");
    assert_eq!(warnings, ["2: 2 tasks are called AB-1: what waits for AB-1 waits for the first of them"]);
}

#[test]
fn numbers_that_begin_again_go_with_their_heading() {
    let ids = |text: &str| {
        let (ids, warnings) = listed(text);
        (ids.join(" "), warnings.len())
    };
    let text =
        "### Task 1: A\n- [ ] **Step 1: a**\n- [ ] **Step 2: b**\n### Task 2: B\n- [ ] **Step 1: c**\n";
    assert_eq!(ids(text), ("1.1 1.2 2.1".to_owned(), 0));
    assert_eq!(ids("## 1. A\n- [ ] Step 1: a\n## Phase 2\n- [ ] Step 1: a\n").0, "1.1 2.1");
    let lettered = text.replace("Task 1:", "Task 10a:").replace("Task 2:", "Task 10b:");
    assert_eq!(ids(&lettered), ("10a.1 10a.2 10b.1".to_owned(), 0));
    let below_one = text.replace("### Task 2: B\n", "");
    let (below_one, same_number) = (listed(&below_one), listed(&text.replace("Task 2", "Task 1")));
    assert_eq!((below_one.0[1].as_str(), below_one.1.len()), ("2", 1), "{below_one:?}");
    assert_eq!((same_number.0[1].as_str(), same_number.1.len()), ("1.2", 1), "{same_number:?}");
    assert!([&below_one, &same_number].iter().all(|(ids, _)| ids[0].len() == 5 && ids[2].len() == 5));
}

#[test]
fn words_about_numbers_change_no_id() {
    let text =
        "## Task 1: A\n- [ ] Step 1: a\n- [ ] Step 2: b\n## Task 2: B\n- [ ] Step 1: c\n- [ ] Step 2: d\n";
    let expected = ["1.1", "1.2", "2.1", "2.2"];
    let prose = text.replace("b\n", "b (needs 3 retries)\n").replace("d\n", "d after 1 minute\n");
    let (ids, warnings) = listed(&prose);
    assert_eq!(ids, expected);
    assert_eq!(warnings, Vec::<String>::new());
    let (ids, warnings) = listed(&text.replace("b\n", "b (depends on 1)\n"));
    assert_eq!(ids, expected);
    assert_eq!(warnings, ["5: 2 tasks are called 1: what waits for 1 waits for the first of them"]);
}

#[test]
fn headings_without_a_number_give_stable_ids() {
    let before = "# P\n## Task 1: A\n- [ ] Step 1: a\n- [ ] Step 2: b\n## Final checks\n- [ ] Step 1: c\n\
                  - [ ] Step 2: d\n## Rollback\n- [ ] Step 1: e\n";
    let after = before.replace("## Final", "## Smoke test\n- [ ] Step 1: f\n- [ ] Step 2: g\n## Final");
    assert_kept(before, &after);
    let before = known(before);
    assert_eq!((before["a"].as_str(), before["b"].as_str()), ("1.1", "1.2"));
    assert!(["c", "d", "e"].iter().all(|text| before[*text].len() == 5), "{before:?}");
}

/// What texts begin with in the generated files.
const BEGINNINGS: [&str; 3] = ["P0: ", "1. ", "AB-1: "];

/// A heading, and its tasks: what each begins with, and its number.
type Section = (String, Vec<(usize, usize)>);

fn written(sections: &[Section]) -> String {
    let mut text = String::from("# P\n");
    for (heading, tasks) in sections {
        text += &format!("\n## {heading}\n\n");
        tasks.iter().for_each(|(begin, number)| {
            text += &format!("- [ ] {}Do {number}\n", BEGINNINGS[*begin]);
        });
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn texts_that_begin_alike_keep_their_ids(
        shape in vec(vec(0_usize..3, 1..5), 1..4),
        edit in 0_usize..5,
        at in 0_usize..4,
        begin in 0_usize..3,
    ) {
        // Each beginning stands twice, whatever is edited.
        let twice = (0..6).map(|number| (number % 3, 100 + number)).collect();
        let mut sections: Vec<Section> = vec![("Twice".to_owned(), twice)];
        sections.extend(shape.iter().enumerate().map(|(nth, tasks)| {
            let tasks = tasks.iter().enumerate().map(|(number, begin)| (*begin, 10 * nth + number));
            (format!("Heading {nth}"), tasks.collect())
        }));
        let before = known(&written(&sections));
        let at = 1 + at % shape.len();
        match edit {
            0 => sections[at].1.insert(0, (begin, 200)),
            1 => sections[at].1.truncate(shape[at - 1].len() - 1),
            2 => sections[at].1.reverse(),
            3 => sections.reverse(),
            _ => sections.insert(at, ("New".to_owned(), vec![(begin, 200)])),
        }
        let text = written(&sections);
        let after = known(&text);
        // Two of a hundred thousand numbers may be the same; then one of the two is longer.
        prop_assume!(before.values().chain(after.values()).all(|id| id.len() == 5));
        let kept = before.iter().filter(|(text, _)| after.contains_key(*text)).count();
        prop_assert!(kept + usize::from(edit == 1) >= before.len(), "{}", text);
        for (task, id) in before.iter().filter(|(task, _)| after.contains_key(*task)) {
            prop_assert_eq!(after.get(task), Some(id), "{} {}", task, text);
        }
    }
}
