//! Everything about a run that is drawn from its seed; printed before it begins.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    faults::{Plan, Rates},
    world::random,
};

/// The options of one simulated run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// The grain of the network: messages arrive at its multiples.
    pub tick: Duration,
    /// The longest time that a message takes.
    pub latency_max: Duration,
    /// How many orchestrators.
    pub orchestrators: usize,
    /// How many tasks each runs at once.
    pub jobs: usize,
    /// How many clients of the library that own plans and execute them themselves.
    pub clients: usize,
    /// How many workers that claim tasks of plans which others own.
    pub workers: usize,
    /// How many watchers.
    pub watchers: usize,
    /// How many plans, over the whole run.
    pub plans: usize,
    /// The most tasks of a plan.
    pub tasks_max: usize,
    /// The TTL of sessions.
    pub ttl: Duration,
    /// How long before the server can drop a session its holder stops.
    pub margin: Duration,
    /// The longest time that one task's work takes.
    pub work_max: Duration,
    /// How often work fails, in percent.
    pub failures_percent: u32,
    /// The coordinator's request timeout.
    pub request_timeout: Duration,
    /// The coordinator's operation timeout.
    pub operation_timeout: Duration,
    /// How far clocks go wrong, in parts per million.
    pub drift_ppm: i64,
    /// How often an operator steps in: the mean time between.
    pub operator_every: Duration,
    /// Whether it does more than import plans: ends ownerships, changes tasks, deletes plans.
    pub operator_meddles: bool,
    /// How many changes a watcher keeps for its subscribers.
    pub changes_kept: usize,
    /// How many orchestrators that stay up, and share the plans.
    pub services: usize,
    /// How often a person steers the fleet: the mean time between; never if there is none.
    pub steered_every: Option<Duration>,
    /// How many programs that own plans for workers, and keep the timers of their tasks.
    pub keepers: usize,
    /// Whether plans say what follows from an exit code, and from the failure of a dependency.
    pub rules: bool,
    /// How long faults come and go.
    pub faulty_for: Duration,
    /// What goes wrong when.
    pub faults: Plan,
}

impl Options {
    /// Draws them.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let millis = |rng: &mut StdRng, range: std::ops::RangeInclusive<u64>| {
            Duration::from_millis(rng.random_range(range))
        };
        // In some runs clocks are perfect, the margin is as small as can be, links die slowly, work takes
        // longer than a session lives, and no ownership is ended by force: then nothing but the way in
        // which deadlines are counted keeps an owner from working too long.
        let tight = rng.random_bool(0.2);
        let ttl = Duration::from_secs(if tight { 8 } else { rng.random_range(2..=8) });
        let (orchestrators, clients) = (rng.random_range(1..=3), rng.random_range(1..=2));
        let (workers, watchers) = (rng.random_range(0..=2), rng.random_range(1..=2));
        let faulty_for = Duration::from_secs(rng.random_range(10..=30));
        let rates = if tight { Rates::dying_links() } else { Rates::draw(&mut rng) };
        let mut people: Vec<String> = Vec::new();
        for (kind, number) in
            [("orchestrator", orchestrators), ("client", clients), ("worker", workers), ("watcher", watchers)]
        {
            people.extend((0..number).map(|n| format!("{kind}-{n}")));
        }
        people.push("operator".to_owned());
        let faults = Plan::draw(&mut rng, &rates, &people, ttl, faulty_for);
        let drift_ppm: i32 = if tight { 0 } else { rng.random_range(0..=10_000) };
        let request_timeout = millis(&mut rng, 200..=2_500);
        Self {
            seed,
            tick: millis(&mut rng, 10..=25),
            latency_max: millis(&mut rng, 2..=100),
            orchestrators,
            clients,
            workers,
            watchers,
            plans: if tight { 2 } else { rng.random_range(2..=6) },
            tasks_max: if tight { 8 } else { rng.random_range(2..=8) },
            ttl,
            // What the clocks of both sides may lose in a TTL, and some for the grain of the network.
            margin: ttl.mul_f64(f64::from(drift_ppm) * 2.0 / 1e6)
                + millis(&mut rng, if tight { 60..=100 } else { 100..=300 }),
            work_max: millis(&mut rng, if tight { 8_000..=20_000 } else { 50..=4_000 }),
            failures_percent: if tight { 0 } else { rng.random_range(0..=30) },
            request_timeout,
            operation_timeout: request_timeout * rng.random_range(1..=4),
            drift_ppm: i64::from(drift_ppm),
            operator_every: millis(&mut rng, 300..=6_000),
            operator_meddles: !tight,
            jobs: rng.random_range(1..=3),
            changes_kept: rng.random_range(4..=256),
            services: 0,
            steered_every: None,
            keepers: 0,
            rules: false,
            faulty_for,
            faults,
        }
        .with_fleet(tight)
    }

    /// Draws what concerns a fleet that is steered, from a generator of its own: half of the runs have none,
    /// so that what others do is not drowned, and the rest of their options are as they would be without.
    fn with_fleet(mut self, tight: bool) -> Self {
        let mut rng = random(&(self.seed, "fleet"));
        if tight || rng.random_bool(0.4) {
            return self;
        }
        self.services = rng.random_range(0..=2);
        let every = Duration::from_millis(rng.random_range(200..=3_000));
        self.steered_every = rng.random_bool(0.8).then_some(every);
        self.keepers = rng.random_range(0..=1);
        self.rules = rng.random_bool(0.5);
        if self.services > 0 && rng.random_bool(0.5) {
            self.orchestrators = 0; // Then nothing but these brings the plans to their end.
        }
        let people = self.fleet();
        if !people.is_empty() {
            let rates = Rates::draw(&mut rng).of_hosts();
            let more = Plan::draw(&mut rng, &rates, &people, self.ttl, self.faulty_for);
            self.faults = std::mem::take(&mut self.faults).and(more);
        }
        let gone = |host: &str| self.orchestrators == 0 && host.starts_with("orchestrator-");
        self.faults = std::mem::take(&mut self.faults).without(gone);
        self
    }

    /// The hosts of the orchestrators that stay up, of those who keep timers, and of the person who steers.
    #[must_use]
    pub fn fleet(&self) -> Vec<String> {
        let services = (0..self.services).map(|n| format!("service-{n}"));
        let keepers = (0..self.keepers).map(|n| format!("keeper-{n}"));
        services.chain(keepers).chain(self.steered_every.map(|_| "steering".to_owned())).collect()
    }
}
