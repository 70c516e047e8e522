//! How documents look, in every form: what people and programs rely on.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]

use std::collections::BTreeMap;

use planlease::{Excerpt, List, PlanView};
use planlease_core::{
    OrchestratorId, PoolName, TaskId,
    approval::ApprovalOf,
    cancel::{CancelRequest, Then},
    keys::{Key, PlanKey},
    pool::{Pools, PoolsView},
    record::{FindingsRecord, Halt, HaltRecord, OutputRecord, TaskRecord, WorktreeState},
    spec::{PlanSpec, TaskSpec},
    transition::TaskStatus,
    unreadable::Unreadable,
    worktree::Tenure,
};

use super::{
    fixture::{
        NOW, abandoned, alive, claimed_by_an_operator, ended_with_a_failure, late, line, paused, plan,
        ready_and_unowned, redefined, wide, with_record, worktree,
    },
    *,
};

fn shown<D: Tabular>(format: Format, document: &D) -> String {
    let text = text(format, document, NOW).unwrap();
    Printable::styled(&text, false).as_str().to_owned()
}

fn excerpt(plan: &PlanView, task: &TaskId) -> Excerpt {
    Excerpt::of(plan, task).unwrap()
}

#[test]
fn a_status_as_table() {
    insta::assert_snapshot!(shown(Format::Table, &PlanStatus::new(&plan(), &alive(&plan()))));
}

#[test]
fn a_status_as_json() {
    insta::assert_snapshot!(shown(Format::Json, &PlanStatus::new(&plan(), &alive(&plan()))));
}

#[test]
fn plans_as_table_and_lines() {
    let plans = PlanList::new(&vec![plan()].into(), false);
    insta::assert_snapshot!(shown(Format::Table, &plans) + &shown(Format::Jsonl, &plans));
    insta::assert_snapshot!(shown(Format::Table, &PlanList::new(&List::default(), false)), @"no plans; `planlease plan import FILE` makes one");
    assert_eq!(shown(Format::Jsonl, &PlanList::new(&List::default(), false)), "");
    let prod = || StoreView {
        endpoints: vec!["https://etcd-1:2379".into()],
        namespace: "ops".into(),
        context: Some("prod".into()),
    };
    let none = PlanList::new(&List::default(), false).in_store(prod());
    insta::assert_snapshot!(shown(Format::Table, &none), @"no plans in namespace ops on https://etcd-1:2379 (context prod); `planlease plan import FILE` makes one");
    let local = StoreView { endpoints: Vec::new(), context: None, ..prod() };
    let one = shown(Format::Table, &PlanList::new(&vec![plan()].into(), false).in_store(local));
    assert!(one.ends_with("\n1 plan in namespace ops on the local server\n"), "{one}");
}

#[test]
fn a_plan_as_table() {
    insta::assert_snapshot!(shown(Format::Table, &DefinitionView::new(&plan())));
}

#[test]
fn tasks_as_table_and_lines() {
    let tasks = TaskList::new(&plan(), None, &alive(&plan()));
    insta::assert_snapshot!(shown(Format::Table, &tasks) + &shown(Format::Jsonl, &tasks));
}

#[test]
fn tasks_of_all_plans_in_every_form() {
    let mut all = AllTasks::default();
    all.add(TaskList::new(&plan(), None, &alive(&plan())));
    let all = all.sorted(Some(TaskOrder::Status));
    let forms = [Format::Table, Format::Wide, Format::Name, Format::Yaml];
    insta::assert_snapshot!(forms.map(|format| shown(format, &all)).join("----\n"));
    let list = TaskList::new(&plan(), None, &alive(&plan())).sorted(Some(TaskOrder::Revision));
    assert_eq!(shown(Format::Name, &list).lines().next(), Some("1.1"), "the last change comes first");
}

#[test]
fn several_changes_in_every_form() {
    use planlease::{Halted, Outcome, Refused};
    let (view, name) = (plan(), plan().name().clone());
    let task = |id: &str| view.tasks()[&TaskId::new(id).unwrap()].clone();
    let mut changes = TaskUpdates::new(false, false);
    for (id, outcome) in [
        ("1.1", Outcome::Committed(task("1.1"))),
        ("1.2", Outcome::Refused(Refused::Conflict(Box::new(task("1.2"))))),
        ("2.1", Outcome::Unknown { op_id: uuid::Uuid::nil(), reason: "no answer".into() }),
    ] {
        changes.add(TaskUpdate::of(name.clone(), TaskId::new(id).unwrap(), "retry", &outcome));
    }
    assert_eq!(changes.counts(), (1, 1, 1));
    let mut dry = TaskUpdates::new(true, true);
    let next = TaskRecord { status: TaskStatus::Pending, ..task("1.10").record };
    dry.add(TaskUpdate::possible(name.clone(), &task("1.10"), "retry", &next));
    let mut halts = HaltViews::new(false);
    let paused_before = paused().halts().paused.clone().unwrap().1;
    halts.add(HaltView::new(name.clone(), Halt::Paused, Halted::Unchanged(Box::new(paused_before))));
    halts.add(HaltView::of(name.clone(), Some(Halt::Paused), true));
    halts.fail(name.clone(), Some(Halt::Paused), "there is no plan release".into());
    let mut resumed = HaltViews::new(true);
    resumed.add(HaltView::of(name, None, true));
    insta::assert_snapshot!(
        [
            shown(Format::Table, &changes) + &shown(Format::Jsonl, &changes) + &shown(Format::Json, &changes),
            shown(Format::Table, &dry),
            shown(Format::Table, &halts) + &shown(Format::Json, &halts),
            shown(Format::Table, &resumed),
            shown(Format::Table, &TaskUpdates::new(false, false)),
            shown(Format::Table, &HaltViews::new(false)),
        ]
        .join("----\n")
    );
}

#[test]
fn a_task_as_table_and_json() {
    let plan = plan();
    let task = &plan.tasks()[&TaskId::new("1.10").unwrap()];
    let output = OutputRecord::new(1, "one\n\x1b[31mtwo");
    let findings = FindingsRecord { output: Some(output), ..FindingsRecord::new(1, "found") };
    let task = TaskDetailView::new(&excerpt(&plan, &task.id), Some(findings), &alive(&plan));
    insta::assert_snapshot!(shown(Format::Table, &task) + &shown(Format::Json, &task));
}

#[test]
fn an_owner_as_table_and_json() {
    let owner = OwnerView::new(plan().name().clone(), &line());
    insta::assert_snapshot!(shown(Format::Table, &owner) + &shown(Format::Json, &owner));
}

#[test]
fn the_next_tasks_as_table_and_json() {
    let next = NextTasks::new(&plan(), 1, &[], &alive(&plan()));
    insta::assert_snapshot!(shown(Format::Table, &next) + &shown(Format::Json, &next));
    let halted = NextTasks::new(&paused(), 1, &[], &alive(&paused()));
    let text = shown(Format::Table, &halted);
    assert!(text.starts_with("paused by me 1m ago: lunch; nothing is started\n"), "{text}");
    let labelled = NextTasks::new(&plan(), 1, &["gpu".into()], &alive(&plan()));
    assert!(shown(Format::Table, &labelled).starts_with("nothing is ready"), "no task has that label");
}

#[test]
fn a_ready_task_without_a_permit_says_why() {
    let gpu = Pools::new(BTreeMap::from([(PoolName::new("gpu").unwrap(), 1)])).unwrap();
    let plan = redefined(ready_and_unowned(), |spec| spec.policy.pools = gpu);
    let next = NextTasks::new(&plan, 1, &[], &alive(&plan)).pooled(&plan, &PoolsView::default());
    let text = shown(Format::Table, &next);
    assert!(text.contains("\nNO PERMIT  WHY\n1.10       pool gpu is not defined\n"), "{text}");
}

#[test]
fn phases_as_table_and_lines() {
    let phases = PhaseList::new(&plan());
    insta::assert_snapshot!(shown(Format::Table, &phases) + &shown(Format::Jsonl, &phases));
}

#[test]
fn an_estimate_as_table_and_json() {
    let estimate = EstimateView::new(&plan(), 2, std::time::Duration::from_mins(10), NOW);
    insta::assert_snapshot!(shown(Format::Table, &estimate) + &shown(Format::Json, &estimate));
}

#[test]
fn dependencies_as_table_and_lines() {
    let graph = DependencyGraph::new(&plan(), None);
    insta::assert_snapshot!(shown(Format::Table, &graph) + &shown(Format::Jsonl, &graph));
}

#[test]
fn why_a_plan_and_its_tasks_are_where_they_are() {
    let plan = plan();
    let mut text = shown(Format::Table, &WhyPlan::new(&plan, &List::default(), &alive(&plan)))
        + &shown(Format::Json, &WhyPlan::new(&plan, &List::default(), &alive(&plan)));
    for task in plan.tasks().keys() {
        let late = if task.as_str() == "1.1" { vec![late()] } else { Vec::new() };
        let why = WhyTask::new(&excerpt(&plan, task), &late, &alive(&plan));
        text += &format!("----\n{}{}", shown(Format::Table, &why), shown(Format::Jsonl, &why));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_plan_with_a_failed_task_does_not_look_finished() {
    let plan = ended_with_a_failure();
    let why = WhyPlan::new(&plan, &List::default(), &alive(&plan));
    insta::assert_snapshot!(shown(Format::Table, &why), @r"
    plan release has come to an end with failures

      never owned

    No process owns it, and nothing can start: 1 task failed.
    1 task waits for a person's decision: see `planlease why release 2.1`.
    ");
    let phases = shown(Format::Jsonl, &PhaseList::new(&plan));
    assert!(
        phases.contains("\"number\":\"1\",\"name\":\"Build\"") && phases.contains("\"state\":\"failed\""),
        "{phases}"
    );
}

#[test]
fn a_lost_claimant_is_not_displayed_at_work() {
    let (plan, task) = (abandoned(), TaskId::new("1.2").unwrap());
    let alive = alive(&plan);
    let status = PlanStatus::new(&plan, &alive);
    let text = shown(Format::Table, &status);
    assert!(text.contains("ci-1 (gone)"), "{text}");
    assert!(shown(Format::Json, &status).contains("\"claimant_gone\": true"));
    let shown_task = shown(Format::Table, &TaskDetailView::new(&excerpt(&plan, &task), None, &alive));
    assert!(shown_task.contains("claimed by ci-1 (gone), for 2m50s"), "{shown_task}");
    let list = TaskList::new(&plan, None, &alive);
    assert!(shown(Format::Table, &list).contains("ci-1 (gone)"), "{}", shown(Format::Table, &list));
    assert!(shown(Format::Json, &list).contains("\"claimant_gone\": true"));
    let next = NextTasks::new(&plan, 1, &[], &alive);
    assert!(
        shown(Format::Table, &next).contains("in progress: 1.2 (gone)"),
        "{}",
        shown(Format::Table, &next)
    );
    let document: serde_json::Value = serde_json::from_str(&shown(Format::Json, &next)).unwrap();
    assert_eq!(document["lost"], serde_json::json!(["1.2"]));
    let why = shown(Format::Table, &WhyTask::new(&excerpt(&plan, &task), &[], &alive));
    assert!(why.contains("ci-1 worked on attempt 1 and is gone.\nThe plan is cancelled"), "{why}");
    let why = shown(Format::Table, &WhyPlan::new(&plan, &List::default(), &alive));
    assert!(why.contains("me: enough. The claimants of 1 task in progress are gone."), "{why}");
}

#[test]
fn a_cancelled_attempt_says_what_becomes_of_it() {
    let task = TaskId::new("1.2").unwrap();
    let cancelled = |plan| {
        with_record(plan, &task, |record| {
            record.set_cancel(Some(CancelRequest {
                by: "ann".into(),
                at: NOW,
                why: "wrong branch".into(),
                then: Then::Skip,
                extra: planlease_core::Extra::default(),
            }));
        })
    };
    let words = "by ann: wrong branch; becomes skipped when the attempt has ended";
    let plan = cancelled(plan());
    let alive_now = alive(&plan);
    for (text, wanted) in [
        (
            shown(Format::Table, &TaskDetailView::new(&excerpt(&plan, &task), None, &alive_now)),
            format!("\ncancelled  {words}\n"),
        ),
        (shown(Format::Table, &PlanStatus::new(&plan, &alive_now)), format!("  cancelled {words}\n")),
        (shown(Format::Table, &TaskList::new(&plan, None, &alive_now)), format!("  cancelled {words}\n")),
    ] {
        assert!(text.contains(&wanted), "{wanted} is not in {text}");
    }
    let why = shown(Format::Table, &WhyTask::new(&excerpt(&plan, &task), &[], &alive_now));
    let now = "ci-1 works on attempt 1, cancelled by ann: wrong branch.\n";
    let next = "When ci-1 has ended the attempt, or is gone, it becomes skipped, as the cancellation says.";
    assert!(why.contains(&format!("{now}{next}")) && !why.contains("on_lost"), "{why}");
    let lost = cancelled(ready_and_unowned());
    let why = shown(Format::Table, &WhyTask::new(&excerpt(&lost, &task), &[], &alive(&lost)));
    let next = "The plan's next owner recovers it (it becomes skipped, as the cancellation says)";
    assert!(why.contains(next), "{why}");
}

#[test]
fn a_task_that_rests_counts_what_has_happened_to_it() {
    for (failures, lost, wanted) in [
        (1, 0, "Attempt 2 failed: boom; 1 of 3 allowed attempts failed.\n"),
        (0, 1, "Attempt 2 was lost: boom; 1 lost of 3 allowed (max_lost).\n"),
        (1, 2, "Attempt 2 ended: boom; 1 of 3 allowed attempts failed, 2 lost of 3 allowed (max_lost).\n"),
    ] {
        let task = TaskId::new("1.2").unwrap();
        let plan = redefined(abandoned(), |spec| spec.policy.max_retries = 2);
        let plan = with_record(plan, &task, |record| {
            *record = TaskRecord {
                status: TaskStatus::Failed,
                attempt: 2,
                failures,
                lost,
                claim: None,
                error: Some("boom".into()),
                ..record.clone()
            };
        });
        let why = shown(Format::Table, &WhyTask::new(&excerpt(&plan, &task), &[], &alive(&plan)));
        assert!(why.contains(wanted), "{why}");
    }
}

#[test]
fn a_claim_without_a_session_shows_its_limit() {
    let (plan, task) = (claimed_by_an_operator(), TaskId::new("2.1").unwrap());
    let mut alive = alive(&plan);
    let limit = plan.tasks()[&task].record.claim.as_ref().unwrap().limit.unwrap();
    alive.limits.insert(limit.lease, std::time::Duration::from_secs(2_400));
    let show = |alive: &planlease_core::orphan::Alive| {
        shown(Format::Table, &PlanStatus::new(&plan, alive))
            + &shown(Format::Table, &TaskDetailView::new(&excerpt(&plan, &task), None, alive))
            + &shown(Format::Table, &WhyTask::new(&excerpt(&plan, &task), &[], alive))
    };
    let text = show(&alive);
    for part in [
        "20m (40m left)",
        "claimed by ann@desk, for 20m (40m left)",
        "The claim ends in 40m",
        "extends it to 1h",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    alive.limits.clear();
    let text = show(&alive);
    for part in ["ann@desk (gone)", "The claim of ann@desk on attempt 1 ended after 1h."] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let update = TaskUpdate::committed(plan.name().clone(), "start", &plan.tasks()[&task]);
    assert!(shown(Format::Table, &update).contains("the claim ends after 1h"));
}

#[test]
fn what_is_blocked_is_bounded_with_a_count_of_the_rest() {
    let plan = wide(20_000);
    let three = NextTasks::new(&plan, 3, &[], &alive(&plan));
    let text = shown(Format::Table, &three);
    assert!(text.lines().count() < 12 && text.contains("… and 19996 more"), "{text}");
    assert!(shown(Format::Json, &three).contains("\"blocked_total\": 19999"));
    let all = NextTasks::new(&plan, usize::MAX, &[], &alive(&plan));
    assert!(shown(Format::Table, &all).lines().count() < 40, "the table is for people");
    assert_eq!(shown(Format::Json, &all).matches("\"why\": \"dependency\"").count(), 19_999);
}

#[test]
fn an_edited_plan_as_table_and_json() {
    let view = plan();
    let mut edited = PlanSpec::clone(view.spec());
    edited.title = "Release 1.5".into();
    edited.tasks.retain(|task| !["1.10", "2.1"].contains(&task.id.as_str()));
    edited.tasks[1].priority = 5;
    edited.tasks.push(TaskSpec::new(TaskId::new("2.3").unwrap(), "tell\neverybody"));
    let edit = view.edit(&edited);
    let before = EditView::new(&view, "release.md", &edit, None);
    let after = EditView::new(&view, "release.md", &edit, Some(view.revision()));
    let same = EditView::new(&view, "release.md", &view.edit(view.spec()), None);
    insta::assert_snapshot!(
        shown(Format::Table, &before)
            + &shown(Format::Json, &before)
            + &shown(Format::Table, &after)
            + &shown(Format::Json, &same)
    );
}

#[test]
fn locks_in_every_form() {
    let view = planlease::LockView { lock: "git".parse().unwrap(), queue: line() };
    let list = LockList::new(&plan().name().clone(), &vec![view].into());
    insta::assert_snapshot!(
        shown(Format::Table, &list) + &shown(Format::Json, &list) + &shown(Format::Jsonl, &list)
    );
}

#[test]
fn why_a_plan_that_is_halted_does_not_go_on() {
    let plan = paused();
    let mut text = shown(Format::Table, &WhyPlan::new(&plan, &List::default(), &alive(&plan)));
    for task in plan.tasks().keys() {
        text += &format!(
            "----\n{}",
            shown(Format::Table, &WhyTask::new(&excerpt(&plan, task), &[], &alive(&plan)))
        );
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_paused_fleet_is_named_wherever_people_look() {
    let pause = paused().halts().paused.clone().unwrap().1;
    let ready = TaskId::new("1.10").unwrap();
    for plan in [ready_and_unowned(), plan()] {
        let (alive, pause) = (alive(&plan), Some(&pause));
        let shown_all = [
            shown(Format::Table, &WhyPlan::new(&plan, &List::default(), &alive).in_fleet(&plan, pause)),
            shown(Format::Table, &WhyTask::new(&excerpt(&plan, &ready), &[], &alive).in_fleet(pause)),
            shown(Format::Table, &PlanStatus::new(&plan, &alive).in_fleet(pause)),
            shown(Format::Table, &PlanList::new(&vec![plan.clone()].into(), false).in_fleet(pause)),
            shown(Format::Wide, &PlanList::new(&vec![plan.clone()].into(), false).in_fleet(pause)),
            shown(Format::Table, &NextTasks::new(&plan, 1, &[], &alive).in_fleet(pause)),
        ];
        let first =
            "nothing starts: the fleet was paused by me 1m ago: lunch; `planlease fleet resume` ends that";
        for text in shown_all {
            assert_eq!(text.lines().next(), Some(first), "{text}");
        }
        let prime = Prime::new(&plan, &alive, &[]).in_fleet(pause).text(Manner::Commands);
        assert!(prime.contains(" Nothing starts: the fleet was paused by me: lunch."), "{prime}");
    }
}

#[test]
fn a_paused_fleet_promises_no_start() {
    let pause = paused().halts().paused.clone().unwrap().1;
    let task = TaskId::new("1.10").unwrap();
    let plan = ready_and_unowned();
    let (alive, paused) = (alive(&plan), Some(&pause));
    let why = shown(Format::Table, &WhyPlan::new(&plan, &List::default(), &alive).in_fleet(&plan, paused));
    let wanted = " Nothing starts: the fleet was paused by me: lunch.\n";
    assert!(why.contains(wanted) && why.ends_with("\n`planlease fleet resume` lets it go on.\n"), "{why}");
    let why = WhyTask::new(&excerpt(&plan, &task), &[], &alive).in_fleet(paused);
    let document: serde_json::Value = serde_json::from_str(&shown(Format::Json, &why)).unwrap();
    assert_eq!(document["rule"], "fleet_paused");
    assert_eq!(document["fleet_paused"]["why"], "lunch");
    assert_eq!(document["next"], "`planlease fleet resume` lets it go on.");
    let running = shown(Format::Json, &WhyTask::new(&excerpt(&plan, &task), &[], &alive).in_fleet(None));
    assert!(!running.contains("fleet_paused"), "{running}");
}

#[test]
fn past_terms_with_what_was_done_under_them() {
    let list = TermList::new(&plan(), &List::default());
    insta::assert_snapshot!(shown(Format::Table, &list) + &shown(Format::Json, &list));
}

#[test]
fn claims_in_every_form() {
    let view = plan();
    let tasks = vec![view.tasks()[&TaskId::new("1.2").unwrap()].clone()];
    let claimed = ClaimView::new(&view, &planlease::Claimed { tasks, ..planlease::Claimed::default() });
    let none = ClaimView::new(&view, &planlease::Claimed::default());
    insta::assert_snapshot!(
        shown(Format::Table, &claimed)
            + &shown(Format::Json, &claimed)
            + &shown(Format::Jsonl, &claimed)
            + &shown(Format::Table, &none)
    );
}

/// The keys of all objects in a value, but for those of maps that have other names in every document.
fn keys(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

/// The reference names every field of every document that a snapshot shows; `tools/json-reference.py` makes
/// it.
#[test]
fn the_reference_of_json_is_complete() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = std::fs::read_to_string(root.join("../../docs/json.md")).unwrap();
    let section = |schema: &str| {
        let (_, rest) = reference.split_once(&format!("## {schema}\n"))?;
        Some(rest.split("\n## ").next().unwrap_or(rest))
    };
    let mut documents = 0;
    for folder in ["src/snapshots", "src/tables/watch/snapshots"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for (at, _) in text.match_indices("{\n  \"schema\"") {
                let mut values =
                    serde_json::Deserializer::from_str(&text[at..]).into_iter::<serde_json::Value>();
                let document = values.next().unwrap().unwrap();
                let schema = document["schema"].as_str().unwrap();
                let section = section(schema).unwrap_or_else(|| panic!("{schema} is not in docs/json.md"));
                let mut found = std::collections::BTreeSet::new();
                keys(&document, &mut found);
                for key in found.iter().filter(|key| *key != "schema") {
                    assert!(section.contains(&format!("`{key}`")), "{schema}: {key} is not in docs/json.md");
                }
                documents += 1;
            }
        }
    }
    assert!(documents >= 15, "{documents}");
}

#[test]
fn worktrees_in_every_form() {
    let (used, left) = (worktree("one", WorktreeState::Ready), worktree("two", WorktreeState::Quarantined));
    let shown_one = WorktreeStatusView::new(&left, Tenure::TermOver);
    let list = WorktreeList::new(vec![WorktreeStatusView::new(&used, Tenure::Live), shown_one.clone()], &[]);
    let tidied =
        [Tidied::keep(&used, "it is in use".into()), Tidied::quarantine(&left, "1 changed file".into())];
    let tidied = WorktreesTidied::new(false, tidied.into(), &[]);
    insta::assert_snapshot!(
        shown(Format::Table, &list)
            + &shown(Format::Jsonl, &list)
            + &shown(Format::Table, &shown_one)
            + &shown(Format::Json, &shown_one)
            + &shown(Format::Table, &tidied)
            + &shown(Format::Json, &tidied)
    );
}

#[test]
fn a_fence_in_every_form() {
    let token = "1.7".parse().unwrap();
    let checked = FenceChecked { resource: "deploy".into(), token, admitted: true, highest: token };
    let list = FenceList { resources: vec![Highest { resource: "deploy".into(), highest: token }] };
    insta::assert_snapshot!(
        shown(Format::Table, &checked)
            + &shown(Format::Jsonl, &checked)
            + &shown(Format::Table, &list)
            + &shown(Format::Json, &list)
    );
}

#[test]
fn a_plan_file_as_json_is_what_was_parsed_or_what_is_wrong() {
    let file = b"# T\n## Phase 1: P\n- [x] 1.1 D\n- [ ] 1.2 E (depends: 1.1) after 1.1\n";
    let parsed = planlease_formats::parse("t.md", file).unwrap();
    let refused = planlease_formats::parse("t.md", b"# T\n## Phase 1: P\n- [~] 1.1 D\n").unwrap_err();
    insta::assert_snapshot!(
        shown(Format::Json, &PlanFile::new("t.md", &parsed))
            + &shown(Format::Table, &PlanFile::new("t.md", &parsed))
            + &shown(Format::Json, &PlanFile::refused("t.md", &refused))
    );
}

#[test]
fn a_plan_file_shows_order_policy_and_demands() {
    let file = br#"
title = "T"
policy = { max_in_progress = 2 }
[[sequential]]
tasks = ["1", "2"]
[[phase]]
number = "a"
name = "A"
verification = ["it builds"]
[[task]]
id = "1"
phase = "a"
description = "first"
priority = 5
labels = ["fast"]
needs = ["cuda"]
pools = ["gpu"]
[[task]]
id = "2"
phase = "a"
description = "second"
approval = "before"
"#;
    let parsed = planlease_formats::parse("t.toml", file).unwrap();
    let text = shown(Format::Table, &PlanFile::new("t.toml", &parsed));
    for part in [
        "2 in progress at most",
        "\n  of 1  priority 5, labels fast, needs cuda\n",
        "pools gpu: 1\n",
        "\n  of 2  approval before each attempt\n",
        "\n  at the end of phase a  it builds\n",
        "\n2     a      1 (in sequence)  second\n",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let document: serde_json::Value =
        serde_json::from_str(&shown(Format::Json, &PlanFile::new("t.toml", &parsed))).unwrap();
    assert_eq!(document["schema"], "planlease.plan_check.v1");
    assert_eq!(document["tasks"][0]["pools"]["gpu"], 1);
    assert_eq!(document["tasks"][1]["waits_by_order"][0]["on"], "1");
    let plan = redefined(plan(), |spec| {
        let task = &mut spec.tasks[1];
        (task.labels, task.needs) = (["fast".to_owned()].into(), ["cuda".to_owned()].into());
        spec.policy.pools = Pools::new(BTreeMap::from([(PoolName::new("gpu").unwrap(), 2)])).unwrap();
    });
    let task = TaskId::new("1.2").unwrap();
    let text = shown(Format::Table, &TaskDetailView::new(&excerpt(&plan, &task), None, &alive(&plan)));
    for part in ["\nlabels     fast\n", "\nneeds      cuda\n", "\npools      gpu: 2\n"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn what_waits_for_approval_is_in_every_view_of_a_plan() {
    let task = TaskId::new("1.10").unwrap();
    let plan =
        with_record(ready_and_unowned(), &task, |record| record.require_approval(Some(ApprovalOf::Before)));
    let question = "attempt 2 may start only when it is approved";
    let list = AttentionList::new(plan.revision(), [&plan].into_iter(), alive(&plan), &BTreeMap::new());
    let needed = serde_json::to_value(&list).unwrap()["attention"][0].clone();
    assert_eq!((&needed["need"], &needed["task"]), (&"approval".into(), &"1.10".into()), "{needed}");
    assert_eq!(needed["what"], question);
    let plans = shown(Format::Table, &PlanList::new(&vec![plan.clone()].into(), false));
    assert!(plans.contains("needs decision"), "{plans}");
    let status = shown(Format::Table, &PlanStatus::new(&plan, &alive(&plan)));
    assert!(status.contains("DECIDE") && status.contains(question), "{status}");
    let prime = Prime::new(&plan, &alive(&plan), &[]).text(Manner::Commands);
    assert!(prime.contains("Waits for a person") && prime.contains(question), "{prime}");
}

#[test]
fn imports_name_what_is_ticked_and_what_was_refused() {
    let file = b"# T\n## Phase 1: P\n- [x] 1.1 D\n- [ ] 1.2 E after 1.1\n";
    let parsed = planlease_formats::parse("t.md", file).unwrap();
    let mut imports = ImportList::default();
    let plan = planlease_core::PlanName::new("t").unwrap();
    imports.add(plan.clone(), "t.md".into(), &parsed, false, None);
    imports.add(
        plan,
        "t.md".into(),
        &parsed,
        true,
        Some(planlease::Imported::Created(self::plan().revision())),
    );
    imports.refuse("u.md", &planlease_formats::parse("u.md", b"- [ 1.1 D\n").unwrap_err());
    insta::assert_snapshot!(shown(Format::Table, &imports) + &shown(Format::Jsonl, &imports));
}

#[test]
fn commands_are_displayed_as_a_shell_would_take_them() {
    let line =
        |words: &[&str]| command_line(Some(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>()));
    assert_eq!(line(&["sh", "-c", "echo $HOME"]), "sh -c 'echo $HOME'");
    assert_eq!(line(&["it's", "", "a;b", "*", "x=1"]), r#""it's" '' 'a;b' '*' 'x=1'"#);
    for words in [&["rm", "-rf", "a b"][..], &["x&y", "`z`", "~", "#"], &["a\nb", "\"", "!"]] {
        assert_eq!(shlex::split(&line(words)).unwrap(), words);
    }
    assert_eq!(command_line(None), "-");
}

/// A state file with an example of everything that is reported about one.
const STATE: &[u8] = br#"{
  "planPath": "docs/plans/tea.md",
  "planName": "Tea",
  "createdAt": "2025-12-24T04:16:52.582Z",
  "tasks": [
    {"id": "1.1", "description": "Boil", "status": "completed", "notes": true},
    {"id": "1.2", "description": "Brew", "status": "in_progress", "dependencies": ["1.1"]},
    {"id": "1.2", "description": "Brew", "status": "pending"}
  ],
  "summary": {"completed": 7}
}"#;

#[test]
fn imports_of_state_files_as_table_and_lines() {
    use planlease_core::PlanName;
    use planlease_formats::state::{self, Content, Mode};
    let read = |file: &[u8]| state::read("tea/status.json", file, Mode::Lenient).unwrap();
    let Content::Plan(plan) = read(STATE) else { panic!() };
    let instance = br#"{"instances": [{"id": "orch-1", "pid": 7, "plan_path": "docs/plans/tea.md", "status": "running"}]}"#;
    let Content::Registry(registry) = read(instance) else { panic!() };
    let mut imports = StateImports::default();
    let import = |outcome| StateImport::new(PlanName::new("tea").unwrap(), "tea/status.json", &plan, outcome);
    imports.add(import("created").at(planlease_core::Revision::from_wire(7).unwrap()).with_findings(2, &[]));
    imports.add(
        import("refused")
            .differing(vec!["tasks[1.1].status: \"pending\" is there, \"completed\" in the file".into()]),
    );
    imports.add_registry("orchestrator-registry.json", &registry);
    insta::assert_snapshot!(shown(Format::Table, &imports) + &shown(Format::Jsonl, &imports));
}

#[test]
fn findings_as_table_and_lines() {
    use planlease_core::PlanName;
    let long =
        FindingsRecord { reference: Some("long.md".into()), ..FindingsRecord::new(2, &"x".repeat(50_000)) };
    let output = FindingsRecord::of_output(OutputRecord::new(3, "written"));
    let found = [("1.1", FindingsRecord::new(1, "short")), ("1.2", output.clone()), ("summary", long)];
    let found = found.map(|(name, found)| (TaskId::new(name).unwrap(), found)).to_vec().into();
    let list = FindingsList::new(PlanName::new("tea").unwrap(), found);
    let one = FindingsView::new(
        PlanName::new("tea").unwrap(),
        TaskId::new("1.1").unwrap(),
        FindingsRecord { attempt: 1, bytes: 5, text: "short".into(), ..output },
    );
    insta::assert_snapshot!(
        shown(Format::Table, &list) + &shown(Format::Jsonl, &list) + &shown(Format::Json, &one)
    );
}

#[test]
fn what_was_so_before_is_said_as_it_is() {
    let table = |text: String| text.trim_end().to_owned();
    let paused = planlease::Halted::Unchanged(Box::new(HaltRecord::unreadable(Halt::Paused, "lunch".into())));
    let again = table(shown(Format::Table, &HaltView::new(plan().name().clone(), Halt::Paused, paused)));
    assert!(again.starts_with("release is paused already: by an unknown writer"), "{again}");
    assert!(again.ends_with(" ago: lunch"), "{again}");
    let never = EligibilityView::uncordoned(OrchestratorId::new("host-8").unwrap(), false);
    assert_eq!(table(shown(Format::Table, &never)), "host-8 was not cordoned; nothing was changed");
    let closed = PoolChanged::set(&PoolName::new("gpu").unwrap(), None, 0, 2, false);
    let starts = "nothing that uses it starts until it has permits again";
    assert_eq!(table(shown(Format::Table, &closed)), format!("pool gpu has 0 permits; 2 in use: {starts}"));
}

#[test]
fn what_cannot_be_read_stands_beside_the_rest() {
    let key = Key::Plan(plan().name().clone(), PlanKey::Task(TaskId::new("2.2").unwrap()));
    let unreadable = Unreadable { key, reason: "it is empty".into() };
    let mut view = plan();
    view.note_unreadable(unreadable.clone());
    let status = PlanStatus::new(&view, &alive(&view));
    let json: serde_json::Value = serde_json::from_str(&shown(Format::Json, &status)).unwrap();
    let listed = serde_json::json!([{ "key": "plans/release/tasks/2.2", "reason": "it is empty" }]);
    assert_eq!((&json["unreadable"], &json["summary"]["unreadable"]), (&listed, &1.into()));
    assert_eq!(
        status.unreadable()[0].line(),
        "`plans/release/tasks/2.2` cannot be read and is left out: it is empty"
    );
    let list = PlanList::new(&List { items: vec![view], unreadable: vec![unreadable] }, false);
    let lines = shown(Format::Jsonl, &list);
    assert!(
        lines.lines().last().unwrap().starts_with(r#"{"schema":"planlease.unreadable.v1","key""#),
        "{lines}"
    );
}
