//! Events: in order, none twice and none missing, over broken connections too.

use http::Method;
use planlease_tests::{
    TestEnv, case,
    http::Client,
    proxy::Proxy,
    test_env::{acquired, plan_name},
    wait::{SOON, until},
};
use serde_json::json;

use planlease::Outcome;
use planlease_core::transition::Change;

use crate::helpers::{PLAN, sidecar, task, with_sidecar};

async fn progress(client: &Client, n: usize) -> i64 {
    let body = json!({ "change": "progress", "progress": n.to_string() });
    let done = client.change(&task("1"), "", "*", &body).await.with(200);
    done.json["record"]["revision"].as_i64().unwrap()
}

#[case]
async fn a_subscriber_goes_on_where_it_ended(env: TestEnv) {
    let (_env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let started = client.change(&task("1"), "", "*", &json!({ "change": "start" })).await.with(200);
    let mut events = client.stream(Method::GET, "/v1/events", &[], "").await;
    let snapshot = events.next(SOON).await.unwrap();
    assert_eq!((snapshot.name.as_str(), &snapshot.data["plans"][0]["plan"]), ("snapshot", &json!("release")));
    let mut reported = Vec::new();
    let mut last = snapshot.id.unwrap();
    // The snapshot need not know of a write that was answered a moment ago; then it is delivered.
    let started = started.json["record"]["revision"].as_i64().unwrap();
    let mut written: Vec<i64> = (started > last).then_some(started).into_iter().collect();
    for round in 0..4 {
        for n in 0..10 {
            written.push(progress(client, round * 10 + n).await);
        }
        while reported.len() < written.len() - 3 {
            let event = events.until("changes", SOON).await;
            last = event.id.unwrap();
            reported.push(last);
        }
        // It goes away in the middle, and comes back with what it knows.
        let id = last.to_string();
        events = client.stream(Method::GET, "/v1/events", &[("last-event-id", &id)], "").await;
    }
    while reported.len() < written.len() {
        reported.push(events.until("changes", SOON).await.id.unwrap());
    }
    assert_eq!(reported, written);
    // An empty id is none, as the standard has it.
    for (path, headers) in [("/v1/events", &[("last-event-id", "")][..]), ("/v1/events?after=", &[])] {
        let mut beginning = client.stream(Method::GET, path, headers, "").await;
        assert_eq!(beginning.next(SOON).await.unwrap().name, "snapshot");
    }
    let bad = [("accept", "text/event-stream"), ("last-event-id", "x")];
    assert_eq!(client.ask(Method::GET, "/v1/events", &bad, "").await.with(400).problem(), "bad-request");
}

#[case]
async fn a_revision_that_is_not_reached_yet_is_waited_for(env: TestEnv) {
    let (_env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let started = client.change(&task("1"), "", "*", &json!({ "change": "start" })).await.with(200);
    let last = started.json["record"]["revision"].as_i64().unwrap();
    let ahead = (last + 3).to_string();
    let headers = [("last-event-id", ahead.as_str())];
    let waiting = client.stream(Method::GET, "/v1/events", &headers, "");
    let writing = async {
        let mut written = Vec::new();
        for n in 0..5 {
            written.push(progress(client, n).await);
        }
        written
    };
    let (mut events, written) = tokio::join!(waiting, writing);
    let after: Vec<i64> = written.into_iter().filter(|revision| *revision > last + 3).collect();
    for revision in after {
        assert_eq!(events.until("changes", SOON).await.id, Some(revision));
    }
    // One that does not come is not the client's mistake: it may be of a sidecar that is ahead.
    let future = [("accept", "text/event-stream"), ("last-event-id", "999999999")];
    let answer = client.ask(Method::GET, "/v1/events", &future, "").await.with(503);
    assert_eq!(answer.problem(), "unavailable");
    assert!(answer.headers.contains_key("retry-after"));
}

/// While etcd is away, who subscribes is answered all the same; afterwards it is as always.
#[case]
async fn without_etcd_a_subscriber_gets_an_answer(env: TestEnv) {
    env.import("release", PLAN).await;
    let upstream = env.server.endpoints()[0].strip_prefix("http://").unwrap().parse().unwrap();
    let proxy = Proxy::before(upstream);
    let sidecar = sidecar(&env, "one", &["--endpoints", &proxy.endpoint()]).await;
    let client = &sidecar.client;
    // Nothing is refused: packets are lost.
    proxy.silence();
    let accept = [("accept", "text/event-stream")];
    let answer = client.ask(Method::GET, "/v1/events", &accept, "").await.with(503);
    assert_eq!(answer.problem(), "unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    proxy.heal();
    until("a sidecar that reads again", SOON, async || {
        let read = client.get(&task("1")).await;
        if read.status == 200 { Ok(()) } else { Err(read.text) }
    })
    .await;
    let mut events = client.stream(Method::GET, "/v1/events?plan=release", &[], "").await;
    assert_eq!(events.next(SOON).await.unwrap().name, "snapshot");
}

/// Reads changes until this revision.
async fn received_until(events: &mut planlease_tests::http::Events, last: i64) -> Vec<i64> {
    let mut reported = Vec::new();
    while reported.last() != Some(&last) {
        let event = events.next(SOON).await.unwrap();
        assert_eq!(event.name, "changes");
        reported.push(event.id.unwrap());
    }
    reported
}

#[case(alone)]
async fn after_a_restart_a_subscriber_goes_on(env: TestEnv) {
    let mut etcd = env.client.clone();
    let (env, one) = with_sidecar(env).await;
    one.client.change(&task("1"), "", "*", &json!({ "change": "start" })).await.with(200);
    let seen = progress(&one.client, 0).await;
    let mut written = Vec::new();
    for n in 1..20 {
        written.push(progress(&one.client, n).await);
    }
    let known = seen.to_string();
    let headers = [("last-event-id", known.as_str())];
    drop(one);
    let two = sidecar(&env, "two", &[]).await;
    // Several come back at once; the history is read once.
    let mut events = two.client.stream(Method::GET, "/v1/events", &headers, "").await;
    let mut others = two.client.stream(Method::GET, "/v1/events", &headers, "").await;
    let last = *written.last().unwrap();
    assert_eq!(received_until(&mut events, last).await, written);
    assert_eq!(received_until(&mut others, last).await, written);
    let live = progress(&two.client, 99).await;
    assert_eq!(received_until(&mut events, live).await, [live]);
    let mut halfway =
        two.client.stream(Method::GET, &format!("/v1/events?after={}", written[9]), &[], "").await;
    assert_eq!(received_until(&mut halfway, last).await, written[10..]);
    // Once the history is gone, it is given everything instead.
    etcd.compact(live, None).await.unwrap();
    let three = sidecar(&env, "three", &[]).await;
    let mut events = three.client.stream(Method::GET, "/v1/events", &headers, "").await;
    let resync = events.next(SOON).await.unwrap();
    assert_eq!((resync.name.as_str(), resync.id >= Some(live)), ("resync", true));
}

#[case]
async fn a_subscriber_gets_its_plans_only(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let client = &sidecar.client;
    let mut events = client.stream(Method::GET, "/v1/events?plan=another,third", &[], "").await;
    assert_eq!(events.next(SOON).await.unwrap().data["plans"], json!([]));
    client.change(&task("1"), "", "*", &json!({ "change": "start" })).await.with(200);
    env.import("another", PLAN).await;
    let event = events.until("changes", SOON).await;
    assert_eq!(event.data["changes"][0]["change"], "plan_appeared");
    assert_eq!(event.data["changes"][0]["plan"], "another");
}

/// More changes than the sidecar keeps, and than fit between it and a subscriber.
const FLOOD: usize = 6_000;

#[case(one_at_a_time)]
async fn a_subscriber_that_does_not_read_starts_again(env: TestEnv) {
    let (env, sidecar) = with_sidecar(env).await;
    let mut slow = sidecar.client.stream(Method::GET, "/v1/events", &[], "").await;
    let mut quick = sidecar.client.stream(Method::GET, "/v1/events", &[], "").await;
    let first = quick.next(SOON).await.unwrap();
    let owner = acquired(&env.session("writer").await, &plan_name("release")).await;
    let mut task = owner.authority().claim(1, &[]).await.unwrap().tasks.remove(0);
    let flood = async {
        for n in 0..FLOOD {
            let change = Change::Progress(format!("{n} {}", "x".repeat(200)));
            let Outcome::Committed(next) = owner.authority().update(&task, &change).await.unwrap() else {
                panic!("a change was not made");
            };
            task = next;
        }
        task.revision.to_wire()
    };
    // A subscriber that reads receives everything meanwhile, as if the other one did not exist.
    let reading = async {
        let mut reported = vec![first.id.unwrap()];
        while reported.len() < FLOOD {
            reported.push(quick.until("changes", SOON).await.id.unwrap());
        }
        reported
    };
    let (last, reported) = tokio::join!(flood, reading);
    assert!(reported.is_sorted_by(|one, next| one < next), "in order, none twice");
    let mut known = slow.next(SOON).await.unwrap();
    assert_eq!(known.name, "snapshot");
    let mut restarts = 0;
    while known.id.unwrap() < last {
        let event = slow.next(SOON).await.unwrap();
        assert!(event.id > known.id, "{:?} after {:?}", event.id, known.id);
        restarts += usize::from(event.name == "resync");
        known = event;
    }
    assert!(restarts >= 1, "it was informed that it has missed something");
}
