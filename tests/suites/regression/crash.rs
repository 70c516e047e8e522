//! Orchestrators that are killed while they own plans.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease_core::keys::{Key, PlanKey};
use planlease_tests::{
    program::{Process, is_alive},
    room::{Room, in_line, plan_name},
    suite::Fixture,
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
const WORK: &str = "echo $$ > \"$ROOM/work-$PLANLEASE_PLAN\"; exec sleep 1000";

/// Nobody waits for the plans and nobody cleans up: the registrations and the ownerships go by themselves,
/// and whoever comes later owns the plans at once.
pub(crate) async fn r02_a_killed_orchestrator_leaves_nothing_behind(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let coordinator = room.coordinator().await;
    let mut owners = Vec::new();
    for n in 0..ORCHESTRATORS {
        room.import(&name(n), &plan_file(1, WORK)).await;
        owners.push(owner(&room, n));
    }
    let mut work = Vec::new();
    for n in 0..ORCHESTRATORS {
        in_line(&coordinator, &plan_name(&name(n)), 1).await;
        work.push(number_in(&room, &format!("work-{}", name(n))).await);
    }
    let last = History::read(&room).await.last();

    let killed = Instant::now();
    owners.iter_mut().for_each(|owner| owner.signal(Signal::SIGKILL));
    until("end of all ownerships and registrations", SOON, async || {
        let mut left = coordinator.orchestrators().await.unwrap().len();
        for n in 0..ORCHESTRATORS {
            left += coordinator.line(&plan_name(&name(n))).await.unwrap().candidates().len();
        }
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    println!(
        "measured: SIGKILL of {ORCHESTRATORS} owners until nothing is left of them, TTL {TTL:?}, {}: {:.1?}",
        room.fixture.server,
        killed.elapsed()
    );
    assert!(work.iter().all(|pid| !is_alive(*pid)), "what they ran ended before their plans were free");
    assert_eq!(room.json(&["orchestrator", "list"]).await["orchestrators"], serde_json::json!([]));

    let history = History::read(&room).await;
    let after: Vec<&Set> = history.0.iter().filter(|set| set.revision > last).collect();
    assert_eq!(after.len(), ORCHESTRATORS, "a revision for each session, and no other");
    assert!(after.into_iter().all(is_end_of_a_session), "both entries of a process vanish at once");

    for n in 0..ORCHESTRATORS {
        let name = name(n);
        room.program().run_to(0, ["hold", &name, "--no-wait", "--", "true"]).await;
        let terms = room.json(&["owner", "history", &name]).await;
        let ended: Vec<_> =
            terms["terms"].as_array().unwrap().iter().map(|term| &term["ended"]["how"]).collect();
        assert_eq!(ended, ["unclean", "clean"], "{terms}");
    }
    audit(&room).await;
}

fn name(n: usize) -> String {
    format!("crash-{n}")
}

/// Both ways to own a plan.
fn owner(room: &Room, n: usize) -> Process {
    let (name, output) = (name(n), format!("owner-{n}"));
    if n.is_multiple_of(2) {
        room.start(&["run", &name], &output)
    } else {
        room.start(&["hold", &name, "--", "sh", "-c", WORK], &output)
    }
}

/// Whether a revision is nothing but the deletion of a registration and of a place in line.
fn is_end_of_a_session(set: &Set) -> bool {
    let deleted = |wanted: fn(&Key) -> bool| {
        set.changes.iter().filter(|(key, entry)| entry.is_none() && wanted(key)).count()
    };
    let registrations = deleted(|key| matches!(key, Key::Orchestrator(_)));
    let places = deleted(|key| matches!(key, Key::Plan(_, PlanKey::Owner(_))));
    (registrations, places, set.changes.len()) == (1, 1, 2)
}
