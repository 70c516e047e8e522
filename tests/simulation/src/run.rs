//! One seed from its beginning to its end.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use planlease_oracle::judge;
use turmoil::{Builder, Sim};

use crate::{
    faults::{LATENCY_MIN, Nemesis},
    hosts,
    invariants::{ALL, Evidence, watchers},
    network::SERVER,
    options::Options,
    world::{World, hash},
};

/// How long everything may take to come to its end after the faults are over.
pub const LIVENESS: Duration = Duration::from_secs(240);

/// How long watchers may take to see the last change: the longest that a silent stream is believed in, and
/// some.
const CONVERGENCE: Duration = Duration::from_secs(40);

/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_secs(1);

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What must not be: the name of the invariant, and what broke it.
    pub violations: Vec<(&'static str, String)>,
    /// A number that two runs have in common only if the same things happened in both.
    pub digest: u64,
    /// Figures, by name.
    pub figures: BTreeMap<&'static str, u64>,
    /// How much time went by in the simulation.
    pub simulated: Duration,
}

/// Runs one seed.
#[must_use]
pub fn run(options: &Options) -> Outcome {
    align_task_ids();
    let world = Arc::new(World::new(options.clone(), &hosts(options)));
    let mut sim = build(options, &world);
    let end = catch_unwind(AssertUnwindSafe(|| drive(&mut sim, options, &world)));
    match end {
        Ok(Ok(())) => {}
        Ok(Err(error)) => world.problem(format!("a host ended: {error}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            world.problem(format!("panicked: {}", text.unwrap_or_default()));
        }
    }
    let simulated = sim.elapsed();
    world.end(simulated);
    drop(sim); // Everything ends before it is judged.
    judged(&world, simulated)
}

/// Begins every run at the same place of the count of tasks.
///
/// tokio counts tasks per process and keeps them in a few lists, by what is left of their number when it is
/// divided by the number of lists; a host that is killed drops them list by list. So without this, a run
/// would depend on how many tasks the runs before it had.
fn align_task_ids() {
    const LISTS_MAX: u64 = 1 << 10;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs nothing");
    let next = || runtime.spawn(async {}).id().to_string().parse::<u64>().unwrap_or(LISTS_MAX - 1);
    while next() % LISTS_MAX != LISTS_MAX - 1 {}
}

/// The names of all hosts but the server's.
fn hosts(options: &Options) -> Vec<String> {
    let kinds = [
        ("orchestrator", options.orchestrators),
        ("client", options.clients),
        ("worker", options.workers),
        ("watcher", options.watchers),
    ];
    let many = kinds.into_iter().flat_map(|(kind, number)| (0..number).map(move |n| format!("{kind}-{n}")));
    // Those of the fleet last, so that the others have the clocks that they have without it.
    many.chain(["operator".to_owned()]).chain(options.fleet()).collect()
}

fn build(options: &Options, world: &Arc<World>) -> Sim<'static> {
    let mut sim = Builder::new()
        .rng_seed(options.seed)
        .tick_duration(options.tick)
        .min_message_latency(LATENCY_MIN)
        .max_message_latency(options.latency_max)
        .simulation_duration(Duration::from_secs(24 * 3600))
        .tcp_capacity(16_384)
        .build();
    let served = Arc::clone(world);
    sim.host(SERVER, move || hosts::server::run(Arc::clone(&served)));
    for name in hosts(options) {
        let world = Arc::clone(world);
        let host = name.clone();
        match name.split('-').next().unwrap_or_default() {
            "orchestrator" => {
                sim.host(name, move || hosts::orchestrator::run(Arc::clone(&world), host.clone()))
            }
            "client" => sim.host(name, move || hosts::client::run(Arc::clone(&world), host.clone())),
            "worker" => sim.host(name, move || hosts::worker::run(Arc::clone(&world), host.clone())),
            "service" => sim.host(name, move || hosts::service::run(Arc::clone(&world), host.clone())),
            "keeper" => sim.host(name, move || hosts::keeper::run(Arc::clone(&world), host.clone())),
            "steering" => sim.host(name, move || hosts::steering::run(Arc::clone(&world), host.clone())),
            "watcher" => sim.host(name, move || hosts::watcher::run(Arc::clone(&world), host.clone())),
            _ => sim.host(name, move || hosts::operator::run(Arc::clone(&world), host.clone())),
        }
    }
    sim
}

/// The two parts of a run: faults, and then none.
fn drive(sim: &mut Sim<'_>, options: &Options, world: &Arc<World>) -> turmoil::Result {
    let mut nemesis = Nemesis::new(&options.faults, options.latency_max);
    while sim.elapsed() < options.faulty_for {
        nemesis.step(sim, world);
        sim.step()?;
    }
    nemesis.heal(sim);
    world.heal(sim.elapsed());
    let end = sim.elapsed() + LIVENESS;
    while !world.is_finished() && sim.elapsed() < end {
        sim.step()?;
    }
    let end = sim.elapsed() + CONVERGENCE;
    let mut look = sim.elapsed();
    while sim.elapsed() < end && !(sim.elapsed() >= look && watchers::all_hold_the_present(world)) {
        look = look.max(sim.elapsed() + LOOK);
        sim.step()?;
    }
    Ok(())
}

fn judged(world: &World, simulated: Duration) -> Outcome {
    let verdict = judge(&world.history, &world.journal);
    let evidence = Evidence { world, verdict: &verdict };
    let violations: Vec<_> = ALL
        .iter()
        .flat_map(|(name, check)| check(&evidence).into_iter().map(|violation| (*name, violation)))
        .collect();
    let mut figures = world.counts();
    figures.extend(world.options.faults.kinds());
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let settlement = &verdict.settlement;
    figures.extend([
        ("revisions", verdict.report.revisions),
        ("task updates", verdict.report.updates),
        ("terms", verdict.report.terms),
        ("terms ended uncleanly", verdict.report.unclean),
        ("acknowledged", number(settlement.committed)),
        ("refused", number(settlement.refused)),
        ("unknown, carried out", number(settlement.unknown_carried_out)),
        ("unknown, never happened", number(settlement.unknown_never)),
        ("never answered", number(settlement.unanswered)),
        ("tasks searched for an order", number(verdict.searched)),
    ]);
    Outcome { violations, digest: digest(world), figures, simulated }
}

/// Everything that happened, in one number: each revision with its keys and writers, each call with its time
/// and answer.
fn digest(world: &World) -> u64 {
    let sets = world.history.sets();
    let writes: Vec<_> = world.history.task_writes().iter().map(|write| write.record.op_id).collect();
    let keys: Vec<_> = sets
        .iter()
        .map(|set| {
            (
                set.revision.get(),
                set.changes.iter().map(|change| format!("{:?}", change.key)).collect::<Vec<_>>(),
            )
        })
        .collect();
    hash(&(keys, writes, format!("{:?}", world.journal.calls()), world.problems()))
}
