//! From a release to the next owner.

use std::time::Duration;

use planlease::{AcquireOptions, Session};
use planlease_tests::{
    TestEnv, case, raw,
    test_env::{acquired, background, in_queue, plan_name},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::{measure, spec::spec};

const TTL: Duration = Duration::from_secs(10);
const HANDOVERS: usize = 31;

/// How many times the least that etcd needs for a release ours may take. Who polls, or is served by etcd's
/// look back (every 100 ms), is beyond it on a slow disk as on a fast one; that nothing is asked twice,
/// `requests.rs` counts.
const MOST: u32 = 2;

/// Two sessions with connections of their own pass a plan to and fro. The time is taken from before the
/// release is sent until the successor has its ownership: two transactions, and the event between them. So
/// does etcd's own client, in turn with them.
#[case]
async fn a_release_reaches_the_next_waiter_at_once(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("passed-on"));
    coordinator.admin().import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let sessions = [env.session("one").await, env.session("other").await];
    let mut owner = *acquired(&sessions[0], &plan).await;
    let lease = env.client.clone().lease_grant(60, None).await.unwrap().id();
    let (mut first, mut second) = (env.client.clone(), env.server.client().await);
    let [mut took, mut raw] = [const { Vec::new() }; 2];
    for n in 1..=HANDOVERS {
        let (key, theirs) = (env.key(&format!("raw/{n}")), env.key(&format!("next/{n}")));
        raw.push(raw::handover(&mut first, &mut second, lease, &key, &theirs).await);
        let (next, name) = (sessions[n % 2].clone(), plan.clone());
        let watches = watch_messages(&next);
        let waiter = next.clone();
        let waiting = background(async move {
            let ownership = waiter.acquire(&name, AcquireOptions::default()).await.unwrap();
            (ownership, Instant::now())
        });
        // It waits in the queue once it watches: a watch that begins in the past makes etcd look back, every
        // 100 ms.
        until("watch over the one before", SOON, async || {
            if watch_messages(&next) > watches { Ok(()) } else { Err("it joins the queue") }
        })
        .await;
        in_queue(&coordinator, &plan, 2).await;
        let released = Instant::now();
        owner.release().await.unwrap();
        let (ownership, owned) = waiting.await.unwrap();
        took.push(owned - released);
        owner = ownership;
    }
    let server = env.server.to_string();
    measure::report("release to the next owner", &server, &took);
    measure::report("the least that etcd needs for it", &server, &raw);
    owner.release().await.unwrap();
    assert!(measure::median(&took) < measure::median(&raw) * MOST, "{took:?}, and the least {raw:?}");
    env.audit().await;
}

/// How much a session has said on its watch stream so far.
fn watch_messages(session: &Session) -> u64 {
    let traffic = session.coordinator().traffic();
    traffic.iter().filter(|(method, _)| method.starts_with("Watch")).map(|(_, count)| count).sum()
}
