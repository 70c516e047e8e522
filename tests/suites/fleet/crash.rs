//! From the crash of an owner to the next owner.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::AcquireOptions;
use planlease_tests::{
    cases,
    program::{Process, is_alive},
    room::{Room, background, in_line, plan_name},
    suite::{Case, Fixture},
    wait::{SOON, until},
};
use tokio::time::{Instant, sleep};

use crate::{measure, spec::spec};

pub(crate) fn cases() -> Vec<Case> {
    cases![every_crash_passes_the_plan_on_within_the_bound]
}

const TTL: Duration = Duration::from_secs(5);
const CRASHES: usize = 20;

/// What the owners run: it leaves its number, so that it can be seen whether it is still there.
const WORK: &str = "echo $$ > \"$ROOM/work-$PLANLEASE_PLAN\"; exec sleep 1000";

/// 20 processes own a plan each and are killed, spread over the time between two renewals; somebody waits in
/// each line.
async fn every_crash_passes_the_plan_on_within_the_bound(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let coordinator = room.coordinator().await;
    let mut owners = Vec::new();
    for n in 0..CRASHES {
        coordinator.import(&plan_name(&name(n)), &spec(1, WORK), |_| {}).await.unwrap();
        owners.push(owner(&room, n));
    }
    let mut work = Vec::new();
    for n in 0..CRASHES {
        in_line(&coordinator, &plan_name(&name(n)), 1).await;
        work.push(work_of(&room, n).await);
    }
    let next = room.session("next").await;
    let mut takeovers = Vec::new();
    for (n, work) in work.into_iter().enumerate() {
        let next = next.clone();
        takeovers.push(background(async move {
            let ownership = next.acquire(&plan_name(&name(n)), AcquireOptions::default()).await.unwrap();
            assert!(!is_alive(work), "the work of the last owner of plan {n} outlived its ownership");
            (Instant::now(), ownership)
        }));
    }
    for n in 0..CRASHES {
        in_line(&coordinator, &plan_name(&name(n)), 2).await;
    }
    let mut killed = Vec::new();
    for owner in &mut owners {
        killed.push(Instant::now());
        owner.signal(Signal::SIGKILL);
        sleep(TTL / 3 / u32::try_from(CRASHES).unwrap()).await;
    }
    let mut took = Vec::new();
    for (takeover, killed) in takeovers.into_iter().zip(killed) {
        let (owned, ownership) = takeover.await.unwrap();
        took.push(owned - killed);
        ownership.release().await.unwrap();
    }
    measure::tell("SIGKILL of an owner to the next owner, TTL 5 s", &room.fixture.server.to_string(), &took);
    let bound = TTL + Duration::from_secs(1);
    assert!(took.iter().all(|took| *took <= bound), "{took:?}");
    room.until_empty().await;
    room.audit().await;
}

fn name(n: usize) -> String {
    format!("crash-{n}")
}

/// Both ways to own a plan from the command line.
fn owner(room: &Room, n: usize) -> Process {
    let (name, output) = (name(n), format!("owner-{n}"));
    if n.is_multiple_of(2) {
        room.start(&["run", &name], &output)
    } else {
        room.start(&["hold", &name, "--", "sh", "-c", WORK], &output)
    }
}

/// The process that the owner runs.
async fn work_of(room: &Room, n: usize) -> i32 {
    let file = room.path(&format!("work-{}", name(n)));
    until("work", SOON, async || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| text)
    })
    .await
}
