//! What is always so, and what is so at least once: the properties that the checker judges every state by.
//!
//! "At the end" means a state in which nothing can happen any more. Every run of the model comes to one (a
//! test goes through the whole graph to see that it has no circle), so what holds in each of them holds
//! eventually.

use planlease_core::transition::TaskStatus;
use stateright::{Model, Property};

use crate::{
    bridge::{self, Authority, End, Task},
    etcd::{Lease, Store},
    judge::Rule,
    model::{Ownership, State},
    process::{Phase, Process, Purpose, Reply, Tenure},
};

/// One owner at a time.
pub const ONE_OWNER: &str = "an ownership begins only when none is effective";
/// Tokens grow.
pub const TOKENS: &str = "tokens grow from owner to owner";
/// Guards.
pub const GUARDED: &str = "no write is accepted under a guard whose key is gone";
/// The table.
pub const PATH: &str = "each task's records follow the transition table";
/// Claims.
pub const LIVING: &str = "no claim is taken from the living";
/// Ends.
pub const OWN_END: &str = "no release or force ends another ownership than its own";
/// Outcomes.
pub const TRUTH: &str = "the answer to a write is true, and none is carried out twice";
/// Outcomes of releases.
pub const RELEASED: &str = "a release that is reported as carried out has happened";
/// Leases.
pub const LEASED: &str = "a candidate lives no longer than its session";
/// Orphans.
pub const NO_ORPHAN: &str = "an owner that hands out work has left no orphan behind";
/// Liveness.
pub const NOT_IN_VAIN: &str = "at the end no process waits for the plan";

/// A property's condition.
pub type Holds = fn(&Ownership, &State) -> bool;

/// Holds in every state.
pub const ALWAYS: [(&str, Holds); 11] = [
    (ONE_OWNER, |_, state| !state.broken.has(Rule::OneOwner)),
    (TOKENS, |_, state| !state.broken.has(Rule::Token)),
    (GUARDED, |_, state| !state.broken.has(Rule::Guarded)),
    (PATH, |_, state| !state.broken.has(Rule::Path)),
    (LIVING, |_, state| !state.broken.has(Rule::Living)),
    (OWN_END, |_, state| !state.broken.has(Rule::OwnEnd)),
    (TRUTH, |_, state| is_true(state)),
    (RELEASED, |_, state| !state.broken.has(Rule::Released)),
    (LEASED, |_, state| state.store.line.iter().all(|place| state.store.lives(place.lease))),
    (NO_ORPHAN, |_, state| no_orphan(state)),
    (NOT_IN_VAIN, not_in_vain),
];

/// Holds in some state: without it a check would prove little, since what it is about never happened.
pub const SOMETIMES: [(&str, Holds); 14] = [
    ("a plan is taken over after a crash", |_, state| {
        let crashed = |lease| of(state, lease).phase == Phase::Crashed;
        has_past(&state.store, End::Unclean, crashed) && bridge::owner(&state.store).is_some()
    }),
    ("a plan is taken over after a release", |_, state| {
        has_past(&state.store, End::Clean, |_| true) && bridge::owner(&state.store).is_some()
    }),
    ("an ownership is ended by force while its owner believes in it", |_, state| {
        has_past(&state.store, End::Forced, |lease| of(state, lease).tenure().is_some())
    }),
    ("a former owner goes on believing while another owns", |_, state| former_owner(state).is_some()),
    ("a former owner's write is under way while another owns", |_, state| {
        former_owner(state)
            .and_then(|process| process.call.as_ref())
            .is_some_and(|call| matches!(call.purpose, Purpose::Write(..)) && call.awaited)
    }),
    ("a session owns the plan twice", |_, state| {
        bridge::owner(&state.store)
            .is_some_and(|owner| state.store.past.iter().any(|past| past.lease == owner.lease))
    }),
    ("an orphan is recovered", |_, state| tasks(state).any(|task| task.lost > 0)),
    ("a task whose attempt was lost is started again", |_, state| {
        tasks(state).any(|task| task.attempt == 2 && task.lost == 1)
    }),
    ("a task is completed", |_, state| tasks(state).any(|task| task.status == TaskStatus::Completed)),
    ("a write whose answer got lost is proven", |_, state| state.reported.contains(&Reply::Proven)),
    ("a write of unknown outcome was carried out", |_, state| {
        writes(state).any(|(reported, times)| reported == Reply::Unknown && times == 1)
    }),
    ("a write is refused", |_, state| state.reported.contains(&Reply::Refused)),
    ("a late request leaves a candidate that no process knows of", |_, state| {
        let waits = |process: &Process| process.phase != Phase::Idle || process.call.is_some();
        state.store.line.iter().any(|place| !waits(of(state, place.lease)))
    }),
    ("an operator changes a task", |_, state| {
        tasks(state).any(|task| matches!(task.authority, Authority::Operator(_)))
    }),
];

/// All of them. What is impossible within the bounds cannot be asked for.
pub(crate) fn of_ownership() -> Vec<Property<Ownership>> {
    let always = ALWAYS.map(|(name, holds)| Property::always(name, holds));
    let sometimes = SOMETIMES.map(|(name, holds)| Property::sometimes(name, holds));
    always.into_iter().chain(sometimes).collect()
}

fn of(state: &State, lease: Lease) -> &Process {
    &state.processes[usize::from(lease.0)]
}

fn tasks(state: &State) -> impl Iterator<Item = Task> {
    state.store.tasks.iter().map(|kept| kept.value)
}

/// What was reported of each write, and how often it was carried out.
fn writes(state: &State) -> impl Iterator<Item = (Reply, usize)> {
    let times = |write| state.store.history.iter().flatten().filter(|op| op.write == write).count();
    (0u8..).zip(&state.reported).map(move |(write, reported)| (*reported, times(write)))
}

fn is_true(state: &State) -> bool {
    writes(state).all(|(reported, times)| match (reported, times) {
        (Reply::Committed | Reply::Proven, times) => times == 1,
        (Reply::Refused, times) => times == 0,
        (Reply::Nothing | Reply::Unknown, times) => times <= 1,
    })
}

/// Says by itself what an orphan is, so that it does not take over a mistake of the code.
fn no_orphan(state: &State) -> bool {
    let owner = bridge::owner(&state.store);
    let hands_out = |tenure: Tenure| tenure.recovered && owner == Some(tenure.own);
    !state.processes.iter().filter_map(Process::tenure).any(hands_out)
        || tasks(state).all(|task| task.claim.is_none_or(|claim| state.store.has(claim)))
}

/// A process that believes in an ownership that is over, while another one owns the plan.
fn former_owner(state: &State) -> Option<&Process> {
    let owner = bridge::owner(&state.store)?;
    let is_former = |process: &&Process| {
        process.lease != owner.lease && process.tenure().is_some_and(|tenure| !state.store.has(tenure.own))
    };
    state.processes.iter().find(is_former)
}

fn has_past(store: &Store, how: End, whose: impl Fn(Lease) -> bool) -> bool {
    store.past.iter().any(|past| past.ended == Some(how) && whose(past.lease))
}

fn not_in_vain(model: &Ownership, state: &State) -> bool {
    let waits = |phase: &Phase| matches!(phase, Phase::Seeking | Phase::Behind(_));
    if state.broken.any() || !state.processes.iter().any(|process| waits(&process.phase)) {
        return true;
    }
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    !actions.is_empty()
}
