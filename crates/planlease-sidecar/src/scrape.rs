//! The metrics as they are asked for: what is counted, and what can be looked at at this moment.

use std::{fmt, sync::Arc};

use planlease_core::BootTime;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use planlease_observe::metrics;

use crate::shared::Shared;

/// Everything, as text. `heard`: when a request to etcd last succeeded. The fleet is counted while the whole
/// namespace is watched for a subscriber: a scrape begins no watch.
pub(crate) fn text(shared: &Arc<Shared>, heard: Option<BootTime>) -> String {
    let mut registry = Registry::default();
    let own = registry.sub_registry_with_prefix("planlease_sidecar");
    shared.metrics.enter(own);
    own.register_collector(Box::new(Present(Arc::clone(shared), heard)));
    metrics::register_traffic(own, &shared.coordinator);
    let common = registry.sub_registry_with_prefix(metrics::PREFIX);
    metrics::register(common, &shared.coordinator);
    let app = Arc::clone(shared);
    metrics::register_fleet(common, move || {
        app.fleet.counts(app.watchers.of_namespace()?.as_ref(), app.coordinator.clock())
    });
    metrics::text(&registry)
}

/// What can be looked at.
struct Present(Arc<Shared>, Option<BootTime>);

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present")
    }
}

impl Collector for Present {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let sessions = self.0.sessions.all();
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = ConstGauge::new(value);
            metric.encode(to.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let together = self.0.watchers.health();
        let health = together.health;
        let ttl = self.0.coordinator.config().ttl.as_secs_f64();
        gauge("ttl_seconds", "The time to live that sessions ask for", ttl)?;
        gauge("sessions", "Sessions that are open", count(sessions.len()))?;
        gauge("draining", "Whether nothing new is begun", f64::from(u8::from(self.0.drain.is_draining())))?;
        gauge(
            "subscribers",
            "Subscribers to events, the sidecar's own among them",
            count(health.subscribers),
        )?;
        gauge("watches", "Watches on etcd, one for each scope that is followed", count(together.count))?;
        gauge(
            "watch_connected",
            "Whether each watch on etcd stands; 1 without one",
            f64::from(u8::from(health.connected)),
        )?;
        gauge(
            "unreadable_records",
            "Stored records that cannot be read, among what is watched",
            count(self.0.watchers.unreadable()),
        )?;
        let clock = self.0.coordinator.clock();
        let heard = together.heard_at.or(self.1);
        let silent = heard.map_or(f64::INFINITY, |at| at.until(clock.boot()).as_secs_f64());
        gauge(
            "etcd_silent_seconds",
            "How long etcd was not heard of; it is asked after some seconds",
            silent,
        )?;
        let revision = health.revision.map_or(0.0, |revision| {
            let revision = revision.get();
            f64::from(u32::try_from(revision >> 32).unwrap_or(u32::MAX)) * 4_294_967_296.0
                + f64::from(u32::try_from(revision & 0xffff_ffff).unwrap_or(u32::MAX))
        });
        gauge("revision", "The revision up to which everything is known", revision)?;
        let mut counter = |name: &str, help: &str, value: u64| {
            let metric = ConstCounter::new(value);
            metric.encode(to.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        counter("change_sets", "Change sets sent", health.change_sets)?;
        counter("resyncs", "How often the history was gone and everything was read again", health.resyncs)?;
        counter("watch_breaks", "How often the watch on etcd broke", health.breaks)?;
        counter("lagged", "How often a subscriber fell behind and was given a snapshot", health.lagged)?;
        self.owned(&mut to)
    }
}

impl Present {
    /// A line for each plan that is owned through this sidecar.
    fn owned(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.sessions.all().iter().map(|client| client.view(false)).collect();
        let owned = || shown.iter().flat_map(|session| session.plans.iter().map(move |plan| (session, plan)));
        if owned().next().is_none() {
            return Ok(());
        }
        let metric = ConstGauge::new(0.0);
        let help = "The term of each plan that is owned through this sidecar";
        let mut family = to.encode_descriptor("term", help, None, metric.metric_type())?;
        for (session, plan) in owned() {
            let labels =
                [("plan", plan.plan.to_string()), ("orchestrator", session.orchestrator.to_string())];
            let term = ConstGauge::new(f64::from(u32::try_from(plan.term).unwrap_or(u32::MAX)));
            term.encode(family.encode_family(&labels)?)?;
        }
        let help = "For how long the ownership may still be believed in, if etcd stays silent";
        let mut family = to.encode_descriptor("trust", help, Some(&Unit::Seconds), metric.metric_type())?;
        for (session, plan) in owned() {
            let labels =
                [("plan", plan.plan.to_string()), ("orchestrator", session.orchestrator.to_string())];
            ConstGauge::new(plan.trust.seconds()).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
