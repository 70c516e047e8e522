//! `metrics`: how the fleet is, for monitoring; and the flag by which `run` and `hold` serve their own.

use std::net::SocketAddr;

use clap::Args;
use planlease::Coordinator;
use planlease_observe::metrics::{
    FleetCounts, FleetReader, MetricsServer, PREFIX, Work, register, register_fleet, register_traffic, text,
};
use planlease_orchestrator::Report;
use serde_json::json;

use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, Format, OutputArgs},
};

/// How many records that cannot be read are listed on standard error.
const UNREADABLE_SAID: usize = 20;

/// Show counts of plans and tasks, for monitoring
///
/// Plans by state, tasks by status, what is ready and since when, what needs a person. Printed as Prometheus
/// reads it, for its node exporter's folder of texts or a check by a script; `planlease sidecar --metrics`
/// serves the same all the time, and `run --metrics` what one orchestrator does.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MetricsArgs {
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  planlease metrics > /var/lib/prometheus/node-exporter/planlease.prom.new
  planlease metrics -o json | jq .needs_person";

/// The flag of commands that hold something.
#[derive(Debug, Args)]
pub(crate) struct ServeMetricsArgs {
    /// A TCP address to serve metrics on, to every host that can reach it
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
}

impl MetricsArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let coordinator = invocation.connect().await?;
        let (plans, registered) = (coordinator.plans().await?, coordinator.orchestrators().await?);
        let alive = registered.iter().map(|one| (one.id.clone(), one.revision, one.record.offer.as_ref()));
        let (pools, _) = coordinator.pools().await?;
        let counts = FleetCounts::of(plans.iter(), alive, invocation.now()).with_pools(plans.iter(), &pools);
        if self.output.format == Format::Table {
            let mut registry = registry();
            register_fleet(&mut registry, move || Some(counts.clone()));
            output::print(&text(&registry))?;
        } else {
            let document = json!({
                "schema": "planlease.metrics.v1",
                "plans": counts.plans,
                "tasks": counts.tasks,
                "tasks_ready": counts.ready,
                "tasks_unrunnable": counts.unrunnable,
                "oldest_ready_seconds": counts.oldest_ready.as_secs(),
                "needs_person": counts.needs,
                "orchestrators": counts.orchestrators,
                "pools": counts.pools,
            });
            output::print(&format!("{document}\n"))?;
        }
        for one in plans.unreadable.iter().take(UNREADABLE_SAID) {
            output::tell(&output::plain(&one.to_string()));
        }
        Ok(Exit::Done)
    }
}

fn registry() -> prometheus_client::registry::Registry {
    prometheus_client::registry::Registry::with_prefix(PREFIX)
}

impl ServeMetricsArgs {
    /// Begins to serve, if that is asked for, until what it returns is dropped.
    pub(crate) async fn serve(
        &self,
        coordinator: &Coordinator,
        work: Option<&Work>,
    ) -> Result<Option<MetricsServer>, Failure> {
        let Some(at) = self.metrics else { return Ok(None) };
        let mut registry = registry();
        register(&mut registry, coordinator);
        register_traffic(&mut registry, coordinator);
        if let Some(work) = work {
            work.register(&mut registry);
        }
        let fleet = FleetReader::new(coordinator.clone());
        fleet.register(&mut registry);
        #[cfg(feature = "otlp")]
        planlease_observe::traces::register(&mut registry);
        let server = MetricsServer::bind_reading(at, registry, fleet).await.map_err(|error| {
            Failure::new(Exit::CannotServe, error.to_string())
                .meaning("No plan was acquired.")
                .remedy("Choose another address or port for --metrics; port 0 lets the system choose.")
        })?;
        output::tell(&format!("metrics on http://{}/metrics", server.address()));
        Ok(Some(server))
    }
}

/// Counts what an orchestrator reports.
pub(crate) fn count(work: &Work, report: &Report) {
    use planlease::TaskStatus;
    match report {
        Report::SessionOpened(_) => work.session(),
        Report::Acquired { .. } => work.acquired(),
        Report::Lost { .. } => work.lost(),
        Report::Ended { error, status, trace, .. } => {
            let result = match (error, status) {
                (Some(_), _) => "failed",
                (None, TaskStatus::Completed | TaskStatus::Skipped) => "completed",
                (None, _) => "returned",
            };
            work.ended(result, trace.as_ref());
        }
        Report::NotStarted { .. } => work.ended("not_started", None),
        Report::NotRecorded { .. } => work.ended("not_recorded", None),
        _ => {}
    }
}
