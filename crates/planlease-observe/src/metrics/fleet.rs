//! How the plans of a store are, counted: the same for a sidecar, which has them from its watcher, and for a
//! program that has read them just now.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use planlease_core::{
    OrchestratorId, Revision, TaskId, WallTime,
    attention::{Need, attention},
    offer::{Offer, unoffered},
    orphan::Alive,
    pool::PoolsView,
    record::Guard,
    view::PlanView,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use serde::Serialize;

/// The needs that are counted by name. What no orchestrator runs is counted by tasks.
const COUNTED: [Need; 5] = [Need::Decision, Need::Approval, Need::Failed, Need::Lost, Need::Unowned];

/// How the plans of a store are.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FleetCounts {
    /// Plans by state: `finished`, `halted` (paused, cancelled, archived), `owned`, `free`.
    pub plans: BTreeMap<&'static str, usize>,
    /// Tasks by status.
    pub tasks: BTreeMap<&'static str, usize>,
    /// Tasks that could start now, of plans that are not halted.
    pub ready: usize,
    /// Those of them that none of the orchestrators that are alive runs: what they need is nowhere, or they
    /// are not selected. None if no orchestrator says what it runs.
    pub unrunnable: usize,
    /// What needs a person: `decision` (parked), `approval`, `failed`, `lost`, `unowned`.
    pub needs: BTreeMap<&'static str, usize>,
    /// How long the oldest ready task has been ready, as far as records show it.
    pub oldest_ready: Duration,
    /// Orchestrators that are alive.
    pub orchestrators: usize,
    /// Pools, if they were read: see [`FleetCounts::with_pools`].
    pub pools: BTreeMap<String, PoolCounts>,
}

/// How a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolCounts {
    /// How many permits it has; 0 if it is not defined.
    pub size: u32,
    /// How many of them are taken.
    pub used: u32,
    /// How many tasks could start but for it, of plans that are not halted.
    pub waiting: u32,
}

impl FleetCounts {
    /// Counts plans. `alive`: the registered orchestrators, with the revisions that created them and what
    /// they run. Claims by people with a time limit count as standing: to look after them takes a request
    /// each.
    pub fn of<'a>(
        plans: impl Iterator<Item = &'a PlanView>,
        alive: impl Iterator<Item = (OrchestratorId, Revision, Option<&'a Offer>)>,
        now: WallTime,
    ) -> Self {
        let (mut workers, mut offers) = (BTreeSet::new(), Vec::new());
        for (id, revision, offer) in alive {
            workers.insert((id, revision));
            offers.extend(offer);
        }
        let zero = |names: &[&'static str]| names.iter().map(|name| (*name, 0)).collect::<BTreeMap<_, _>>();
        let mut counts = Self {
            plans: zero(&["finished", "halted", "owned", "free"]),
            tasks: zero(&["pending", "in_progress", "completed", "failed", "skipped", "unreadable"]),
            needs: COUNTED.map(|need| (need.as_str(), 0)).into(),
            orchestrators: workers.len(),
            ..Self::default()
        };
        let mut alive = Alive { owner: Guard::Unowned, workers, limits: BTreeMap::new() };
        for plan in plans {
            counts.add(plan, &mut alive, &offers, now);
        }
        counts
    }

    /// With the pools, and how many tasks of these plans wait for each: also for those that are not defined.
    #[must_use]
    pub fn with_pools<'a>(mut self, plans: impl Iterator<Item = &'a PlanView>, pools: &PoolsView) -> Self {
        for (name, pool) in &pools.0 {
            let counts = PoolCounts { size: pool.size(), used: pool.used(), waiting: 0 };
            self.pools.insert(name.to_string(), counts);
        }
        for plan in plans.filter(|plan| plan.halt().is_none() && plan.graph().uses_pools()) {
            let waits = |task: &TaskId| pools.wait(plan.graph().pools(task)?);
            for wait in plan.ready().filter_map(waits) {
                self.pools.entry(wait.pool().to_string()).or_default().waiting += 1;
            }
        }
        self
    }

    fn add(&mut self, plan: &PlanView, alive: &mut Alive, offers: &[&Offer], now: WallTime) {
        let summary = plan.summary();
        *self.plans.entry(state(plan)).or_default() += 1;
        for (status, count) in [
            ("pending", summary.pending),
            ("in_progress", summary.in_progress),
            ("completed", summary.completed),
            ("failed", summary.failed),
            ("skipped", summary.skipped),
            ("unreadable", summary.unreadable),
        ] {
            *self.tasks.entry(status).or_default() += count;
        }
        if plan.halt().is_none() {
            for task in plan.ready() {
                self.ready += 1;
                let spec = plan.spec().task(task);
                let labels = Some(&plan.spec().labels);
                let why = spec.and_then(|spec| unoffered(plan.name(), labels, spec, offers.iter().copied()));
                self.unrunnable += usize::from(why.is_some());
                let since = ready_since(plan, task).map_or(Duration::ZERO, |since| since.until(now));
                self.oldest_ready = self.oldest_ready.max(since);
            }
        }
        alive.owner = plan.queue().guard().unwrap_or(Guard::Unowned);
        alive.limits = plan
            .tasks()
            .values()
            .filter_map(|task| Some((task.record.claim.as_ref()?.limit?.lease, Duration::ZERO)))
            .collect();
        for one in attention(plan, alive) {
            *self.needs.entry(one.need.as_str()).or_default() += 1;
        }
    }
}

fn state(plan: &PlanView) -> &'static str {
    if plan.halt().is_some() {
        "halted"
    } else if plan.summary().is_finished() && !plan.has_work() {
        "finished"
    } else if plan.queue().owner().is_some() {
        "owned"
    } else {
        "free"
    }
}

/// When a task became ready: with the last thing that it waited for, or when it was put back.
fn ready_since(plan: &PlanView, task: &TaskId) -> Option<WallTime> {
    let last = |id: &TaskId| plan.tasks().get(id)?.record.transitions.last().map(|step| step.at);
    let waited = plan.dependency_revisions(task).filter_map(|(id, _)| last(&id)).max();
    last(task).into_iter().chain(waited).max()
}

/// Enters the counts of a fleet, which `look` makes when the registry is read; none if it returns `None`.
pub fn register_fleet(
    registry: &mut Registry,
    look: impl Fn() -> Option<FleetCounts> + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(Fleet(look)));
}

/// Name, help and value of a metric of each pool.
type PoolMetric = (&'static str, &'static str, fn(&PoolCounts) -> u32);

const POOL_METRICS: [PoolMetric; 3] = [
    ("pool_permits", "Permits that a pool has", |pool| pool.size),
    ("pool_permits_in_use", "Permits of a pool that are taken", |pool| pool.used),
    ("pool_tasks_waiting", "Tasks that could start if a pool had permits left", |pool| pool.waiting),
];

struct Fleet<L>(L);

impl<L> fmt::Debug for Fleet<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fleet")
    }
}

impl<L: Fn() -> Option<FleetCounts> + Send + Sync + 'static> Collector for Fleet<L> {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(counts) = (self.0)() else { return Ok(()) };
        let number = |count: usize| ConstGauge::new(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        for (name, help, label, of) in [
            ("plans", "Plans, by state", "state", &counts.plans),
            ("tasks", "Tasks of all plans, by status", "status", &counts.tasks),
            (
                "needs_person",
                "What goes on only when a person acts, by what is needed",
                "need",
                &counts.needs,
            ),
        ] {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (value, count) in of {
                number(*count).encode(family.encode_family(&[(label, *value)])?)?;
            }
        }
        if !counts.pools.is_empty() {
            for (name, help, value) in POOL_METRICS {
                let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
                for (pool, counts) in &counts.pools {
                    let value = ConstGauge::new(f64::from(value(counts)));
                    value.encode(family.encode_family(&[("pool", pool.as_str())])?)?;
                }
            }
        }
        for (name, help, count) in [
            ("tasks_ready", "Tasks that could start now", counts.ready),
            ("tasks_unrunnable", "Ready tasks that no live orchestrator runs", counts.unrunnable),
            ("orchestrators", "Orchestrators that are alive", counts.orchestrators),
        ] {
            number(count).encode(to.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let help = "How long the oldest ready task has been ready, as far as records show it";
        let oldest = ConstGauge::new(counts.oldest_ready.as_secs_f64());
        let unit = Some(&Unit::Seconds);
        oldest.encode(to.encode_descriptor("oldest_ready", help, unit, MetricType::Gauge)?)
    }
}
