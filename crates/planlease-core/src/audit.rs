//! The audit: replays a history and says where it breaks an invariant.
//!
//! etcd keeps every revision until compaction, in order. So whether the invariants held can be checked *after
//! the fact*, on the real history, independently of its writers: feed every change set since the first
//! revision (or since a snapshot) to [`Audit::apply`] and read the [`Report`]. What a write compared cannot
//! be seen in the history, but the state before it can; each write names the right it claims, and the audit
//! looks whether that right existed.

mod excerpts;
mod pools;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use uuid::Uuid;

use self::excerpts::Excerpts;
use crate::{
    change::{Entry, KeyChange, RawChangeSet},
    codec, definition,
    graph::satisfies,
    id::{LeaseId, OrchestratorId, PlanName, PoolName, TaskId},
    keys::{Key, PlanKey},
    on_failed::OnDependencyFailed,
    pool::{Pools, PoolsView},
    record::{Ending, Guard, StoreRecord, TaskRecord, TermRecord},
    revision::{Generation, Revision},
    spec::{PlanSpec, Policies, TaskSpec},
    transition::{self, TaskStatus},
};

/// The most violations that are kept; more are counted only.
pub const VIOLATIONS_KEPT: usize = 1000;

/// The longest sentence about a violation, in bytes: it may quote a record, which is anybody's.
const MAX_SENTENCE: usize = 1000;

/// What is checked. Each name is an invariant of the protocol; see `docs/protocol.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// At any revision at most one ownership is effective, and its token is greater than all before it.
    OneOwner,
    /// No write under a guard whose key is gone.
    Guarded,
    /// No write is applied twice.
    OnceOnly,
    /// Each task's records are a path through the transition table.
    Path,
    /// No task starts before what it depends on is done.
    Dependencies,
    /// A plan appears complete or not at all; what it is read from by task says what its definition says.
    WholePlan,
    /// What has to die with its process lives on a lease.
    Leased,
    /// No pool has more permits taken than it has, and no task starts without its permits.
    Pools,
    /// Every value is what its key says.
    Readable,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 9] = [
        Self::OneOwner,
        Self::Guarded,
        Self::OnceOnly,
        Self::Path,
        Self::Dependencies,
        Self::WholePlan,
        Self::Leased,
        Self::Pools,
        Self::Readable,
    ];

    /// What holds if nothing was found.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::OneOwner => "one owner at a time, with a greater token each time",
            Self::Guarded => "every write under a right that existed",
            Self::OnceOnly => "no write applied twice",
            Self::Path => "every task on a path through the transition table",
            Self::Dependencies => "no task started before its dependencies",
            Self::WholePlan => "plans whole or not there, nothing begun edited out",
            Self::Leased => "what dies with its process is leased",
            Self::Pools => "no pool exceeded, no task started without its permits",
            Self::Readable => "every value readable",
        }
    }

    /// A short name, stable for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneOwner => "one-owner",
            Self::Guarded => "guarded",
            Self::OnceOnly => "once-only",
            Self::Path => "path",
            Self::Dependencies => "dependencies",
            Self::WholePlan => "whole-plan",
            Self::Leased => "leased",
            Self::Pools => "pools",
            Self::Readable => "readable",
        }
    }
}

/// One thing that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// At which revision.
    pub revision: Revision,
    /// Which rule.
    pub rule: Rule,
    /// Of which plan, if of one.
    pub plan: Option<PlanName>,
    /// What happened.
    pub text: String,
}

/// What the audit found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often each rule was checked.
    pub checks: BTreeMap<Rule, u64>,
    /// What was found, at most [`VIOLATIONS_KEPT`].
    pub violations: Vec<Violation>,
    /// How many were found.
    pub violations_found: u64,
    /// The revision of the first change set seen.
    pub first: Option<Revision>,
    /// The revision of the last one.
    pub last: Option<Revision>,
    /// How many change sets there were.
    pub revisions: u64,
    /// How many task updates there were.
    pub updates: u64,
    /// How many terms began.
    pub terms: u64,
    /// How many of them ended without a release.
    pub unclean: u64,
    /// How many plans are there at the end.
    pub plans: usize,
}

/// Replays a history, change set by change set, and collects violations.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    plans: BTreeMap<PlanName, PlanState>,
    workers: BTreeMap<OrchestratorId, Revision>,
    pools: PoolsView,
    /// The permits that are taken, key by key.
    permits: BTreeSet<(PoolName, u32, LeaseId)>,
    generation: Option<Generation>,
    op_ids: BTreeMap<Uuid, Revision>,
    report: Report,
}

#[derive(Clone, Debug, Default)]
struct PlanState {
    spec: Option<PlanSpec>,
    /// The revision that wrote the definition.
    defined: Option<Revision>,
    excerpts: Excerpts,
    head: Option<Vec<u8>>,
    parts: BTreeMap<u32, Vec<u8>>,
    tasks: BTreeMap<TaskId, TaskRecord>,
    /// The line: session to create revision.
    queue: BTreeMap<LeaseId, Revision>,
    term: Option<(Revision, TermRecord)>,
    dependencies: BTreeMap<TaskId, Vec<TaskId>>,
    /// The tasks that run although one that they wait for has failed.
    runs_after_failure: BTreeSet<TaskId>,
    /// The pools that tasks use.
    uses: BTreeMap<TaskId, Pools>,
}

impl PlanState {
    /// The guard of the effective owner.
    fn owner(&self) -> Option<Guard> {
        let (lease, joined) = self.queue.iter().min_by_key(|(_, joined)| **joined)?;
        let (revision, term) = self.term.as_ref()?;
        let effective =
            term.ended.is_none() && term.lease == *lease && term.guard.unwrap_or(*revision) == *joined;
        effective.then_some(Guard::Owner { lease: *lease, revision: *joined })
    }
}

impl Audit {
    /// An audit that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts from a snapshot instead of from the beginning, where the history before it is compacted.
    /// Nothing in it is checked but that it can be read.
    pub fn seed(&mut self, entries: impl IntoIterator<Item = (Key, Entry)>) {
        for (key, entry) in entries {
            let revision = entry.modified;
            self.enter(revision, &KeyChange { key, entry: Some(entry) });
        }
        let names: Vec<PlanName> = self.plans.keys().cloned().collect();
        for plan in names {
            self.read_spec(None, &plan);
        }
    }

    /// Checks all changes of one revision against the state before it, and enters them. Revisions come in
    /// order.
    pub fn apply(&mut self, set: &RawChangeSet) {
        self.report.first.get_or_insert(set.revision);
        self.report.last = Some(set.revision);
        self.report.revisions += 1;
        let before = self.before(set);
        for change in &set.changes {
            self.enter(set.revision, change);
        }
        for change in &set.changes {
            match (&change.key, &change.entry) {
                (Key::Plan(plan, PlanKey::Task(task)), Some(_)) => {
                    self.check_task(set.revision, plan, task, &before[plan]);
                }
                (Key::Plan(plan, PlanKey::Task(task)), None) => {
                    let with_its_plan = set.changes.iter().any(|change| {
                        change.entry.is_none() && change.key == Key::Plan(plan.clone(), PlanKey::Spec)
                    });
                    let before = &before[plan];
                    let pending =
                        before.tasks.get(task).is_none_or(|(record, _)| record.status == TaskStatus::Pending);
                    let allowed = with_its_plan || !before.exists || (before.redefined && pending);
                    self.check(set.revision, Rule::WholePlan, Some(plan), allowed, || {
                        let what = if before.redefined { "had begun" } else { "belongs to the plan" };
                        format!("task {task} was deleted, but it {what}")
                    });
                }
                (Key::Plan(plan, PlanKey::Term), Some(_)) => {
                    self.check_term(set.revision, plan, &before[plan]);
                }
                (Key::Plan(plan, PlanKey::Term), None) => {
                    self.find(set.revision, Rule::OneOwner, Some(plan), || {
                        "the term was deleted: later tokens could be lower than earlier ones".to_owned()
                    });
                }
                (Key::Plan(plan, PlanKey::Owner(lease) | PlanKey::Lock(_, lease)), Some(entry)) => {
                    self.check(set.revision, Rule::Leased, Some(plan), entry.lease == Some(*lease), || {
                        format!("the key of candidate {lease} does not live on its lease: it would outlive its owner")
                    });
                }
                (Key::Plan(plan, PlanKey::Spec), _) => self.check_spec(set, plan, &before[plan]),
                (Key::Lock(name, lease), Some(entry)) => {
                    self.check(set.revision, Rule::Leased, None, entry.lease == Some(*lease), || {
                        format!("the key of {lease} for lock {name} does not live on its lease: it would outlive it")
                    });
                }
                (Key::Orchestrator(id), Some(entry)) => {
                    self.check(set.revision, Rule::Leased, None, entry.lease.is_some(), || {
                        format!("the registration of {id} has no lease: it would outlive its process")
                    });
                }
                (Key::Logs(id), Some(entry)) => {
                    self.check(set.revision, Rule::Leased, None, entry.lease.is_some(), || {
                        format!("the address of the logs of {id} has no lease: it would outlive its process")
                    });
                }
                _ => {}
            }
        }
        self.check_excerpts(set);
        self.check_pools(set);
    }

    /// Of each plan whose excerpts have changed, whether they say what its definition says.
    fn check_excerpts(&mut self, set: &RawChangeSet) {
        let is_excerpt =
            |change: &&KeyChange| matches!(change.key, Key::Plan(_, PlanKey::Excerpts | PlanKey::Excerpt(_)));
        let plans: BTreeSet<_> =
            set.changes.iter().filter(is_excerpt).filter_map(|change| change.key.plan()).collect();
        for plan in plans {
            let Some(state) = self.plans.get(plan) else { continue };
            let Some((spec, defined)) = state.spec.as_ref().zip(state.defined) else { continue };
            let Some(compared) = state.excerpts.compare(spec, defined) else { continue };
            self.check(set.revision, Rule::WholePlan, Some(plan), compared.is_ok(), || {
                compared.err().unwrap_or_default()
            });
        }
    }

    /// At which revision this write was applied, if it was.
    #[must_use]
    pub fn find_write(&self, op_id: Uuid) -> Option<Revision> {
        self.op_ids.get(&op_id).copied()
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let plans = self.plans.values().filter(|state| state.spec.is_some()).count();
        Report { plans, ..self.report.clone() }
    }

    /// The state of the plans that the set touches, as it was before.
    fn before(&mut self, set: &RawChangeSet) -> BTreeMap<PlanName, Before> {
        let mut before = BTreeMap::new();
        for change in &set.changes {
            if let Key::Plan(plan, key) = &change.key {
                let state = self.plans.entry(plan.clone()).or_default();
                let seen: &mut Before = before.entry(plan.clone()).or_insert_with(|| Before {
                    exists: state.spec.is_some(),
                    owner: state.owner(),
                    queue_is_empty: state.queue.is_empty(),
                    term: state.term.clone(),
                    ..Before::default()
                });
                match key {
                    PlanKey::Task(task) => seen.note(state, task),
                    PlanKey::Spec => seen.redefined = change.entry.is_some(),
                    _ => {}
                }
            }
        }
        let workers = set.changes.iter().any(|change| matches!(change.key, Key::Orchestrator(_)));
        if workers {
            for seen in before.values_mut() {
                seen.workers = Some(self.workers.clone());
            }
        }
        before
    }

    /// Takes a change into the state, reading its value.
    fn enter(&mut self, revision: Revision, change: &KeyChange) {
        match (&change.key, &change.entry) {
            (Key::Store, Some(entry)) => {
                if let Some(store) = self.read::<StoreRecord>(revision, None, &entry.value) {
                    let grows = self.generation.is_none_or(|generation| store.generation >= generation);
                    self.check(revision, Rule::OneOwner, None, grows, || {
                        format!("the generation of the store went back to {}", store.generation)
                    });
                    self.generation = Some(store.generation);
                }
            }
            (Key::Store, None)
            | (
                Key::Logs(_)
                | Key::Worktree(..)
                | Key::Steering(_)
                | Key::Hook(_)
                | Key::HookRunner(_)
                | Key::Lock(..)
                | Key::Unknown(_),
                _,
            ) => {}
            (Key::Pool(_), entry) => self.pools.apply(&change.key, entry.as_ref()),
            (Key::Permit(pool, number, lease), entry) => {
                self.pools.apply(&change.key, entry.as_ref());
                let key = (pool.clone(), *number, *lease);
                if entry.is_some() {
                    self.permits.insert(key);
                } else {
                    self.permits.remove(&key);
                }
            }
            (Key::Orchestrator(id), Some(entry)) => drop(self.workers.insert(id.clone(), entry.created)),
            (Key::Orchestrator(id), None) => drop(self.workers.remove(id)),
            (Key::Plan(plan, key), entry) => self.enter_plan(revision, plan, key, entry.as_ref()),
        }
    }

    fn enter_plan(&mut self, revision: Revision, plan: &PlanName, key: &PlanKey, entry: Option<&Entry>) {
        let record = match (key, entry) {
            (PlanKey::Task(_), Some(entry)) => self.read::<TaskRecord>(revision, Some(plan), &entry.value),
            _ => None,
        };
        let term = match (key, entry) {
            (PlanKey::Term, Some(entry)) => self.read::<TermRecord>(revision, Some(plan), &entry.value),
            _ => None,
        };
        let state = self.plans.entry(plan.clone()).or_default();
        match (key, entry) {
            (PlanKey::Task(task), Some(_)) => {
                if let Some(record) = record {
                    state.tasks.insert(task.clone(), record);
                }
            }
            (PlanKey::Task(task), None) => drop(state.tasks.remove(task)),
            (PlanKey::Term, Some(entry)) => {
                if let Some(term) = term {
                    state.term = Some((entry.modified, term));
                }
            }
            (PlanKey::Term, None) => state.term = None,
            (PlanKey::Owner(lease), Some(entry)) => drop(state.queue.insert(*lease, entry.created)),
            (PlanKey::Owner(lease), None) => drop(state.queue.remove(lease)),
            (PlanKey::Spec, entry) => {
                state.head = entry.map(|entry| entry.value.clone());
                state.defined = entry.map(|entry| entry.modified);
            }
            (PlanKey::Excerpts | PlanKey::Excerpt(_), entry) => state.excerpts.enter(key, entry),
            (PlanKey::SpecPart(part), Some(entry)) => drop(state.parts.insert(*part, entry.value.clone())),
            (PlanKey::SpecPart(part), None) => drop(state.parts.remove(part)),
            (
                PlanKey::Import
                | PlanKey::Pause
                | PlanKey::Close
                | PlanKey::PastTerm(_)
                | PlanKey::Findings(_)
                | PlanKey::Late(_)
                | PlanKey::Lock(..)
                | PlanKey::Unknown(_),
                _,
            ) => {}
        }
    }

    fn check_task(&mut self, revision: Revision, plan: &PlanName, task: &TaskId, before: &Before) {
        let Some(record) = self.plans.get(plan).and_then(|state| state.tasks.get(task)).cloned() else {
            return; // Unreadable, and said so.
        };
        let (name, plan) = (plan, Some(plan));
        self.report.updates += 1;
        let first = *self.op_ids.entry(record.op_id).or_insert(revision);
        let import = record.writer.guard == Guard::Import;
        self.check(revision, Rule::OnceOnly, plan, first == revision || import, || {
            format!("the write {} of task {task} was applied at revision {first} already", record.op_id)
        });
        let right = match &record.writer.guard {
            // An edit adds tasks, and enters in others what the plan asks a person for now.
            Guard::Import => {
                let edits = |(previous, _): &(TaskRecord, Vec<TaskId>)| {
                    transition::differs_by_approval(previous, &record)
                };
                !before.exists || (before.redefined && before.tasks.get(task).is_none_or(edits))
            }
            Guard::Unowned => before.queue_is_empty,
            guard @ Guard::Owner { .. } => before.owner.as_ref() == Some(guard),
            Guard::Worker { orchestrator, revision } => {
                before.workers.as_ref().unwrap_or(&self.workers).get(orchestrator) == Some(revision)
            }
        };
        self.check(revision, Rule::Guarded, plan, right, || {
            format!(
                "{} wrote task {task} by a right that did not exist: {:?}",
                record.writer.who, record.writer.guard
            )
        });
        let Some((previous, blockers)) = before.tasks.get(task) else {
            self.check(revision, Rule::Path, plan, import, || format!("task {task} came from nowhere"));
            return;
        };
        if import {
            return;
        }
        let path = transition::is_allowed(previous, &record);
        self.check(revision, Rule::Path, plan, path.is_ok(), || {
            format!("task {task}: {}", path.err().map(|why| why.to_string()).unwrap_or_default())
        });
        if previous.status != TaskStatus::InProgress && record.status == TaskStatus::InProgress {
            self.check(revision, Rule::Dependencies, plan, blockers.is_empty(), || {
                let names: Vec<&str> = blockers.iter().map(TaskId::as_str).collect();
                format!("task {task} was started before {}", names.join(", "))
            });
            self.check_permits(revision, name, task, &record);
        }
    }

    fn check_term(&mut self, revision: Revision, plan: &PlanName, before: &Before) {
        let Some(state) = self.plans.get(plan) else { return };
        let Some((_, term)) = state.term.clone() else { return };
        let owner = state.owner();
        let still_there = state.queue.contains_key(&term.lease);
        let previous = before.term.as_ref().map(|(_, term)| term);
        let text = match (previous, &term.ended) {
            (Some(previous), Some(end)) if previous.number == term.number => {
                let ended_by_owner = matches!(end.how, Ending::Clean | Ending::HandedOver { .. });
                if previous.ended.is_some() {
                    Some(format!("term {} was ended twice", term.number))
                } else if still_there {
                    Some(format!("term {} was ended, but its owner stayed in the queue", term.number))
                } else if ended_by_owner && before.owner.is_none() {
                    Some(format!("term {} was released by a process that did not own the plan", term.number))
                } else {
                    None
                }
            }
            (_, Some(_)) => Some(format!("term {} was over before it began", term.number)),
            (previous, None) => {
                self.report.terms += 1;
                let unclean = previous.is_some_and(|previous| previous.ended.is_none());
                self.report.unclean += u64::from(unclean);
                let expected = previous.map_or(1, |previous| previous.number.next().0);
                if term.number.0 != expected {
                    Some(format!("term {} follows term {}", term.number, expected - 1))
                } else if previous.is_some_and(|previous| term.token() <= previous.token()) {
                    Some(format!("the token of term {} is not greater than the one before", term.number))
                } else if before.owner.is_some() {
                    Some(format!("term {} began while another process owned the plan", term.number))
                } else if owner.is_none() {
                    Some(format!("term {} began, but its owner is not first in the queue", term.number))
                } else {
                    None
                }
            }
        };
        self.check(revision, Rule::OneOwner, Some(plan), text.is_none(), || text.unwrap_or_default());
    }

    fn check_spec(&mut self, set: &RawChangeSet, plan: &PlanName, before: &Before) {
        let revision = set.revision;
        let Some(state) = self.plans.get(plan) else { return };
        if state.head.is_none() {
            let left = state.tasks.len();
            self.check(revision, Rule::WholePlan, Some(plan), left == 0, || {
                format!("the plan was deleted, but {left} of its tasks were left")
            });
            if let Some(state) = self.plans.get_mut(plan) {
                state.spec = None;
                state.dependencies.clear();
                state.runs_after_failure.clear();
                state.uses.clear();
            }
            return;
        }
        self.read_spec(Some(revision), plan);
        let Some(state) = self.plans.get(plan) else { return };
        let Some(spec) = &state.spec else { return };
        let missing = spec.tasks.iter().filter(|task| !state.tasks.contains_key(&task.id)).count();
        let whole = missing == 0 && spec.tasks.len() == state.tasks.len();
        let (defined, there) = (spec.tasks.len(), state.tasks.len());
        self.check(revision, Rule::WholePlan, Some(plan), whole, || {
            let what = if before.exists { "was edited" } else { "appeared" };
            format!("the plan {what} with {there} task records, {missing} of its {defined} tasks missing")
        });
    }

    /// Puts the definition together from its parts.
    fn read_spec(&mut self, revision: Option<Revision>, plan: &PlanName) {
        let Some(state) = self.plans.get_mut(plan) else { return };
        let Some(head) = &state.head else { return };
        let spec = definition::decode_spec(head, state.parts.values().map(Vec::as_slice));
        match spec {
            Ok(spec) => {
                state.dependencies =
                    spec.tasks.iter().map(|task| (task.id.clone(), task.depends_on.clone())).collect();
                let runs =
                    |task: &&TaskSpec| spec.policy_of(task).on_dependency_failed == OnDependencyFailed::Run;
                state.runs_after_failure =
                    spec.tasks.iter().filter(runs).map(|task| task.id.clone()).collect();
                let policies = Policies::of(&spec);
                let uses = |task: &TaskSpec| (task.id.clone(), policies.of_task(&task.id).pools.clone());
                state.uses = spec.tasks.iter().map(uses).filter(|(_, pools)| !pools.is_empty()).collect();
                state.spec = Some(spec);
            }
            Err(error) => {
                if let Some(revision) = revision.or(self.report.last) {
                    self.find(revision, Rule::Readable, Some(plan), || error.to_string());
                }
            }
        }
    }

    fn read<T: DeserializeOwned>(
        &mut self,
        revision: Revision,
        plan: Option<&PlanName>,
        value: &[u8],
    ) -> Option<T> {
        let record = codec::decode::<T>(value);
        let problem = record.as_ref().err().map(ToString::to_string);
        self.check(revision, Rule::Readable, plan, problem.is_none(), || problem.unwrap_or_default());
        record.ok()
    }

    fn check(
        &mut self,
        revision: Revision,
        rule: Rule,
        plan: Option<&PlanName>,
        holds: bool,
        text: impl FnOnce() -> String,
    ) {
        *self.report.checks.entry(rule).or_default() += 1;
        if !holds {
            self.report.violations_found += 1;
            if self.report.violations.len() < VIOLATIONS_KEPT {
                self.report.violations.push(Violation {
                    revision,
                    rule,
                    plan: plan.cloned(),
                    text: codec::shorten(&text(), MAX_SENTENCE),
                });
            }
        }
    }

    fn find(
        &mut self,
        revision: Revision,
        rule: Rule,
        plan: Option<&PlanName>,
        text: impl FnOnce() -> String,
    ) {
        self.check(revision, rule, plan, false, text);
    }
}

/// What a plan looked like before a change set.
#[derive(Clone, Debug, Default)]
struct Before {
    exists: bool,
    /// Whether the set writes the plan's definition.
    redefined: bool,
    owner: Option<Guard>,
    queue_is_empty: bool,
    term: Option<(Revision, TermRecord)>,
    /// The tasks that the set changes: their records, and which of their dependencies were not done.
    tasks: BTreeMap<TaskId, (TaskRecord, Vec<TaskId>)>,
    /// The registrations, if the set changes any.
    workers: Option<BTreeMap<OrchestratorId, Revision>>,
}

impl Before {
    fn note(&mut self, state: &PlanState, task: &TaskId) {
        if let Some(record) = state.tasks.get(task) {
            let status = |id: &TaskId| state.tasks.get(id).map(|record| record.status);
            let depends_on = state.dependencies.get(task).map_or(&[][..], Vec::as_slice);
            let runs = state.runs_after_failure.contains(task);
            let is_done =
                |id: &TaskId| satisfies(status(id)) || (runs && status(id) == Some(TaskStatus::Failed));
            let blockers = depends_on.iter().filter(|id| !is_done(id)).cloned().collect();
            self.tasks.insert(task.clone(), (record.clone(), blockers));
        }
    }
}

#[cfg(test)]
mod tests;
