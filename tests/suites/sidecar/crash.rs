//! What becomes of a plan when its owner's program dies, or its sidecar.

use std::time::Duration;

use http::Method;
use nix::sys::signal::Signal;
use planlease_tests::{
    TestEnv, case,
    http::start_owner,
    test_env::{in_queue, plan_name, until_free},
    wait::SOON,
};
use tokio::time::Instant;

use crate::helpers::{PLAN, sidecar};

/// How often a program is killed.
const TIMES: usize = 50;

#[case(one_at_a_time)]
async fn a_killed_program_gives_way_at_once(env: TestEnv) {
    let env = env.with_ttl(Duration::from_secs(15));
    env.import("release", PLAN).await;
    let (coordinator, plan) = (env.coordinator().await, plan_name("release"));
    let (one, two) = (sidecar(&env, "one", &[]).await, sidecar(&env, "two", &[]).await);
    let mut took = Vec::new();
    let mut last = 0;
    for round in 0..TIMES {
        let mut owner = start_owner(&one.socket, "release", &env.path(&format!("owner-{round}")));
        owner.until_said("event: granted", SOON).await;
        let mut next = two.client.stream(Method::POST, "/v1/plans/release/ownership", &[], "").await;
        next.until("session", SOON).await;
        in_queue(&coordinator, &plan, 2).await;
        let killed = Instant::now();
        owner.signal(Signal::SIGKILL);
        let granted = next.until("granted", Duration::from_secs(10)).await;
        took.push(killed.elapsed());
        let term = granted.data["term"].as_i64().unwrap();
        assert!(term > last, "{granted:?}");
        last = term;
        owner.until_ended(SOON).await;
        drop(next);
        until_free(&coordinator, &plan).await;
    }
    took.sort();
    println!(
        "measured: SIGKILL of a program to the next owner behind another sidecar, {TIMES} times: median {:?}, max {:?}",
        took[TIMES / 2],
        took[TIMES - 1]
    );
    // Far below the time to live: it was the connection, not the lease, that ended.
    assert!(took[TIMES - 1] < Duration::from_secs(5), "{took:?}");
    env.audit().await;
}

#[case(one_at_a_time)]
async fn a_killed_sidecar_gives_way_within_its_ttl(env: TestEnv) {
    const TTL: Duration = Duration::from_secs(4);
    let env = env.with_ttl(TTL);
    env.import("release", PLAN).await;
    let (coordinator, plan) = (env.coordinator().await, plan_name("release"));
    let (mut one, two) = (sidecar(&env, "one", &[]).await, sidecar(&env, "two", &[]).await);
    let mut owner = start_owner(&one.socket, "release", &env.path("owner"));
    owner.until_said("event: granted", SOON).await;
    let mut next = two.client.stream(Method::POST, "/v1/plans/release/ownership", &[], "").await;
    next.until("session", SOON).await;
    in_queue(&coordinator, &plan, 2).await;
    let killed = Instant::now();
    one.process.signal(Signal::SIGKILL);
    next.until("granted", TTL * 3).await;
    let took = killed.elapsed();
    println!("measured: SIGKILL of a sidecar to the next owner, TTL {TTL:?}: {took:?}");
    // The server looks for expired leases twice a second.
    assert!(took <= TTL + Duration::from_secs(1), "{took:?}");
    // Its program learns of it by the end of the stream.
    owner.until_ended(SOON).await;
    env.audit().await;
}
