//! Orchestrators that are killed while they own plans.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease_core::keys::{Key, PlanKey};
use planlease_tests::{
    TestEnv, case,
    program::{Process, is_alive},
    test_env::{in_queue, plan_name},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::{
    history::{History, Set},
    processes::{audit, number_in, plan_file},
};

const TTL: Duration = Duration::from_secs(3);
const ORCHESTRATORS: usize = 6;

/// What the owners run: it leaves its number, so that it can be seen whether it is still there.
const WORK: &str = "echo $$ > \"$TEST_DIR/work-$PLANLEASE_PLAN\"; exec sleep 1000";

/// No process waits for the plans or cleans up: the registrations and the ownerships go by themselves,
/// and a later process owns the plans at once.
#[case(one_at_a_time)]
async fn r02_a_killed_orchestrator_leaves_nothing_behind(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let mut owners = Vec::new();
    for n in 0..ORCHESTRATORS {
        env.import(&name(n), &plan_file(1, WORK)).await;
        owners.push(owner(&env, n));
    }
    let mut work = Vec::new();
    for n in 0..ORCHESTRATORS {
        in_queue(&coordinator, &plan_name(&name(n)), 1).await;
        work.push(number_in(&env, &format!("work-{}", name(n))).await);
    }
    let last = History::read(&env).await.last();

    let killed = Instant::now();
    owners.iter_mut().for_each(|owner| owner.signal(Signal::SIGKILL));
    until("end of all ownerships and registrations", SOON, async || {
        let mut left = coordinator.orchestrators().await.unwrap().len();
        for n in 0..ORCHESTRATORS {
            left += coordinator.queue(&plan_name(&name(n))).await.unwrap().candidates().len();
        }
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    println!(
        "measured: SIGKILL of {ORCHESTRATORS} owners until nothing is left of them, TTL {TTL:?}, {}: {:.1?}",
        env.server,
        killed.elapsed()
    );
    assert!(work.iter().all(|pid| !is_alive(*pid)), "what they ran ended before their plans were free");
    assert_eq!(env.json(&["orchestrator", "list"]).await["orchestrators"], serde_json::json!([]));

    let history = History::read(&env).await;
    let after: Vec<&Set> = history.0.iter().filter(|set| set.revision > last).collect();
    assert_eq!(after.len(), ORCHESTRATORS, "a revision for each session, and no other");
    assert!(after.into_iter().all(is_end_of_a_session), "both entries of a process vanish at once");

    for n in 0..ORCHESTRATORS {
        let name = name(n);
        env.program().run_to(0, ["hold", &name, "--no-wait", "--", "true"]).await;
        let terms = env.json(&["owner", "history", &name]).await;
        let ended: Vec<_> =
            terms["terms"].as_array().unwrap().iter().map(|term| &term["ended"]["how"]).collect();
        assert_eq!(ended, ["unclean", "clean"], "{terms}");
    }
    audit(&env).await;
}

fn name(n: usize) -> String {
    format!("crash-{n}")
}

/// Both ways to own a plan.
fn owner(env: &TestEnv, n: usize) -> Process {
    let (name, output) = (name(n), format!("owner-{n}"));
    if n.is_multiple_of(2) {
        env.start(&["run", &name], &output)
    } else {
        env.start(&["hold", &name, "--", "sh", "-c", WORK], &output)
    }
}

/// Whether a revision is nothing but the deletion of a registration and of a candidate.
fn is_end_of_a_session(set: &Set) -> bool {
    let deleted = |wanted: fn(&Key) -> bool| {
        set.changes.iter().filter(|(key, entry)| entry.is_none() && wanted(key)).count()
    };
    let registrations = deleted(|key| matches!(key, Key::Orchestrator(_)));
    let places = deleted(|key| matches!(key, Key::Plan(_, PlanKey::Owner(_))));
    (registrations, places, set.changes.len()) == (1, 1, 2)
}
