//! A subscriber sees every change in the order of the revisions, none twice, none missing, whole revisions at a time; or it
//! is given a snapshot to begin anew from. What it holds at a revision is what the store held then; counts are the counts of
//! the very tasks beside them; and in the end everybody holds the present.

use std::collections::BTreeMap;

use planlease::core::{
    PlanName, Revision, Summary, TaskId,
    change::RawChangeSet,
    keys::{Key, PlanKey},
};
use planlease_watcher::Snapshot;

use super::Evidence;
use crate::world::{World, lock};

/// What a subscriber held after a delivery.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The revision of its copy.
    pub revision: Revision,
    /// Whether it was told one revision's changes, on top of what it held.
    pub continues: bool,
    /// What it held.
    pub seen: Seen,
}

/// The tasks of all plans, each with the revision that wrote it; or why they cannot be.
pub type Seen = Result<Tasks, String>;

/// Tasks by plan, each with the revision that wrote it.
pub type Tasks = BTreeMap<PlanName, BTreeMap<TaskId, Revision>>;

/// Looks at a copy of the store.
///
/// # Errors
/// In what its counts and its tasks differ.
pub fn look(copy: &Snapshot) -> Seen {
    let mut tasks = Tasks::new();
    for plan in copy.plans() {
        let counted = Summary::of(plan.tasks().map(|task| &task.record));
        if plan.summary() != counted {
            return Err(format!(
                "{} shows {:?} where its tasks are {counted:?}",
                plan.name(),
                plan.summary()
            ));
        }
        tasks
            .insert(plan.name().clone(), plan.tasks().map(|task| (task.id.clone(), task.revision)).collect());
    }
    Ok(tasks)
}

/// What subscribers were told wrongly.
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
fn behind(world: &World, delivered: &BTreeMap<String, Vec<Delivered>>, present: &Tasks) -> Vec<String> {
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
                violations.push(format!("{name} was told revision {at} after {before}"));
            }
            if let Some(missing) = store.changed.iter().find(|changed| before < **changed && **changed < at) {
                violations.push(format!("{name} was told revision {at} after {before}, and {missing} never"));
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

fn difference(seen: &Tasks, there: &Tasks) -> String {
    let only = |a: &Tasks, b: &Tasks| {
        let tasks = a.iter().flat_map(|(plan, tasks)| tasks.iter().map(move |task| (plan, task)));
        let only = tasks.filter(|(plan, (task, revision))| {
            b.get(*plan).and_then(|tasks| tasks.get(*task)) != Some(*revision)
        });
        only.map(|(plan, (task, revision))| format!("{plan} {task} of {revision}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!("only held: [{}]; only there: [{}]", only(seen, there), only(there, seen))
}

/// What the store held at each revision, from the history.
struct Store {
    states: Vec<(Revision, Tasks)>,
    /// The revisions at which a task of a plan that is there was changed.
    changed: Vec<Revision>,
    nothing: Tasks,
}

impl Store {
    fn of(sets: &[RawChangeSet]) -> Self {
        let mut tasks = Tasks::new();
        let mut there: BTreeMap<PlanName, bool> = BTreeMap::new();
        let mut store = Self { states: Vec::new(), changed: Vec::new(), nothing: Tasks::new() };
        let mut shown = Tasks::new();
        for set in sets {
            for change in &set.changes {
                match &change.key {
                    Key::Plan(plan, PlanKey::Task(task)) => {
                        let plan = tasks.entry(plan.clone()).or_default();
                        match &change.entry {
                            Some(entry) => drop(plan.insert(task.clone(), entry.modified)),
                            None => drop(plan.remove(task)),
                        }
                    }
                    Key::Plan(plan, PlanKey::Spec) => {
                        there.insert(plan.clone(), change.entry.is_some());
                    }
                    _ => {}
                }
            }
            let visible: Tasks = tasks
                .iter()
                .filter(|(plan, _)| there.get(*plan) == Some(&true))
                .map(|(plan, tasks)| (plan.clone(), tasks.clone()))
                .collect();
            if visible != shown {
                store.changed.push(set.revision);
                store.states.push((set.revision, visible.clone()));
                shown = visible;
            }
        }
        store
    }

    fn at(&self, revision: Revision) -> &Tasks {
        let index = self.states.partition_point(|(at, _)| *at <= revision);
        index.checked_sub(1).map_or(&self.nothing, |index| &self.states[index].1)
    }

    fn last(&self) -> &Tasks {
        self.states.last().map_or(&self.nothing, |(_, tasks)| tasks)
    }
}
