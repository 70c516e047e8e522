//! What a coordinator's requests did, read when it is asked for.

use std::fmt;

use planlease::{BATCH_BOUNDS, Coordinator, Distribution, RENEWAL_BOUNDS};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

/// Enters what the requests of a coordinator did: the outcomes of updates and how unknown ones were settled,
/// how they travelled together, how long renewals took. Read when the registry is.
pub fn register(registry: &mut Registry, coordinator: &Coordinator) {
    registry.register_collector(Box::new(Requests(coordinator.clone())));
}

/// Enters how many requests of each kind went to etcd.
pub fn register_traffic(registry: &mut Registry, coordinator: &Coordinator) {
    registry.register_collector(Box::new(Traffic(coordinator.clone())));
}

struct Requests(Coordinator);

struct Traffic(Coordinator);

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requests")
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traffic")
    }
}

impl Collector for Requests {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let ttl = ConstGauge::new(self.0.config().ttl.as_secs_f64());
        let help = "The time to live that sessions ask for";
        ttl.encode(to.encode_descriptor("ttl", help, Some(&Unit::Seconds), MetricType::Gauge)?)?;
        let help = "Updates that wait for a request to etcd that they share";
        let waiting = ConstGauge::new(f64::from(u32::try_from(stats.waiting).unwrap_or(u32::MAX)));
        waiting.encode(to.encode_descriptor("commit_waiting", help, None, MetricType::Gauge)?)?;
        let help = "How many updates travelled in one request to etcd";
        distribution(&mut to, "commit_batch", help, None, &BATCH_BOUNDS, &stats.batches)?;
        let help = "How long answers to renewals of sessions took; to be far below a third of ttl_seconds";
        let unit = Some(&Unit::Seconds);
        distribution(&mut to, "renewal", help, unit, &RENEWAL_BOUNDS, &stats.renewals)?;
        let help = "Updates of tasks, by outcome";
        let outcomes =
            [("committed", stats.committed), ("refused", stats.refused), ("unknown", stats.unknown)];
        by_label(&mut to, "updates", help, "outcome", &outcomes)?;
        let help = "Updates whose answer was lost, by what became of them";
        let settled = [
            ("committed", stats.settled_committed),
            ("refused", stats.settled_refused),
            ("unknown", stats.unsettled),
        ];
        by_label(&mut to, "updates_settled", help, "outcome", &settled)
    }
}

impl Collector for Traffic {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let traffic = self.0.traffic();
        if traffic.is_empty() {
            return Ok(());
        }
        let counts: Vec<_> = traffic.iter().map(|(method, count)| (method.as_str(), *count)).collect();
        let help = "Requests to etcd, by method; messages on streams besides the first by themselves";
        by_label(&mut to, "etcd_requests", help, "method", &counts)
    }
}

fn by_label(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    counts: &[(&str, u64)],
) -> fmt::Result {
    let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in counts {
        ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}

fn distribution(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    bounds: &[f64],
    of: &Distribution,
) -> fmt::Result {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(of.counts.iter().copied()).collect();
    let mut metric = to.encode_descriptor(name, help, unit, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(of.sum, of.counts.iter().sum(), &buckets, None)
}
