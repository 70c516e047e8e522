//! Each endpoint by itself: does it answer, is its version good, is anything wrong with it.

use planlease::{Config, Coordinator, EndpointHealth, EndpointStatus};

use super::versions;
use crate::{failure::Failure, output::Finding};

/// From this size of the database on, in bytes, it should be looked at: etcd's default quota is 2 GiB.
const LARGE: u64 = 1_600_000_000;

/// What each endpoint says about itself.
pub(super) async fn look(config: &Config) -> Result<Vec<Finding>, Failure> {
    let healths = Coordinator::diagnose(config.clone()).await?;
    let mut findings: Vec<Finding> = healths.iter().flat_map(findings).collect();
    let clusters: std::collections::BTreeSet<&str> =
        healths.iter().filter_map(|health| Some(health.status.as_ref().ok()?.cluster_id.as_str())).collect();
    if clusters.len() > 1 {
        findings.push(Finding::problem(
            "endpoints",
            "they belong to different clusters",
            "Give endpoints of one cluster only: they stand in for each other.",
        ));
    }
    Ok(findings)
}

fn findings(health: &EndpointHealth) -> Vec<Finding> {
    let name = &health.endpoint;
    let status = match &health.status {
        Ok(status) => status,
        Err(reason) if reason.contains("permission denied") => {
            let found = "it answers; only root may ask for its version and alarms";
            return vec![Finding::ok(name, found)];
        }
        Err(reason) => {
            return vec![Finding::problem(name, reason, "Start it, or take it out of the endpoints.")];
        }
    };
    let EndpointStatus { version, db_size, revision, .. } = status;
    let mut findings =
        vec![Finding::ok(name, format!("etcd {version}, {db_size} bytes, revision {revision}"))];
    let bugs = versions::bugs(version);
    if !bugs.is_empty() {
        let found = format!("etcd {version} has known bugs: {}", bugs.join("; "));
        findings.push(Finding::warning(name, found, "Upgrade it to 3.5.30 or 3.6.11, or newer."));
    }
    if status.is_learner {
        findings.push(Finding::problem(
            name,
            "it is a learner, and cannot answer",
            "Promote it, or take it out.",
        ));
    }
    if !status.has_leader {
        findings.push(Finding::problem(
            name,
            "it knows no leader",
            "See that a majority of the members runs.",
        ));
    }
    for alarm in &status.alarms {
        let remedy = "Fix its cause (for NOSPACE: etcdctl compact, defrag), then: etcdctl alarm disarm";
        findings.push(Finding::problem(name, format!("alarm: {alarm}"), remedy));
    }
    if *db_size > LARGE {
        let found = format!("its database has {db_size} bytes; etcd's usual limit is 2 GiB");
        findings.push(Finding::warning(
            name,
            found,
            "Turn on --auto-compaction-retention, and defragment it.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Verdict;

    fn check(change: impl FnOnce(&mut EndpointStatus), worst: Verdict) {
        let mut status = EndpointStatus {
            version: "3.6.11".into(),
            db_size: 1,
            is_learner: false,
            has_leader: true,
            alarms: Vec::new(),
            revision: 1,
            cluster_id: "1".into(),
        };
        change(&mut status);
        let found = findings(&EndpointHealth { endpoint: "http://a:1".into(), status: Ok(status) });
        assert_eq!(found.iter().map(|finding| finding.verdict).max(), Some(worst), "{found:?}");
    }

    #[test]
    fn an_endpoints_problem_is_reported() {
        check(|_| {}, Verdict::Ok);
        check(|status| status.version = "3.5.1".into(), Verdict::Warning);
        check(|status| status.db_size = LARGE + 1, Verdict::Warning);
        check(|status| status.is_learner = true, Verdict::Problem);
        check(|status| status.has_leader = false, Verdict::Problem);
        check(|status| status.alarms.push("NOSPACE".into()), Verdict::Problem);
        let silent = EndpointHealth { endpoint: "http://a:1".into(), status: Err("refused".into()) };
        assert_eq!(findings(&silent)[0].verdict, Verdict::Problem);
    }
}
