//! From a release to the next owner.

use std::time::Duration;

use planlease::{AcquireOptions, Session};
use planlease_tests::{
    cases,
    room::{Room, acquired, background, in_line, plan_name},
    suite::{Case, Fixture},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::{measure, spec::spec};

pub(crate) fn cases() -> Vec<Case> {
    cases![a_release_reaches_the_next_one_in_line_at_once]
}

const TTL: Duration = Duration::from_secs(10);
const HANDOVERS: usize = 31;
const BOUND: Duration = Duration::from_millis(10);

/// The bound is one for the protocol, which takes its time every time. What other processes of the machine add to it
/// they add to some batches only, so one batch within the bound shows it; a protocol that is too slow has none.
const BATCHES: usize = 20;

/// Two sessions with connections of their own pass a plan to and fro. The time is taken from before the release is
/// sent until the successor has its ownership: two transactions, and the event between them.
async fn a_release_reaches_the_next_one_in_line_at_once(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let (coordinator, plan) = (room.coordinator().await, plan_name("passed-on"));
    coordinator.import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let sessions = [room.session("one").await, room.session("other").await];
    let mut owner = *acquired(&sessions[0], &plan).await;
    let mut medians = Vec::new();
    for _ in 0..BATCHES {
        let mut took = Vec::new();
        for n in 1..=HANDOVERS {
            let (next, name) = (sessions[(medians.len() + n) % 2].clone(), plan.clone());
            let watches = watch_messages(&next);
            let waiter = next.clone();
            let waiting = background(async move {
                let ownership = waiter.acquire(&name, AcquireOptions::default()).await.unwrap();
                (ownership, Instant::now())
            });
            // It waits in line once it watches: a watch that begins in the past makes etcd look back, every 100 ms.
            until("watch over the one before", SOON, async || {
                if watch_messages(&next) > watches { Ok(()) } else { Err("it joins the line") }
            })
            .await;
            in_line(&coordinator, &plan, 2).await;
            let released = Instant::now();
            owner.release().await.unwrap();
            let (ownership, owned) = waiting.await.unwrap();
            took.push(owned - released);
            owner = ownership;
        }
        measure::tell("release to the next owner", &room.fixture.server.to_string(), &took);
        medians.push(measure::median(&took));
        if medians.iter().any(|median| *median < BOUND) {
            break;
        }
    }
    owner.release().await.unwrap();
    assert!(medians.iter().any(|median| *median < BOUND), "{medians:?}");
    room.audit().await;
}

/// How much a session has said on its watch stream so far.
fn watch_messages(session: &Session) -> u64 {
    let traffic = session.coordinator().traffic();
    traffic.iter().filter(|(method, _)| method.starts_with("Watch")).map(|(_, count)| count).sum()
}
