//! Each plan, whatever format it came from, is the same plan after it was written in any format and read
//! again.

use std::collections::{BTreeMap, BTreeSet};

use planlease_core::{
    TaskId,
    approval::ApprovalOf,
    graph::Graph,
    spec::{Group, PhaseSpec, PipelineStart, PlanSpec, Source, TaskPolicy, TaskSpec},
    transition::TaskStatus,
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::{Format, Parsed, export, parse, parse_as, parse_folder};

const TARGETS: [(Format, &str); 3] =
    [(Format::Checklist, "out.md"), (Format::Taskmaster, "tasks.json"), (Format::Beads, "issues.jsonl")];

/// What of a plan has to come back.
fn essence(spec: &PlanSpec) -> String {
    let graph = Graph::new(spec);
    let order: Vec<&str> = graph.tasks().map(TaskId::as_str).collect();
    let phases: Vec<_> = spec.phases.iter().map(|phase| json!(phase)).collect();
    let task = |task: &TaskSpec| {
        let waits: BTreeMap<&str, Value> =
            graph.waits(&task.id).iter().map(|wait| (wait.on.as_str(), Value::Null)).collect();
        let waits: Vec<&&str> = waits.keys().collect();
        let TaskSpec { id, phase, description, priority, labels, steps, .. } = task;
        let TaskSpec { command, approval, policy, extra, .. } = task;
        let extra: BTreeMap<_, _> = extra
            .iter()
            .filter(|(name, _)| !["checked", "mark", "stated", "kept"].contains(&name.as_str()))
            .collect();
        json!({
            "id": id, "phase": phase, "description": description, "waits": waits, "priority": priority, "labels": labels,
            "steps": steps, "command": command, "approval": approval, "policy": policy, "extra": extra,
        })
    };
    let mut tasks: Vec<&TaskSpec> = spec.tasks.iter().collect();
    tasks.sort_by(|one, other| one.id.cmp(&other.id));
    let tasks: Vec<Value> = tasks.into_iter().map(task).collect();
    let whole = json!({
        "title": spec.title, "phases": phases, "order": order, "sequential": spec.sequential, "parallel": spec.parallel,
        "policy": spec.policy, "tasks": tasks,
    });
    serde_json::to_string_pretty(&whole).unwrap()
}

/// What a file says of how far a task is.
fn said(task: &TaskSpec) -> (bool, Option<&str>) {
    (task.is_ticked(), task.extra.get("mark").and_then(Value::as_str))
}

/// What a file is to say of a task with this status.
fn expected(task: &TaskSpec, status: TaskStatus) -> (bool, Option<&str>) {
    let noted = said(task).1.filter(|mark| matches!(*mark, "blocked" | "deferred"));
    match status {
        TaskStatus::Pending => (false, noted),
        TaskStatus::InProgress => (false, Some("in_progress")),
        TaskStatus::Completed => (true, None),
        TaskStatus::Failed => (false, Some("blocked")),
        TaskStatus::Skipped => (true, Some("dropped")),
    }
}

const STATUSES: [TaskStatus; 5] = [
    TaskStatus::Pending,
    TaskStatus::InProgress,
    TaskStatus::Completed,
    TaskStatus::Failed,
    TaskStatus::Skipped,
];

/// The path of the file that a plan is written into: its own, if it came from one of that format.
fn path_of<'p>(spec: &'p PlanSpec, format: Format, other: &'p str) -> &'p str {
    let own = spec.source.as_ref().map(|source| source.path.as_str());
    own.filter(|own| Format::of(own) == Some(format)).unwrap_or(other)
}

/// Writes a plan in each format, reads it, and does so again from what was read.
fn check(spec: &PlanSpec, statuses: &BTreeMap<TaskId, TaskStatus>) -> Result<(), TestCaseError> {
    for (format, path) in TARGETS {
        let written = export(format, spec, statuses).unwrap();
        let read = parse(path_of(spec, format, path), written.as_bytes())
            .map_err(|problems| TestCaseError::fail(format!("{format}: {problems:#}\n{written}")))?;
        prop_assert_eq!(read.format, format, "{}", written);
        prop_assert!(read.counts.agree(), "{:?}\n{}", read.counts, written);
        prop_assert_eq!(essence(&read.spec), essence(spec), "{}:\n{}", format, written);
        for task in &spec.tasks {
            let status = statuses.get(&task.id).copied().unwrap_or(TaskStatus::Pending);
            let found = read.spec.task(&task.id).unwrap();
            prop_assert_eq!(said(found), expected(task, status), "{} in {}:\n{}", &task.id, format, &written);
        }
        // From there into each other format, and back into its own.
        for (next, path) in TARGETS {
            let again = export(next, &read.spec, statuses).unwrap();
            let again = parse(path_of(&read.spec, next, path), again.as_bytes())
                .map_err(|problems| TestCaseError::fail(format!("{format} {next}: {problems:#}\n{again}")))?;
            prop_assert_eq!(essence(&again.spec), essence(spec), "{} and {}", format, next);
        }
    }
    Ok(())
}

/// Files of each format, with what is hard to say in the others.
const FILES: [(Format, &str, &str); 12] = [
    (
        Format::Markdown,
        "release.md",
        "# Plan: Release (again)\n## Phase 1: Build\n- [x] 1.1 Compile\n  - [ ] a step\n    - [x] 9.9 nested\n- [ ] 1.2 Test (depends: 1.1)\n\
         **VERIFY 1:** all green\n## Phase 2b: Ship (pipeline-start: when 1.1 completes)\n- [ ] 2.1 Pack\n- [ ] 1.10 Odd\n\
         **Execution Note:** Tasks 1.1-1.2 are [SEQUENTIAL] - one machine\n**Execution Note:** Phases 1-2b are [PARALLEL]\n",
    ),
    (
        Format::Toml,
        "release.toml",
        "title = 'Release\u{a0}1'\n[policy]\nmax_retries = 7\n[[sequential]]\nphases = ['build', '2']\n[[phase]]\nnumber = 'build'\nname = 'Build <it>'\n\
         [[phase]]\nnumber = 'empty'\nname = 'Nothing'\n[[phase]]\nnumber = '2'\nname = 'Ship'\n\
         [[task]]\nid = '1'\nphase = 'build'\ndescription = 'One'\ncommand = ['true', '-->']\n[[task]]\nid = '1.1'\nphase = '2'\ndescription = \"Two\\nlines\"\n\
         [[task]]\nid = '1.2'\nphase = 'build'\ndescription = 'Do (depends on 1)'\npriority = 3\nlabels = ['optional', 'task']\nsteps = ['```', '- [ ] x', '- ( ) y']\n\
         [[task]]\nid = 'last one'\ndescription = '2. Look after 1.1'\ndepends_on = ['1.1', '1.2']\npolicy = { max_retries = 0 }\n",
    ),
    (
        Format::Kiro,
        ".kiro/specs/log-in/tasks.md",
        "# Implementation Plan\n- [x] 1. Log in\n- [ ] 1.1 Form\n  - Two fields\n  - _Requirements: 2.1_\n- [-] 1.2 Session\n- [ ]* 1.3 More tests\n\
         - [ ] 2. Checkpoint\n- [ ] 3. Ship\n  - [ ] 3.1 (P) Pack\n  - [ ] 3.2 Send\n",
    ),
    (
        Format::SpecKit,
        "specs/001-shop/tasks.md",
        "# Tasks: Shop\n## Phase 1: Setup\n- [X] T001 Create\n- [ ] T002 [P] Lint\n- [x] T003 Link\n## Phase 2: Story 🎯\n### Tests\n\
         - [ ] T004 [P] [US1] Cart (depends on T002, T003)\n- [ ] T005 [US1] Pay\n",
    ),
    (
        Format::OpenSpec,
        "openspec/changes/add-login/tasks.md",
        "## 1. Form\n- [x] 1.1 Fields\n- [ ] 1.2 Style\n## 2. Docs\n- [ ] 2.1 Page\n  with more\n- [ ] 2.1.1 Part\n",
    ),
    (
        Format::Conductor,
        "conductor/tracks/docs/plan.md",
        "# Plan: Docs\n## Phase 1: Write [checkpoint: 0b41b9b]\n- [x] Task: Draft it 0b41b9b\n    - [x] Outline\n- [~] Task: Review\n",
    ),
    (
        Format::Checklist,
        "TODO.md",
        "# Todo\n## Now\n1. [ ] **API-1**: Serve *it*\n   - Depends on: DB-1\n2. [x] DB-1 Store [it](u)\n   - [x] Tables\n\n   text\n### Later\n* [-] Old\n* [!] Held\n* [/] Begun (after API-1)\n\
         * [ ] - dash\n* [ ]* starred\n",
    ),
    (
        Format::Taskmaster,
        "shop/tasks.json",
        r#"{"next": {"metadata": {"a": 1}, "tasks": [{"id": 1, "title": "A", "status": "done", "priority": "high", "dependencies": [], "details": "x\ny", "effort": 3},
            {"id": 2, "title": "B", "status": "review", "dependencies": [1], "subtasks": [{"id": 1, "title": "C", "status": "deferred"},
            {"id": "2", "title": "D", "status": "cancelled", "dependencies": [1]}]}, {"id": "7", "title": "E", "status": "blocked", "priority": "low", "dependencies": ["2"]}]}}"#,
    ),
    (
        Format::Beads,
        ".beads/issues.jsonl",
        "{\"id\":\"p-1\",\"title\":\"Epic\",\"status\":\"open\",\"priority\":1,\"issue_type\":\"epic\",\"odd\":[1]}\n\
         {\"id\":\"p-1.1\",\"title\":\"Part\",\"description\":\"Do.\",\"status\":\"closed\",\"priority\":4,\"dependencies\":[{\"depends_on_id\":\"p-1\",\"type\":\"parent-child\"}]}\n\
         {\"id\":\"p-2\",\"title\":\"Next\",\"status\":\"deferred\",\"priority\":0,\"issue_type\":\"bug\",\"labels\":[\"ui\"],\"dependencies\":[{\"depends_on_id\":\"p-1\",\"type\":\"blocks\"},{\"depends_on_id\":\"p-1.1\",\"type\":\"related\"}]}\n",
    ),
    (
        Format::Ralph,
        "prd.json",
        r#"{"project": "Shop", "phases": [{"name": "One", "stories": [{"id": "US-001", "title": "Buy", "acceptanceCriteria": ["It sells"], "priority": 1, "passes": true}]},
            {"name": "Two", "stories": [{"id": "US-002", "title": "Pay", "priority": 2, "passes": false, "dependencies": ["US-001"]}]}]}"#,
    ),
    (
        Format::Checklist,
        "PLAN.md",
        "Plan\n====\n\nOne\n---\n- [ ] a\n- [ ] a\n\nTwo\n---\n- [ ] 1. b\n- [ ] 1.1 c <!-- x -->\n- [ ] 7. d\n",
    ),
    (
        Format::Kiro,
        ".kiro/specs/a/tasks.md",
        "# A\n## B\n- [ ] 1. C\n```\n- [ ] no task\n```\n- [x] 2. D\n> quoted\n- [ ] 2.1 E\n## F\n- [ ] 3. G\n",
    ),
];

fn of_file(format: Format, path: &str, text: &str) -> Parsed {
    let parsed = parse(path, text.as_bytes()).unwrap_or_else(|problems| panic!("{path}: {problems:#}"));
    assert_eq!(parsed.format, format, "{path}");
    parsed
}

fn backlog() -> PlanSpec {
    let one = "---\nid: BACK-1\ntitle: 'Log in'\nstatus: Done\nlabels: [web]\npriority: high\nowner: me\n---\n\n## Acceptance Criteria\n- [x] #1 It works\n\n";
    let two = "---\nid: BACK-2\ntitle: Log out\nstatus: In Progress\ndependencies:\n  - BACK-1\n---\n";
    let files = [("b/1.md".to_owned(), one.into()), ("b/2.md".to_owned(), two.into())];
    parse_folder("b", &files).unwrap().spec
}

/// All tasks with one of these statuses after the other.
fn in_turn(spec: &PlanSpec, first: usize) -> BTreeMap<TaskId, TaskStatus> {
    let ids = spec.tasks.iter().map(|task| task.id.clone());
    ids.zip(STATUSES.into_iter().cycle().skip(first)).collect()
}

#[test]
fn a_plan_of_any_format_comes_back_from_any_other() {
    let files = FILES.iter().map(|(format, path, text)| of_file(*format, path, text).spec);
    for spec in files.chain([backlog()]) {
        for first in 0..STATUSES.len() {
            check(&spec, &in_turn(&spec, first)).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn what_one_format_has_beyond_the_plan_survives_another() {
    for (format, path) in [(Format::Taskmaster, "shop/tasks.json"), (Format::Beads, ".beads/issues.jsonl")] {
        let (.., text) = FILES.iter().find(|(other, ..)| *other == format).unwrap();
        let spec = of_file(format, path, text).spec;
        let status = spec.tasks.iter().map(|task| {
            let status = match said(task) {
                (true, Some(_)) => TaskStatus::Skipped,
                (true, None) => TaskStatus::Completed,
                (false, Some("in_progress")) => TaskStatus::InProgress,
                _ => TaskStatus::Pending,
            };
            (task.id.clone(), status)
        });
        let status = status.collect();
        let direct = export(format, &spec, &status).unwrap();
        for (other, path) in TARGETS.into_iter().filter(|(other, _)| *other != format) {
            let there = export(other, &spec, &status).unwrap();
            let there = parse(path, there.as_bytes()).unwrap();
            let back = export(format, &there.spec, &status).unwrap();
            let values = |text: &str| match serde_json::from_str::<Value>(text) {
                Ok(value) => vec![value],
                Err(_) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            };
            for (back, direct) in values(&back).into_iter().zip(values(&direct)) {
                let back = without_notes(back);
                assert!(
                    back.to_string().contains("effort") == direct.to_string().contains("effort"),
                    "{back:#}"
                );
                assert_eq!(fields(&back), fields(&direct), "{format} by {other}: {back:#}");
            }
        }
    }
}

/// The names of all fields.
fn fields(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => {
            map.iter().flat_map(|(name, value)| fields(value).into_iter().chain([name.clone()])).collect()
        }
        Value::Array(list) => list.iter().flat_map(fields).collect(),
        _ => BTreeSet::new(),
    }
}

fn without_notes(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(name, _)| name != "planlease")
                .map(|(name, value)| (name, without_notes(value)))
                .collect(),
        ),
        Value::Array(list) => list.into_iter().map(without_notes).collect(),
        other => other,
    }
}

#[test]
fn waits_and_priorities_are_in_the_words_of_the_format() {
    let (format, path, text) = FILES[3];
    let spec = of_file(format, path, text).spec;
    let written = export(Format::Beads, &spec, &BTreeMap::new()).unwrap();
    let last: Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    let on: Vec<_> = last["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|on| (&on["depends_on_id"], &on["type"]))
        .collect();
    assert_eq!(on, [(&json!("T004"), &json!("blocks"))]);
    let (format, path, text) = FILES[8];
    let spec = of_file(format, path, text).spec;
    let written = export(Format::Taskmaster, &spec, &BTreeMap::new()).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    let tasks = written["tasks"].as_array().unwrap();
    assert_eq!(
        (&tasks[1]["priority"], &tasks[1]["dependencies"]),
        (&json!("high"), &json!(["p-1"])),
        "{written:#}"
    );
    assert_eq!(tasks[1]["status"], "deferred");
    let written = export(Format::Checklist, &spec, &BTreeMap::new()).unwrap();
    assert!(
        written.contains("- [ ] p-2: Next")
            || written.contains("- [ ] Next (depends on p-1) <!-- id: p-2 -->"),
        "{written}"
    );
}

#[test]
fn a_note_gives_way_to_what_was_changed_in_the_file() {
    let spec = PlanSpec {
        title: "T".into(),
        tasks: vec![TaskSpec { priority: 3, ..TaskSpec::new(TaskId::new("a").unwrap(), "one\ntwo") }],
        ..PlanSpec::default()
    };
    let written = export(Format::Taskmaster, &spec, &BTreeMap::new()).unwrap();
    let read = |text: &str| {
        parse_as(Format::Taskmaster, "tasks.json", text.as_bytes()).unwrap().spec.tasks.remove(0)
    };
    assert_eq!((read(&written).priority, read(&written).description.as_str()), (3, "one\ntwo"));
    assert_eq!(read(&written.replace("\"high\"", "\"low\"")).priority, -10);
    let written = export(Format::Checklist, &spec, &BTreeMap::new()).unwrap();
    let read = |text: &str| parse("a.md", text.as_bytes()).unwrap().spec.tasks.remove(0);
    assert_eq!(read(&written).description, "one\ntwo");
    assert_eq!(read(&written.replace("- [ ] one two", "- [ ] one three")).description, "one three");
}

fn word() -> impl Strategy<Value = String> {
    let words = vec![
        "Add",
        "`x`",
        "(depends on 1)",
        "after 2",
        "S3",
        "1.1",
        "2.",
        "- [ ]",
        "[x]",
        "-->",
        "<!-- a",
        "# b",
        "```",
        "ünï",
        "→",
        "*",
        "**b**",
        "\n",
        "\t",
        "  ",
        "T001",
        "Phase 1:",
        "\"",
        "\\",
        "(optional)",
        "✅",
        "|",
        "> ",
        "depends on",
        "{",
        "none",
        "---",
        "===",
        "(approval: before)",
        "(approval: later)",
    ];
    vec(select(words), 1..6).prop_map(|words| words.join(" "))
}

/// A detail that reads as an approval, which the plan itself may not ask for.
fn step_about_approval() -> impl Strategy<Value = String> {
    let steps = ["- approval: before", "**Approval:** after", "approval: later", "- approval: by all"];
    select(steps.map(str::to_owned).to_vec())
}

fn plan() -> impl Strategy<Value = (PlanSpec, Vec<usize>)> {
    let ids = vec![
        "1", "2", "1.1", "1.2", "1.1.1", "2.1", "10", "007", "T001", "A-1", "a", "last one", "US-001", "2-2",
        "é", "x_3", "1.10",
    ];
    // A task that says nothing is called by its details, which a warning says.
    let text = word().prop_filter("says something", |text| !text.trim().is_empty());
    let task = (
        text,
        select(vec![None, Some(0_usize), Some(1), Some(2)]),
        vec(any::<prop::sample::Index>(), 0..3),
        -12..13_i32,
        vec(select(vec!["optional", "web", "task", "bug"]), 0..2),
        vec(prop_oneof![4 => word(), 1 => step_about_approval()], 0..3),
        any::<bool>(),
        select(vec![None, Some(ApprovalOf::Before), Some(ApprovalOf::After)]),
    );
    let count = ids.len();
    let parts = (
        Just(ids).prop_shuffle(),
        vec(task, 1..count),
        select(vec!["T", "Phase 1: x", "", "a\nb", "# c"]),
        Just(vec!["1", "2b", "build", "10", "A", "1.2"]).prop_shuffle(),
        vec(word(), 3),
        any::<[bool; 5]>(),
        vec(0..5_usize, count),
    );
    parts.prop_map(assembled).prop_filter("sound", |(spec, _)| spec.problems().is_empty())
}

/// A task as it is drawn: its text, its phase, what it waits for, priority, labels, steps, whether it has a
/// command, its approval.
type Drawn = (
    String,
    Option<usize>,
    Vec<prop::sample::Index>,
    i32,
    Vec<&'static str>,
    Vec<String>,
    bool,
    Option<ApprovalOf>,
);

/// A plan as it is drawn: ids, tasks, title, phases with their names, switches, and each task's status.
type Parts =
    (Vec<&'static str>, Vec<Drawn>, &'static str, Vec<&'static str>, Vec<String>, [bool; 5], Vec<usize>);

/// The plan of these parts.
fn assembled((ids, tasks, title, numbers, names, switches, statuses): Parts) -> (PlanSpec, Vec<usize>) {
    let [in_file_order, sequential, parallel, pipeline, chain] = switches;
    let phase = |(number, name): (&&str, &String)| PhaseSpec {
        number: (*number).to_owned(),
        name: name.clone(),
        verification: vec!["it -->".to_owned()],
        ..PhaseSpec::default()
    };
    let phases: Vec<PhaseSpec> = numbers.iter().zip(&names).map(phase).collect();
    let mut made: Vec<TaskSpec> = Vec::new();
    for (drawn, name) in tasks.into_iter().zip(&ids) {
        made.push(task_of(drawn, TaskId::new(*name).unwrap(), &phases, &made));
    }
    let order: Vec<String> = phases.iter().map(|phase| phase.number.clone()).collect();
    let group = |is: bool, group: Group| is.then_some(group).into_iter().collect::<Vec<_>>();
    let chained = made.iter().map(|task| task.id.clone()).collect();
    let mut spec = PlanSpec {
        title: title.to_owned(),
        source: Some(Source { path: "plans/some.toml".into(), sha256: String::new(), location: None }),
        sequential: group(sequential, Group { phases: order.clone(), ..Group::default() }),
        parallel: group(parallel, Group { phases: order, ..Group::default() }),
        phases,
        tasks: made,
        in_file_order,
        ..PlanSpec::default()
    };
    if chain {
        spec.sequential.push(Group { tasks: chained, ..Group::default() });
    }
    if pipeline {
        spec.phases[2].pipeline_start = Some(PipelineStart { after: spec.tasks[0].id.clone() });
    }
    (spec, statuses)
}

/// A task that may wait for those before it.
fn task_of(drawn: Drawn, id: TaskId, phases: &[PhaseSpec], before: &[TaskSpec]) -> TaskSpec {
    let (text, phase, on, priority, labels, steps, commands, approval) = drawn;
    let on: BTreeSet<TaskId> = match before.is_empty() {
        true => BTreeSet::new(),
        false => on.into_iter().map(|on| before[on.index(before.len())].id.clone()).collect(),
    };
    TaskSpec {
        phase: phase.map(|phase| phases[phase].number.clone()),
        depends_on: on.into_iter().collect(),
        priority,
        labels: labels.into_iter().map(str::to_owned).collect(),
        steps,
        approval,
        command: commands.then(|| vec!["a".to_owned(), "-->".to_owned()]),
        policy: commands.then(|| Box::new(TaskPolicy { max_retries: Some(0), ..TaskPolicy::default() })),
        ..TaskSpec::new(id, text)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_comes_back_from_any_format((spec, statuses) in plan()) {
        let statuses = spec.tasks.iter().map(|task| task.id.clone()).zip(statuses.iter().map(|nth| STATUSES[*nth])).collect();
        check(&spec, &statuses)?;
    }
}
