//! Tests of the readers of checklists: small files for each rule, and generated ones.

use proptest::{prelude::*, sample::select};

use crate::{Format, Parsed, Severity, parse, parse_as, tests::show};

fn read(path: &str, text: &str) -> Parsed {
    let parsed = parse(path, text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(parsed.counts.agree(), "{:?}", parsed.counts);
    parsed
}

/// Each task with what it waits for.
fn waits(parsed: &Parsed) -> Vec<String> {
    let ids = |task: &planlease_core::spec::TaskSpec| {
        let on: Vec<&str> = task.depends_on.iter().map(planlease_core::TaskId::as_str).collect();
        format!("{} < {}", task.id, on.join(" "))
    };
    parsed.spec.tasks.iter().map(ids).collect()
}

fn warnings(parsed: &Parsed) -> Vec<String> {
    parsed.warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.message)).collect()
}

#[test]
fn kiro_nests_by_numbers_and_keeps_requirements() {
    let text = "# Implementation Plan\n\n- [x] 1. Log in\n\n- [x] 1.1 Form\n  - Two fields\n  - _Requirements: 2.1, 2.2_\n\
                - [-] 1.2 Session\n- [ ]* 1.3 More tests\n- [ ] 1.4 Log out\n- [ ] 2. Ship\n  - [ ] 2.1 (P) Pack\n";
    let parsed = read(".kiro/specs/log-in/tasks.md", text);
    assert_eq!(parsed.format, Format::Kiro);
    let expected = [
        "1 < 1.1 1.2 1.4",
        "1.1 < ",
        "1.2 < 1.1",
        "1.3 < 1.2",
        "1.4 < 1.2",
        "2 < 1 1.1 1.2 1.4 2.1",
        "2.1 < 1 1.1 1.2 1.4",
    ];
    assert_eq!(waits(&parsed), expected);
    assert_eq!(parsed.spec.tasks[1].steps, ["- Two fields", "- _Requirements: 2.1, 2.2_"]);
    assert!(parsed.spec.tasks[3].labels.contains("optional"));
    assert_eq!(warnings(&parsed), ["8: 1 task is marked as in progress"]);
    assert_eq!((parsed.spec.tasks[0].is_ticked(), parsed.is_partly_ticked()), (true, true));
}

#[test]
fn tasks_of_every_checklist_say_which_approval_they_need() {
    let text = "- [ ] Deploy\n  - approval: before\n- [ ] Report\n  (approval: after)\n- [ ] Test\n  ```\n  approval: before\n  ```\n";
    for path in [".kiro/specs/a/tasks.md", "specs/1/tasks.md", "openspec/changes/a/tasks.md", "TODO.md"] {
        let parsed = read(path, text);
        let approvals: Vec<_> =
            parsed.spec.tasks.iter().map(|task| task.approval.map(|of| of.as_str())).collect();
        assert_eq!(approvals, [Some("before"), Some("after"), None], "{path}");
    }
    let problems = parse("TODO.md", b"- [ ] Deploy\n  - approval: sometimes\n").unwrap_err();
    let first = &problems.listed[0];
    assert_eq!((first.severity, first.line, first.column), (Severity::Error, 2, 15), "{problems}");
    let noted = "- [ ] Deploy (approval: sometimes)\n  <!-- planlease: {\"approval\":\"after\"} -->\n";
    let noted = read("TODO.md", noted).spec.tasks[0].approval;
    assert_eq!(noted.map(|of| of.as_str()), Some("after"), "the note counts, and the text is not read");
}

#[test]
fn checkpoints_of_kiro_stand_between_tasks() {
    let text = "- [ ] 1. A\n  - [ ] 1.1 B\n- [ ] 2. Checkpoint - all tests pass\n- [ ] 3. C\n  - [ ] 3.1 D\n- [ ] 4. (P) E\n";
    let parsed = read(".kiro/specs/a/tasks.md", text);
    assert_eq!(waits(&parsed), ["1 < 1.1", "1.1 < ", "2 < 1 1.1", "3 < 2 3.1", "3.1 < 2", "4 < "]);
}

/// The tasks that may start after an import of the file that records what is ticked as done.
fn ready(parsed: &Parsed) -> Vec<String> {
    use planlease_core::{TaskId, graph::Graph, transition::TaskStatus};

    let graph = Graph::new(&parsed.spec);
    let status = |task: &TaskId| {
        let is_done = parsed.spec.task(task)?.is_ticked();
        Some(if is_done { TaskStatus::Completed } else { TaskStatus::Pending })
    };
    graph.ready(status).map(ToString::to_string).collect()
}

#[test]
fn what_is_ticked_early_lets_nothing_begin_early() {
    let kiro = ".kiro/specs/a/tasks.md";
    for (path, text, expected) in [
        (kiro, "- [ ] 1. Check\n- [ ] 2. Build\n  - [x] 2.1 A\n  - [ ] 2.2 B\n", vec!["1"]),
        (kiro, "- [ ] 1. A\n- [x] 2. B\n- [ ] 3. C\n", vec!["1"]),
        (kiro, "- [x] 1. A\n  - [ ] 1.1 B\n- [x] 2. C\n- [ ] 3. D\n", vec!["1.1"]),
        (kiro, "- [ ] 1. A\n- [x] 2. B\n- [ ] 3. (P) C\n- [ ] 4. D\n", vec!["1", "3"]),
        ("specs/a/tasks.md", "## Phase 1: P\n- [ ] T001 A\n- [x] T002 B\n- [ ] T003 C\n", vec!["T001"]),
        ("TODO.md", "- [ ] 1. A\n- [ ] 2. B (after 1)\n- [x] 2.1 C\n- [ ] 2.2 D (after 2.1)\n", vec!["1"]),
    ] {
        assert_eq!(ready(&read(path, text)), expected, "{text}");
    }
}

#[test]
fn an_order_that_is_contradicted_keeps_what_is_said() {
    // A note that says all that a task waits for takes it out of the order.
    let text =
        "- [ ] 1. A (depends on 3)\n- [ ] 2. B\n  <!-- planlease: {\"depends_on\":[]} -->\n- [ ] 3. C\n";
    let parsed = read(".kiro/specs/a/tasks.md", text);
    assert_eq!(waits(&parsed), ["1 < 3", "2 < ", "3 < 2"]);
}

#[test]
fn kiro_marks_parallel_tasks_at_either_end() {
    let text = "- [ ] 1. A\n- [ ] 1.1 B\n- [ ] 1.2 Write utilities (P)\n- [ ] 1.3 (P) D\n- [ ] 1.4 E\n";
    let parsed = read(".kiro/specs/a/tasks.md", text);
    assert_eq!(waits(&parsed), ["1 < 1.1 1.2 1.3 1.4", "1.1 < ", "1.2 < ", "1.3 < ", "1.4 < 1.1 1.2 1.3"]);
    assert_eq!(parsed.spec.tasks[2].description, "Write utilities");
}

#[test]
fn spec_kit_orders_tasks_and_phases() {
    let text = "# Tasks: Shop\n\n## Phase 1: Setup\n\n- [X] T001 Create it in src/\n- [ ] T002 [P] Lint\n- [ ] T003 [P] Test\n\
                - [ ] T004 Link\n  with more words\n\n**Checkpoint**: it runs\n\n## Phase 2: User Story 1 - Buy (Priority: P1) 🎯 MVP\n\n\
                ### Tests\n\n- [ ] T005 [P] [US1] Cart (depends on T003, T004)\n- [ ] T006 [US1] Pay\n";
    let parsed = read("specs/001-shop/tasks.md", text);
    assert_eq!(parsed.format, Format::SpecKit);
    let expected =
        ["T001 < ", "T002 < ", "T003 < ", "T004 < T001 T002 T003", "T005 < T003 T004", "T006 < T005"];
    assert_eq!(waits(&parsed), expected);
    assert_eq!(parsed.spec.tasks[3].description, "Link with more words");
    assert_eq!(parsed.spec.tasks[4].description, "Cart (depends on T003, T004)");
    assert!(parsed.spec.tasks[4].labels.contains("US1"));
    let phases: Vec<&str> = parsed.spec.phases.iter().map(|phase| phase.number.as_str()).collect();
    assert_eq!(
        (phases.as_slice(), parsed.spec.sequential[0].phases.as_slice()),
        (&["1", "2"][..], &phases.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..])
    );
    assert_eq!(parsed.spec.phases[1].name, "User Story 1 - Buy (Priority: P1) 🎯 MVP");
}

#[test]
fn openspec_has_groups_and_no_title() {
    let parsed = read(
        "openspec/changes/add-login/tasks.md",
        "## 1. Form\n- [x] 1.1 Fields\n- [ ] 1.2 Style\n## 2. Docs\n- [ ] 2.1 Page\n",
    );
    insta::assert_snapshot!(show(&parsed.spec), @r#"
    add-login
    phase 1: Form
    phase 2: Docs
    task 1.1 in 1: Fields {"checked":true}
    task 1.2 in 1: Style
    task 2.1 in 2: Page
    "#);
}

#[test]
fn conductor_has_labels_commits_and_sub_tasks() {
    let text = "# Plan: Docs\n\n## Phase 1: Write [checkpoint: 0b41b9b]\n- [x] Task: Draft it 0b41b9b\n    - [x] Outline\n- [~] Task: Review\n";
    let parsed = read("conductor/tracks/docs/plan.md", text);
    let tasks: Vec<&str> = parsed.spec.tasks.iter().map(|task| task.description.as_str()).collect();
    assert_eq!(tasks, ["Draft it", "Outline", "Review"]);
    assert_eq!(parsed.spec.tasks[0].extra["commit"], "0b41b9b");
    // Progress that is noted in the file changes no id.
    let before = text.replace(" 0b41b9b", "").replace(" [checkpoint: 0b41b9b]", "").replace("[x]", "[ ]");
    let ids = |parsed: &Parsed| parsed.spec.tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&read("conductor/tracks/docs/plan.md", &before)), ids(&parsed));
}

#[test]
fn any_checklist_is_a_plan() {
    let text = "# Todo\n\nIntro.\n\n## Now\n\n1. [ ] **API-1**: Serve it\n   - Depends on: DB-1\n2. [x] DB-1 Store it\n   - [x] Tables\n\n\
                ### Later\n\n* [-] Old idea\n* [!] Blocked thing\n* [/] Begun thing (after API-1)\n";
    let parsed = read("TODO.md", text);
    assert_eq!(parsed.format, Format::Checklist);
    let phases: Vec<&str> = parsed.spec.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(phases, ["Now", "Later"]);
    assert_eq!(parsed.spec.tasks[0].depends_on[0].as_str(), "DB-1");
    assert_eq!(parsed.spec.tasks[1].depends_on, [parsed.spec.tasks[2].id.clone()], "a parent waits");
    assert!(parsed.spec.tasks[3].is_dropped() && parsed.spec.tasks[3].is_ticked());
    assert_eq!(parsed.spec.tasks[5].depends_on[0].as_str(), "API-1");
    let expected = [
        "14: 1 task is marked as dropped",
        "15: 1 task is marked as blocked",
        "16: 1 task is marked as in progress",
    ];
    assert_eq!(warnings(&parsed), expected);
}

#[test]
fn ids_without_a_number_stay_when_others_come_and_go() {
    let ids = |text: &str| {
        let parsed = read("PLAN.md", text);
        parsed
            .spec
            .tasks
            .iter()
            .map(|task| (task.description.clone(), task.id.to_string()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = ids("# P\n## A\n- [ ] one\n- [ ] two\n## B\n- [ ] three\n");
    let after =
        ids("# P\n## New\n- [ ] zero\n## A ✅\n- [x] **two**\n- [ ] half\n- [x] one\n## B\n- [ ] three\n");
    for (task, id) in before {
        let task = if task == "two" { "**two**" } else { &task };
        assert_eq!(after[task], id);
    }
}

#[test]
fn duplicates_and_unknown_names_are_said() {
    let parsed = read(
        "openspec/changes/a/tasks.md",
        "## 1. A\n- [ ] 1.1 One\n- [ ] 1.1 Two (depends on 9.9)\n- 1.3 Three\n",
    );
    assert_eq!(
        warnings(&parsed),
        [
            "3: 2 tasks are called 1.1: it is the id of none of them",
            "3: no task is called 9.9: nothing waits for it",
            "4: this has no box, and no task is called 1.3: it is not read as a task"
        ]
    );
}

#[test]
fn the_order_of_the_file_gives_way_to_what_tasks_say() {
    let text = "- [ ] 1. A\n- [ ] 1.1 B (depends on 1.2)\n- [ ] 1.2 C\n";
    let parsed = read(".kiro/specs/a/tasks.md", text);
    assert_eq!(waits(&parsed), ["1 < 1.1 1.2", "1.1 < 1.2", "1.2 < "]);
    let refused = parse("a.md", b"- [ ] A1: a (depends on A2)\n- [ ] A2: b (depends on A1)\n").unwrap_err();
    assert!(refused.to_string().contains("form a cycle"), "{refused}");
}

#[test]
fn what_resembles_a_task_is_an_error_with_its_place() {
    let refused = parse("TODO.md", b"- [ ] a\n- ( ) b\n- [%] c\n").unwrap_err();
    insta::assert_snapshot!(format!("{refused:#}"), @r"
    TODO.md:2:3: error: this looks like a task, but its box is written with other brackets
      help: Write `- [ ] ` in front of what is to be done.
    TODO.md:3:3: error: this looks like a task, but the mark in its box is not known
      help: Known are `[ ]` to do, `[x]` done, `[~]` and `[/]` begun, `[-]` dropped, `[!]` blocked.
    ");
    assert!(refused.listed.iter().all(|problem| problem.severity == Severity::Error));
}

#[test]
fn a_letter_in_a_box_is_no_mark() {
    let text = "- [ ] a\n- [o] b\n- [v] c\n- [⏭️] d\n- [P] T004 e\n- [P] = parallel\n";
    let parsed = read("PLAN.md", text);
    let texts: Vec<&str> = parsed.spec.tasks.iter().map(|task| task.description.as_str()).collect();
    assert_eq!(texts, ["a", "c", "d"]);
    assert!(parsed.spec.tasks[1].is_ticked() && parsed.spec.tasks[2].is_dropped());
    let expected = [
        "2: this letter is no mark of a box that is known: the line is no task",
        "4: 1 task is marked as dropped",
        "5: this has no box, and no task is called T004: it is not read as a task",
    ];
    assert_eq!(warnings(&parsed), expected);
    let kit =
        read("specs/a/tasks.md", "## Phase 1: A\n- [ ] T003 a\n\nText\n\n- [P] T004 e\n- [P] = parallel\n");
    assert_eq!(warnings(&kit), ["6: this has no box, and no task is called T004: it is not read as a task"]);
}

#[test]
fn a_list_of_dependencies_ends_where_another_relation_begins() {
    let text = "# T\n- [ ] 1. A\n- [ ] 2. B (depends on 1; blocks 5)\n- [ ] 3. C (after 2, parallel with 1)\n\
                - [ ] 4. D (depends on 2, unblocks 1)\n- [ ] 5. E\n";
    assert_eq!(waits(&read("TODO.md", text)), ["1 < ", "2 < 1", "3 < 2", "4 < 2", "5 < "]);
}

#[test]
fn what_states_a_dependency_is_one_or_a_warning() {
    let text = "# T\n- [ ] 1. A\n- [ ] 2. B, depends on 1\n- [ ] 3. C depends on 1\n- [ ] 4. D; after 1\n\
                - [ ] 5. E **Depends:** 1\n- [ ] 6. F _depends on 1_\n- [ ] 7. G <!-- depends: 1 -->\n\
                - [ ] 8. H {depends: 1}\n- [ ] 9. I (needs: 1)\n- [ ] 10. J\n  - Needs: 1\n\
                - [ ] 11. K\n  Depends on: 1\n- [ ] 12. L. Depends on 1.\n- [ ] 13. M (depends on 1 and 99)\n\
                - [ ] 14. N (after 99)\n- [ ] 15. O (depends on 1 or 2)\n- [ ] 16. P depends on the weather\n";
    let parsed = read("TODO.md", text);
    let waits = waits(&parsed);
    for (nth, waits) in waits[1..13].iter().enumerate() {
        assert_eq!(*waits, format!("{} < 1", nth + 2));
    }
    assert_eq!(waits[13..], ["14 < ", "15 < 1 2", "16 < "]);
    let expected = [
        "16: no task is called 99: nothing waits for it",
        "17: no task is called 99: nothing waits for it",
        "18: the condition of this dependency is not understood",
    ];
    assert_eq!(warnings(&parsed), expected);
}

#[test]
fn short_ids_are_ids_where_tasks_refer_to_them() {
    let text = "# T\n- [ ] A-1 Do\n- [ ] B1 Do (depends on A-1)\n- [ ] Wire the rest (after PROJ_3, B1)\n\
                - [ ] PROJ_3 Do\n- [ ] S3 bucket\n- [ ] Last\n- [ ] Really last\n- [ ] Done\n";
    let parsed = read("TODO.md", text);
    let ids: Vec<&str> = parsed.spec.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!((ids[0], ids[1], ids[3]), ("A-1", "B1", "PROJ_3"));
    assert_eq!(waits(&parsed)[1], "B1 < A-1");
    assert_eq!(parsed.spec.tasks[2].depends_on.len(), 2);
    assert_eq!(parsed.spec.tasks[4].description, "S3 bucket", "one of a kind, and nothing names it");
    let parsed = read("TODO.md", "# T\n- [ ] a.1 One\n- [ ] a.2 Two\n- [ ] Three\n");
    assert_eq!((waits(&parsed)[0].as_str(), waits(&parsed)[1].as_str()), ("a.1 < ", "a.2 < "));
}

#[test]
fn an_unknown_name_that_begins_a_text_is_explained() {
    let text = "# T\n- [ ] A-1 One\n- [ ] A-1 Two\n- [ ] Three (depends on A-1)\n";
    let problems = parse("TODO.md", text.as_bytes()).unwrap_err();
    let [problem] = &problems.listed[..] else { panic!("{problems}") };
    assert_eq!((problem.severity, problem.line), (Severity::Error, 4));
    assert_eq!(problem.message, "no task is called A-1: nothing waits for it");
    let help = problem.help.as_deref().unwrap_or_default();
    assert!(help.starts_with("The text of another task begins with A-1"), "{help}");
}

#[test]
fn a_bare_number_is_an_id_where_a_dependency_names_it() {
    let text = "# Plan\n\n- [ ] 1 Build\n- [ ] 2 Test (depends: 1)\n- [ ] 3 Ship (depends: 1, 2)\n";
    let parsed = read("TODO.md", text);
    assert_eq!(waits(&parsed), ["1 < ", "2 < 1", "3 < 1 2"]);
    assert_eq!(warnings(&parsed), Vec::<String>::new());
    assert_eq!(parsed.spec.tasks[0].description, "Build");
    let text = "# Plan\n- [ ] 1 Build\n- [ ] Lint\n- [ ] Pack\n- [ ] 4 tests more\n- [ ] Test (depends: 1)\n";
    let parsed = read("TODO.md", text);
    assert_eq!((waits(&parsed)[0].as_str(), parsed.spec.tasks[4].depends_on.len()), ("1 < ", 1));
    assert_eq!(parsed.spec.tasks[3].description, "4 tests more", "nothing waits for 4");
    // Nothing is lost if it is not clear which task is meant.
    let text = "# Plan\n- [ ] 1 Build\n- [ ] 1 Lint\n- [ ] Test (depends: 1)\n";
    let problems = parse("TODO.md", text.as_bytes()).unwrap_err();
    assert_eq!((problems.listed[0].line, problems.listed[0].column), (4, 13), "{problems}");
    for lost in ["(depends: 9)", "[deps: 1, 9]", "(depends: the schema)", "<!-- depends: T099 -->"] {
        let text = format!("# Plan\n- [ ] 1 Build\n- [ ] Test {lost}\n");
        let problems = parse("TODO.md", text.as_bytes()).unwrap_err();
        assert_eq!(
            (problems.listed[0].severity, problems.listed[0].line),
            (Severity::Error, 3),
            "{problems}"
        );
    }
    // What may be prose, or another tool's, is a warning.
    for said in ["(depends on 9)", "(after: 9)", "\n  - Depends on: 9", "(depends: none)"] {
        let text = format!("# Plan\n- [ ] 1. Build\n- [ ] 2. Test {said}\n");
        assert!(parse("TODO.md", text.as_bytes()).is_ok(), "{said}");
    }
    let text = "# Plan\n## Phase 1\n- [ ] 1 day off\n## Phase 2\n- [ ] Ship (depends on phase 1)\n";
    assert_eq!(read("TODO.md", text).spec.tasks[0].description, "1 day off");
}

/// How a free checklist is edited.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Insert,
    Reword,
    RewordParent,
    MoveSection,
    Renumber,
    Tick,
    Format,
}

/// A section of a free checklist: its heading, and its tasks with what is nested below them.
type Section = (String, Vec<(String, Vec<String>)>);

fn free(sections: &[Section], number: usize) -> String {
    let mut text = String::from("# Plan\n");
    for (nth, (heading, tasks)) in sections.iter().enumerate() {
        text += &format!("\n## {}. {heading}\n\n", nth + number);
        for (task, below) in tasks {
            text += &format!("- [ ] {task}\n");
            below.iter().for_each(|nested| text += &format!("  - [ ] {nested}\n"));
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn short_ids_stay_when_a_checklist_is_edited(
        shape in proptest::collection::vec(proptest::collection::vec(0_usize..3, 1..4), 2..4),
        edit in select(vec![
            Edit::Insert, Edit::Reword, Edit::RewordParent, Edit::MoveSection, Edit::Renumber, Edit::Tick, Edit::Format,
        ]),
        at in 0_usize..3,
    ) {
        let mut sections: Vec<Section> = (0..).zip(&shape).map(|(nth, tasks)| {
            let task = |(n, below): (usize, &usize)| {
                (format!("Do {nth} {n}"), (0..*below).map(|part| format!("part {nth} {n} {part}")).collect())
            };
            (format!("Heading {nth}"), tasks.iter().enumerate().map(task).collect())
        }).collect();
        let ids = |text: &str| {
            let parsed = read("PLAN.md", text);
            let known = parsed.spec.tasks.iter().map(|task| {
                (task.description.replace("**", ""), task.id.to_string())
            });
            known.collect::<std::collections::BTreeMap<_, _>>()
        };
        let before = ids(&free(&sections, 1));
        let at = at % sections.len();
        let mut gone = Vec::new();
        match edit {
            Edit::Insert => sections[at].1.insert(0, ("New".to_owned(), vec!["of it".to_owned()])),
            Edit::Reword | Edit::RewordParent => {
                gone.push(std::mem::replace(&mut sections[at].1[0].0, "Another".to_owned()));
            }
            Edit::MoveSection => sections.rotate_left(1),
            Edit::Renumber | Edit::Tick | Edit::Format => {}
        }
        let text = free(&sections, if matches!(edit, Edit::Renumber) { 4 } else { 1 });
        let text = match edit {
            Edit::Tick => text.replace("[ ]", "[x]"),
            Edit::Format => text.replace("Do ", "**Do** "),
            _ => text,
        };
        let after = ids(&text);
        // Two of a hundred thousand numbers may be the same; then one of the two is longer.
        prop_assume!(before.values().chain(after.values()).all(|id| id.len() == 5));
        for (task, id) in before.iter().filter(|(task, _)| !gone.contains(task)) {
            prop_assert_eq!(after.get(task), Some(id), "{:?} {}", edit, text);
        }
    }
}

#[test]
fn a_mirror_leaves_marks_that_say_the_same() {
    use planlease_core::{TaskId, transition::TaskStatus};

    use crate::Progress;

    let text = "- [ ] 1. a\r\n- [x] 2. b\r\n- [X] 3. c\n* [~] 4. d\n+ [/] 5. e\n- [!] 6. f\n1. [-] 7. g\n- [>] 8. h\n☐ 9. i\n- [✅] 10. j\n- [] 11. k\n";
    for (format, path) in [
        (Format::Checklist, "TODO.md"),
        (Format::Kiro, ".kiro/specs/a/tasks.md"),
        (Format::Conductor, "conductor/tracks/a/plan.md"),
        (Format::OpenSpec, "openspec/changes/a/tasks.md"),
        (Format::SpecKit, "specs/a/tasks.md"),
    ] {
        let parsed = parse_as(format, path, text.as_bytes()).unwrap();
        // As an import makes them: what is ticked is done, or skipped; the rest is pending, and was never
        // begun.
        let imported = |task: &TaskId| {
            let task = parsed.spec.task(task)?;
            Some(Progress::from(match (task.is_ticked(), task.is_dropped()) {
                (true, true) => TaskStatus::Skipped,
                (true, false) => TaskStatus::Completed,
                (false, _) => TaskStatus::Pending,
            }))
        };
        let same = crate::mirrored(format, path, text.as_bytes(), imported).unwrap().unwrap();
        assert_eq!(String::from_utf8(same).unwrap(), text, "{format}");
        // A task that the plan has begun and given back says so.
        let returned = |_: &TaskId| Some(Progress { status: TaskStatus::Pending, was_begun: true });
        let open = crate::mirrored(format, path, text.as_bytes(), returned).unwrap().unwrap();
        let open = String::from_utf8(open).unwrap();
        assert!(
            open.contains("* [ ] 4. d") && open.contains("- [!] 6. f") && open.contains("- [ ] 2. b"),
            "{open}"
        );
    }
}

/// A task of a generated checklist: its words, whether it is ticked, and how many are nested below it.
type Generated = (String, bool, usize);

fn checklist() -> impl Strategy<Value = Vec<Vec<Generated>>> {
    let words =
        select(vec!["Add", "`list`", "the page", "S3", "3 files", "ünï", "a (b)", "x: y", "[link](u)"]);
    let words = proptest::collection::vec(words, 1..4).prop_map(|words| format!("Do {}", words.join(" ")));
    let task = (words, any::<bool>(), 0_usize..3);
    proptest::collection::vec(proptest::collection::vec(task, 1..5), 1..4)
}

/// Writes a checklist in the style of a format: the text, and the ids it gives, if it gives any.
fn written(format: Format, phases: &[Vec<Generated>], ending: &str) -> (String, Vec<String>) {
    let (mut lines, mut ids) = (vec!["# Title".to_owned(), String::new()], Vec::new());
    let mut number = 0;
    for (phase, tasks) in (1..).zip(phases) {
        match format {
            Format::SpecKit | Format::Conductor => lines.push(format!("## Phase {phase}: Name {phase}")),
            Format::OpenSpec => lines.push(format!("## {phase}. Name {phase}")),
            Format::Checklist => lines.push(format!("### Name {phase}")),
            _ => {}
        }
        lines.push(String::new());
        if format == Format::Kiro {
            lines.push(format!("- [ ] {phase}. Parent"));
            ids.push(phase.to_string());
        }
        for (task, (text, ticked, below)) in (1..).zip(tasks) {
            number += 1;
            let mark = if *ticked { "x" } else { " " };
            let id = match format {
                Format::SpecKit => format!("T{number:03}"),
                _ => format!("{phase}.{task}"),
            };
            lines.push(match format {
                Format::SpecKit => format!("- [{mark}] {id} [P] [US1] {text}"),
                Format::Conductor => format!("- [{mark}] Task: {text}"),
                Format::Checklist => format!("{task}. [{mark}] {text}"),
                _ => format!("- [{mark}] {id} {text}"),
            });
            ids.push(id.clone());
            lines.push("  - a detail".to_owned());
            for nested in 0..*below {
                lines.push(format!("    - [ ] nested {nested}"));
                ids.push(String::new());
            }
        }
    }
    (lines.join(ending) + ending, ids)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_checklist_is_read_back_in_the_style_of_each_format(
        phases in checklist(),
        ending in select(vec!["\n", "\r\n"]),
    ) {
        for format in [Format::Kiro, Format::SpecKit, Format::OpenSpec, Format::Conductor, Format::Checklist] {
            let (text, ids) = written(format, &phases, ending);
            let parsed = parse_as(format, "plan.md", text.as_bytes()).unwrap();
            prop_assert!(parsed.counts.agree(), "{format}: {:?}\n{text}", parsed.counts);
            prop_assert_eq!(parsed.spec.tasks.len(), ids.len(), "{}:\n{}", format, text);
            let has_ids = !matches!(format, Format::Conductor | Format::Checklist);
            for (task, id) in parsed.spec.tasks.iter().zip(&ids) {
                prop_assert!(!has_ids || id.is_empty() || task.id.as_str() == id, "{}: {} {}", format, task.id, id);
            }
            let ticked = phases.iter().flatten().filter(|(_, ticked, _)| *ticked).count();
            prop_assert_eq!(parsed.spec.ticked().count(), ticked);
            // What is ticked takes nothing away that a task waits for.
            let open = parse_as(format, "plan.md", text.replace("[x]", "[ ]").as_bytes()).unwrap();
            for (task, open) in parsed.spec.tasks.iter().zip(&open.spec.tasks) {
                let is_kept = |on| task.depends_on.contains(on);
                prop_assert!(open.depends_on.iter().all(is_kept), "{} {}:\n{}", format, task.id, text);
            }
            // Its own marks change nothing; others change nothing but the marks.
            let statuses = |task: &planlease_core::TaskId| {
                let task = parsed.spec.task(task)?;
                Some(if task.is_ticked() { planlease_core::transition::TaskStatus::Completed } else { planlease_core::transition::TaskStatus::Pending })
            };
            let same = crate::mirrored(format, "plan.md", text.as_bytes(), statuses).unwrap().unwrap();
            prop_assert_eq!(String::from_utf8(same).unwrap(), text.clone());
            let all = |_: &planlease_core::TaskId| Some(planlease_core::transition::TaskStatus::Completed);
            let all = crate::mirrored(format, "plan.md", text.as_bytes(), all).unwrap().unwrap();
            prop_assert_eq!(String::from_utf8(all).unwrap(), text.replace("[ ]", "[x]"));
        }
    }

    #[test]
    fn no_format_panics_and_each_box_is_accounted_for(
        pieces in proptest::collection::vec(
            select(vec![
                "- [ ] ", "* [x] ", "1. [~] ", "☐ ", "- [", "[x]", "]", "(", ")", "**", "`", "```\n", "<!--", "-->", "\n", "\r\n",
                "  ", "\t", "# ", "## Phase 1: ", "---\n", "id: ", "T001 ", "1.1 ", "1. ", "AUTH-3: ", "[P] ", "(depends on ", "1.2",
                "T001-T003", "phase 1", "ü", "→", "{", "}", "\"tasks\": ", "\"id\"", ":", ",", "[]", "word ",
            ]),
            0..40,
        ),
    ) {
        let text = pieces.concat();
        for format in Format::ALL {
            if let Ok(parsed) = parse_as(format, "a/tasks.md", text.as_bytes()) {
                prop_assert!(parsed.counts.agree(), "{format}: {:?}\n{text}", parsed.counts);
                let same = crate::mirrored(format, "a/tasks.md", text.as_bytes(), |_| None::<crate::Progress>).unwrap();
                prop_assert!(same.is_none_or(|same| same == text.as_bytes()));
            }
        }
    }
}
