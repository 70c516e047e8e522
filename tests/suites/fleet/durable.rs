//! A server that is killed in the middle of writes.

use std::time::Duration;

use planlease::Outcome;
use planlease_core::transition::Change;
use planlease_tests::{
    TestEnv, case,
    test_env::{acquired, plan_name},
    wait::until,
    writer,
};
use tokio::time::sleep;

use crate::{spec::spec, writers::all_are_in_the_history};

/// Long enough for the session to outlive the crashes.
const TTL: Duration = Duration::from_secs(20);
const CRASHES: u64 = 5;
const TASKS: [&str; 6] = ["1", "1", "2", "3", "4", "5"];
const LIMIT: Duration = Duration::from_secs(30);

#[case(alone, one_at_a_time)]
async fn acknowledged_writes_survive_a_crash_of_the_server(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("kept"));
    coordinator.admin().import(&plan, &spec(5, "true"), |_| {}).await.unwrap();
    let owner = env.session("owner").await;
    let ownership = acquired(&owner, &plan).await;
    let view = coordinator.plan(&plan).await.unwrap();
    let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    for outcome in ownership.authority().update_all(&starts).await.unwrap() {
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }

    let mut writer = writer::start(&env, "writer", &ownership.delegate(), &TASKS, 2 * CRASHES);
    let mut seen = 0;
    for crash in 1..=CRASHES {
        until("more acknowledged writes", LIMIT, async || {
            let now = std::fs::metadata(env.path("writer.notes")).map_or(0, |notes| notes.len());
            if now > seen { Ok(()) } else { Err(writer.said()) }
        })
        .await;
        sleep(Duration::from_millis(150 + 70 * crash)).await; // Somewhere in the middle.
        env.server.kill();
        seen = std::fs::metadata(env.path("writer.notes")).unwrap().len();
        env.server.restart().await;
    }
    assert_eq!(writer.until_ended(LIMIT).await, Some(0), "{}", writer.said());

    let all = writer::notes(&env, "writer");
    println!(
        "measured: acknowledged writes over {CRASHES} crashes of the server, {}: {}",
        env.server,
        all.len()
    );
    let audited = env.audit().await;
    all_are_in_the_history(&audited, &all);
    ownership.release().await.unwrap();
}
