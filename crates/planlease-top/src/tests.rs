//! The screen as people see it, on a terminal of a test, and what their keys order.

use std::sync::Arc;

use planlease::{RawSnapshot, Registered};
use planlease_core::{
    Generation, LeaseId, OrchestratorId, PlanName, Revision, TaskId, WallTime,
    approval::ApprovalOf,
    offer::Offer,
    record::{CandidateRecord, Guard, Registration, Role, TaskRecord, Writer},
    spec::{PlanSpec, TaskSpec},
    term::{Candidate, Queue, Successor, succeed},
    transition::{Change as TaskChange, Write, apply},
    view::{Definition, Parts, PlanView, TaskView},
};
use planlease_watcher::{Change, ChangeSet, Snapshot, Store};
use ratatui::{Terminal, backend::TestBackend};

use crate::{Key, Options, Order, Top};

const NOW: WallTime = WallTime(1_764_000_000_000);

fn revision(n: i64) -> Revision {
    Revision::from_wire(n).unwrap()
}

fn ago(seconds: i64) -> WallTime {
    WallTime(NOW.0 - seconds * 1000)
}

fn task(id: &str, changes: &[TaskChange]) -> TaskView {
    let guard = Guard::Owner { lease: LeaseId::from_wire(20).unwrap(), revision: revision(20) };
    let writer = Writer { who: "ci-1".into(), role: Role::Owner, term: None, guard };
    let write = Write { writer, attempt: None, at: ago(75), op_id: Default::default() };
    let mut record = TaskRecord::new(write.writer.clone(), write.op_id);
    for change in changes {
        record = apply(&record, change, &write).unwrap();
    }
    TaskView { id: TaskId::new(id).unwrap(), revision: revision(30), record }
}

fn owned() -> Queue {
    let name = OrchestratorId::new("ci-1").unwrap();
    let record = CandidateRecord::new(name, "host-1", 42, ago(200));
    let candidate = Candidate {
        lease: LeaseId::from_wire(20).unwrap(),
        joined: revision(20),
        record: Some(record.clone()),
    };
    let successor = Successor { record, lease: candidate.lease, guard: Some(candidate.joined) };
    let term = succeed(None, Generation(1), &successor, ago(200)).term;
    Queue::new(vec![candidate], Some((revision(21), term)))
}

fn plan(name: &str, tasks: Vec<TaskView>, queue: Queue) -> Arc<PlanView> {
    let mut spec = PlanSpec { title: format!("The plan {name}"), ..PlanSpec::default() };
    let described = |task: &TaskView| TaskSpec::new(task.id.clone(), format!("Do what {} says", task.id));
    spec.tasks = tasks.iter().map(described).collect();
    let mut parts = Parts::default();
    parts.tasks = tasks.into_iter().collect();
    parts.queue = Arc::new(queue);
    let definition = Definition::new(revision(10), revision(10), spec);
    Arc::new(PlanView::new(PlanName::new(name).unwrap(), revision(30), definition, parts))
}

fn snapshot() -> Snapshot {
    let mut snapshot =
        Store::load(&RawSnapshot { revision: revision(40), entries: Vec::new() }).snapshot().clone();
    let (start, done) = (TaskChange::Start, TaskChange::Complete(Some("tagged".into())));
    let failed = TaskChange::Fail("exit status 1\u{1b}[31m".into());
    let running = vec![
        task("1", &[start.clone(), done.clone()]),
        task("2", &[start.clone(), TaskChange::Progress("half of it".into())]),
        task("3", &[]),
    ];
    let mut undecided = task("1", &[start.clone(), failed]);
    undecided.record.parked = Some("which registry?".to_owned());
    let plans = [
        plan("release", running, owned()),
        plan("stuck", vec![undecided], Queue::default()),
        plan("idle", vec![task("1", &[])], Queue::default()),
        plan("finished", vec![task("1", &[start, done])], Queue::default()),
    ];
    let changes = plans.into_iter().map(Change::PlanAppeared).collect();
    snapshot.apply(&ChangeSet { revision: revision(41), resynced: false, changes });
    snapshot
}

fn top() -> Top {
    let mut top = Top::new(Options::default().store("namespace default on the local server"));
    top.update(snapshot());
    top.changed(["      41  release  2 said: half of it".to_owned()]);
    top
}

/// The screen as text, without spaces at the ends of lines.
fn screen(top: &mut Top, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| top.draw(frame, NOW)).unwrap();
    let text = terminal.backend().to_string();
    let line = |line: &str| line.trim_matches('"').trim_end().to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn press(top: &mut Top, keys: &str) -> Option<Order> {
    let key = |character| match character {
        '\n' => Key::Enter,
        '\u{1b}' => Key::Esc,
        other => Key::Char(other),
    };
    keys.chars().map(|character| top.press(key(character), NOW)).last().flatten()
}

#[test]
fn plans_that_need_a_person_come_first() {
    insta::assert_snapshot!(screen(&mut top(), (80, 24)));
}

#[test]
fn tasks_are_seen_in_the_order_of_the_file() {
    let mut top = top();
    press(&mut top, "j\n");
    insta::assert_snapshot!(screen(&mut top, (110, 10)));
}

#[test]
fn a_narrow_screen_leaves_columns_out() {
    let mut top = top();
    let narrow = screen(&mut top, (40, 8));
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    assert!(narrow.contains("release") && narrow.contains("running"), "{narrow}");
    for tiny in [(1, 1), (200, 2), (2, 200)] {
        screen(&mut top, tiny);
    }
}

#[test]
fn what_changes_something_asks_for_a_reason_first() {
    let mut top = top();
    assert_eq!(press(&mut top, "\n"), None, "into the stuck plan");
    assert_eq!(press(&mut top, "r\n"), None, "there is no reason yet");
    assert!(screen(&mut top, (80, 10)).contains("retry: the reason, which others read:"));
    assert_eq!(press(&mut top, "the disk is free\n"), None);
    let asked = screen(&mut top, (90, 10));
    assert!(asked.contains("planlease task retry stuck 1 --reason 'the disk is free'"), "{asked}");
    let Some(Order::Run(args)) = press(&mut top, "\n") else { panic!("nothing was ordered") };
    assert_eq!(args, ["task", "retry", "stuck", "1", "--reason", "the disk is free"]);
    top.done(false, "error: cannot retry task 1\u{1b}[2J\n");
    let refused = screen(&mut top, (80, 10));
    assert!(refused.contains("error: cannot retry task 1") && !refused.contains('\u{1b}'), "{refused}");
}

/// A plan of which one task waits for an approval, and another one needs what no orchestrator has.
fn with_gated(mut snapshot: Snapshot) -> Snapshot {
    let mut first = task("1", &[]);
    first.record.require_approval(Some(ApprovalOf::Before));
    let view = plan("gated", vec![first, task("2", &[])], Queue::default());
    let mut spec = PlanSpec::clone(view.spec());
    spec.tasks[1].needs = ["gpu".to_owned()].into();
    let definition = Definition::new(revision(10), revision(10), spec);
    let record = Registration {
        v: Default::default(),
        host: "host-1".into(),
        pid: 42,
        boot_id: None,
        version: "0.1.0".into(),
        labels: Default::default(),
        endpoint: None,
        offer: Some(Offer { with_command: true, without_command: true, ..Offer::default() }),
        load: None,
        lease: LeaseId::from_wire(20).unwrap(),
        started_at: ago(200),
        extra: Default::default(),
    };
    let one = Registered { id: OrchestratorId::new("ci-1").unwrap(), record, revision: revision(19) };
    let changes = vec![
        Change::OrchestratorAppeared(Arc::new(one)),
        Change::PlanAppeared(Arc::new(PlanView::clone(&view).with_definition(definition))),
    ];
    snapshot.apply(&ChangeSet { revision: revision(42), resynced: false, changes });
    snapshot
}

#[test]
fn what_waits_for_approval_is_approved_or_rejected() {
    let mut top = top();
    top.update(with_gated(snapshot()));
    press(&mut top, ":gated\n");
    insta::assert_snapshot!(screen(&mut top, (120, 8)), @r"
    planlease  plans › gated                                        live, revision 42  namespace default on the local server
    TASK      STATUS       TRY  BY                FOR      SAYS                        DESCRIPTION
    1         decision                                     attempt 1 may start only w  Do what 1 says
    2         unrunnable                                   it needs gpu                Do what 2 says



    ? keys   q quit   / filter   : view   w why   a approve   x reject   r retry   s skip
    ");
    for (key, word) in [("a", "approve"), ("x", "reject")] {
        assert_eq!(press(&mut top, key), None, "a reason comes first");
        assert!(screen(&mut top, (120, 8)).contains(&format!("{word}: the reason, which others read:")));
        assert_eq!(press(&mut top, "as agreed\n"), None, "it is to be confirmed");
        let Some(Order::Run(args)) = press(&mut top, "\n") else { panic!("nothing was ordered") };
        assert_eq!(args, [word, "gated", "1", "--attempt", "1", "--reason", "as agreed"]);
    }
    press(&mut top, "ja");
    assert!(
        screen(&mut top, (120, 8)).contains("a means nothing here"),
        "the other task waits for no approval"
    );
}

#[test]
fn tasks_that_no_orchestrator_runs_need_a_person() {
    let mut top = top();
    top.update(with_gated(snapshot()));
    let seen = screen(&mut top, (100, 24));
    assert!(seen.contains("gated 1: attempt 1 may start only when it is approved"), "{seen}");
    assert!(seen.contains("gated 2: no orchestrator runs it: it needs gpu"), "{seen}");
}

#[test]
fn an_output_is_shown_as_it_comes() {
    let mut top = top();
    assert_eq!(press(&mut top, ":release\njl"), None);
    let followed = top.followed().map(|(plan, task)| (plan.to_string(), task.to_string()));
    assert_eq!(followed, Some(("release".to_owned(), "2".to_owned())));
    assert!(screen(&mut top, (110, 8)).contains("nothing was written by task 2 so far"));
    top.written("compiling\nlin");
    top.written("king\u{1b}[2J\n");
    top.noted("attempt 2, by ci-1", false);
    top.written("again\n");
    insta::assert_snapshot!(screen(&mut top, (110, 8)), @r"
    planlease  plans › release › output of 2              live, revision 41  namespace default on the local server
    compiling
    linking�[2J
    attempt 2, by ci-1
    again


    ? keys   q quit   / filter   : view   w why
    ");
    top.written(&"line\n".repeat(50));
    top.noted("the host does not answer", true);
    assert!(screen(&mut top, (80, 8)).contains("the host does not answer"), "the end is followed");
    press(&mut top, "k");
    top.written("more of it\n");
    assert!(!screen(&mut top, (80, 8)).contains("more of it"), "it stays where it is looked at");
    press(&mut top, "G");
    assert!(screen(&mut top, (80, 8)).contains("more of it"));
    press(&mut top, "\u{1b}");
    assert_eq!(top.followed(), None);
    top.written("late\n");
    assert!(screen(&mut top, (80, 8)).contains("TASK "));
}

#[test]
fn esc_does_nothing_and_goes_back() {
    let mut top = top();
    assert_eq!(press(&mut top, "\nrbecause\u{1b}"), None, "while the reason is typed");
    assert_eq!(press(&mut top, "rbecause\n\u{1b}"), None, "instead of the confirmation");
    assert!(screen(&mut top, (80, 10)).contains("nothing was done"));
    press(&mut top, "\u{1b}");
    assert!(screen(&mut top, (80, 10)).contains("PLAN "), "the plans again");
    press(&mut top, "\u{1b}\u{1b}");
    assert!(screen(&mut top, (80, 10)).contains("PLAN "), "the first view is never left");
}

#[test]
fn a_filter_keeps_what_matches() {
    let mut top = top();
    press(&mut top, "/REL");
    let filtered = screen(&mut top, (80, 10));
    assert!(filtered.contains("release") && !filtered.contains("idle"), "{filtered}");
    press(&mut top, "\n\n");
    assert!(screen(&mut top, (80, 10)).contains("plans › release"), "Enter opens what is left");
    press(&mut top, "/nothing such\n");
    assert!(screen(&mut top, (80, 10)).contains("nothing matches nothing such"));
}

#[test]
fn views_are_reached_by_their_names() {
    let mut top = top();
    assert_eq!(press(&mut top, ":q\n"), Some(Order::Quit));
    press(&mut top, ":o\n");
    assert!(screen(&mut top, (80, 10)).contains("no orchestrators are registered"));
    press(&mut top, ":idle\n");
    assert!(screen(&mut top, (80, 10)).contains("plans › idle"));
    press(&mut top, ":nowhere\n");
    assert!(screen(&mut top, (80, 10)).contains("no view nowhere"));
    press(&mut top, ":ch\n");
    assert!(screen(&mut top, (80, 10)).contains("half of it"));
}

#[test]
fn why_is_asked_of_the_command() {
    let mut top = top();
    let Some(Order::Show { title, args }) = press(&mut top, "w") else { panic!("nothing was ordered") };
    assert_eq!(args, ["why", "stuck"]);
    top.show(title.clone(), args.clone(), "one\ntwo\n");
    assert!(screen(&mut top, (80, 10)).contains("two"));
    assert_eq!(press(&mut top, "R"), Some(Order::Show { title: title.clone(), args: args.clone() }));
    top.show(title, args, "three\n");
    let again = screen(&mut top, (80, 10));
    assert!(again.contains("three") && !again.contains("two"), "{again}");
    press(&mut top, "\u{1b}");
    assert!(screen(&mut top, (80, 10)).contains("PLAN "), "one text, and not two");
}

#[test]
fn a_lost_connection_is_seen_until_it_is_back() {
    let mut top = top();
    top.connected(Some("connection refused".to_owned()), ago(7));
    top.connected(Some("no answer".to_owned()), NOW);
    assert!(screen(&mut top, (80, 10)).contains("no connection for 7s: no answer"));
    top.connected(None, NOW);
    assert!(screen(&mut top, (80, 10)).contains("live, revision 41"));
}

#[test]
fn a_plan_of_ten_thousand_tasks_is_scrolled() {
    let tasks = (0..10_000).map(|n| task(&n.to_string(), &[])).collect();
    let mut snapshot = snapshot();
    let large = Change::PlanAppeared(plan("large", tasks, Queue::default()));
    snapshot.apply(&ChangeSet { revision: revision(42), resynced: false, changes: vec![large] });
    let mut top = top();
    top.update(snapshot);
    press(&mut top, ":large\nG");
    let last = screen(&mut top, (80, 10));
    assert!(last.contains("Do what 9999 says") && !last.contains("Do what 9991 says"), "{last}");
}

#[test]
fn the_changes_that_are_kept_are_bounded() {
    let mut top = top();
    top.changed((0..5000).map(|n| format!("change {n}")));
    assert_eq!(top.changes.len(), 1000);
    assert_eq!(top.changes.back().map(String::as_str), Some("change 4999"));
}

#[test]
fn without_colours_the_selected_row_is_reversed() {
    let mut terminal = Terminal::new(TestBackend::new(80, 10)).unwrap();
    terminal.draw(|frame| top().draw(frame, NOW)).unwrap();
    let buffer = terminal.backend().buffer();
    let selected = &buffer[(0, 2)];
    assert!(selected.modifier.contains(ratatui::style::Modifier::REVERSED), "{selected:?}");
    assert!(buffer.content.iter().all(|cell| cell.fg == ratatui::style::Color::Reset), "no colour");
}
