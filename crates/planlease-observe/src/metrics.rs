//! Metrics as Prometheus reads them: one implementation for every program of planlease, and for programs
//! that embed the library ([`register`]).

mod fleet;
mod reader;
mod requests;
mod serve;
mod text;

use planlease_core::trace::TraceContext;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, exemplar::CounterWithExemplar, family::Family},
    registry::Registry,
};

pub use self::{
    fleet::{FleetCounts, PoolCounts, register_fleet},
    reader::FleetReader,
    requests::{register, register_traffic},
    serve::MetricsServer,
    text::{TYPE, text},
};

/// The prefix of all that is not a sidecar's alone.
pub const PREFIX: &str = "planlease";

/// What an orchestrator counts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Work {
    attempts: Family<Ended, CounterWithExemplar<InTrace>>,
    acquired: Counter,
    lost: Counter,
    sessions: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    /// `completed`, `failed`, `returned` (stopped, and given back), `not_started`, `not_recorded`.
    result: &'static str,
}

/// The label of an exemplar: where the last one that was counted can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InTrace {
    trace_id: String,
}

impl Work {
    /// An attempt ended like this, with this span if it is exported: an exemplar of the count.
    pub fn ended(&self, result: &'static str, trace: Option<&TraceContext>) {
        let exemplar = trace.map(|trace| InTrace { trace_id: format!("{:032x}", trace.trace_id()) });
        self.attempts.get_or_create(&Ended { result }).inc_by(1, exemplar, None);
    }

    /// A plan was acquired.
    pub fn acquired(&self) {
        self.acquired.inc();
    }

    /// An ownership was lost.
    pub fn lost(&self) {
        self.lost.inc();
    }

    /// A session was opened.
    pub fn session(&self) {
        self.sessions.inc();
    }

    /// Enters it in a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("task_attempts", "Attempts that ended here, by result", self.attempts.clone());
        registry.register("ownerships_acquired", "Plans that were acquired", self.acquired.clone());
        let help = "Ownerships that ended without being released";
        registry.register("ownerships_lost", help, self.lost.clone());
        let help = "Sessions that were opened; more than one means that the others were lost";
        registry.register("sessions_opened", help, self.sessions.clone());
    }
}
