//! What a simulation has found, kept: for each bug the run that shows it, spelled out, so that it stays the
//! same run when what is drawn from seeds changes.

use std::time::Duration;

use crate::{
    faults::{Fault, Plan},
    options::Options,
};

/// A run, and what it found.
pub struct Scenario {
    /// What was wrong.
    pub found: &'static str,
    /// The run.
    pub options: Options,
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Scenario> {
    vec![
        dependencies_of_started_tasks(),
        finished_with_a_worker_at_work(),
        lease_outlives_its_session(),
        session_expired_at_its_grant(),
        start_without_slot(),
    ]
}

fn dependencies_of_started_tasks() -> Scenario {
    Scenario {
        found: "a task that was started manually, or in a batch, did not wait for what it depends on",
        options: Options {
            clients: 0,
            plans: 6,
            tasks_max: 8,
            operator_every: Duration::from_millis(300),
            faulty_for: Duration::from_secs(20),
            ..calm(12)
        },
    }
}

fn finished_with_a_worker_at_work() -> Scenario {
    Scenario {
        found: "an orchestrator called a plan finished while a worker had a task in progress",
        options: Options {
            workers: 2,
            operator_every: Duration::from_secs(2),
            faulty_for: Duration::from_secs(20),
            faults: Plan::of(
                (2..20)
                    .step_by(3)
                    .map(|second| {
                        let worker = format!("worker-{}", second % 2);
                        (Duration::from_secs(second), Fault::Crash(worker, Duration::from_millis(500)))
                    })
                    .collect(),
            ),
            ..calm(4)
        },
    }
}

fn lease_outlives_its_session() -> Scenario {
    let lost = |at| Fault::AnswersLost("service-0".to_owned(), Duration::from_millis(3_000 + 100 * at));
    Scenario {
        found: "an orchestrator with a name of its own ended when its session was lost before its lease was gone",
        options: Options {
            orchestrators: 0,
            services: 1,
            clients: 0,
            plans: 4,
            tasks_max: 8,
            faulty_for: Duration::from_secs(30),
            faults: Plan::of((2..30).step_by(6).map(|at| (Duration::from_secs(at), lost(at))).collect()),
            ..calm(9)
        },
    }
}

fn session_expired_at_its_grant() -> Scenario {
    Scenario {
        found: "a session whose lease had expired by the time its grant was asked for again was a wrong configuration",
        options: Options {
            orchestrators: 2,
            ttl: Duration::from_secs(2),
            request_timeout: Duration::from_millis(2_400),
            operation_timeout: Duration::from_secs(6),
            faulty_for: Duration::from_secs(30),
            faults: Plan::of(
                (0..12)
                    .flat_map(|n| {
                        let at = Duration::from_millis(20 + 2_500 * n);
                        let host = format!("orchestrator-{}", n % 2);
                        [
                            (at, Fault::Crash(host.clone(), Duration::from_millis(10))),
                            (
                                at + Duration::from_millis(40 + 10 * n),
                                Fault::AnswersLost(host, Duration::from_millis(1_500)),
                            ),
                        ]
                    })
                    .collect(),
            ),
            ..calm(7)
        },
    }
}

fn start_without_slot() -> Scenario {
    Scenario {
        found: "a start that was not answered, and turned out to have happened when there was no room, was never run",
        options: Options {
            jobs: 1,
            clients: 0,
            plans: 3,
            tasks_max: 8,
            work_max: Duration::from_millis(300),
            failures_percent: 80,
            request_timeout: Duration::from_millis(200),
            operation_timeout: Duration::from_millis(200),
            operator_meddles: false,
            faulty_for: Duration::from_secs(20),
            faults: Plan::of(
                (0..80)
                    .map(|n| {
                        let lost = Fault::AnswersLost("orchestrator-0".to_owned(), Duration::from_millis(60));
                        (Duration::from_millis(500 + 240 * n), lost)
                    })
                    .collect(),
            ),
            ..calm(3)
        },
    }
}

/// A small fleet on a good network.
fn calm(seed: u64) -> Options {
    Options {
        seed,
        tick: Duration::from_millis(10),
        latency_max: Duration::from_millis(20),
        orchestrators: 1,
        jobs: 3,
        clients: 1,
        workers: 0,
        watchers: 1,
        plans: 3,
        tasks_max: 5,
        ttl: Duration::from_secs(3),
        margin: Duration::from_millis(300),
        work_max: Duration::from_secs(1),
        failures_percent: 10,
        request_timeout: Duration::from_secs(1),
        operation_timeout: Duration::from_secs(3),
        drift_ppm: 1_000,
        operator_every: Duration::from_secs(4),
        operator_meddles: true,
        changes_kept: 64,
        services: 0,
        steered_every: None,
        keepers: 0,
        rules: false,
        faulty_for: Duration::from_secs(10),
        faults: Plan::default(),
    }
}
