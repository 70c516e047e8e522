//! A subscriber sees every change in the order of the revisions, none twice, none missing, whole revisions at
//! a time; or it is given a snapshot to restart from. What it holds at a revision is what the store held
//! then; counts are the counts of the very tasks beside them; and in the end every watcher holds the present.

use std::collections::BTreeMap;

use planlease::core::{
    PlanName, Revision, Summary,
    change::RawChangeSet,
    keys::{Key, PlanKey},
};
use planlease_watcher::{PlanView, Snapshot};

use super::Evidence;
use crate::world::{World, lock};

/// What a subscriber held after a delivery.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The revision of its copy.
    pub revision: Revision,
    /// Whether it received one revision's changes, on top of what it held.
    pub continues: bool,
    /// What it held.
    pub seen: Seen,
}

/// Everything that a copy holds; or in what it contradicts itself.
pub type Seen = Result<Facts, String>;

/// Definitions, tasks, outputs, halts, terms: each with the revision that wrote it. Candidates in the queues
/// of plans and registrations: each with the revision that created it. Of locks, watchers keep nothing.
pub type Facts = BTreeMap<Key, Revision>;

/// Looks at a copy of the store.
///
/// # Errors
/// In what its counts and its tasks differ.
pub fn look(copy: &Snapshot) -> Seen {
    let mut facts = Facts::new();
    for plan in copy.plans() {
        let counted = Summary::of(plan.tasks().values().map(|task| &task.record));
        if plan.summary() != counted {
            return Err(format!(
                "{} shows {:?} where its tasks are {counted:?}",
                plan.name(),
                plan.summary()
            ));
        }
        facts.extend(of_plan(plan).into_iter().map(|(key, at)| (Key::Plan(plan.name().clone(), key), at)));
    }
    facts.extend(copy.orchestrators().map(|one| (Key::Orchestrator(one.id.clone()), one.revision)));
    Ok(facts)
}

fn of_plan(plan: &PlanView) -> Vec<(PlanKey, Revision)> {
    let mut facts = vec![(PlanKey::Spec, plan.defined())];
    facts.extend(plan.tasks().values().map(|task| (PlanKey::Task(task.id.clone()), task.revision)));
    let outputs = plan.tasks().values().map(|task| &task.id);
    facts.extend(outputs.filter_map(|id| Some((PlanKey::Findings(id.clone()), plan.findings(id)?))));
    facts.extend(plan.halts().paused.as_ref().map(|(at, _)| (PlanKey::Pause, *at)));
    facts.extend(plan.halts().closed.as_ref().map(|(at, _)| (PlanKey::Close, *at)));
    facts.extend(plan.queue().term.as_ref().map(|(at, _)| (PlanKey::Term, *at)));
    let candidates = plan.queue().candidates().iter();
    facts.extend(candidates.map(|candidate| (PlanKey::Owner(candidate.lease), candidate.joined)));
    facts
}

/// What subscribers received wrongly.
#[must_use]
pub fn check(evidence: &Evidence<'_>) -> Vec<String> {
    let delivered = lock(&evidence.world.delivered);
    let sets = evidence.world.history.sets();
    let store = Store::of(&sets);
    let mut violations = Vec::new();
    for (name, deliveries) in delivered.iter() {
        judge(name, deliveries, &store, &mut violations);
    }
    if evidence.world.is_finished() {
        violations.extend(behind(evidence.world, &delivered, store.last()));
    }
    violations
}

/// Whether every subscriber holds what the store holds now.
#[must_use]
pub fn all_hold_the_present(world: &World) -> bool {
    let store = Store::of(&world.history.sets());
    behind(world, &lock(&world.delivered), store.last()).is_empty()
}

/// The subscribers of each watcher's last life that do not hold this.
fn behind(world: &World, delivered: &BTreeMap<String, Vec<Delivered>>, present: &Facts) -> Vec<String> {
    let mut behind = Vec::new();
    for host in (0..world.options.watchers).map(|n| format!("watcher-{n}")) {
        for kind in ["prompt", "slow"] {
            let mine = |name: &&String| name.starts_with(&format!("{host}.")) && name.ends_with(kind);
            let last = delivered.keys().filter(mine).max_by_key(|name| life(name));
            let last = last.and_then(|name| delivered[name].last());
            let held = last.and_then(|last| last.seen.as_ref().ok());
            if held != Some(present) {
                behind.push(format!("the {kind} subscriber of {host} does not hold the present in the end"));
            }
        }
    }
    behind
}

fn life(name: &str) -> u64 {
    let number = name.split_once('.').and_then(|(_, rest)| rest.split_once(' '));
    number.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

fn judge(name: &str, deliveries: &[Delivered], store: &Store, violations: &mut Vec<String>) {
    let mut before: Option<Revision> = None;
    for delivery in deliveries {
        let at = delivery.revision;
        if delivery.continues
            && let Some(before) = before
        {
            if at <= before {
                violations.push(format!("{name} received revision {at} after {before}"));
            }
            if let Some(missing) = store.changed.iter().find(|changed| before < **changed && **changed < at) {
                violations.push(format!("{name} received revision {at} after {before}, and {missing} never"));
            }
        }
        before = Some(at);
        match &delivery.seen {
            Ok(seen) if seen != store.at(at) => violations.push(format!(
                "{name} held at revision {at} what the store did not: {}",
                difference(seen, store.at(at))
            )),
            Ok(_) => {}
            Err(why) => violations.push(format!("{name} at revision {at}: {why}")),
        }
    }
}

fn difference(seen: &Facts, there: &Facts) -> String {
    let only = |a: &Facts, b: &Facts| {
        let only = a.iter().filter(|(key, revision)| b.get(key) != Some(revision));
        only.map(|(key, revision)| format!("{key:?} of {revision}")).collect::<Vec<_>>().join(", ")
    };
    format!("only held: [{}]; only there: [{}]", only(seen, there), only(there, seen))
}

/// What the store held at each revision, from the history.
struct Store {
    states: Vec<(Revision, Facts)>,
    /// The revisions at which something changed that subscribers receive.
    changed: Vec<Revision>,
    nothing: Facts,
}

impl Store {
    fn of(sets: &[RawChangeSet]) -> Self {
        let mut all = Facts::new();
        let mut store = Self { states: Vec::new(), changed: Vec::new(), nothing: Facts::new() };
        let mut shown = Facts::new();
        for set in sets {
            for change in &set.changes {
                let Some(entry) = &change.entry else {
                    all.remove(&change.key);
                    continue;
                };
                let created = matches!(change.key, Key::Orchestrator(_) | Key::Plan(_, PlanKey::Owner(_)));
                all.insert(change.key.clone(), if created { entry.created } else { entry.modified });
            }
            let visible: Facts = all
                .iter()
                .filter(|(key, _)| is_shown(key, &all))
                .map(|(key, at)| (key.clone(), *at))
                .collect();
            if visible != shown {
                store.changed.push(set.revision);
                store.states.push((set.revision, visible.clone()));
                shown = visible;
            }
        }
        store
    }

    fn at(&self, revision: Revision) -> &Facts {
        let index = self.states.partition_point(|(at, _)| *at <= revision);
        index.checked_sub(1).map_or(&self.nothing, |index| &self.states[index].1)
    }

    fn last(&self) -> &Facts {
        self.states.last().map_or(&self.nothing, |(_, facts)| facts)
    }
}

/// Whether subscribers receive a key: of a plan that exists, and of a kind that watchers keep.
fn is_shown(key: &Key, all: &Facts) -> bool {
    let has = |plan: &PlanName, key| all.contains_key(&Key::Plan(plan.clone(), key));
    match key {
        Key::Orchestrator(_) => true,
        Key::Plan(plan, PlanKey::Findings(task)) => {
            has(plan, PlanKey::Spec) && has(plan, PlanKey::Task(task.clone()))
        }
        Key::Plan(
            plan,
            PlanKey::Spec
            | PlanKey::Task(_)
            | PlanKey::Pause
            | PlanKey::Close
            | PlanKey::Owner(_)
            | PlanKey::Term,
        ) => has(plan, PlanKey::Spec),
        _ => false,
    }
}
