//! Tests of what headings wait for, in each format of checklists.

use planlease_core::TaskId;

use crate::{Parsed, parse};

fn read(path: &str, text: &str) -> Parsed {
    parse(path, text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What the task of this text waits for, by their texts.
fn waits(parsed: &Parsed, task: &str) -> Vec<String> {
    let text = |id: &TaskId| parsed.spec.task(id).map_or_else(String::new, |task| task.description.clone());
    let task = parsed.spec.tasks.iter().find(|other| other.description == task).unwrap();
    let mut waits: Vec<String> = task.depends_on.iter().map(text).collect();
    waits.sort();
    waits
}

fn warnings(parsed: &Parsed) -> Vec<(usize, &str)> {
    parsed.warnings.iter().map(|warning| (warning.line, warning.message.as_str())).collect()
}

#[test]
fn tasks_wait_for_what_their_heading_names() {
    for path in ["PLAN.md", "openspec/changes/a/tasks.md", "conductor/tracks/a/plan.md"] {
        let text = "# Plan\n## Phase 1: A\n- [ ] a\n- [ ] b\n## Phase 2: B (depends on Phase 1)\n- [ ] c\n  - [ ] d\n\
                    ## Phase 3: C\n**Depends on:** Phase 2\n\n- [ ] e\n## Phase 4: D\n- [ ] f\n\n**Dependencies**: Phases 1-2\n";
        let parsed = read(path, text);
        assert_eq!(waits(&parsed, "c"), ["a", "b", "d"], "{path}");
        assert_eq!(waits(&parsed, "d"), ["a", "b"], "{path}");
        assert_eq!(waits(&parsed, "e"), ["c"], "{path}: a parent waits for its sub-tasks");
        assert_eq!(waits(&parsed, "f"), ["a", "b", "c"], "{path}");
        assert!(parsed.warnings.is_empty(), "{path}: {:?}", parsed.warnings);
    }
}

#[test]
fn groups_and_work_packages_name_each_other() {
    let text = "## 1. A\n- [ ] 1.1 a\n## 2. B (depends on 1)\n- [ ] 2.1 b\n## 3. C\n**Dependencies:** 2.1\n\n- [ ] 3.1 c\n";
    let parsed = read("openspec/changes/a/tasks.md", text);
    assert_eq!((waits(&parsed, "b"), waits(&parsed, "c")), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    let text = "# Tasks\n## Work Packages\n### WP01 — A\n- [ ] T001 a\n\n**Dependencies**: none\n### WP02 — B\n\
                - [ ] T002 [P] b\n\n**Dependencies**: WP01\n### WP03 — C\n**Dependencies**: WP02\n\n- [ ] T003 [P] c\n";
    let parsed = read("kitty-specs/001/tasks.md", text);
    assert_eq!((waits(&parsed, "b"), waits(&parsed, "c")), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
}

#[test]
fn steps_below_a_task_wait_for_another_task() {
    let text = "# P\n### Task 1: A\n- [ ] **Step 1: a**\n- [ ] **Step 2: b**\n### Task 2: B\n**Depends on:** Task 1\n\n\
                - [ ] **Step 1: c**\n## B: D\n- [ ] d\n## C: E\n**Dependencies**: B\n\n- [ ] e\n";
    let parsed = read("PLAN.md", text);
    let ids =
        |id: &str| parsed.spec.tasks.iter().find(|task| task.id.as_str() == id).unwrap().depends_on.clone();
    assert_eq!(ids("2.1").iter().map(TaskId::as_str).collect::<Vec<_>>(), ["1.1", "1.2"]);
    assert_eq!(waits(&parsed, "e"), ["d"]);
}

#[test]
fn what_a_heading_names_in_vain_is_a_warning() {
    let text = "# Plan\n**Depends on:** Phase 1\n## Phase 1: A\n- [ ] a\n## Phase 2: B (depends on Phase 7)\n\
                **Dependencies:** the schema\n\n- [ ] b\n## Phase 3: C\n**Depends on:** Phase 3\n\n- [ ] c\n";
    let expected = [
        (2, "this does not stand below the heading of a phase with tasks: nothing waits"),
        (5, "no task and no heading with tasks is called 7: nothing waits for it"),
        (6, "this names no task and no heading with tasks, so that nothing waits for it"),
        (10, "this names tasks below the same heading: this dependency is left out"),
    ];
    assert_eq!(warnings(&read("PLAN.md", text)), expected);
}

#[test]
fn a_prerequisite_for_others_waits_for_none_of_them() {
    let text = "# Tasks\n## WP03 — A\n- **Priority**: high (prerequisite for WP04)\n- **Dependencies**: none\n\n\
                - [ ] T001 a\n## WP04 — B\n- **Dependencies**: WP03 (uses it)\n\n- [ ] T002 b\n";
    let parsed = read("kitty-specs/001/tasks.md", text);
    assert_eq!((waits(&parsed, "a"), waits(&parsed, "b")), (vec![], vec!["a".to_owned()]));
}
