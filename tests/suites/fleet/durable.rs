//! A server that is killed in the middle of writes.

use std::time::Duration;

use planlease::Outcome;
use planlease_core::transition::Change;
use planlease_tests::{
    cases,
    room::{Room, acquired, plan_name},
    suite::{Case, Fixture},
    wait::until,
    writer,
};
use tokio::time::sleep;

use crate::{spec::spec, writers::all_are_in_the_history};

pub(crate) fn cases() -> Vec<Case> {
    cases![acknowledged_writes_survive_a_crash_of_the_server]
}

/// Long enough for the session to outlive the crashes.
const TTL: Duration = Duration::from_secs(20);
const CRASHES: u64 = 5;
const TASKS: [&str; 6] = ["1", "1", "2", "3", "4", "5"];
const LIMIT: Duration = Duration::from_secs(30);

async fn acknowledged_writes_survive_a_crash_of_the_server(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let (coordinator, plan) = (room.coordinator().await, plan_name("kept"));
    coordinator.import(&plan, &spec(5, "true"), |_| {}).await.unwrap();
    let owner = room.session("owner").await;
    let ownership = acquired(&owner, &plan).await;
    let tasks = coordinator.plan(&plan).await.unwrap().tasks.into_values();
    let starts: Vec<_> = tasks.map(|task| (task, Change::Start)).collect();
    for outcome in ownership.authority().update_all(&starts).await.unwrap() {
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }

    let mut writer = writer::start(&room, "writer", &ownership.delegate(), &TASKS, 2 * CRASHES);
    let mut seen = 0;
    for crash in 1..=CRASHES {
        until("more acknowledged writes", LIMIT, async || {
            let now = std::fs::metadata(room.path("writer.notes")).map_or(0, |notes| notes.len());
            if now > seen { Ok(()) } else { Err(writer.said()) }
        })
        .await;
        sleep(Duration::from_millis(150 + 70 * crash)).await; // Somewhere in the middle.
        room.fixture.server.kill();
        seen = std::fs::metadata(room.path("writer.notes")).unwrap().len();
        room.fixture.server.restart().await;
    }
    assert_eq!(writer.until_ended(LIMIT).await, Some(0), "{}", writer.said());

    let all = writer::notes(&room, "writer");
    println!(
        "measured: acknowledged writes over {CRASHES} crashes of the server, {}: {}",
        room.fixture.server,
        all.len()
    );
    let audited = room.audit().await;
    all_are_in_the_history(&audited, &all);
    ownership.release().await.unwrap();
}
