//! Small files as real repositories have them, odd in one way each: how many tasks each has. None loses a box
//! in silence, and what is refused says where and why.

use crate::{Format, Severity, parse, parse_folder};

/// A file, its format, and how many tasks it has.
type File = (&'static str, &'static str, Format, usize);

const FREE: &str = "PLAN.md";
const KIRO: &str = ".kiro/specs/a/tasks.md";
const KIT: &str = "specs/1/tasks.md";
const OPEN: &str = "openspec/changes/a/tasks.md";
const TRACK: &str = "conductor/tracks/a/plan.md";
const MASTER: &str = ".taskmaster/tasks/tasks.json";
const BEADS: &str = ".beads/issues.jsonl";
const PRD: &str = "prd.json";

const READ: &[File] = &[
    // Free Markdown.
    (FREE, "---\ntitle: x\ntags: [a]\nlist:\n- b\n---\n- [ ] a\n", Format::Checklist, 1),
    (FREE, "---\n\n- [ ] a\n\n---\n\n- [ ] b\n", Format::Checklist, 2),
    (FREE, "---\nNote: x\n\n- [ ] a\n---\n- [ ] b\n", Format::Checklist, 2),
    (FREE, "+++\ntitle = 'x'\n+++\n# T\n- [ ] a\n", Format::Checklist, 1),
    (FREE, "\u{feff}# T\r\n- [ ] a\r\n  - [X] b\r\n", Format::Checklist, 2),
    (FREE, "* [ ] a\n+ [x] b\n- [X] c\n1. [ ] d\n2) [ ] e\n", Format::Checklist, 5),
    (FREE, "- [ ] a\n  - [ ] b\n    - [ ] c\n      - [ ] d\n", Format::Checklist, 4),
    (FREE, "- [ ] a\n\t- [ ] b\n\t\t- [ ] c\n", Format::Checklist, 3),
    (FREE, "- [ ] a\n```md\n- [ ] x\n```\n~~~\n- [ ] y\n~~~\n- [ ] b\n", Format::Checklist, 2),
    (FREE, "- [ ] a\n  ```\n  - [ ] x\n  ```\n- [ ] b\n", Format::Checklist, 2),
    (FREE, "<!-- - [ ] x -->\n- [ ] a <!-- note -->\n<!--\n- [ ] y\n-->\n", Format::Checklist, 1),
    (FREE, "<details>\n<summary>More</summary>\n\n- [ ] a\n\n</details>\n", Format::Checklist, 1),
    (FREE, "| task | done |\n| --- | --- |\n| a | [x] |\n| - [ ] b | |\n\n- [ ] c\n", Format::Checklist, 1),
    (FREE, "## 🚀 Now!\n- [ ] 🎉 a\n## Später (größer)\n- [ ] ünï → b\n", Format::Checklist, 2),
    (FREE, "## [Now](https://x.y/#a)\n- [ ] [a](b.md) and [c][d]\n\n[d]: e\n", Format::Checklist, 1),
    (FREE, "- [ ] **A-1** a\n- [ ] `B-2` b\n- [ ] [C-3] c\n- [ ] [D-4](u) d\n", Format::Checklist, 4),
    (FREE, "- \\[ ] x\n- [ ] a\n- [\\] y\n", Format::Checklist, 1),
    (FREE, "- [ ] a\n- [ ] a\n- [ ] a\n", Format::Checklist, 3),
    (FREE, "- [ ] 1. a\n- [ ] 1. b\n- [ ] 2. c (depends on 1)\n", Format::Checklist, 3),
    (FREE, "# A\n# B\n- [ ] a\n# C\n- [ ] b\n", Format::Checklist, 2),
    (FREE, "A\n=\n\nB\n==\n\nC\n---\n- [ ] a\n", Format::Checklist, 1),
    (FREE, "- [ ] a\n> - [ ] quoted\n- [ ] b\n", Format::Checklist, 2),
    (FREE, "- [ ]\n- [ ] a\n-\n", Format::Checklist, 2),
    (FREE, "- a\n  - [ ] b\n- c\n  1. [ ] d\n", Format::Checklist, 2),
    (FREE, "- [ ] a\n\n      - [ ] code, or a task\n", Format::Checklist, 2),
    (FREE, "- [ ] a  \n  goes on\n\n  and a paragraph\n- [ ] b\\\n  too\n", Format::Checklist, 2),
    (FREE, "☐ a\n☑ b\n- ☐ c\n", Format::Checklist, 3),
    (FREE, "- [✅] a\n- [~] b\n- [>] c\n- [-] d\n- [!] e\n- [/] f\n- [?] g\n", Format::Checklist, 7),
    (FREE, "- [x ] a\n- [ x] b\n- [] c\n- [ ]d\n-[ ] e\n", Format::Checklist, 5),
    (FREE, "- [ ] ~~dropped~~\n- [x] ~~done~~ ✅ 2026-01-01\n", Format::Checklist, 2),
    (FREE, "- [ ] a @me #tag 📅 2026-01-01\n- [ ] (A) b +p\n", Format::Checklist, 2),
    (FREE, "- [ ] `- [ ]` is a box\n- [ ] [x] twice\n", Format::Checklist, 2),
    (FREE, "***\n- [ ] a\n___\n- [ ] b\n- - -\n", Format::Checklist, 2),
    (FREE, "* * *\n\n1. 2. [ ] a\n", Format::Checklist, 1),
    (FREE, "[ ] a\n[x] b\nsee [x]\n", Format::Checklist, 2),
    (FREE, "- [ ] a\n\u{a0}\u{a0}- [ ] b\n-\u{a0}[ ]\u{a0}c\n", Format::Checklist, 3),
    (FREE, "- [link](x)\n- [x](y)\n- [ref][y]\n- [P] a\n- [1] b\n- [ ] c\n", Format::Checklist, 1),
    (FREE, "# T\n\n$$\n- [ ] a\n$$\n", Format::Checklist, 1),
    (FREE, "- [v] a\n- [⏭️] b\n- [skipped] c\n- [Todo] d\n- [⬜] e\n", Format::Checklist, 5),
    (FREE, "- [ ] a\n- [o] b\n", Format::Checklist, 1),
    (FREE, "# T\n### Task 1: A\n1. Do\n### Task 2: B\n```\n# c\n```\n", Format::Checklist, 2),
    // Plans within phases have numbers of their own, and no tasks `N.M`.
    (
        FREE,
        "## Phase 20: A\n**Depends on**: Phase 1 or 2\n\n- [x] 20-01: a\n- [ ] 20.1-02-PLAN.md — b\n### Phase 21: B\n- [ ] 21-01: c\n",
        Format::Checklist,
        3,
    ),
    (
        FREE,
        "- [ ] a (depends on nothing)\n- [ ] b (after lunch)\n- [ ] c (blocked by: none)\n",
        Format::Checklist,
        3,
    ),
    // Kiro.
    (
        KIRO,
        "# Implementation Plan\n\n- [ ] 1. A\n- [ ] 1.1 B\n  - detail\n  - _Requirements: 1.1, 2.3_\n- [ ]* 1.2 C\n",
        Format::Kiro,
        3,
    ),
    (KIRO, "- [x] 1. A\n  - [x] 1.1 B\n    - [ ] 1.1.1 C\n- [-] 2. D\n", Format::Kiro, 4),
    (KIRO, "- [ ] 1 A\n- [ ] 2 B\n", Format::Kiro, 2),
    (KIRO, "- [ ] 1. A\n- [ ] 1. B\n  - [ ] 1.1 C\n", Format::Kiro, 3),
    (
        KIRO,
        "## Phase 1\n- [ ] 1. A\n## Phase 2\n- [ ] 2. B\n- [ ] 2.1 C\n- [ ] 3. **Checkpoint** - ask\n",
        Format::Kiro,
        4,
    ),
    (KIRO, "- [ ] 1. A\n- [ ]\\* 1.1 B\n- [ ] *1.2 C\n", Format::Kiro, 3),
    (KIRO, "- [ ] 1. A\n```ts\nconst a = [ ]\n```\n- [ ] 2. B\n", Format::Kiro, 2),
    (KIRO, "1. [ ] A\n2. [ ] B\n   - [ ] C\n", Format::Kiro, 3),
    // spec-kit.
    (
        KIT,
        "---\ndescription: \"x\"\n---\n# Tasks: A\n\n## Format: `[ID] [P?] [Story] Description`\n- **[P]**: parallel\n\n## Phase 1: Setup\n- [ ] T001 A\n- [ ] T002 [P] [US1] B in src/a.rs\n\n**Checkpoint**: x\n",
        Format::SpecKit,
        2,
    ),
    (KIT, "## Phase 1: A\n- [x] **T001** A\n- [X] T002: B\n- [ ] T003 - C\n", Format::SpecKit, 3),
    (
        KIT,
        "## Phase 1: A\n- [ ] T001 A\n- [ ] T001 B\n## Phase 3: C (P1) 🎯\n- [ ] T010a [P] D\n",
        Format::SpecKit,
        3,
    ),
    (
        KIT,
        "## Phase 1: A\n- [ ] T001 A\n## Dependencies\n- T001 before T002\n## Parallel Example\n```\nTask: \"T001\"\n```\n",
        Format::SpecKit,
        1,
    ),
    (KIT, "## Phase 1: A\n- [ ] [T001] [P] A\n- [ ] [T002] B (depends on T001-T001)\n", Format::SpecKit, 2),
    (
        KIT,
        "## Phase 1: A\n- [x] T-001 [DONE] [P] [Setup] A\n- [ ] T-002 [Setup] B (depends on T-001)\n",
        Format::SpecKit,
        2,
    ),
    // OpenSpec.
    (OPEN, "## 1. A\n\n- [ ] 1.1 a\n- [x] 1.2 b\n\n## 2. B\n- [ ] 2.1 c\n", Format::OpenSpec, 3),
    (OPEN, "# Tasks\n## 1. A\n- [ ] 1.1 a\n  - [ ] 1.1.1 b\n- [ ] no number\n", Format::OpenSpec, 3),
    (OPEN, "1. A\n - [ ] 1.1 a\n", Format::OpenSpec, 1),
    (OPEN, "## 1. A\n1.1 [ ] a\n- [ ] 1.2 b\n", Format::OpenSpec, 1),
    // Conductor.
    (
        TRACK,
        "# Plan\n## Phase 1: A [checkpoint: abc1234]\n- [x] Task: a abc1234\n  - [x] b\n- [~] Task: c\n- [ ] Task: Conductor - User Manual Verification 'Phase 1' (Protocol in workflow.md)\n",
        Format::Conductor,
        4,
    ),
    (TRACK, "- [ ] **Task:** a\n- [ ] Task 2: b\n", Format::Conductor, 2),
    // Taskmaster.
    (MASTER, r#"{"tasks": [{"id": 1, "title": "a"}]}"#, Format::Taskmaster, 1),
    (
        MASTER,
        r#"[{"id": "1", "title": "a", "dependencies": null}, {"id": 2, "name": "b", "dependencies": [1, "1"]}]"#,
        Format::Taskmaster,
        2,
    ),
    (
        MASTER,
        r#"{"master": {"tasks": [{"id": 1, "title": "a", "subtasks": [{"id": 1, "title": "b", "dependencies": ["1.1"]}]}]}, "x": {"tasks": []}}"#,
        Format::Taskmaster,
        2,
    ),
    (
        MASTER,
        r#"{"tasks": [{"id": 1, "title": "a", "status": "strange", "priority": "odd", "subtasks": null}]}"#,
        Format::Taskmaster,
        1,
    ),
    (
        MASTER,
        r#"{"tasks": [{"id": 1, "title": "a", "status": null, "details": null, "testStrategy": ["x"]}, {"id": 1, "title": "b"}]}"#,
        Format::Taskmaster,
        2,
    ),
    (
        MASTER,
        "\u{feff}{\"tasks\": [{\"id\": 1.5, \"title\": \"\", \"description\": \"d\"}]}",
        Format::Taskmaster,
        1,
    ),
    (MASTER, r#"{"tasks": [{"id": 1, "title": "it \"passes\" the stories"}]}"#, Format::Taskmaster, 1),
    (
        MASTER,
        r#"{"meta": {"version": 1}, "tasks": [{"id": 1, "title": "a", "dependencies": [7, "x"]}]}"#,
        Format::Taskmaster,
        1,
    ),
    (
        MASTER,
        r#"{"master": [{"id": "1", "title": "a"}, {"id": "2", "title": "b", "dependencies": "1"}]}"#,
        Format::Taskmaster,
        2,
    ),
    (
        ".taskmaster/tasks/prd-v3.tasks.json",
        r#"{"master": {"tasks": [{"id": 1, "title": "a"}]}}"#,
        Format::Taskmaster,
        1,
    ),
    // beads.
    (
        BEADS,
        "{\"_type\":\"issue\",\"id\":\"a-1\",\"title\":\"a\"}\n{\"_type\":\"memory\",\"key\":\"b\",\"value\":\"c\"}\n",
        Format::Beads,
        1,
    ),
    (
        BEADS,
        "{\"id\":\"a-1\",\"title\":\"a\"}\n{\"id\":\"int-1\",\"kind\":\"field_change\",\"issue_id\":\"a-1\"}\n",
        Format::Beads,
        1,
    ),
    (
        BEADS,
        "{\"id\":\"a-1\",\"title\":\"a\"}\n\n{\"id\":\"a-2\",\"title\":\"b\",\"status\":\"tombstone\"}\n",
        Format::Beads,
        1,
    ),
    (
        BEADS,
        "{\"id\":\"a-1\",\"title\":\"a\",\"issue_type\":\"strange\",\"status\":\"odd\",\"priority\":null}\r\n",
        Format::Beads,
        1,
    ),
    (
        BEADS,
        "{\"id\":\"a-1\",\"title\":\"a\",\"dependencies\":[{\"depends_on_id\":\"a-9\",\"type\":\"blocks\"},\"a-1\"]}\n",
        Format::Beads,
        1,
    ),
    (
        BEADS,
        "{\"id\":\"a-1\",\"title\":\"a\",\"dependencies\":null,\"labels\":null}\n{\"id\":\"a-1\",\"title\":\"b\"}\n",
        Format::Beads,
        2,
    ),
    (
        BEADS,
        "{\"id\":\"a-1\",\"title\":\"a\",\"parent\":\"a-2\"}\n{\"id\":\"a-2\",\"title\":\"b\",\"parent\":\"a-1\"}\n",
        Format::Beads,
        2,
    ),
    // Ralph.
    (
        PRD,
        r#"{"userStories": [{"id": "US-1", "title": "a", "passes": true}, {"id": 2, "description": "b"}]}"#,
        Format::Ralph,
        2,
    ),
    (
        PRD,
        r#"{"stories": [{"title": "a", "passes": false}, {"title": "a", "passes": false}]}"#,
        Format::Ralph,
        2,
    ),
    (PRD, r#"[{"category": "x", "description": "a", "steps": ["b"], "passes": false}]"#, Format::Ralph, 1),
    (PRD, r#"{"project": "x", "features": [{"name": "a", "status": "done"}]}"#, Format::Ralph, 1),
    (
        PRD,
        r#"{"phases": [{"name": "A", "stories": [{"id": "1", "title": "a"}]}, {"id": "B", "tasks": [{"id": "2", "title": "b"}]}]}"#,
        Format::Ralph,
        2,
    ),
    ("plan.json", r#"{"tasks": [{"id": "1", "title": "a", "passes": false}]}"#, Format::Ralph, 1),
];

/// What is refused: where, and a word of the reason.
const REFUSED: &[(&str, &str, usize, &str)] = &[
    (FREE, "", 1, "empty"),
    (FREE, "# T\n\nWords.\n", 1, "no tasks"),
    (FREE, "- [ ] a\n- [ b\n", 2, "half of its box"),
    (FREE, "- [ ] a\n- [%] b\n", 2, "mark"),
    (FREE, "- [ ] a\n- ( ) b\n", 2, "other brackets"),
    (FREE, "- [ ] a\n```\n- [ ] b\n", 2, "has no end"),
    (FREE, "- [ ] a\n<<<<<<< HEAD\n- [x] b\n=======\n- [ ] b\n>>>>>>> c\n", 2, "could not merge"),
    (
        MASTER,
        "{\"tasks\": [{\"id\": 1, \"title\": \"a\",\n\"subtasks\": {\"id\": 1}}]}",
        2,
        "a list is expected",
    ),
    (FREE, "- [ ] A-1: a (depends on A-2)\n- [ ] A-2: b (depends on A-1)\n", 1, "cycle"),
    (
        OPEN,
        "# T\n\n### Step 1: Do\n\n- a\n\n### Step 2: Do\n",
        3,
        "this heading may be meant as a task, and 1 more",
    ),
    (FREE, "# T\n\n### Step 1: Do\n\n- a\n", 3, "this heading may be meant as a task"),
    (
        FREE,
        "# T\n````\na\n```\n- [ ] b\n- [ ] c\n````\n",
        2,
        "2 boxes stand in a block of code that begins at line 2",
    ),
    (FREE, "# T\n<!--\n- [ ] b\n-->\n", 2, "1 box stands in a comment that begins at line 2"),
    (BEADS, "{\"id\":\"a-1\",\"ts\":\"2026-01-01\",\"by\":\"x\",\"reason\":\"y\"}\n", 1, "no tasks"),
    (OPEN, "# T\n\n1. Do\n   - so\n", 3, "this item may be meant as a task, and 1 more"),
    (MASTER, "", 1, "empty"),
    (MASTER, "{}", 1, "no list of tasks"),
    (MASTER, "{\"tasks\": {}}", 1, "no list of tasks"),
    (MASTER, "{\"tasks\": []}", 1, "no tasks"),
    (MASTER, "{\"tasks\": [{\"title\": \"a\"}]}", 1, "no id"),
    (MASTER, "{\"tasks\": [{\"id\": 1, \"title\": \"a\",}]}", 1, "expected"),
    (
        MASTER,
        "{\"tasks\": [{\"id\": 1, \"dependencies\": [2]},\n{\"id\": 2, \"dependencies\": [1]}]}",
        1,
        "cycle",
    ),
    (BEADS, "{\"id\":\"a\",\"title\":\"a\"}\n<<<<<<< HEAD\n", 2, "JSON"),
    (BEADS, "{\"title\":\"a\"}\n", 1, "no id"),
    (PRD, "{\"a\": 1}", 1, "no list of stories"),
];

#[test]
fn odd_files_are_read_and_lose_nothing() {
    let mut wrong = Vec::new();
    for (path, text, format, tasks) in READ {
        match parse(path, text.as_bytes()) {
            Ok(parsed) => {
                let found = (parsed.format, parsed.spec.tasks.len(), parsed.counts.agree());
                if found != (*format, *tasks, true) {
                    wrong.push(format!("{path} {text:?}: {found:?} {:?} rather than {tasks}", parsed.counts));
                }
            }
            Err(problems) => wrong.push(format!("{path} {text:?}: {problems:#}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), READ.len(), wrong.join("\n"));
}

#[test]
fn what_is_refused_says_where_and_why() {
    for (path, text, line, reason) in REFUSED {
        let problems = parse(path, text.as_bytes()).expect_err(text);
        let errors = problems.listed.iter().filter(|problem| problem.severity == Severity::Error);
        let is_said = errors.clone().any(|error| {
            let said = format!("{error:#}").contains(reason);
            said && error.line == *line && error.help.as_ref().is_some_and(|help| !help.is_empty())
        });
        assert!(is_said, "{path} {text:?}: {problems:#}");
    }
}

/// Reads each of these, and compares the only warning, and where it stands.
fn assert_warnings(cases: &[(&str, &str, usize, &str)]) {
    for &(path, text, line, warning) in cases {
        let parsed = parse(path, text.as_bytes()).unwrap_or_else(|problems| panic!("{text}: {problems:#}"));
        let found: Vec<(usize, &str)> =
            parsed.warnings.iter().map(|warning| (warning.line, warning.message.as_str())).collect();
        assert_eq!(found, [(line, warning)], "{text}");
    }
}

#[test]
fn headings_and_lines_that_are_no_tasks_are_warned_of() {
    assert_warnings(&[
        (
            FREE,
            "## Phase 1: A\n### Task 1.1: B\n1. x\n### Task 1.2: C\n## Phase 2: D\n### Task 2.1: E\n## Success\n- [ ] F\n",
            2,
            "3 headings `Task …` have no box and are not tasks",
        ),
        (
            FREE,
            "## Phase 1: A\n- [ ] a\n## Phase 2: B\nText.\n## Notes\n### Phase 1\nText.\n",
            3,
            "1 heading `Phase …` has no box and is no task",
        ),
        (
            FREE,
            "# T\n## Phase 1: A\n- [ ] 1.1 a\n## Old\n- [x] 1 Legacy\n- [ ] 3 days\n",
            5,
            "this item has a number, but it is no task",
        ),
        (
            BEADS,
            "{\"id\":\"a-1\",\"title\":\"a\"}\n{\"id\":\"a-2\",\"ts\":\"x\",\"by\":\"b\",\"reason\":\"c\"}\n",
            2,
            "1 line is no issue, and no task",
        ),
    ]);
}

#[test]
fn what_is_read_only_in_part_is_a_warning() {
    assert_warnings(&[
        (FREE, "- [ ] a\n\n## [x] b\n", 3, "this box is in a heading, and no task"),
        (
            FREE,
            "- [ ] a\n\n| a | b |\n| --- | --- |\n| [ ] | c |\n| [x] | d |\n",
            5,
            "the boxes of this table are no tasks",
        ),
        (
            FREE,
            "- [ ] A-1: a (depends on A-1)\n",
            1,
            "task A-1 cannot wait for itself: this dependency is left out",
        ),
        (
            KIRO,
            "- [ ] 1. A\n  - [ ] 1.1 B (depends on 1)\n",
            2,
            "task 1.1 is part of 1 and cannot wait for it: this dependency is left out",
        ),
        (
            MASTER,
            r#"{"tasks": [{"id": 1, "title": "a", "status": true}]}"#,
            1,
            "the status \"a truth value\" is not known: the task counts as pending",
        ),
        (
            MASTER,
            r#"{"tasks": [{"id": 1, "title": "a"}], "b": {"tasks": [{"id": 2, "title": "c"}]}}"#,
            1,
            "the tag b is not read",
        ),
        (
            BEADS,
            r#"{"id": "a", "title": "a", "dependencies": [{"type": "blocks"}]}"#,
            1,
            "this dependency names no issue: nothing waits for it",
        ),
        (
            BEADS,
            r#"{"id": "a", "title": "a", "parent": "b"}"#,
            1,
            "no task is called b: this one is part of none",
        ),
        (
            PRD,
            r#"{"userStories": [{"id": "A", "title": "a"}], "tasks": [{"id": "B", "passes": true}]}"#,
            1,
            "this list is not read: 1 entry",
        ),
        (
            PRD,
            r#"{"userStories": [{"id": "A", "title": "a", "passes": 7}]}"#,
            1,
            "the status \"7\" is not known: the task counts as pending",
        ),
    ]);
    // A task that waits for its own phase waits for the others of it.
    let text = "## Phase 1: A\n- [ ] T001 a\n- [ ] T002 b\n- [ ] T003 c (depends on phase 1)\n";
    assert!(parse(KIT, text.as_bytes()).unwrap().warnings.is_empty());
    // What says yes in words is no doubt.
    let text = r#"{"userStories": [{"id": "A", "title": "a", "passes": "true"}, {"id": "B", "title": "b", "passes": "no"}]}"#;
    let parsed = parse(PRD, text.as_bytes()).unwrap();
    assert_eq!((parsed.spec.ticked().count(), parsed.warnings.len()), (1, 0));
}

#[test]
fn a_page_beside_the_tasks_of_backlog_is_none() {
    let task = b"---\nid: task-1\ntitle: A\n---\n".to_vec();
    let folder = |other: &str| {
        let page = (format!("b/{other}"), b"# Notes\n".to_vec());
        parse_folder("b", &[("b/task-1 - A.md".into(), task.clone()), page])
    };
    let parsed = folder("README.md").unwrap();
    assert!(parsed.counts.agree() && parsed.spec.tasks.len() == 1, "{:?}", parsed.counts);
    assert_eq!(parsed.warnings[0].message, "this file has no front matter: it is no task");
    let parsed = folder("task-43 - B.md").unwrap();
    assert!(parsed.counts.agree() && parsed.spec.tasks.len() == 1, "{:?}", parsed.counts);
    let [warning] = &parsed.warnings[..] else { panic!("{:?}", parsed.warnings) };
    assert_eq!((warning.file.as_str(), warning.line), ("b/task-43 - B.md", 1));
    assert!(warning.message.contains("is named as a task"), "{warning}");
    let none = parse_folder("b", &[("b/task-43 - B.md".into(), b"# Notes\n".to_vec())]).unwrap_err();
    assert!(none.to_string().contains("no tasks"), "{none}");
}

#[test]
fn odd_files_of_backlog_are_tasks() {
    let files = [
        (
            "---\nid: task-1\ntitle: A\nstatus: To Do\nassignee: []\ncreated_date: '2026-01-01 10:00'\n---\n",
            "task-1",
        ),
        (
            "\u{feff}---\r\nid: task-2\r\ntitle: \"B: c\"\r\nstatus: \"In Progress\"\r\ndependencies: [task-1]\r\n---\r\n- [ ] #1 x\r\n",
            "task-2",
        ),
        (
            "---\nid: TASK-3.1\ntitle: >-\n  long\n  title\nstatus: ◒ In Progress\nparent_task_id: task-1\n---\n",
            "task-3.1",
        ),
        ("---\nid: 4\ntitle: # no\nlabels:\n- a\n- b\ndependencies:\n---\nText\n", "4"),
    ];
    let files: Vec<(String, Vec<u8>)> =
        (1..).zip(&files).map(|(nth, (text, _))| (format!("b/{nth}.md"), text.as_bytes().to_vec())).collect();
    let parsed = parse_folder("b", &files).unwrap_or_else(|problems| panic!("{problems:#}"));
    let ids: Vec<&str> = parsed.spec.tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["task-1", "task-2", "task-3.1", "4"]);
    assert_eq!(parsed.spec.tasks[2].description, "long title");
    assert_eq!(parsed.spec.tasks[1].description, "B: c");
    assert_eq!(parsed.places.iter().map(|place| place.line).collect::<Vec<_>>(), [1; 4]);
}
