//! Watchers: each keeps a copy of the store from what it receives, and notes at checkpoints what the copy
//! looks like. One is slow, one goes away and comes back. What the store looked like at these revisions, the
//! history shows in the end.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use planlease::core::{
    PlanName, Revision,
    change::RawChangeSet,
    keys::{Key, PlanKey},
};
use planlease_watcher::{Delivery, Filter, Options, Snapshot, Subscription, Watcher, Why};
use rand::RngExt as _;

use crate::{
    clients::Member,
    world::{Crew, Phase, World},
};

/// How long a watcher may take at the end to know everything.
const LIMIT: Duration = Duration::from_secs(60);

/// After how many change sets a copy is looked at without another reason.
const SETS: u64 = 100;

/// What of the store a watcher can be asked about: each key with the revision that identifies what it holds.
pub(crate) type Picture = BTreeMap<Key, Revision>;

/// What watchers held, to be compared at the end.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints(Mutex<Vec<Checkpoint>>);

#[derive(Clone, Debug)]
struct Checkpoint {
    who: String,
    why: &'static str,
    revision: Revision,
    picture: Picture,
}

impl Checkpoints {
    fn note(&self, who: &str, why: &'static str, copy: &Snapshot) {
        let checkpoint =
            Checkpoint { who: who.to_owned(), why, revision: copy.revision(), picture: picture(copy) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(checkpoint);
    }

    /// Makes the last one wrong, to see whether that is found.
    pub(crate) fn forge(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.last_mut().expect("there is one as soon as a watcher has begun");
        last.picture.pop_first();
    }

    /// Compares every checkpoint with the history: one sentence for each that differs. With how many there
    /// were.
    pub(crate) fn compare(&self, sets: &[RawChangeSet]) -> (usize, Vec<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by_key(|checkpoint| checkpoint.revision);
        let (mut store, mut sets, mut differences) = (Store::default(), sets.iter().peekable(), Vec::new());
        for checkpoint in &all {
            while let Some(set) = sets.next_if(|set| set.revision <= checkpoint.revision) {
                store.apply(set);
            }
            let expected = store.picture();
            if expected != checkpoint.picture {
                differences.push(format!(
                    "the copy of {} at revision {} ({}) differs from the store: {}",
                    checkpoint.who,
                    checkpoint.revision,
                    checkpoint.why,
                    difference(&expected, &checkpoint.picture)
                ));
            }
        }
        (all.len(), differences)
    }
}

/// The first few differences.
fn difference(expected: &Picture, found: &Picture) -> String {
    let keys: std::collections::BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
    let differing = keys.into_iter().filter(|key| expected.get(key) != found.get(key));
    let reported: Vec<String> = differing
        .take(5)
        .map(|key| format!("{key:?} is {:?} and was delivered as {:?}", expected.get(key), found.get(key)))
        .collect();
    reported.join("; ")
}

/// The store, folded from the history by other means than the watchers'.
#[derive(Default)]
struct Store {
    /// Keys with the revisions that wrote and that made them.
    keys: BTreeMap<Key, (Revision, Revision)>,
}

impl Store {
    fn apply(&mut self, set: &RawChangeSet) {
        for change in &set.changes {
            match &change.entry {
                Some(entry) => self.keys.insert(change.key.clone(), (entry.modified, entry.created)),
                None => self.keys.remove(&change.key),
            };
        }
    }

    fn picture(&self) -> Picture {
        let is_there = |plan: &PlanName| self.keys.contains_key(&Key::Plan(plan.clone(), PlanKey::Spec));
        let seen = self.keys.iter().filter_map(|(key, (modified, created))| match key {
            Key::Store
            | Key::Logs(_)
            | Key::Worktree(..)
            | Key::Steering(_)
            | Key::Hook(_)
            | Key::HookRunner(_)
            | Key::Lock(..)
            | Key::Pool(_)
            | Key::Permit(..)
            | Key::Unknown(_) => None,
            Key::Orchestrator(_) => Some((key, *created)),
            Key::Plan(plan, part) if is_there(plan) => match part {
                PlanKey::SpecPart(_)
                | PlanKey::Excerpts
                | PlanKey::Excerpt(_)
                | PlanKey::Import
                | PlanKey::Late(_)
                | PlanKey::Lock(..)
                | PlanKey::Unknown(_)
                | PlanKey::PastTerm(_) => None,
                PlanKey::Owner(_) => Some((key, *created)),
                PlanKey::Spec
                | PlanKey::Term
                | PlanKey::Pause
                | PlanKey::Close
                | PlanKey::Task(_)
                | PlanKey::Findings(_) => Some((key, *modified)),
            },
            Key::Plan(..) => None,
        });
        seen.map(|(key, revision)| (key.clone(), revision)).collect()
    }
}

fn picture(copy: &Snapshot) -> Picture {
    let mut picture = Picture::new();
    for plan in copy.plans() {
        let mut enter = |key, revision| picture.insert(Key::Plan(plan.name().clone(), key), revision);
        enter(PlanKey::Spec, plan.defined());
        for task in plan.tasks().values() {
            enter(PlanKey::Task(task.id.clone()), task.revision);
            if let Some(revision) = plan.findings(&task.id) {
                enter(PlanKey::Findings(task.id.clone()), revision);
            }
        }
        let halts = plan.halts();
        for (key, halt) in [(PlanKey::Pause, &halts.paused), (PlanKey::Close, &halts.closed)] {
            if let Some((revision, _)) = halt {
                enter(key, *revision);
            }
        }
        for candidate in plan.queue().candidates() {
            enter(PlanKey::Owner(candidate.lease), candidate.joined);
        }
        if let Some((revision, _)) = &plan.queue().term {
            enter(PlanKey::Term, *revision);
        }
    }
    picture.extend(copy.orchestrators().map(|one| (Key::Orchestrator(one.id.clone()), one.revision)));
    picture
}

pub(crate) fn start(world: &World, crew: &mut Crew) {
    crew.join("the steady watcher", watch(Member::new(world, "watcher", 0), Habit::Steady));
    crew.join("the slow watcher", watch(Member::new(world, "watcher", 1), Habit::Slow));
    crew.join("the restless watcher", watch(Member::new(world, "watcher", 2), Habit::Restless));
}

/// How one reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Steady,
    /// Reads so seldom that it lags now and then.
    Slow,
    /// Leaves, and comes back to another watcher, where it left off.
    Restless,
}

async fn watch(mut member: Member, habit: Habit) {
    let mut copy: Option<Snapshot> = None;
    while member.world.phase() < Phase::Over {
        let Some(coordinator) = member.coordinator().await else { break };
        let kept = if habit == Habit::Slow { 32 } else { Options::default().changes_kept };
        let watcher = Watcher::start_with(coordinator, Options::default().changes_kept(kept));
        let stays = match habit {
            Habit::Restless => Duration::from_secs(member.random.random_range(5..40)),
            Habit::Steady | Habit::Slow => Duration::MAX,
        };
        let stay = attend(&mut member, habit, &watcher, &mut copy);
        let left = if stays == Duration::MAX {
            stay.await;
            false
        } else {
            tokio::time::timeout(stays, stay).await.is_err()
        };
        if !left {
            know_everything(&member, &watcher, &mut copy).await;
        }
        tally(&member, &watcher);
        let _ = watcher.close().await;
        if !left {
            break;
        }
    }
}

/// Reads until the store stands still, or the watcher ends.
async fn attend(member: &mut Member, habit: Habit, watcher: &Watcher, copy: &mut Option<Snapshot>) {
    let Some(mut subscription) = subscribe(member, watcher, copy).await else { return };
    let mut sets = 0_u64;
    while member.world.phase() < Phase::Still {
        let world = member.world.clone();
        let delivery = tokio::select! {
            biased; // What is there is read; the end of the soak has time.
            delivery = subscription.next() => delivery,
            () = world.until(Phase::Still) => break,
        };
        let Some(delivery) = delivery else { break };
        take_in(member, delivery, copy, &mut sets);
        if habit == Habit::Slow && sets.is_multiple_of(16) {
            member.breathe(500..6000).await;
        }
    }
}

/// From where it left off, if it was there before.
async fn subscribe(member: &Member, watcher: &Watcher, copy: &Option<Snapshot>) -> Option<Subscription> {
    let from = copy.as_ref().map(Snapshot::revision);
    if let Some(from) = from {
        // Its last revision may have come from a watcher that was further than this one.
        while watcher.wait_for(from, Duration::from_secs(1)).await.is_err() {
            if member.world.phase() >= Phase::Still || watcher.error().is_some() {
                return None;
            }
        }
    }
    let world = member.world.clone();
    tokio::select! {
        biased; // As long as etcd cannot be reached there is nothing to subscribe to.
        subscribed = watcher.subscribe(Filter::default(), from) => match subscribed {
            Ok(subscription) => Some(subscription),
            Err(error) => {
                world.figures.violation(format!("a watcher cannot be subscribed to: {error}"));
                None
            }
        },
        () = world.until(Phase::Still) => None,
    }
}

fn take_in(member: &Member, delivery: Delivery, copy: &mut Option<Snapshot>, sets: &mut u64) {
    let (world, who) = (&member.world, member.name());
    match delivery {
        Delivery::Snapshot(snapshot, why) => {
            if copy.as_ref().is_some_and(|copy| copy.revision() > snapshot.revision()) {
                world.figures.violation(format!("{who} was given a snapshot of the past"));
            }
            let why = match why {
                Why::Beginning => "a first snapshot",
                Why::NotKept => "a snapshot on coming back",
                Why::Lagged => "a snapshot after lagging",
            };
            world.figures.count("watchers", why);
            world.checkpoints.note(&who, why, &snapshot);
            *copy = Some(snapshot);
        }
        Delivery::Changes(set) => {
            *sets += 1;
            let Some(copy) = copy else {
                return world.figures.violation(format!("{who} received changes of nothing"));
            };
            if set.revision <= copy.revision() && !set.resynced {
                world.figures.violation(format!(
                    "{who} received revision {} after {}",
                    set.revision,
                    copy.revision()
                ));
            }
            copy.apply(&set);
            if set.resynced {
                world.figures.count("watchers", "resynced");
                world.checkpoints.note(&who, "a resync", copy);
            } else if sets.is_multiple_of(SETS) {
                world.checkpoints.note(&who, "a look now and then", copy);
            }
        }
    }
}

/// At the end, when all writes have ended: everything is delivered, without a restart of the watcher.
async fn know_everything(member: &Member, watcher: &Watcher, copy: &mut Option<Snapshot>) {
    let (world, who) = (&member.world, member.name());
    world.until(Phase::Over).await;
    if let Some(error) = watcher.error() {
        return world.figures.violation(format!("the watcher of {who} ended: {error}"));
    }
    let Some(last) = Revision::from_wire(world.history.recorded()) else { return };
    match watcher.wait_for(last, LIMIT).await {
        Ok(snapshot) => {
            world.checkpoints.note(&who, "the end", &snapshot);
            let from = copy.as_ref().map(Snapshot::revision);
            let Ok(mut rest) = watcher.subscribe(Filter::default(), from).await else { return };
            let mut sets = 1;
            while copy.as_ref().is_none_or(|copy| copy.revision() < snapshot.revision()) {
                let Ok(Some(delivery)) = tokio::time::timeout(LIMIT, rest.next()).await else {
                    return world.figures.violation(format!("{who} did not receive everything"));
                };
                take_in(member, delivery, copy, &mut sets);
            }
            if copy.as_ref() != Some(&snapshot) {
                world
                    .figures
                    .violation(format!("what {who} received does not add up to what its watcher holds"));
            }
        }
        Err(error) => {
            world.figures.violation(format!("the watcher of {who} does not know everything: {error}"))
        }
    }
}

fn tally(member: &Member, watcher: &Watcher) {
    let health = watcher.health();
    let figures = &member.world.figures;
    for (what, times) in [("a broken watch", health.breaks), ("a resync of a watcher", health.resyncs)] {
        (0..times).for_each(|_| figures.count("watchers", what));
    }
}
