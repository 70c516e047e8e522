//! What the sidecar counts. Labels are bounded: routes by the table of routes, kinds and outcomes by what
//! there is.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// The counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: Family<Request, Counter>,
    problems: Family<Problem, Counter>,
    updates: Family<Update, Counter>,
    acquired: Counter,
    lost: Counter,
    renewals: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Problem {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Update {
    outcome: &'static str,
}

/// From well within a local network to the longest time to live that anybody asks for, in seconds.
const RENEWALS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            problems: Family::default(),
            updates: Family::default(),
            acquired: Counter::default(),
            lost: Counter::default(),
            renewals: Histogram::new(RENEWALS),
        }
    }
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16) {
        let labels = Request { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
    }

    /// With this problem.
    pub(crate) fn problem(&self, kind: &'static str) {
        self.problems.get_or_create(&Problem { kind }).inc();
    }

    /// What became of an update: `committed`, `repeated` (the same answer to a repeated request), `conflict`,
    /// `refused`, `unknown`.
    pub(crate) fn update(&self, outcome: &'static str) {
        self.updates.get_or_create(&Update { outcome }).inc();
    }

    /// A renewal of a session's lease was answered after so long.
    pub(crate) fn renewal(&self, took: Duration) {
        self.renewals.observe(took.as_secs_f64());
    }

    /// A plan was acquired.
    pub(crate) fn acquired(&self) {
        self.acquired.inc();
    }

    /// An ownership was lost.
    pub(crate) fn lost(&self) {
        self.lost.inc();
    }

    /// Enters what is counted here.
    pub(crate) fn enter(&self, registry: &mut Registry) {
        registry.register("requests", "Requests, by route and status", self.requests.clone());
        registry.register(
            "problems",
            "Requests that could not be answered as asked, by kind",
            self.problems.clone(),
        );
        registry.register("updates", "Updates of tasks, by outcome", self.updates.clone());
        registry.register("ownerships_acquired", "Plans that were acquired", self.acquired.clone());
        registry.register(
            "ownerships_lost",
            "Ownerships that ended without being released",
            self.lost.clone(),
        );
        registry.register_with_unit(
            "renewal",
            "How long answers to renewals of sessions took; to be far below a third of ttl_seconds",
            Unit::Seconds,
            self.renewals.clone(),
        );
    }
}
