//! Tests of the Markdown plans: each construct, each message.

use planlease_core::TaskId;

use crate::tests::{read, refuse};

fn check(text: &str) -> String {
    read("plan.md", text)
}

/// The body of a plan of one phase.
fn in_phase(body: &str) -> String {
    check(&format!("# T\n## Phase 1: P\n{body}"))
}

#[test]
fn phases_tasks_steps_and_dependencies_are_read() {
    insta::assert_snapshot!(check("\
# Implementation Plan: Tea for two

## Overview

- **Goal:** tea
- [ ] not a task

---

## Phase 1: Kitchen

**Objective:** Hot water.

**Tasks:**
- [ ] 1.1 Boil `water`
  - [ ] fill the kettle
  - [x] 1.1.1 switch it on

- [x] 1.2 Warm the pot (depends: 1.1)
\ta detail
\t  and more

### 1.3 A section

- [ ] 1.3.1 Brew (depends: 1.2, 1.1)

**VERIFY Phase 1:**
- [ ] It is hot
- [ ] 1.4 It tastes (depends: 1.3.1)

## Phase 2b: Table
- [ ] 2.1 Serve (depends: 1.4)
- [ ] **VERIFY 2b**: Nothing is left

## Success Criteria
- [ ] Everybody is happy
"), @r#"
    Implementation Plan: Tea for two
    phase 1: Kitchen
      verify "It is hot"
    phase 2b: Table
      verify "Nothing is left"
    task 1.1 in 1: Boil `water`
      step "- [ ] fill the kettle"
      step "- [x] 1.1.1 switch it on"
    task 1.2 in 1: Warm the pot (depends: 1.1) {"checked":true}
      after 1.1
      step "a detail"
      step "  and more"
    task 1.3.1 in 1: Brew (depends: 1.2, 1.1)
      after 1.2
      after 1.1
    task 1.4 in 1: It tastes (depends: 1.3.1)
      after 1.3.1
    task 2.1 in 2b: Serve (depends: 1.4)
      after 1.4
    "#);
}

#[test]
fn the_title_is_the_plan_heading_or_the_first_one() {
    let title = |headings: &str| {
        let text = format!("{headings}\n## Phase 1: P\n- [ ] 1.1 D\n# Appendix: Plan: B\n");
        crate::parse("docs/tea.md", text.as_bytes()).unwrap().spec.title
    };
    assert_eq!(title("# Implementation Plan: Tea"), "Implementation Plan: Tea");
    assert_eq!(title("# READ THIS FIRST!\n\n# Analysis Plan: Tea"), "Analysis Plan: Tea");
    assert_eq!(title("# Tea\n\n# More"), "Tea");
    assert_eq!(title("```\n# code\n```\n# Tea `x` #"), "Tea `x`");
    assert_eq!(title("Tea"), "tea.md");
}

#[test]
fn phases_may_be_headings_of_another_level() {
    let nested = "# T\n## Phases\n### Phase 1: P\n#### Tasks\n- [ ] 1.1 D\n### Risks\n- [ ] none\n";
    insta::assert_snapshot!(check(nested), @r"
    T
    phase 1: P
    task 1.1 in 1: D
    ");
    let mixed = "# T\n## Phase 1: P\n- [ ] 1.1 D\n## Effort\n### Phase 1: 2 days\n- [ ] estimate\n";
    insta::assert_snapshot!(check(mixed), @r"
    T
    phase 1: P
    task 1.1 in 1: D
    ");
    let first = "# Phase 1: P\n- [ ] 1.1 D\n## Notes\n- [ ] 1.2 D\n# Notes\n- [ ] n\n";
    insta::assert_snapshot!(check(first), @r"
    plan.md
    phase 1: P
    task 1.1 in 1: D
    task 1.2 in 1: D
    ");
}

#[test]
fn what_is_code_or_commented_out_is_no_task_and_no_dependency() {
    insta::assert_snapshot!(check("\
# T
```text
## Phase 9: fenced
- [ ] 9.1 fenced
```
## Phase 1: P
- [ ] 1.1 Explain `(depends: 9.9)` <!-- (depends: 8.8) -->
~~~
- [ ] 1.2 fenced
~~~
<!--
- [ ] 1.3 commented out
-->

    - [ ] 1.4 indented code
`- [ ] 1.5 inline code`
- [ ] 1.6 D (depends: 1.1)
  ```sh
  - [ ] 1.7 (depends: 1.8)
  ```
"), @r#"
    T
    phase 1: P
    task 1.1 in 1: Explain `(depends: 9.9)` <!-- (depends: 8.8) -->
    task 1.6 in 1: D (depends: 1.1)
      after 1.1
      step "```sh"
      step "- [ ] 1.7 (depends: 1.8)"
      step "```"
    plan.md:15:5: warning: this looks like a task, but it is indented code
      help: So far to the right it is code: move it to the left margin, or put it into a fence.
    "#);
}

#[test]
fn verification_criteria_come_in_several_forms() {
    insta::assert_snapshot!(in_phase("\
- [ ] 1.1 D
  - a detail
**VERIFY Phase 1:**
- [ ] box
- bullet
  with a detail

**Tasks:**
- bullet of no interest

**VERIFY 1:** text that
goes on
---
no criterion

**VERIFY 1.1:** (non-blocking)
on the next line
- [ ] 1.2 a task

**VERIFY:**
  - [ ] indented
  - twice

- [ ] **VERIFY 1:** in a box (non-blocking)
"), @r#"
    T
    phase 1: P {"verification_non_blocking":true}
      verify "box"
      verify "bullet\nwith a detail"
      verify "text that\ngoes on"
      verify "on the next line"
      verify "- [ ] indented\n- twice"
      verify "in a box"
    task 1.1 in 1: D
      step "- a detail"
    task 1.2 in 1: a task
    "#);
}

#[test]
fn a_stray_backtick_takes_nothing_away_from_the_lines_below() {
    insta::assert_snapshot!(in_phase("\
- [ ] 1.1 D
  - a stray ` here
**VERIFY Phase 1:** and ` there
- [ ] 1.2 one ` more (depends: 1.1)
- [ ] 1.3 the ` last
"), @r#"
    T
    phase 1: P
      verify "and ` there"
    task 1.1 in 1: D
      step "- a stray ` here"
    task 1.2 in 1: one ` more (depends: 1.1)
      after 1.1
    task 1.3 in 1: the ` last
    "#);
}

#[test]
fn notes_about_the_order_are_kept_in_a_form_that_programs_read() {
    insta::assert_snapshot!(check("\
# T
**Execution Note:** Phases 1-2 are [PARALLEL] - nothing in common
## Phase 1: P
> **Execution Note:** Tasks 1.1-1.3 are [SEQUENTIAL] - one file
- [ ] 1.1 D
- [ ] 1.2 D
- [ ] 1.3 D
**Execution Note:** best run at night
## Phase 2: Q (pipeline-start: when 1.2 completes)
**Execution Note:** Tasks 2.1 and 1.1 are [PARALLEL]
- [ ] 2.1 D
## Phase 3: R
**pipeline-start:** when 2.1 completes
"), @r#"
    T
     {"parallel":[{"phases":["1","2"],"reason":"nothing in common"}]}
    phase 1: P {"sequential":[{"reason":"one file","tasks":["1.1","1.2","1.3"]}]}
    phase 2: Q {"parallel":[{"tasks":["2.1","1.1"]}],"pipeline_start":{"after":"1.2"}}
    phase 3: R {"pipeline_start":{"after":"2.1"}}
    task 1.1 in 1: D
    task 1.2 in 1: D
    task 1.3 in 1: D
    task 2.1 in 2: D
    "#);
}

#[test]
fn notes_that_name_nothing_are_warned_of() {
    insta::assert_snapshot!(in_phase("\
- [ ] 1.1 D
**Execution Note:** Tasks 1.1-1.9 are [SEQUENTIAL]
**Execution Note:** All of it is [PARALLEL]
**pipeline-start:** soon
"), @r"
    T
    phase 1: P
    task 1.1 in 1: D
    plan.md:4:1: warning: this is about task 1.9, which the plan does not have
      help: Write it as `Tasks 2.1-2.6 are [SEQUENTIAL] - reason`, or with `Phases` or `[PARALLEL]`; as it is, it is a note for people.
    plan.md:5:1: warning: this note does not say which tasks or phases it means
      help: Write it as `Tasks 2.1-2.6 are [SEQUENTIAL] - reason`, or with `Phases` or `[PARALLEL]`; as it is, it is a note for people.
    plan.md:6:1: warning: this pipeline-start is not understood
      help: It stands in a phase and names a task of the plan, as `when 1.3 completes`.
    ");
}

#[test]
fn a_note_that_contradicts_the_dependencies_orders_nothing() {
    insta::assert_snapshot!(check("\
# T
## Phase 1: P
**Execution Note:** Tasks 1.1-1.2 are [SEQUENTIAL] - first things first
- [ ] 1.1 D (depends: 1.2)
- [ ] 1.2 D
- [ ] 1.3 D
**Execution Note:** Tasks 1.2-1.3 are [SEQUENTIAL]
"), @r#"
    T
     {"contradictory":[{"phases":[],"reason":"first things first","tasks":["1.1","1.2"]}]}
    phase 1: P {"sequential":[{"tasks":["1.2","1.3"]}]}
    task 1.1 in 1: D (depends: 1.2)
      after 1.2
    task 1.2 in 1: D
    task 1.3 in 1: D
    plan.md:3:1: warning: this note contradicts the dependencies
      help: With it, tasks would wait for each other. It is kept and shown, and orders nothing.
    "#);
}

#[test]
fn line_endings_tabs_and_byte_order_marks_change_nothing() {
    let plan = "# T\n## Phase 1: P\n- [ ] 1.1 D\n  - s\n- [ ] 1.2 E (depends: 1.1)";
    let expected = check(plan);
    for variant in [
        plan.replace('\n', "\r\n"),
        format!("\u{feff}{plan}"),
        format!("{plan}\n\n"),
        plan.replace("- [ ] 1", "-\t[ ]\t1"),
        plan.replace("- [ ]", "* [ ]"),
        plan.replace("  - s", "\t- s"),
    ] {
        assert_eq!(check(&variant), expected, "{variant:?}");
    }
}

#[test]
fn a_task_is_read_where_a_blank_is_too_many_or_missing() {
    insta::assert_snapshot!(in_phase("\
 - [ ] 1.0 indented by one, below nothing
- [x ] 1.1 D
 - [ ] 1.2 indented by one
- [  ] 1.3 D
- [] 1.4 D
- [ ]1.5 D
- [ X]**1.6** D
"), @r#"
    T
    phase 1: P
    task 1.0 in 1: indented by one, below nothing
    task 1.1 in 1: D {"checked":true}
    task 1.2 in 1: indented by one
    task 1.3 in 1: D
    task 1.4 in 1: D
    task 1.5 in 1: D
    task 1.6 in 1: D {"checked":true}
    "#);
}

#[test]
fn checklists_that_are_no_tasks_are_warned_of() {
    insta::assert_snapshot!(check("\
# T
- [ ] 0.1 above all phases
## Phase 1: P
- [ ] 1.1 D

Before the release:
- [ ] no number
- [ ] nor here
> - [ ] 1.2 quoted

## Notes
- [ ] 1.5 in another section
"), @r#"
    T
    phase 1: P {"unnumbered":["no number","nor here"]}
    task 1.1 in 1: D
    plan.md:2:7: warning: this item has a number, but it is no task
      help: It is in no phase: tasks stand below a heading `## Phase 1: Name`, up to the next heading of that level.
    plan.md:7:1: warning: phase 1 has a checklist without numbers: its items are no tasks
      help: They are kept and shown, not scheduled. To make tasks of them, begin each with a number, as `- [ ] 1.1 What to do`.
    plan.md:9:1: warning: this looks like a task, but it is quoted
      help: It is quoted: a task begins at the left margin. Put it into backticks if it is none.
    plan.md:12:7: warning: this item has a number, but it is no task
      help: It is in no phase: tasks stand below a heading `## Phase 1: Name`, up to the next heading of that level.
    "#);
}

#[test]
fn what_resembles_a_task_is_an_error() {
    insta::assert_snapshot!(refuse("plan.md", "\
# T
## Phase 1: P
- [ ] 1.1 D
  - [ ] 1.2 below another one
- [~] 1.3 D
- 1.4 D
1.5 D
- [ ]* 1.6 D
- [ ] Task 1.7: D
- [ ] 1.2.3.4 D
[ ] 1.8 D

Some text.
- [ ] 1.9 D (depends: 1.3, 1.4, 1.10)
- item
  - [ ] 1.10 below an item
<div>
- [ ] 1.11 in HTML
</div>

**VERIFY:**
- [-] 1.12 D
  - [ ] 1.13 below a criterion
"), @r"
    plan.md:4:3: error: this looks like a task, but it is indented below another one
      help: Move it to the left margin to make a task of it; the number of a step begins with that of its task.
    plan.md:5:1: error: this box says that the task is begun; a box here says open or done
      help: Write `- [ ] `: how far a task is, the plan knows. Or read the file with `--format markdown`, which knows this mark.
    plan.md:6:1: error: this looks like a task, but it has no box
      help: Write `- [ ] ` in front of the number, or put the number into backticks if it is none of a task.
    plan.md:7:1: error: this looks like a task, but it has no box
      help: Write `- [ ] ` in front of the number, or put the number into backticks if it is none of a task.
    plan.md:8:1: error: this looks like a task, but its box is none
      help: Write `- [ ] ` for what is to be done and `- [x] ` for what is done; other marks are not known.
    plan.md:9:1: error: this looks like a task, but its number is not at the beginning, or not one of a task
      help: Write `- [ ] 1.1 What to do`, with a number of two or three parts.
    plan.md:10:1: error: this looks like a task, but its number is not at the beginning, or not one of a task
      help: Write `- [ ] 1.1 What to do`, with a number of two or three parts.
    plan.md:11:1: error: this looks like a task, but its box is none
      help: Write `- [ ] ` for what is to be done and `- [x] ` for what is done; other marks are not known.
    plan.md:16:3: error: this looks like a task, but it is indented
      help: A task begins at the left margin: move it there.
    plan.md:18:1: error: this task is part of a block of HTML
      help: HTML goes on up to the next blank line: put one above the checklist.
    plan.md:22:1: error: this box says that the task is dropped, or begun; a box here says open or done
      help: Write `- [ ] ` if it is still to be done; take the line out if it is not, or put it into a comment.
    plan.md:23:3: error: this looks like a task, but it is indented
      help: A task begins at the left margin: move it there.
    ");
}

#[test]
fn what_mentions_a_task_is_none() {
    insta::assert_snapshot!(in_phase("\
- 1.1 and 1.2 are independent
- Task 1.2 is last
- [ ] 1.1 D
  - [ ] 1.2 comes later
- [ ] 1.2 D
- [ ] Task 1.1 is checked again
- 3.5x faster

- 2.7 GB are free
1.1 is the first.
"), @r#"
    T
    phase 1: P
    task 1.1 in 1: D
      step "- [ ] 1.2 comes later"
    task 1.2 in 1: D
    "#);
}

#[test]
fn tasks_below_a_phase_lookalike_leave_the_phase_above() {
    for (heading, error) in [
        (
            "### Phase 2: Q",
            Some("phase 2 is a heading of level 3, and the phases of this plan are of level 2"),
        ),
        ("# Phase 2: Q", Some("phase 2 is a heading of level 1, and the phases of this plan are of level 2")),
        ("##Phase 2: Q", Some("this seems to begin phase 2, and is no heading of a phase")),
        ("## Phase2: Q", Some("this seems to begin phase 2, and is no heading of a phase")),
        ("## Phase 2 Q", Some("this seems to begin phase 2, and is no heading of a phase")),
        ("**Phase 2: Q**", Some("this seems to begin phase 2, and is no heading of a phase")),
        ("\nPhase 2: Q\n", Some("this seems to begin phase 2, and is no heading of a phase")),
        ("### Phase 1: more of it", None),
        ("**Phase 3:** comes later", None),
        ("### Phase 2: Q\n### More of phase 1", None),
    ] {
        let plan = format!("# T\n## Phase 1: P\n- [ ] 1.1 D\n\n{heading}\n- [ ] 2.1 D\n- [ ] 2.2 D\n");
        match (crate::parse("plan.md", plan.as_bytes()), error) {
            (Ok(parsed), None) => assert_eq!(parsed.spec.tasks.len(), 3, "{heading}"),
            (Err(problems), Some(error)) => {
                let told: Vec<&str> =
                    problems.listed.iter().map(|problem| problem.message.as_str()).collect();
                assert_eq!(told, [error], "{heading}");
            }
            (read, _) => panic!("{heading}: {read:?}"),
        }
    }
}

#[test]
fn code_that_never_ends_takes_no_tasks_with_it() {
    insta::assert_snapshot!(refuse("plan.md", "# T\n## Phase 1: P\n- [ ] 1.1 D\n```\n- [ ] 1.2 D\n"), @r"
    plan.md:4:1: error: this block of code has no end, and tasks are in it
      help: Everything below it counts as code, up to the end of the file or list: close it.
    ");
}

#[test]
fn dependencies_are_read_in_many_words() {
    insta::assert_snapshot!(check("\
# T
## Phase 0: O
- [ ] 0.1 D
## Phase 1: P
- [ ] 1.1 D
- [ ] 1.2 D (Depends on: 1.1)
- [ ] 1.3 D (deps: 1.1, 1.2)
- [ ] 1.4 D, depends on Task 1.1
- [ ] 1.5 D
  **Dependencies:** 1.1, 1.4
- [ ] 1.6 a line that goes on (depends: 1.1,
  1.2) and on
- [ ] 1.7 another one (depends:
1.5)
- [ ] 1.8 D
  - [ ] 1.8.1 a step (depends: 1.7)
  - [ ] 1.8.2 a step (depends: 1.8.1)

  Depends on: 1.2
- [ ] 1.9 D (depends: 1.8.2)
**Depends on:** 1.3
- [ ] 1.10 D (depends: phase 0)
"), @r#"
    T
    phase 0: O
    phase 1: P
    task 0.1 in 0: D
    task 1.1 in 1: D
    task 1.2 in 1: D (Depends on: 1.1)
      after 1.1
    task 1.3 in 1: D (deps: 1.1, 1.2)
      after 1.1
      after 1.2
    task 1.4 in 1: D, depends on Task 1.1
      after 1.1
    task 1.5 in 1: D
      after 1.1
      after 1.4
      step "**Dependencies:** 1.1, 1.4"
    task 1.6 in 1: a line that goes on (depends: 1.1,
      after 1.1
      after 1.2
      step "1.2) and on"
    task 1.7 in 1: another one (depends:
      after 1.5
      step "1.5)"
    task 1.8 in 1: D
      after 1.7
      after 1.2
      step "- [ ] 1.8.1 a step (depends: 1.7)"
      step "- [ ] 1.8.2 a step (depends: 1.8.1)"
      step "Depends on: 1.2"
    task 1.9 in 1: D (depends: 1.8.2)
      after 1.8
      after 1.3
      step "**Depends on:** 1.3"
    task 1.10 in 1: D (depends: phase 0)
      after 0.1
    "#);
}

#[test]
fn phases_wait_for_what_they_depend_on() {
    insta::assert_snapshot!(check("\
# T
## Phase 0: O (No dependencies)
- [ ] 0.1 D
## Phase 1: P (Depends on Phase 0)
- [ ] 1.1 D
## Phase 2: Q

**Dependencies:** Phases 0 & 1

- [ ] 2.1 D
## Phase 3: R
- Depends on: 1.1
- [ ] 3.1 D
## Phase 4: S (depends on phase 5)
- [ ] 4.1 D
- [ ] 5.1 D (depends on all Phase 4)
## Phase 5: S (depends on phase 4)
- [ ] 5.2 D
"), @r#"
    T
     {"contradictory":[{"phases":["4","5"],"reason":null,"tasks":[]}],"sequential":[{"phases":["0","1"]},{"phases":["0","2"]},{"phases":["1","2"]},{"phases":["5","4"]}]}
    phase 0: O (No dependencies)
    phase 1: P (Depends on Phase 0)
    phase 2: Q
    phase 3: R {"pipeline_start":{"after":"1.1"}}
    phase 4: S (depends on phase 5)
    phase 5: S (depends on phase 4)
    task 0.1 in 0: D
    task 1.1 in 1: D
    task 2.1 in 2: D
    task 3.1 in 3: D
    task 4.1 in 4: D
    task 5.1 in 4: D (depends on all Phase 4)
      after 4.1
    task 5.2 in 5: D
    plan.md:17:33: warning: this note contradicts the dependencies
      help: With it, tasks would wait for each other. It is kept and shown, and orders nothing.
    "#);
}

#[test]
fn dependencies_that_are_not_understood_are_errors_or_warnings() {
    insta::assert_snapshot!(refuse("plan.md", "\
# T
## Phase 1: P (depends on phase 1)
**Dependencies:** Phase 9
- [ ] 1.1 D
- [ ] 1.2 D (depends: 1.1
- [ ] 1.3 D (depends on 1.1 or 1.2)
- [ ] 1.4 D (after 1.9)
- [ ] 1.5 D (deps: 1.1a)

**Depends on:** 1.1
"), @r"
    plan.md:2:33: error: phase 1 cannot wait for itself
      help: A phase waits for other phases, or for one task: write the others into the lines of its tasks, as `(depends: 1.1, 1.2)`.
    plan.md:3:25: error: this is about phase 9, which the plan does not have
      help: A phase waits for other phases, or for one task: write the others into the lines of its tasks, as `(depends: 1.1, 1.2)`.
    plan.md:5:13: error: the bracket of this dependency is never closed
      help: Close it in the same paragraph, or put the words into backticks if they are no dependency.
    plan.md:6:13: error: this dependency has a condition
      help: A task waits for all the tasks that it names: list these, as `(depends: 1.1, 1.2)`, or put the words into backticks if they are no dependency.
    plan.md:7:20: error: task 1.4 depends on 1.9, which the plan does not have
      help: It could never start. Correct the id, or take the dependency out.
    plan.md:8:20: error: task 1.5 depends on 1.1a, which the plan does not have
      help: It could never start. Correct the id, or take the dependency out.
    plan.md:10:17: error: this dependency is not in a task, so that it is not clear which task waits
      help: Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.
    ");
    insta::assert_snapshot!(check("\
# T
## Phase 1: P
- [ ] 1.1 D
- [ ] 1.2 D after 1.1
  - Dependencies: the schema
- [ ] 1.3 Use Python (requires Python 3.12)

## Dependencies
- 1.3 depends on 1.1
"), @r#"
    T
    phase 1: P
    task 1.1 in 1: D
    task 1.2 in 1: D after 1.1
      step "- Dependencies: the schema"
    task 1.3 in 1: Use Python (requires Python 3.12)
    plan.md:4:13: warning: this is not read as a dependency
      help: Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.
    plan.md:5:5: warning: this names no task of the plan, so that nothing waits for it
      help: Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.
    plan.md:9:7: warning: this is not read as a dependency
      help: Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.
    "#);
}

#[test]
fn what_is_lost_of_a_dependency_is_a_warning() {
    insta::assert_snapshot!(check("\
# T
## Phase 1: P
- [ ] 1.1 D
- [ ] 1.2 D <!-- depends: 1.1 -->
- [ ] 1.3 D (depends on 1.1 and 99)
- [ ] 1.4 D (after 99)
"), @r"
    T
    phase 1: P
    task 1.1 in 1: D
    task 1.2 in 1: D <!-- depends: 1.1 -->
    task 1.3 in 1: D (depends on 1.1 and 99)
      after 1.1
    task 1.4 in 1: D (after 99)
    plan.md:4:18: warning: this is not read as a dependency
      help: Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.
    plan.md:5:33: warning: this names no task of the plan, so that nothing waits for it
      help: Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.
    plan.md:6:13: warning: this names no task of the plan, so that nothing waits for it
      help: Write `(depends: 1.1, 1.2)` into the line of the task, or put the words into backticks if they are none.
    ");
}

#[test]
fn a_comment_without_an_end_is_an_error_if_tasks_are_in_it() {
    insta::assert_snapshot!(refuse("plan.md", "\
# T
## Phase 1: P
- [ ] 1.1 D

<!-- note
- [ ] 1.2 D
"), @r"
    plan.md:5:1: error: this comment has no end, and tasks are in it
      help: Everything below it is part of it, up to the end of the file or list: close it.
    ");
}

#[test]
fn other_oddities_are_warned_of() {
    insta::assert_snapshot!(check("\
# T
## Phase 1: P
- [ ] 1.1
## Phase 1: P again
- [ ] 1.2 D
## Notes
```
never closed
## Phase 2: Q
"), @r"
    T
    phase 1: P
    task 1.1 in 1: 
    task 1.2 in 1: D
    plan.md:3:1: warning: task 1.1 has no description
      help: Say what is to be done, on the same line.
    plan.md:4:1: warning: there is a phase 1 already
      help: The tasks below are added to it: give this phase a number of its own if it is another one.
    plan.md:7:1: warning: this block of code has no end
      help: Everything below it counts as code, up to the end of the file or list: close it.
    ");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    insta::assert_snapshot!(refuse("plan.md", "\
# T
## Phase 1: P
- [ ] 1.1 Ä (depends: 1.2)
- [ ] 1.2 D (depends: 1.3, 1.9)
- [ ] 1.3 D (depends: 1.1)
- [ ] 1.6 D
- [ ] 1.6 E
- [ ] 1.4 D (depends: 1.4)
- [ ] 1.5 D (depends: 1, 1.1-1.3, -x)
"), @r#"
    plan.md:3:23: error: the dependencies form a cycle: 1.1 → 1.2 → 1.3 → 1.1
      help: Each waits for the next, so that none of them could ever start: take one of these dependencies out, or a note about the order.
    plan.md:4:28: error: task 1.2 depends on 1.9, which the plan does not have
      help: It could never start. Correct the id, or take the dependency out.
    plan.md:7:7: error: task 1.6 is defined more than once
      help: Give each task an id of its own.
    plan.md:8:23: error: the dependencies form a cycle: 1.4 → 1.4
      help: Each waits for the next, so that none of them could ever start: take one of these dependencies out, or a note about the order.
    plan.md:9:23: error: task 1.5 depends on 1, which the plan does not have
      help: 1 is a phase, and only tasks can be waited for: name its tasks one by one.
    plan.md:9:26: error: task 1.5 depends on 1.1-1.3, which the plan does not have
      help: Name the tasks one by one, with commas between them.
    plan.md:9:35: error: task id "-x" begins with `-`, which would read as a flag
      help: Name the tasks by their numbers, with commas between them.
    "#);
}

#[test]
fn a_plan_without_tasks_gets_advice() {
    insta::assert_snapshot!(refuse("plan.md", "# T\n\nSome prose.\n"), @r"
    plan.md:1:1: error: the plan has no tasks
      help: There would be nothing to do. A task is a line `- [ ] 1.1 What to do` at the left margin, below a heading `## Phase 1: Name`.
    ");
}

#[test]
fn texts_that_are_too_long_are_refused() {
    let long = "x".repeat(20_000);
    let text = format!("# {long}\n## Phase 1: {long}\n- [ ] 1.1 {long}\n- [ ] **VERIFY 1**: {long}\n");
    let messages: Vec<String> = refuse("plan.md", text).lines().step_by(2).map(str::to_owned).collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    plan.md:1:1: error: the title has 20000 bytes; at most 16384 are allowed
    plan.md:2:1: error: the name of the phase has 20000 bytes; at most 16384 are allowed
    plan.md:2:1: error: the verification of the phase has 20000 bytes; at most 16384 are allowed
    plan.md:3:7: error: a text of task 1.1 has 20000 bytes; at most 16384 are allowed
    ");
}

#[test]
fn a_task_says_which_approval_it_needs() {
    insta::assert_snapshot!(in_phase("\
- [ ] 1.1 Deploy
  - approval: before
- [ ] 1.2 Report (depends: 1.1) (approval: after)
- [ ] 1.3 Test
  - **Approval:** `After`.
- [ ] 1.4 Say `(approval: before)`
  - the approval: before all
  - Approval: of the security team
"), @r#"
    T
    phase 1: P
    task 1.1 in 1: Deploy {"approval":"before"}
      step "- approval: before"
    task 1.2 in 1: Report (depends: 1.1) (approval: after) {"approval":"after"}
      after 1.1
    task 1.3 in 1: Test {"approval":"after"}
      step "- **Approval:** `After`."
    task 1.4 in 1: Say `(approval: before)`
      step "- the approval: before all"
      step "- Approval: of the security team"
    plan.md:10:15: warning: this is not read as an approval
      help: Write `- approval: before` below the task if a person has to approve each attempt before it starts, `after` for its result. Put the words into backticks if they mean something else.
    "#);
}

#[test]
fn an_approval_that_is_none_is_refused() {
    let text = "# T\n## Phase 1: P\n- [ ] 1.1 A (approval: always)\n- [ ] 1.2 B\n  - approval: before\n  - approval: after\n";
    insta::assert_snapshot!(refuse("plan.md", text), @r#"
    plan.md:3:24: error: "always" is no approval: there are before and after
      help: Write `- approval: before` below the task if a person has to approve each attempt before it starts, `after` for its result. Put the words into backticks if they mean something else.
    plan.md:6:15: error: the task asks for two approvals, before and after
      help: A task asks for one of them: take the other out.
    "#);
}

/// A plan of three tasks and a line after the second.
fn with_line(line: &str) -> Result<crate::Parsed, crate::Problems> {
    let text = format!("# T\n## Phase 1: P\n- [ ] 1.1 a\n- [ ] 1.2 b\n{line}\n- [ ] 1.4 d\n");
    crate::parse("plan.md", text.as_bytes())
}

#[test]
fn each_spelling_of_a_dependency_is_read() {
    for spelling in [
        "(blocked-by: 1.1)",
        "(blocked-by 1.1)",
        "(blockedBy: 1.1)",
        "(BLOCKED_BY 1.1)",
        "(waits-for: 1.1)",
        "(wait for 1.1)",
        "(wait: 1.1)",
        "(prereq: 1.1)",
        "(prereqs: 1.1)",
        "(pre-requisite: 1.1)",
        "(follows 1.1)",
        "(require 1.1)",
        "(needs: 1.1)",
        "(depends to: 1.1)",
        "(dependsUpon 1.1)",
        "(Dependent-on: 1.1)",
        "\n  - **Blocked-By:** 1.1",
    ] {
        let parsed =
            with_line(&format!("- [ ] 1.3 c {spelling}")).unwrap_or_else(|problems| panic!("{problems:#}"));
        let on: Vec<&str> = parsed.spec.tasks[2].depends_on.iter().map(TaskId::as_str).collect();
        assert_eq!((on, parsed.warnings.len()), (vec!["1.1"], 0), "{spelling}");
    }
}

#[test]
fn what_may_be_a_dependency_is_a_warning_at_its_place() {
    for statement in [
        "(once 1.1 is done)",
        "(when 1.1 completes)",
        "(as soon as 1.1 is there)",
        "(← 1.1)",
        "(wait 1.1)",
        "(no longer depends on 1.1)",
        "(not dependent on 1.1)",
        "does not depend on 1.1",
        "(before 1.1)",
        "(Tests: 1.1, 1.2)",
        "\n  - **Order:** 1.1",
    ] {
        let parsed =
            with_line(&format!("- [ ] 1.3 c {statement}")).unwrap_or_else(|problems| panic!("{problems:#}"));
        assert!(parsed.spec.tasks[2].depends_on.is_empty(), "{statement}");
        let lines: Vec<usize> = parsed.warnings.iter().map(|warning| warning.line).collect();
        assert_eq!(lines, [5 + statement.matches('\n').count()], "{statement}");
    }
    for mention in ["(see 1.1)", "(verified in 1.1)", "(1.1)", "(took 1.1 hours)", "\n  - Requirements: 1.1"]
    {
        let parsed =
            with_line(&format!("- [ ] 1.3 c {mention}")).unwrap_or_else(|problems| panic!("{problems:#}"));
        assert_eq!(parsed.warnings, [], "{mention}");
    }
}

#[test]
fn a_misspelt_word_of_a_dependency_is_an_error() {
    for (statement, meant) in [
        ("(depnds: 1.1)", "depends"),
        ("(depnds on 1.1)", "depends on"),
        ("(wiats-for: 1.1, 1.2)", "waits for"),
        ("(blockd by task 1.1)", "blocked by"),
        ("(prerequsites: 1.1)", "prerequisites"),
        ("\n  - **Depnds:** 1.1", "depends"),
    ] {
        let problems = with_line(&format!("- [ ] 1.3 c {statement}")).expect_err(statement);
        let help = problems.listed[0].help.clone().unwrap_or_default();
        assert_eq!(problems.listed.len(), 1, "{statement}");
        assert!(help.starts_with(&format!("Did you mean `{meant}`?")), "{statement}: {help}");
    }
}

#[test]
fn a_task_that_is_written_as_none_is_an_error_at_its_place() {
    for line in [
        "### 1.3 loose",
        "#### Task 1.3: loose",
        "| [ ] 1.3 | table |",
        "| 1.3 | table | [ ] |",
        "- [ ] 1.3a x",
        "- [ ] 1,3 x",
        "- [ ] 1．3 x",
        "- [ ] 1-3 x",
        "- [ ] v1.3 x",
        "- [ ] A.1 x",
        "- [ ] 1.\u{200b}3 x",
        "- [ ] x",
    ] {
        let problems = with_line(line).expect_err(line);
        let lines: Vec<usize> = problems.listed.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [5], "{line:?}");
        let first = format!("# T\n## Phase 1: P\n{line}\n\n- [ ] 1.1 a\n- [ ] 1.2 b\n");
        assert!(crate::parse("plan.md", first.as_bytes()).is_err(), "{line:?} above all tasks");
    }
}

#[test]
fn characters_that_are_not_seen_hide_no_task() {
    for line in [
        "- [ ] {}1.3 x",
        "- [ ]{}1.3 x",
        "- {}[ ] 1.3 x",
        "{}- [ ] 1.3 x",
        "- [ ] {}**1.3** x",
        "- [ ] **{}1.3** x",
    ] {
        for unseen in ["\u{200b}", "\u{feff}", "\u{2060}", "\u{200b}\u{feff}"] {
            let parsed =
                with_line(&line.replace("{}", unseen)).unwrap_or_else(|problems| panic!("{problems:#}"));
            assert_eq!(parsed.spec.tasks[2].id.as_str(), "1.3", "{line} {unseen:?}");
            assert_eq!(parsed.warnings, [], "{line} {unseen:?}");
        }
    }
}

#[test]
fn what_stands_apart_from_the_tasks_is_none() {
    for apart in [
        "\n**Acceptance:**\n- [ ] it works\n\nMore:\n",
        "\n### Acceptance\n- [ ] v7.3 is out\n- [ ] 5-7 examples\n### More\n",
        "### 1.4 a section",
        "| 1.1 | [x] |",
        "| 2.5 ms | [x] |",
    ] {
        let line =
            if apart.contains("section") { format!("{apart}\n- [ ] 1.4.1 c") } else { apart.to_owned() };
        let parsed = with_line(&line).unwrap_or_else(|problems| panic!("{problems:#}"));
        assert!(parsed.spec.tasks.len() >= 3, "{apart}");
    }
}
