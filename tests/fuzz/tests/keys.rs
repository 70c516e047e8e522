//! Keys: every name makes a key that reads back, and no other key in etcd is taken for one of ours.

use bolero::{TypeGenerator, check};
use planlease_core::{
    HostName, LeaseId, Namespace, OrchestratorId, PlanName, PoolName, TaskId, TermNumber, WorktreeName,
    keys::{Key, Layout, PlanKey, SteeringKey},
};
use planlease_fuzz::{
    INPUT_BYTES,
    edit::{self, Edit},
};

fn layout() -> Layout {
    Layout::new("/planlease", &Namespace::default())
}

/// Whatever is read as a key is that key's only form: otherwise two keys in etcd would be one here.
fn check_key(bytes: &[u8]) {
    if let Some(key) = layout().parse(bytes) {
        let written = layout().key(&key);
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(bytes),
            "{key:?} is read from a key that is not its own"
        );
    }
}

#[test]
fn arbitrary_bytes_are_no_key_or_one_that_reads_back() {
    check!().for_each(|bytes: &[u8]| {
        check_key(bytes);
        check_key(&[b"/planlease/v1/default/plans/", bytes].concat());
    });
}

/// Characters that mean something to keys, encodings, terminals or people, and any others.
#[derive(Clone, Debug, TypeGenerator)]
struct Name(Vec<Piece>);

#[derive(Clone, Debug, TypeGenerator)]
enum Piece {
    Any(char),
    Odd(u8),
}

const ODD: &[&str] = &[
    "%", "%2F", "%25", "%00", "..", ".", "~", " ", "ä", "\u{301}", "日本", "\u{202e}", "\u{200b}", "🦀", "+",
    "?", "#", "\\", "\"", "'", "-", "_", ":", "&", "=", "0", "00", "1.1", "A", "a", "\u{ff0f}", "\u{feff}",
    "\u{85}",
];

impl Name {
    fn text(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Any(any) => any.to_string(),
            Piece::Odd(n) => ODD[usize::from(*n) % ODD.len()].to_owned(),
        };
        self.0.iter().take(12).map(piece).collect()
    }
}

fn keys(plan: &Name, other: &Name, number: u64) -> Vec<Key> {
    let lease = i64::try_from(number >> 1).ok().and_then(LeaseId::from_wire);
    let mut of_plan =
        vec![PlanKey::Spec, PlanKey::Import, PlanKey::Term, PlanKey::PastTerm(TermNumber(number))];
    of_plan.push(PlanKey::SpecPart(u32::try_from(number % (1 << 32)).unwrap_or(0)));
    of_plan.extend(lease.map(PlanKey::Owner));
    if let Ok(task) = TaskId::new(other.text()) {
        of_plan.extend([
            PlanKey::Excerpts,
            PlanKey::Excerpt(task.clone()),
            PlanKey::Task(task.clone()),
            PlanKey::Findings(task),
        ]);
    }
    let mut keys = vec![Key::Store];
    keys.extend(OrchestratorId::new(other.text()).ok().map(Key::Orchestrator));
    if let (Ok(host), Ok(name)) = (HostName::new(other.text()), WorktreeName::new(plan.text())) {
        keys.push(Key::Worktree(host, name));
    }
    if let (Ok(pool), Some(lease)) = (PoolName::new(other.text()), lease) {
        let permit = u32::try_from(number % (1 << 32)).unwrap_or(0);
        keys.extend([Key::Pool(pool.clone()), Key::Permit(pool, permit, lease)]);
    }
    keys.extend(OrchestratorId::new(other.text()).ok().map(|id| Key::Steering(SteeringKey::Cordon(id))));
    if let Ok(plan) = PlanName::new(plan.text()) {
        keys.push(Key::Steering(SteeringKey::Move(plan.clone())));
        keys.extend(of_plan.into_iter().map(|key| Key::Plan(plan.clone(), key)));
    }
    keys
}

#[test]
fn every_name_makes_a_key_that_reads_back_and_no_other_key_does() {
    check!().with_max_len(INPUT_BYTES).with_type::<(Name, Name, u64, Vec<Edit>)>().for_each(
        |(plan, other, number, edits)| {
            let layout = layout();
            for key in keys(plan, other, *number) {
                let mut bytes = layout.key(&key);
                assert_eq!(layout.parse(&bytes), Some(key.clone()));
                let range = layout.everything();
                assert!(range.start <= bytes && bytes < range.end);
                if let Key::Plan(plan, _) = &key {
                    let of_excerpts = matches!(&key, Key::Plan(_, PlanKey::Excerpts | PlanKey::Excerpt(_)));
                    let range = if of_excerpts { layout.excerpts(plan) } else { layout.plan(plan) };
                    assert!(range.start <= bytes && bytes < range.end);
                }
                edit::make(&mut bytes, &edits[..edits.len().min(2)], ODD);
                check_key(&bytes);
            }
        },
    );
}

#[test]
fn every_namespace_and_root_makes_keys_of_its_own() {
    check!().with_max_len(INPUT_BYTES).with_type::<(Name, Name)>().for_each(|(one, other)| {
        let names = [one, other].map(|name| Namespace::new(name.text()));
        let [Ok(one), Ok(other)] = names else { return };
        let (here, there) = (Layout::new("/a", &one), Layout::new("/a", &other));
        assert_eq!(here.parse(&there.key(&Key::Store)).is_some(), one == other);
    });
}

#[test]
fn a_key_that_is_written_differently_is_unknown() {
    for key in [
        "plans/p/tasks/%31",
        "plans/p/tasks/ä",
        "plans/%70/spec",
        "plans/p/tasks/%c3%a4",
        "plans/p/spec/1",
        "plans/p/spec/+00001",
        "plans/p/terms/1",
        "plans/p/owner/0a",
        "plans/p/owner/A",
        "plans/p/owner/+a",
        "plans/p/owner/-a",
        "orchestrators/a b",
    ] {
        let key = format!("/planlease/v1/default/{key}");
        let parsed = layout().parse(key.as_bytes());
        assert!(
            matches!(parsed, Some(Key::Unknown(_) | Key::Plan(_, PlanKey::Unknown(_)))),
            "{key}: {parsed:?}"
        );
    }
}
