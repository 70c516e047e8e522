//! Editing a plan while it is executed.

use planlease::{Error, MAX_EDITED, Outcome, Refused};
use planlease_core::{
    TaskId, codec,
    keys::PlanKey,
    spec::{PlanSpec, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{TestEnv, case, race::Race};

use crate::helpers::{audit, background, committed, execute, id, imported, plan, spec, try_acquire};

fn ids(tasks: &[TaskId]) -> Vec<&str> {
    tasks.iter().map(TaskId::as_str).collect()
}

#[case]
async fn a_plan_is_edited_while_it_is_executed(env: TestEnv) {
    let coordinator = imported(&env).await;
    let owner = try_acquire(&env.session("first").await).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    execute(&owner.authority(), &view, "1").await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let running = committed(owner.authority().start(&view, &id("2")).await.unwrap());

    // 1 is completed, 2 in progress, 3 pending; none of them is in the file any more.
    let mut added = TaskSpec::new(id("4"), "task 4");
    added.depends_on.push(id("5"));
    let edited = PlanSpec { tasks: vec![added, TaskSpec::new(id("5"), "task 5")], ..spec() };
    let done = coordinator.admin().edit(&plan(), &edited).await.unwrap();
    let edit = &done.edit;
    assert_eq!(
        (ids(&edit.added), ids(&edit.removed), ids(&edit.kept)),
        (vec!["4", "5"], vec!["3"], vec!["1", "2"])
    );
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(Some(view.defined()), done.revision);
    assert_eq!(view.tasks().keys().map(TaskId::as_str).collect::<Vec<_>>(), ["1", "2", "4", "5"]);
    assert_eq!(view.ready().map(TaskId::as_str).collect::<Vec<_>>(), ["5"]);
    assert_eq!(view.status(&id("2")), Some(TaskStatus::InProgress));
    committed(owner.authority().update_attempt(&running, 1, &Change::Complete(None)).await.unwrap());
    execute(&owner.authority(), &view, "5").await;

    let again = coordinator.admin().edit(&plan(), &edited).await.unwrap();
    assert_eq!(again.revision, None, "it is so already");
    audit(&env).await;
}

#[case]
async fn nothing_is_started_by_an_order_that_holds_no_more(env: TestEnv) {
    let coordinator = imported(&env).await;
    let owner = try_acquire(&env.session("first").await).await.unwrap();
    let before = coordinator.plan(&plan()).await.unwrap();
    let mut edited = spec();
    edited.tasks[0].depends_on.push(id("0"));
    edited.tasks.insert(0, TaskSpec::new(id("0"), "before everything"));
    coordinator.admin().edit(&plan(), &edited).await.unwrap();
    let early = owner.authority().start(&before, &id("1")).await.unwrap();
    assert!(matches!(early, Outcome::Refused(Refused::Dependency)), "{early:?}");
    let now = coordinator.plan(&plan()).await.unwrap();
    execute(&owner.authority(), &now, "0").await;
    let now = coordinator.plan(&plan()).await.unwrap();
    execute(&owner.authority(), &now, "1").await;
    audit(&env).await;
}

/// However it comes out: a task that was started is there, one that was removed was not started.
#[case]
async fn a_removal_or_a_start_wins(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let both = PlanSpec { tasks: ["1", "2"].map(|name| TaskSpec::new(id(name), name)).into(), ..spec() };
    let one = PlanSpec { tasks: both.tasks[..1].to_vec(), ..spec() };
    coordinator.admin().import(&plan(), &both, |_| {}).await.unwrap();
    let owner = try_acquire(&env.session("first").await).await.unwrap();
    let mut race = Race::default();
    for _ in 0..40 {
        let view = coordinator.plan(&plan()).await.unwrap();
        let [starting, removing] = race.waits();
        let editing = background({
            let (coordinator, one) = (coordinator.clone(), one.clone());
            async move {
                tokio::time::sleep(removing).await;
                coordinator.admin().edit(&plan(), &one).await.unwrap().edit
            }
        });
        tokio::time::sleep(starting).await;
        let start = owner.authority().start(&view, &id("2")).await.unwrap();
        let edit = editing.await.unwrap();
        match start {
            Outcome::Committed(task) => {
                assert_eq!((ids(&edit.kept), ids(&edit.removed)), (vec!["2"], vec![]));
                race.won(0);
                let back = Change::Return("again".into());
                committed(owner.authority().update_attempt(&task, task.record.attempt, &back).await.unwrap());
            }
            Outcome::Refused(Refused::Dependency | Refused::NoSuchTask) => {
                assert_eq!(ids(&edit.removed), ["2"]);
                race.won(1);
            }
            other => panic!("{other:?}"),
        }
        coordinator.admin().edit(&plan(), &both).await.unwrap();
    }
    race.both_have_won();
    audit(&env).await;
}

#[case]
async fn edits_at_the_same_moment_are_one_after_the_other(env: TestEnv) {
    let coordinator = imported(&env).await;
    let edits: Vec<_> = (0..8)
        .map(|n| {
            let coordinator = coordinator.clone();
            background(async move {
                let mut edited = spec();
                edited.tasks.push(TaskSpec::new(id(&format!("9.{n}")), "one of its own"));
                coordinator.admin().edit(&plan(), &edited).await.unwrap().revision.unwrap()
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for edit in edits {
        revisions.push(edit.await.unwrap());
    }
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 8, "each was carried out once");
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(
        (view.defined(), view.tasks().len()),
        (revisions[7], 4),
        "the last one knew what the others did"
    );
    audit(&env).await;
}

#[case]
async fn a_definition_in_parts_is_edited_whole(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let long =
        |n: usize| TaskSpec { steps: vec!["x".repeat(9_000)], ..TaskSpec::new(id(&format!("{n}")), "long") };
    let large = PlanSpec { tasks: (0..80).map(long).collect(), ..spec() };
    coordinator.admin().import(&plan(), &large, |_| {}).await.unwrap();
    let mut edited = large.clone();
    edited.tasks.rotate_right(1);
    edited.tasks.truncate(70);
    coordinator.admin().edit(&plan(), &edited).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!((&view.spec().tasks, view.tasks().len()), (&edited.tasks, 70));
    // Small enough for one key: no part of the old one is left that could be taken for a part of it.
    for task in &mut edited.tasks {
        task.steps.clear();
    }
    coordinator.admin().edit(&plan(), &edited).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(view.spec().tasks, edited.tasks);
    coordinator.admin().delete(&plan()).await.unwrap();
    audit(&env).await;
}

/// Larger than one transaction can be: only the parts in which something changes are written.
#[case]
async fn a_definition_above_one_mebibyte_is_edited(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let task = |name: &str| TaskSpec { steps: vec!["x".repeat(9_000)], ..TaskSpec::new(id(name), "long") };
    let large = PlanSpec { tasks: (0..300).map(|n| task(&n.to_string())).collect(), ..spec() };
    coordinator.admin().import(&plan(), &large, |_| {}).await.unwrap();
    let mut edited = large.clone();
    for round in 0..3 {
        edited.tasks[200].description = format!("different {round}");
        edited.tasks.insert(0, task(&format!("first-{round}")));
        edited.tasks.remove(100);
        edited.tasks.push(task(&format!("last-{round}")));
        coordinator.admin().edit(&plan(), &edited).await.unwrap();
        let view = coordinator.plan(&plan()).await.unwrap();
        assert_eq!(view.spec().tasks, edited.tasks);
        assert_eq!(view.tasks().len(), edited.tasks.len());
    }
    // The most tasks at once, each in a part of its own.
    for n in 0..MAX_EDITED {
        edited.tasks.remove(6 * n);
    }
    coordinator.admin().edit(&plan(), &edited).await.unwrap();
    let present = coordinator.plan(&plan()).await.unwrap();
    assert_eq!(present.spec().tasks, edited.tasks);
    // All of them is more than etcd takes at once.
    for task in &mut edited.tasks {
        task.description = "everything is different".to_owned();
    }
    let refused = coordinator.admin().edit(&plan(), &edited).await;
    assert!(matches!(refused, Err(Error::EditTooWide { .. })), "{refused:?}");
    assert_eq!(coordinator.plan(&plan()).await.unwrap().spec(), present.spec());
    audit(&env).await;
}

/// Older versions filled each part with up to 512 KiB: a task that is inserted would move a task from each
/// part to the next.
#[case]
async fn full_parts_of_an_older_version_can_be_edited(env: TestEnv) {
    let coordinator = env.coordinator().await;
    let task = |name: &str| TaskSpec { steps: vec!["x".repeat(9_000)], ..TaskSpec::new(id(name), "long") };
    let large = PlanSpec { tasks: (0..230).map(|n| task(&n.to_string())).collect(), ..spec() };
    coordinator.admin().import(&plan(), &large, |_| {}).await.unwrap();
    let (mut etcd, layout) = (env.client.clone(), coordinator.layout().clone());
    let key = |key| layout.of(&plan(), &key);
    let head = etcd.get(key(PlanKey::Spec), None).await.unwrap().kvs()[0].value().to_vec();
    let mut head: serde_json::Value = serde_json::from_slice(&head).unwrap();
    let spread = u32::try_from(head["parts"].as_u64().unwrap()).unwrap();
    let full = u32::try_from(large.tasks.len().div_ceil(57)).unwrap();
    for (n, tasks) in (1..).zip(large.tasks.chunks(57)) {
        let part = serde_json::to_vec(tasks).unwrap();
        assert!(n == full || part.len() + 9_100 > codec::MAX_SPEC_PART, "full: {}", part.len());
        etcd.put(key(PlanKey::SpecPart(n)), part, None).await.unwrap();
    }
    for n in full + 1..=spread {
        etcd.delete(key(PlanKey::SpecPart(n)), None).await.unwrap();
    }
    head["parts"] = full.into();
    etcd.put(key(PlanKey::Spec), serde_json::to_vec(&head).unwrap(), None).await.unwrap();
    assert_eq!(coordinator.plan(&plan()).await.unwrap().spec().tasks, large.tasks);

    let mut edited = large.clone();
    for place in [1, 60, 120, 180] {
        edited.tasks.insert(place, task(&format!("new-{place}")));
    }
    coordinator.admin().edit(&plan(), &edited).await.unwrap();
    let view = coordinator.plan(&plan()).await.unwrap();
    assert_eq!((&view.spec().tasks, view.tasks().len()), (&edited.tasks, 234));
    // More than one transaction can write stays refused, and changes nothing.
    for task in &mut edited.tasks {
        task.description = "everything is different".to_owned();
    }
    let refused = coordinator.admin().edit(&plan(), &edited).await;
    assert!(matches!(refused, Err(Error::EditTooWide { .. })), "{refused:?}");
    assert_eq!(coordinator.plan(&plan()).await.unwrap().spec(), view.spec());
    audit(&env).await;
}

#[case]
async fn a_refused_command_changes_nothing(env: TestEnv) {
    let coordinator = imported(&env).await;
    let before = coordinator.plan(&plan()).await.unwrap();
    let mut many = spec();
    many.tasks.extend((0..=MAX_EDITED).map(|n| TaskSpec::new(id(&format!("9.{n}")), "one more")));
    let refused = coordinator.admin().edit(&plan(), &many).await;
    assert!(matches!(refused, Err(Error::EditTooLarge { tasks: 41, most: 40 })), "{refused:?}");
    many.tasks.pop();
    let mut circle = spec();
    circle.tasks[0].depends_on.push(id("3"));
    let refused = coordinator.admin().edit(&plan(), &circle).await;
    assert!(matches!(&refused, Err(Error::Unsound(problems)) if problems.len() == 1), "{refused:?}");
    let present = coordinator.plan(&plan()).await.unwrap();
    assert_eq!((present.defined(), present.tasks().len()), (before.defined(), 3));
    coordinator.admin().edit(&plan(), &many).await.unwrap();
    let fewer = coordinator.admin().edit(&plan(), &spec()).await.unwrap();
    assert_eq!(fewer.edit.removed.len(), MAX_EDITED, "the most is not too much for etcd");
    coordinator.admin().delete(&plan()).await.unwrap();
    let gone = coordinator.admin().edit(&plan(), &spec()).await;
    assert!(matches!(gone, Err(Error::PlanNotFound(_))), "{gone:?}");
    audit(&env).await;
}
