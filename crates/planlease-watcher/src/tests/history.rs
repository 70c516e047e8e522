//! Random histories, random gaps, random subscribers: whatever happens, each holds the truth of its revision.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use planlease_core::{Revision, record::Ending, transition::TaskStatus};
use proptest::prelude::*;

use super::script::{LONG, Script, next};
use crate::{
    error::Error,
    filter::Filter,
    model::{World, who},
    snapshot::Snapshot,
    store::Store,
    subscription::{Delivery, Subscription, Why},
};

const PLANS: [&str; 3] = ["p", "q", "r"];
const PEOPLE: [&str; 4] = ["a", "b", "c", "d"];
const SUBSCRIBERS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Import(usize, usize),
    ImportInChunks(usize, usize),
    Edit(usize, usize),
    Delete(usize),
    Acquire(usize, usize),
    TakeOver(usize),
    End(usize, usize),
    Expire(usize),
    Register(usize),
    Write(usize, usize),
    Find(usize),
    Pass,
    /// One watcher's feed says nothing, or goes on.
    Silence(usize, bool),
    /// The history is forgotten.
    Compact,
    Break,
    /// The watcher's task gets some time.
    Run,
    /// A subscriber reads up to so many deliveries.
    Read(usize, usize),
    /// A subscriber comes back, to either watcher, with the revision it has seen.
    Resume(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (plan, person) = (0..PLANS.len(), 0..PEOPLE.len());
    prop_oneof![
        2 => (plan.clone(), 1..4usize).prop_map(|(plan, tasks)| Step::Import(plan, tasks)),
        1 => (plan.clone(), 1..4usize).prop_map(|(plan, tasks)| Step::ImportInChunks(plan, tasks)),
        2 => (plan.clone(), 1..4usize).prop_map(|(plan, tasks)| Step::Edit(plan, tasks)),
        1 => plan.clone().prop_map(Step::Delete),
        4 => (plan.clone(), person.clone()).prop_map(|(plan, person)| Step::Acquire(plan, person)),
        3 => plan.clone().prop_map(Step::TakeOver),
        2 => (plan.clone(), 0..3usize).prop_map(|(plan, how)| Step::End(plan, how)),
        1 => person.clone().prop_map(Step::Expire),
        1 => person.prop_map(Step::Register),
        8 => (plan.clone(), 0..5usize).prop_map(|(plan, status)| Step::Write(plan, status)),
        1 => plan.prop_map(Step::Find),
        1 => Just(Step::Pass),
        4 => (0..2usize, any::<bool>()).prop_map(|(watcher, silent)| Step::Silence(watcher, silent)),
        1 => Just(Step::Compact),
        1 => Just(Step::Break),
        6 => Just(Step::Run),
        6 => (0..SUBSCRIBERS, 1..4usize).prop_map(|(who, times)| Step::Read(who, times)),
        4 => (0..SUBSCRIBERS, 0..2usize).prop_map(|(who, watcher)| Step::Resume(who, watcher)),
    ]
}

/// Changes the world as real transactions could.
fn change(world: &mut World, step: &Step) {
    let waits = |world: &World, plan: &str, person: &str| {
        world.line(plan).candidates().iter().any(|candidate| candidate.name() == person)
    };
    match *step {
        Step::Import(plan, tasks) if !world.has(PLANS[plan]) => {
            world.import(PLANS[plan], tasks);
        }
        Step::ImportInChunks(plan, tasks) if !world.has(PLANS[plan]) => {
            world.import_in_chunks(PLANS[plan], tasks);
        }
        Step::Edit(plan, tasks) if world.has(PLANS[plan]) => {
            world.edit(PLANS[plan], tasks);
        }
        Step::Delete(plan) if world.has(PLANS[plan]) && world.line(PLANS[plan]).candidates().is_empty() => {
            world.delete(PLANS[plan]);
        }
        Step::Acquire(plan, person)
            if world.has(PLANS[plan]) && !waits(world, PLANS[plan], PEOPLE[person]) =>
        {
            world.acquire(PLANS[plan], PEOPLE[person]);
        }
        Step::TakeOver(plan) => {
            world.take_over(PLANS[plan]);
        }
        Step::End(plan, how) => {
            let forced = Ending::Forced { by: "op".into(), reason: "x".into() };
            let how = [Ending::Clean, Ending::HandedOver { to: who("z") }, forced][how].clone();
            world.end(PLANS[plan], how);
        }
        Step::Expire(person) => {
            world.expire(PEOPLE[person]);
        }
        Step::Register(person) => {
            world.register(PEOPLE[person]);
        }
        Step::Write(plan, status) if world.has(PLANS[plan]) => {
            use TaskStatus::{Completed, Failed, InProgress, Pending, Skipped};
            world.write(PLANS[plan], &["1"], [Pending, InProgress, Completed, Failed, Skipped][status]);
        }
        Step::Find(plan) if world.has(PLANS[plan]) => {
            world.find(PLANS[plan], "1");
        }
        Step::Pass => world.pass(),
        _ => {}
    }
}

/// A subscriber that keeps a copy of the store from its deliveries, and checks each against the truth.
struct Reader {
    subscription: Subscription,
    held: Option<Snapshot>,
}

/// What was there after each revision.
struct Truth {
    store: Store,
    told: usize,
    at: BTreeMap<Revision, Snapshot>,
}

impl Truth {
    fn new(world: &World) -> Self {
        let store = Store::load(&world.list());
        let at = BTreeMap::from([(world.revision(), store.snapshot().clone())]);
        Self { store, told: 0, at }
    }

    fn follow(&mut self, world: &World) {
        for set in &world.history[self.told..] {
            self.store.apply(set);
            self.at.insert(set.revision, self.store.snapshot().clone());
        }
        self.told = world.history.len();
    }

    fn check(&self, held: &Snapshot) {
        let (_, truth) = self.at.range(..=held.revision()).next_back().unwrap();
        let held = Snapshot { revision: truth.revision(), ..held.clone() };
        assert_eq!(&held, truth);
    }
}

impl Reader {
    fn take(&mut self, delivery: Delivery, truth: &Truth) {
        let before = self.held.as_ref().map(Snapshot::revision);
        match delivery {
            Delivery::Snapshot(snapshot, why) => {
                assert_eq!(why == Why::Beginning, before.is_none());
                assert!(before <= Some(snapshot.revision()));
                self.held = Some(snapshot);
            }
            Delivery::Changes(set) => {
                assert!(
                    before < Some(set.revision) || (set.resynced && before == Some(set.revision)),
                    "twice"
                );
                assert!(set.resynced || !set.changes.is_empty());
                self.held.as_mut().expect("a snapshot comes first").apply(&set);
            }
        }
        truth.check(self.held.as_ref().unwrap());
    }
}

async fn play(steps: &[Step]) {
    let script = Script::new(World::new());
    let mut truth = script.act(|world| Truth::new(world));
    let watchers = [script.watcher(6), script.second().watcher(6)];
    let mut readers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let subscription = watchers[0].subscribe(Filter::default(), None).await.unwrap();
        readers.push(Reader { subscription, held: None });
    }
    for step in steps {
        script.act(|world| {
            change(world, step);
            truth.follow(world);
        });
        match *step {
            Step::Silence(watcher, silent) => script.stir(|stage| stage.silent[watcher] = silent),
            Step::Compact => script.stir(|stage| stage.compacted = Some(stage.world.revision())),
            Step::Break => script.stir(|stage| stage.said.push_back(Ok(planlease::Feed::Broken("x".into())))),
            Step::Run => tokio::task::yield_now().await,
            Step::Read(who, times) => {
                for _ in 0..times {
                    let delivery = readers[who].subscription.next().now_or_never();
                    let Some(delivery) = delivery else { break };
                    readers[who].take(delivery.expect("it does not end"), &truth);
                }
            }
            Step::Resume(who, watcher) => {
                let from = readers[who].held.as_ref().map(Snapshot::revision);
                match watchers[watcher].subscribe(Filter::default(), from).await {
                    Ok(subscription) => readers[who].subscription = subscription,
                    Err(error) => assert!(matches!(error, Error::Future { .. })), // The other one was ahead.
                }
            }
            _ => {}
        }
    }
    let last = script.act(|world| {
        let last = world.import("end", 1).revision;
        truth.follow(world);
        last
    });
    script.stir(|stage| stage.silent = [false; 2]);
    for watcher in &watchers {
        watcher.wait_for(last, LONG).await.unwrap();
    }
    for reader in &mut readers {
        while reader.held.as_ref().is_none_or(|held| held.revision() < last) {
            let delivery = next(&mut reader.subscription).await;
            reader.take(delivery, &truth);
        }
    }
    let list = script.act(|world| world.list());
    let present = Some(Store::load(&list).snapshot().clone());
    assert!(readers.iter().all(|reader| reader.held == present));
    for watcher in watchers {
        assert_eq!(watcher.snapshot(), present);
        watcher.close().await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_subscriber_holds_the_truth_of_its_revision(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(&steps));
    }
}
