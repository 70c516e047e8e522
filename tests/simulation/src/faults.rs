//! What goes wrong when: drawn before the run, carried out during it.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, rngs::StdRng};
use turmoil::Sim;

use crate::{network::SERVER, world::World};

/// The shortest time that a message takes.
pub(crate) const LATENCY_MIN: Duration = Duration::from_millis(1);

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing passes between the host and the server, for that long.
    Partition(String, Duration),
    /// Nothing passes from the host to the server: requests get lost.
    RequestsLost(String, Duration),
    /// Nothing passes from the server to the host: requests are carried out, their answers get lost.
    AnswersLost(String, Duration),
    /// What is sent between the two arrives after that long, all of it late.
    Held(String, Duration),
    /// Messages between the two take up to that long, for a while.
    Slow(String, Duration, Duration),
    /// Every message between the two takes that long, for a while; then nothing passes any more, for longer
    /// than any session lives: a link that is about to die.
    Dying(String, Duration, Duration),
    /// The host's processes are killed, and started again after that long.
    Crash(String, Duration),
    /// The server loses its power, and is started on what its disk kept, after that long.
    ServerCrash(Duration),
    /// The server's history is compacted, up to where it was recorded.
    Compact,
    /// The host was suspended for that long: its clock jumps ahead of its timers.
    Suspended(String, Duration),
    /// All leases of the host's sessions are revoked from outside.
    Revoked(String),
}

impl Fault {
    /// The host that it happens to; `None` for the server.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Partition(host, _)
            | Self::RequestsLost(host, _)
            | Self::AnswersLost(host, _)
            | Self::Held(host, _)
            | Self::Slow(host, ..)
            | Self::Dying(host, ..)
            | Self::Crash(host, _)
            | Self::Suspended(host, _)
            | Self::Revoked(host) => Some(host),
            Self::ServerCrash(_) | Self::Compact => None,
        }
    }

    /// What kind it is, for counting.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Partition(..) => "partition",
            Self::RequestsLost(..) => "requests lost",
            Self::AnswersLost(..) => "answers lost",
            Self::Held(..) => "held back",
            Self::Slow(..) => "slow",
            Self::Dying(..) => "dying link",
            Self::Crash(..) => "crash",
            Self::ServerCrash(_) => "server crash",
            Self::Compact => "compaction",
            Self::Suspended(..) => "suspend",
            Self::Revoked(_) => "lease revoked",
        }
    }
}

/// How often each kind happens: the mean number of faults in ten seconds.
#[derive(Clone, Copy, Debug)]
pub struct Rates([f64; KINDS]);

/// Under this name it is counted how often a host's clock jumped ahead.
pub const JUMPED: &str = "clock jumped";

/// How many kinds there are.
const KINDS: usize = 12;

/// The kinds that happen to the server: its crash, and a compaction.
const OF_SERVER: [usize; 2] = [6, 7];

/// The number of links that die.
const DYING: usize = 10;

/// The kind that lasts for an answer or two, and so can happen often.
const BRIEF: usize = 11;

/// Longer than any session lives.
const DEAD: Duration = Duration::from_secs(12);

impl Rates {
    /// Draws them: some kinds do not happen at all in a run, so that what the others do is not drowned.
    pub fn draw(rng: &mut StdRng) -> Self {
        Self(std::array::from_fn(|kind| {
            let most = if kind == BRIEF { 30.0 } else { 5.0 };
            if rng.random_bool(0.5) { rng.random_range(0.3..most) } else { 0.0 }
        }))
    }
}

impl Rates {
    /// The same for hosts, and nothing for the server.
    #[must_use]
    pub fn of_hosts(mut self) -> Self {
        OF_SERVER.into_iter().for_each(|kind| self.0[kind] = 0.0);
        self
    }

    /// Links die, and nothing else happens.
    #[must_use]
    pub fn dying_links() -> Self {
        Self(std::array::from_fn(|kind| if kind == DYING { 4.0 } else { 0.0 }))
    }
}

/// All faults of a run, in order.
#[derive(Clone, Debug, Default)]
pub struct Plan(Vec<(Duration, Fault)>);

impl Plan {
    /// A plan of one's own.
    #[must_use]
    pub fn of(mut faults: Vec<(Duration, Fault)>) -> Self {
        faults.sort();
        Self(faults)
    }

    /// Draws it.
    pub fn draw(rng: &mut StdRng, rates: &Rates, hosts: &[String], ttl: Duration, within: Duration) -> Self {
        let mut faults = Vec::new();
        for (kind, rate) in rates.0.iter().enumerate() {
            if *rate <= 0.0 {
                continue;
            }
            let mut at = Duration::ZERO;
            loop {
                // The time to the next event of a Poisson process.
                let wait = -rng.random_range(f64::MIN_POSITIVE..1.0).ln() * 10.0 / rate;
                at += Duration::from_secs_f64(wait.min(1000.0));
                if at >= within {
                    break;
                }
                let host = hosts[rng.random_range(0..hosts.len())].clone();
                let short = Duration::from_millis(rng.random_range(10..2_000));
                let long = Duration::from_millis(rng.random_range(100..8_000));
                let either = if rng.random_bool(0.5) { short } else { long };
                faults.push((
                    at,
                    match kind {
                        0 => Fault::Partition(host, either),
                        1 => Fault::RequestsLost(host, either),
                        2 => Fault::AnswersLost(host, either),
                        3 => Fault::Held(host, either),
                        4 => Fault::Slow(host, short, long),
                        5 => Fault::Crash(host, short),
                        6 => Fault::ServerCrash(short),
                        7 => Fault::Compact,
                        8 => Fault::Suspended(host, long * 4),
                        9 => Fault::Revoked(host),
                        DYING => {
                            // A renewal is answered just before it would be given up, which is after a sixth
                            // of the TTL.
                            let latency = ttl.mul_f64(rng.random_range(0.6..0.9) / 12.0);
                            Fault::Dying(host, latency, Duration::from_secs(3) + short)
                        }
                        _ => Fault::AnswersLost(host, Duration::from_millis(rng.random_range(5..150))),
                    },
                ));
            }
        }
        Self::of(faults)
    }

    /// The faults of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(self.0.into_iter().chain(other.0).collect())
    }

    /// Leaves out the faults of some hosts.
    #[must_use]
    pub fn without(mut self, gone: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(_, fault)| !fault.host().is_some_and(&gone));
        self
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing goes wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are of each kind.
    #[must_use]
    pub fn kinds(&self) -> BTreeMap<&'static str, u64> {
        let mut kinds = BTreeMap::new();
        for (_, fault) in &self.0 {
            *kinds.entry(fault.kind()).or_default() += 1;
        }
        kinds
    }
}

/// Carries out a plan: begins each fault at its time, and ends it at its own.
pub(crate) struct Nemesis {
    due: std::iter::Peekable<std::vec::IntoIter<(Duration, Fault)>>,
    ends: Vec<(Duration, Fault)>,
    latency: Duration,
}

impl Nemesis {
    pub(crate) fn new(plan: &Plan, latency: Duration) -> Self {
        Self { due: plan.0.clone().into_iter().peekable(), ends: Vec::new(), latency }
    }

    /// Does what is due.
    pub(crate) fn step(&mut self, sim: &mut Sim<'_>, world: &World) {
        let now = sim.elapsed();
        let (over, last): (Vec<_>, Vec<_>) = self.ends.drain(..).partition(|(end, _)| *end <= now);
        self.ends = last;
        for (_, fault) in over {
            self.end(&fault, sim);
            if let Fault::Dying(host, ..) = fault {
                sim.partition(host.as_str(), SERVER);
                self.ends.push((now + DEAD, Fault::Partition(host, DEAD)));
            }
        }
        while let Some((_, fault)) = self.due.next_if(|(at, _)| *at <= now) {
            if let Some(lasts) = self.begin(&fault, sim, world) {
                self.ends.push((now + lasts, fault));
            }
        }
    }

    /// Ends everything that goes wrong now.
    pub(crate) fn heal(&mut self, sim: &mut Sim<'_>) {
        for (_, fault) in std::mem::take(&mut self.ends) {
            self.end(&fault, sim);
        }
    }

    /// Begins a fault; how long it lasts, if it does.
    fn begin(&self, fault: &Fault, sim: &mut Sim<'_>, world: &World) -> Option<Duration> {
        tracing::info!(?fault, "fault");
        match fault {
            Fault::Partition(host, lasts) => {
                sim.partition(host.as_str(), SERVER);
                Some(*lasts)
            }
            Fault::RequestsLost(host, lasts) => {
                sim.partition_oneway(host.as_str(), SERVER);
                Some(*lasts)
            }
            Fault::AnswersLost(host, lasts) => {
                sim.partition_oneway(SERVER, host.as_str());
                Some(*lasts)
            }
            Fault::Held(host, lasts) => {
                sim.hold(host.as_str(), SERVER);
                Some(*lasts)
            }
            Fault::Slow(host, latency, lasts) => {
                // Both bounds, since another fault may have raised the lower one.
                sim.set_link_latency(host.as_str(), SERVER, LATENCY_MIN);
                sim.set_link_max_message_latency(host.as_str(), SERVER, *latency);
                Some(*lasts)
            }
            Fault::Dying(host, latency, lasts) => {
                sim.set_link_latency(host.as_str(), SERVER, *latency);
                Some(*lasts)
            }
            Fault::Crash(host, lasts) => {
                sim.crash(host.as_str());
                Some(*lasts)
            }
            Fault::ServerCrash(lasts) => {
                sim.crash(SERVER);
                world.disk.crash();
                Some(*lasts)
            }
            Fault::Compact => {
                world.compact.notify_one();
                None
            }
            Fault::Suspended(host, lasted) => {
                world.count(JUMPED);
                world.clock(host).jump(*lasted);
                None
            }
            Fault::Revoked(host) => {
                world.revoke.lock().expect("no holder panics").push(host.clone());
                world.compact.notify_one();
                None
            }
        }
    }

    fn end(&self, fault: &Fault, sim: &mut Sim<'_>) {
        match fault {
            Fault::Partition(host, _) => sim.repair(host.as_str(), SERVER),
            Fault::RequestsLost(host, _) => sim.repair_oneway(host.as_str(), SERVER),
            Fault::AnswersLost(host, _) => sim.repair_oneway(SERVER, host.as_str()),
            Fault::Held(host, _) => sim.release(host.as_str(), SERVER),
            Fault::Slow(host, ..) | Fault::Dying(host, ..) => {
                sim.set_link_latency(host.as_str(), SERVER, LATENCY_MIN);
                sim.set_link_max_message_latency(host.as_str(), SERVER, self.latency);
            }
            Fault::Crash(host, _) => {
                if !sim.is_host_running(host.as_str()) {
                    sim.bounce(host.as_str());
                }
            }
            Fault::ServerCrash(_) => {
                if !sim.is_host_running(SERVER) {
                    sim.bounce(SERVER);
                }
            }
            Fault::Compact | Fault::Suspended(..) | Fault::Revoked(_) => {}
        }
    }
}
