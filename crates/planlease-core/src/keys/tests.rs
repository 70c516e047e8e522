//! How keys look, and what is read back from them.

use proptest::prelude::*;

use super::*;
use crate::{
    id::{HookName, HostName, LeaseId, OrchestratorId, WorktreeName},
    revision::TermNumber,
};

fn layout() -> Layout {
    Layout::new("/planlease/", &Namespace::default())
}

#[test]
fn keys_look_as_documented() {
    let plan = PlanName::new("fix: a b").unwrap();
    let key = |key| String::from_utf8(layout().of(&plan, &key)).unwrap();
    let base = "/planlease/v1/default/plans/fix%3A%20a%20b";
    assert_eq!(key(PlanKey::Spec), format!("{base}/spec"));
    assert_eq!(key(PlanKey::Owner(LeaseId::from_wire(255).unwrap())), format!("{base}/owner/ff"));
    assert_eq!(key(PlanKey::Task(TaskId::new("1.2").unwrap())), format!("{base}/tasks/1.2"));
    assert_eq!(layout().election(&plan), format!("{base}/owner"));
}

#[test]
fn a_range_contains_what_begins_with_its_prefix() {
    let range = KeyRange::prefix("a/");
    for (key, inside) in [("a", false), ("a/", true), ("a/b", true), ("a0", false), ("b", false)] {
        assert_eq!(range.contains(key.as_bytes()), inside, "{key}");
    }
}

#[test]
fn keys_outside_of_the_namespace_are_none() {
    for key in ["/planlease/v1/other/plans/a/spec", "/planlease/v2/default/plans/a/spec", "a"] {
        assert_eq!(layout().parse(key.as_bytes()), None, "{key}");
    }
    assert_eq!(layout().parse(&[0xff, 0xfe]), None);
}

#[test]
fn excerpts_are_outside_of_what_is_watched() {
    let (plan, task) = (PlanName::new("a b").unwrap(), TaskId::new("of").unwrap());
    let key = |key: PlanKey| layout().of(&plan, &key);
    let excerpts = [key(PlanKey::Excerpts), key(PlanKey::Excerpt(task.clone()))];
    assert_eq!(excerpts[1], b"/planlease/v1/default/excerpts/a%20b/tasks/of");
    for excerpt in &excerpts {
        assert!(layout().everything().contains(excerpt) && layout().excerpts(&plan).contains(excerpt));
        assert!(!layout().watched().contains(excerpt) && !layout().plan(&plan).contains(excerpt));
        assert_eq!(layout().parse(excerpt).unwrap().plan(), Some(&plan));
    }
    assert!(!layout().excerpt_of(&plan, &task).contains(&excerpts[0]));
    let all = [Key::Store, Key::Plan(plan.clone(), PlanKey::Spec), Key::Plan(plan, PlanKey::Task(task))];
    assert!(all.iter().all(|key| layout().watched().contains(&layout().key(key))));
    assert!(layout().orchestrators().start > layout().watched().start);
}

#[test]
fn a_key_knows_its_plan() {
    let plan = PlanName::new("p").unwrap();
    let spec = Key::Plan(plan.clone(), PlanKey::Spec);
    assert_eq!(spec.plan(), Some(&plan));
    assert_eq!(Key::Store.plan(), None);
    assert_eq!(layout().parse(b"/planlease/v1/default/store"), Some(Key::Store));
}

#[test]
fn unknown_keys_belong_to_the_plan_they_are_below() {
    let below = |rest: &[u8]| layout().parse(&[b"/planlease/v1/default/", rest].concat()).unwrap();
    for rest in [
        "",
        "plans/a",
        "worktrees/host",
        "worktrees/host/name/more",
        "plans/%61/spec",
        "plans/-a/spec",
        "news",
    ] {
        assert_eq!(below(rest.as_bytes()), Key::Unknown(rest.into()), "{rest}");
    }
    assert_eq!(below(b"plans/\xff/spec"), Key::Unknown(b"plans/\xff/spec".to_vec()));
    let plan = PlanName::new("a b").unwrap();
    for rest in
        ["spec/1/2", "owner/nothex", "owner/00ff", "locks/name", "locks/name/ff/more", "tasks/%31", "halt/x"]
    {
        let key = below(format!("plans/a%20b/{rest}").as_bytes());
        assert_eq!(key, Key::Plan(plan.clone(), PlanKey::Unknown(rest.into())));
        assert_eq!(key.to_string(), format!("plans/a%20b/{rest}"));
        assert_eq!(layout().parse(&layout().key(&key)), Some(key));
    }
    let key = Key::Plan(plan, PlanKey::Unknown(b"\xff".to_vec()));
    assert_eq!(layout().parse(&layout().key(&key)), Some(key));
}

proptest! {
    #[test]
    fn every_key_reads_back(plan in "[^/\\p{C}\\s-][^/\\p{C}\\s]{0,20}", task in "[^/\\p{C}\\s-][^/\\p{C}\\s]{0,9}", n in 1i64..) {
        let plan = PlanName::new(plan).unwrap();
        let task = TaskId::new(task).unwrap();
        for key in [
            PlanKey::Spec, PlanKey::SpecPart(3), PlanKey::Excerpts, PlanKey::Excerpt(task.clone()), PlanKey::Import, PlanKey::Pause, PlanKey::Close, PlanKey::Term,
            PlanKey::Owner(LeaseId::from_wire(n).unwrap()),
            PlanKey::Lock(LockName::new(plan.as_str()).unwrap(), LeaseId::from_wire(n).unwrap()), PlanKey::PastTerm(TermNumber(n.unsigned_abs())),
            PlanKey::Task(task.clone()), PlanKey::Findings(task.clone()), PlanKey::Late(task),
        ] {
            let key = Key::Plan(plan.clone(), key);
            let bytes = layout().key(&key);
            let of_excerpts = matches!(key, Key::Plan(_, PlanKey::Excerpts | PlanKey::Excerpt(_)));
            let range = if of_excerpts { layout().excerpts(&plan) } else { layout().plan(&plan) };
            prop_assert_eq!(layout().parse(&bytes), Some(key));
            prop_assert!(range.start <= bytes && bytes < range.end);
        }
        let (lease, pool) = (LeaseId::from_wire(n).unwrap(), PoolName::new(plan.as_str()).unwrap());
        let number = u32::try_from(n % 2_000_000).unwrap();
        for key in [
            Key::Hook(HookName::new(plan.as_str()).unwrap()), Key::HookRunner(HookName::new(plan.as_str()).unwrap()),
            Key::Lock(LockName::new(plan.as_str()).unwrap(), lease), Key::Pool(pool.clone()), Key::Permit(pool.clone(), number, lease),
        ] {
            let bytes = layout().key(&key);
            prop_assert_eq!(layout().parse(&bytes), Some(key));
        }
        let key = Key::Worktree(HostName::new(plan.as_str()).unwrap(), WorktreeName::new(plan.as_str()).unwrap());
        let bytes = layout().key(&key);
        prop_assert_eq!(layout().parse(&bytes), Some(key));
        let range = layout().worktrees();
        prop_assert!(range.start <= bytes && bytes < range.end);
        let key = Key::Logs(OrchestratorId::new(plan.as_str()).unwrap());
        let bytes = layout().key(&key);
        prop_assert_eq!(layout().parse(&bytes), Some(key));
        let range = layout().logs();
        prop_assert!(range.start <= bytes && bytes < range.end);
    }
}
