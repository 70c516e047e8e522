//! The watchers of a sidecar: each begins with its first user, covers what that user asked for, and is
//! dropped some time after its last one has gone.
//!
//! So a sidecar that is not asked for changes keeps no plan and has no watch, however large its namespace is.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use planlease::Coordinator;
use planlease_core::{BootTime, PlanName, keys::Key};
use planlease_watcher::{Health, Options, Scope, Watcher};
use tokio::{sync::Notify, time::Instant};

/// How long a watcher is kept without a user: a subscriber whose connection broke is back by then, and goes
/// on from what is kept.
pub(crate) const IDLE: Duration = Duration::from_secs(30);

/// How many scopes are watched at a time, besides the whole namespace. Each has a watch of its own at etcd:
/// what is asked for beyond is read from a watcher of the namespace.
pub(crate) const MOST: usize = 32;

/// The watchers of a sidecar.
#[derive(Debug)]
pub(crate) struct Watchers {
    coordinator: Coordinator,
    running: Mutex<Running>,
    /// A watcher has lost its last user.
    left: Notify,
}

#[derive(Debug, Default)]
struct Running {
    slots: BTreeMap<Scope, Slot>,
    /// What those that were dropped have counted.
    past: Health,
}

#[derive(Debug)]
struct Slot {
    watcher: Arc<Watcher>,
    users: usize,
    /// When the last user left.
    idle: Instant,
}

/// A watcher in use.
#[derive(Debug)]
pub(crate) struct InUse {
    watcher: Arc<Watcher>,
    scope: Scope,
    of: Arc<Watchers>,
}

impl Deref for InUse {
    type Target = Watcher;

    fn deref(&self) -> &Watcher {
        &self.watcher
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut running = self.of.running();
        let slot = running.slots.get_mut(&self.scope);
        // One that had failed may have been replaced meanwhile.
        if let Some(slot) = slot.filter(|slot| Arc::ptr_eq(&slot.watcher, &self.watcher)) {
            slot.users -= 1;
            slot.idle = Instant::now();
            self.of.left.notify_one();
        }
    }
}

impl Watchers {
    /// None yet.
    pub(crate) fn new(coordinator: Coordinator) -> Arc<Self> {
        Arc::new(Self { coordinator, running: Mutex::default(), left: Notify::new() })
    }

    /// A watcher that covers this, for as long as the returned value lives. It begins if there is none, or if
    /// the one that there was has ended.
    pub(crate) fn of(self: &Arc<Self>, scope: Scope) -> InUse {
        let mut running = self.running();
        let full = running.slots.len() >= MOST && !running.slots.contains_key(&scope);
        let scope = if full { Scope::namespace() } else { scope };
        let ended = running.slots.get(&scope).is_some_and(|slot| slot.watcher.error().is_some());
        if ended {
            running.drop_slot(&scope);
        }
        let slot = running.slots.entry(scope.clone()).or_insert_with(|| {
            let watcher = Watcher::start_scoped(self.coordinator.clone(), scope.clone(), Options::default());
            Slot { watcher: Arc::new(watcher), users: 0, idle: Instant::now() }
        });
        slot.users += 1;
        InUse { watcher: Arc::clone(&slot.watcher), scope, of: Arc::clone(self) }
    }

    /// A watcher that runs anyhow and covers this plan.
    pub(crate) fn covering(&self, plan: &PlanName) -> Option<Arc<Watcher>> {
        let running = self.running();
        let slot = running.slots.get(&Scope::plan(plan.clone()));
        let other = || running.slots.iter().find(|(scope, _)| scope.has(plan)).map(|(_, slot)| slot);
        slot.or_else(other).map(|slot| Arc::clone(&slot.watcher))
    }

    /// The watcher of the whole namespace, if one runs.
    pub(crate) fn of_namespace(&self) -> Option<Arc<Watcher>> {
        self.running().slots.get(&Scope::namespace()).map(|slot| Arc::clone(&slot.watcher))
    }

    /// What all of them together have counted, and how the worst of them does.
    pub(crate) fn health(&self) -> Together {
        let running = self.running();
        let mut together = Together { health: running.past, ..Together::default() };
        together.health.connected = true;
        for slot in running.slots.values() {
            let health = slot.watcher.health();
            together.count += 1;
            together.health.subscribers += health.subscribers;
            together.health.connected &= health.connected;
            together.heard_at = together.heard_at.into_iter().chain(health.heard_at).min();
            add(&mut together.health, &health);
        }
        together
    }

    /// Why a watcher has ended, or why etcd is not heard of; `None` if there is nothing wrong.
    pub(crate) fn trouble(&self, now: BootTime, silence: Duration) -> Option<String> {
        self.running().slots.values().find_map(|slot| {
            let watcher = &slot.watcher;
            if let Some(error) = watcher.error() {
                return Some(format!("the watch on etcd has ended: {}", planlease::error_chain(&error)));
            }
            let because = || watcher.trouble().map_or_else(String::new, |why| format!(": {why}"));
            // One that has just begun has not heard of it yet; whether requests succeed is asked besides.
            let silent = watcher.health().heard_at?.until(now);
            let seconds = silent.as_secs();
            (silent > silence).then(|| format!("etcd was not heard of for {seconds} s{}", because()))
        })
    }

    /// How many of the stored values that are watched cannot be read.
    pub(crate) fn unreadable(&self) -> usize {
        let snapshots: Vec<_> =
            self.running().slots.values().filter_map(|slot| slot.watcher.snapshot()).collect();
        let keys = snapshots.iter().flat_map(|snapshot| snapshot.unreadable().map(|one| one.key));
        keys.collect::<BTreeSet<Key>>().len()
    }

    /// Drops watchers that no longer have a user. Never ends.
    pub(crate) async fn drop_idle(&self) {
        loop {
            let Some(next) = self.drop_idle_now() else {
                self.left.notified().await;
                continue;
            };
            tokio::time::sleep_until(next).await;
        }
    }

    /// Drops those whose time is up, and returns when the next one's will be.
    fn drop_idle_now(&self) -> Option<Instant> {
        let mut running = self.running();
        let now = Instant::now();
        let idle = |slot: &Slot| (slot.users == 0).then(|| slot.idle + IDLE);
        let over = running.slots.iter().filter(|(_, slot)| idle(slot).is_some_and(|until| until <= now));
        let over: Vec<Scope> = over.map(|(scope, _)| scope.clone()).collect();
        for scope in over {
            running.drop_slot(&scope);
        }
        running.slots.values().filter_map(idle).min()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn drop_slot(&mut self, scope: &Scope) {
        if let Some(slot) = self.slots.remove(scope) {
            add(&mut self.past, &slot.watcher.health());
        }
    }
}

/// All watchers of a sidecar together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Together {
    /// How many run.
    pub(crate) count: usize,
    /// Sums, those of watchers that were dropped among them; `connected` if each watch stands.
    pub(crate) health: Health,
    /// When etcd was last heard of by the one that has waited longest; `None` if none has heard of it yet.
    pub(crate) heard_at: Option<BootTime>,
}

/// Adds what is counted, and the revision that was reached.
fn add(sum: &mut Health, more: &Health) {
    sum.revision = sum.revision.max(more.revision);
    sum.change_sets += more.change_sets;
    sum.changes += more.changes;
    sum.resyncs += more.resyncs;
    sum.breaks += more.breaks;
    sum.lagged += more.lagged;
}
