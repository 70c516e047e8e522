//! The metrics as they are asked for: what is counted, and what can be looked at at this moment.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::shared::Shared;

/// The type of the text.
pub(crate) const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything, as text.
pub(crate) fn text(shared: &Arc<Shared>) -> String {
    let mut registry = Registry::with_prefix("planlease_sidecar");
    shared.metrics.enter(&mut registry);
    registry.register_collector(Box::new(Present(Arc::clone(shared))));
    let mut text = String::new();
    encode(&mut text, &registry).map_or_else(|error| format!("# {error}\n"), |()| text)
}

/// What can be looked at.
struct Present(Arc<Shared>);

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
        let health = self.0.watcher.health();
        let ttl = self.0.coordinator.config().ttl.as_secs_f64();
        gauge("ttl_seconds", "The time to live that sessions ask for", ttl)?;
        gauge("sessions", "Sessions that are open", count(sessions.len()))?;
        gauge("draining", "Whether nothing new is begun", f64::from(u8::from(self.0.drain.is_draining())))?;
        gauge(
            "subscribers",
            "Subscribers to events, the sidecar's own among them",
            count(health.subscribers),
        )?;
        gauge("watch_connected", "Whether the watch on etcd stands", f64::from(u8::from(health.connected)))?;
        let unreadable = self.0.watcher.snapshot().map_or(0, |snapshot| snapshot.unreadable().count());
        gauge("unreadable_records", "Stored records that cannot be read", count(unreadable))?;
        let clock = self.0.coordinator.clock();
        let silent = health.heard_at.map_or(f64::INFINITY, |at| at.until(clock.boot()).as_secs_f64());
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
        self.owned(&mut to)?;
        self.traffic(&mut to)
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

    /// The requests that went to etcd.
    fn traffic(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let traffic = self.0.coordinator.traffic();
        if traffic.is_empty() {
            return Ok(());
        }
        let metric = ConstCounter::new(0_u64);
        let help = "Requests to etcd, by method; messages on streams besides the first by themselves";
        let mut family = to.encode_descriptor("etcd_requests", help, None, metric.metric_type())?;
        for (method, count) in traffic {
            let labels = [("method", method)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
