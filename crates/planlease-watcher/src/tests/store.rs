//! The store as tables: raw changes in, typed changes out.

use planlease_core::{
    definition,
    keys::PlanKey,
    record::Ending,
    spec::{MAX_TEXT, PlanSpec, TaskSpec},
    transition::TaskStatus::{Completed, InProgress, Pending},
};

use crate::{
    change::{Change, ChangeSet, OwnershipChange as O},
    model::{World, lease, of, plan, revision, task, token, who},
    store::Store,
};

/// A world with a plan `p` of three tasks, and a store that knows it.
fn begun() -> (World, Store) {
    let mut world = World::new();
    world.import("p", 3);
    let store = Store::load(&world.list());
    (world, store)
}

/// What a set says, in short.
fn told(set: &ChangeSet) -> Vec<String> {
    let one = |change: &Change| match change {
        Change::PlanAppeared(state) => format!("+{} of {} tasks", state.name(), state.tasks().len()),
        Change::PlanGone { plan } => format!("-{plan}"),
        Change::Redefined(state) => format!("{} has {} tasks now", state.name(), state.tasks().len()),
        Change::Task { plan, task, before } => {
            let before = before.as_ref().map_or("nothing".into(), |before| before.record.status.to_string());
            format!("{plan}/{}: {before} -> {}", task.id, task.record.status)
        }
        Change::TaskGone { plan, before } => format!("{plan}/{}: gone", before.id),
        Change::Findings { plan, task, revision } => {
            format!("{plan}/{task}: findings {}", revision.is_some())
        }
        Change::Halted { plan, halts } => {
            format!("{plan}: halted {}", halts.paused.is_some() || halts.closed.is_some())
        }
        Change::Ownership { plan, what, .. } => format!("{plan}: {}", ownership(what)),
        Change::OrchestratorAppeared(one) => format!("+{}", one.id),
        Change::OrchestratorChanged(one) => format!("~{}", one.id),
        Change::OrchestratorGone(one) => format!("-{}", one.id),
        Change::Unreadable { reason, .. } => format!("unreadable: {}", reason.is_some()),
    };
    set.changes.iter().map(one).collect()
}

fn ownership(what: &O) -> String {
    match what {
        O::Acquired { owner, token } => format!("{owner} acquired {token}"),
        O::Released { owner, token } => format!("{owner} released {token}"),
        O::HandedOver { owner, token, to } => format!("{owner} handed {token} over to {to}"),
        O::Expired { owner, token } => format!("{owner} expired {token}"),
        O::Forced { owner, token, by, reason } => format!("{owner} was forced off {token} by {by}: {reason}"),
        O::Waiting(one) => format!("{} waits", one.name()),
        O::Left(one) => format!("{} left", one.name()),
        O::Amended => "amended".into(),
    }
}

#[test]
fn an_ownership_says_how_it_begins_and_why_it_ends() {
    let forced = Ending::Forced { by: "ann".into(), reason: "stuck".into() };
    for (how, said) in [
        (Ending::Clean, "p: a released 1.1"),
        (Ending::HandedOver { to: who("b") }, "p: a handed 1.1 over to b"),
        (forced, "p: a was forced off 1.1 by ann: stuck"),
        (Ending::Unclean, "p: a expired 1.1"),
    ] {
        let (mut world, mut store) = begun();
        let mut check = |set, expected: &[&str]| assert_eq!(told(&store.apply(&set).unwrap()), expected);
        check(world.acquire("p", "a"), &["p: a acquired 1.1"]);
        check(world.acquire("p", "b"), &["p: b waits"]);
        let end = match how {
            Ending::Unclean => world.expire("a"),
            how => world.end("p", how).unwrap(),
        };
        check(end, &[said]);
        check(world.take_over("p").unwrap(), &["p: b acquired 1.2"]);
        check(world.acquire("p", "c"), &["p: c waits"]);
        check(world.expire("c"), &["p: c left"]);
        assert_eq!(store.snapshot().plan(&plan("p")).unwrap().queue().owner().unwrap().1.token(), token(2));
    }
}

#[test]
fn an_unmanaged_candidate_waits_and_leaves() {
    let (mut world, mut store) = begun();
    let key = || of("p", PlanKey::Owner(lease("x")));
    let set = world.commit(vec![(key(), Some(b"etcdctl".to_vec()))]);
    let set = store.apply(&set).unwrap();
    assert!(
        matches!(&set.changes[..], [Change::Ownership { what: O::Waiting(one), .. }] if one.record.is_none())
    );
    let proclaimed = world.commit(vec![(key(), Some(b"again".to_vec()))]);
    assert_eq!(store.apply(&proclaimed), None, "its value means nothing");
    let set = world.commit(vec![(key(), None)]);
    assert!(told(&store.apply(&set).unwrap())[0].ends_with("left"));
}

#[test]
fn an_edited_plan_stays_the_same_plan() {
    let (mut world, mut store) = begun();
    let held = store.snapshot().plan(&plan("p")).unwrap().clone();
    let set = store.apply(&world.edit("p", 2)).unwrap();
    assert_eq!(told(&set), ["p has 2 tasks now", "p/3: gone"]);
    let set = store.apply(&world.edit("p", 4)).unwrap();
    assert_eq!(told(&set), ["p has 4 tasks now", "p/3: nothing -> pending", "p/4: nothing -> pending"]);
    let now = store.snapshot().plan(&plan("p")).unwrap();
    assert_eq!(now.since(), held.since());
    assert!(now.defined() > held.defined());
    assert_eq!((now.spec().tasks.len(), now.ready().count()), (4, 4), "its order is the new one's");
}

#[test]
fn half_an_import_is_nothing_and_a_deleted_plan_goes_whole() {
    let mut world = World::new();
    let mut store = Store::load(&world.list());
    let sets = world.import_in_chunks("p", 3);
    let (last, halves) = sets.split_last().unwrap();
    for half in halves {
        assert_eq!(store.apply(half), None);
        assert_eq!(store.snapshot().plans().count(), 0);
    }
    assert_eq!(told(&store.apply(last).unwrap()), ["+p of 3 tasks"]);
    store.apply(&world.acquire("p", "a"));
    store.apply(&world.end("p", Ending::Clean).unwrap());
    assert_eq!(told(&store.apply(&world.delete("p")).unwrap()), ["-p"]);
    // The term has stayed, and with it the tokens grow.
    assert_eq!(told(&store.apply(&world.import("p", 1)).unwrap()), ["+p of 1 tasks"]);
    assert_eq!(told(&store.apply(&world.acquire("p", "b")).unwrap()), ["p: b acquired 1.2"]);
}

#[test]
fn a_definition_in_parts_is_joined() {
    let tasks = (0..40).map(|n| TaskSpec::new(task(&n.to_string()), "x".repeat(MAX_TEXT)));
    let spec = PlanSpec { tasks: tasks.collect(), ..PlanSpec::default() };
    let (head, parts) = definition::encode_spec(&spec).unwrap();
    assert!(parts.len() > 1);
    let mut world = World::new();
    let mut store = Store::load(&world.list());
    for (n, part) in (1..).zip(parts) {
        let set = world.commit(vec![(of("p", PlanKey::SpecPart(n)), Some(part))]);
        assert_eq!(store.apply(&set), None);
    }
    store.apply(&world.commit(vec![(of("p", PlanKey::Spec), Some(head))])).unwrap();
    for store in [store, Store::load(&world.list())] {
        assert_eq!(**store.snapshot().plan(&plan("p")).unwrap().spec(), spec);
        assert_eq!(store.snapshot().unreadable().count(), 0);
    }
}

#[test]
fn an_unreadable_definition_part_is_listed_under_its_key() {
    let tasks = (0..40).map(|n| TaskSpec::new(task(&n.to_string()), "x".repeat(MAX_TEXT)));
    let spec = PlanSpec { tasks: tasks.collect(), ..PlanSpec::default() };
    let (head, parts) = definition::encode_spec(&spec).unwrap();
    let part = |n| of("p", PlanKey::SpecPart(n));
    let mut world = World::new();
    let mut store = Store::load(&world.list());
    let whole = (1..).zip(parts.clone()).map(|(n, value)| (part(n), Some(value)));
    let set = world.commit(whole.chain([(of("p", PlanKey::Spec), Some(head))]).collect());
    store.apply(&set).unwrap();

    let set = world.commit(vec![(part(2), Some(b"[{}]".to_vec()))]);
    assert_eq!(told(&store.apply(&set).unwrap()), ["unreadable: true"]);
    let unreadable = |store: &Store| store.snapshot().unreadable().map(|one| one.key).collect::<Vec<_>>();
    assert_eq!(unreadable(&store), [part(2)]);
    // A late reader of the list has no definition at all, and sees why.
    let mut late = Store::load(&world.list());
    assert_eq!(unreadable(&late), [of("p", PlanKey::Spec), part(2)]);
    assert!(late.snapshot().plan(&plan("p")).is_none());

    let set = world.commit(vec![(part(2), Some(parts[1].clone()))]);
    for store in [&mut store, &mut late] {
        assert!(told(&store.apply(&set).unwrap()).contains(&"unreadable: false".to_owned()));
        assert!(!unreadable(store).contains(&part(2)));
    }
}

#[test]
fn what_a_list_shows_of_half_an_import_appears_whole_later() {
    let mut world = World::new();
    let last = world.import_in_chunks("p", 3).pop().unwrap();
    let mut half = World::new();
    for set in &world.history[..world.history.len() - 1] {
        half.commit(
            set.changes
                .iter()
                .map(|change| (change.key.clone(), change.entry.clone().map(|e| e.value)))
                .collect(),
        );
    }
    let mut store = Store::load(&half.list());
    assert_eq!(store.snapshot().plans().count(), 0);
    assert_eq!(told(&store.apply(&last).unwrap()), ["+p of 3 tasks"]);
}

#[test]
fn all_of_one_revision_is_one_set_and_comes_once() {
    let (mut world, mut store) = begun();
    let both = world.write("p", &["1", "3"], InProgress);
    assert_eq!(
        told(&store.apply(&both).unwrap()),
        ["p/1: pending -> in_progress", "p/3: pending -> in_progress"]
    );
    assert_eq!(store.apply(&both), None, "told again");
    let plan = store.snapshot().plan(&plan("p")).unwrap();
    let summary = plan.summary();
    assert_eq!((summary.total, summary.pending, summary.in_progress), (3, 1, 2));
    assert_eq!(plan.summary(), summary);
}

#[test]
fn sessions_take_everything_of_theirs_with_them_at_once() {
    let (mut world, mut store) = begun();
    assert_eq!(told(&store.apply(&world.register("a")).unwrap()), ["+a"]);
    store.apply(&world.acquire("p", "a"));
    store.apply(&world.import("q", 1));
    store.apply(&world.acquire("q", "a"));
    assert_eq!(
        told(&store.apply(&world.expire("a")).unwrap()),
        ["-a", "p: a expired 1.1", "q: a expired 1.1"]
    );
}

#[test]
fn a_resync_delivers_differences_and_deletions() {
    let (mut world, mut store) = begun();
    for set in [
        world.import("q", 1),
        world.import("r", 1),
        world.register("a"),
        world.register("b"),
        world.find("p", "2"),
    ] {
        store.apply(&set);
    }
    let before = store.snapshot().clone();
    world.write("p", &["1"], InProgress);
    world.write("p", &["1"], Completed);
    world.commit(vec![
        (of("p", PlanKey::Task(task("3"))), None),
        (of("p", PlanKey::Findings(task("2"))), None),
    ]);
    world.delete("q");
    world.delete("r");
    world.import("r", 2); // The same name, another plan.
    world.import("s", 1);
    world.expire("a");
    world.expire("b");
    world.register("b"); // The same name, another session.
    let set = store.resync(&world.list());
    assert!(set.resynced);
    assert_eq!(set.revision, world.revision());
    assert_eq!(
        told(&set),
        [
            "-a",
            "-b",
            "+b",
            "p/1: pending -> completed",
            "p/3: gone",
            "p/2: findings false",
            "-q",
            "-r",
            "+r of 2 tasks",
            "+s of 1 tasks"
        ]
    );
    let mut folded = before;
    folded.apply(&set);
    assert_eq!(&folded, store.snapshot());
    assert_eq!(told(&store.resync(&world.list())), Vec::<String>::new());
}

#[test]
fn the_terms_of_a_gap_are_delivered_one_by_one() {
    let (mut world, mut store) = begun();
    store.apply(&world.acquire("p", "a"));
    store.apply(&world.acquire("p", "x"));
    world.expire("a");
    world.acquire("p", "b");
    world.take_over("p"); // x
    world.end("p", Ending::Clean);
    world.take_over("p"); // b
    world.acquire("p", "c");
    world.end("p", Ending::HandedOver { to: who("c") });
    world.take_over("p"); // c
    world.acquire("p", "d");
    assert_eq!(
        told(&store.resync(&world.list())),
        [
            "p: a expired 1.1",
            "p: x acquired 1.2",
            "p: x released 1.2",
            "p: b acquired 1.3",
            "p: b handed 1.3 over to c",
            "p: c acquired 1.4",
            "p: d waits"
        ]
    );
    world.expire("c");
    assert_eq!(told(&store.resync(&world.list())), ["p: c expired 1.4"]);
}

#[test]
fn an_owner_whose_term_outlasts_a_gap_is_unchanged() {
    let (mut world, mut store) = begun();
    store.apply(&world.acquire("p", "a"));
    world.write("p", &["1"], InProgress);
    assert_eq!(told(&store.resync(&world.list())), ["p/1: pending -> in_progress"]);
}

#[test]
fn what_cannot_be_read_is_said_and_left_out() {
    let (mut world, mut store) = begun();
    let key = || of("p", PlanKey::Task(task("1")));
    let broken = world.commit(vec![(key(), Some(br#"{"v":9}"#.to_vec()))]);
    let mut folded = store.snapshot().clone();
    let set = store.apply(&broken).unwrap();
    assert_eq!(told(&set), ["unreadable: true", "p/1: gone"]);
    folded.apply(&set);
    assert_eq!(&folded, store.snapshot());
    assert_eq!(store.snapshot().unreadable().count(), 1);
    assert_eq!(Store::load(&world.list()).snapshot(), store.snapshot());
    let set = store.apply(&world.write("p", &["1"], Pending)).unwrap();
    assert_eq!(told(&set), ["unreadable: false", "p/1: nothing -> pending"]);
    folded.apply(&set);
    assert_eq!(&folded, store.snapshot());
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let (mut world, mut store) = begun();
    let before = store.snapshot().clone();
    store.apply(&world.write("p", &["1"], Completed));
    store.apply(&world.delete("p"));
    assert_eq!(before.revision(), revision(2));
    assert_eq!(before.plan(&plan("p")).unwrap().status(&task("1")), Some(Pending));
    assert_eq!(store.snapshot().plans().count(), 0);
}
