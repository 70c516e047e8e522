//! What happens without renewals: the slow tests, each waits for a lease to run out.

use std::time::Duration;

use etcd_client::{EventType, LeaseTimeToLiveOptions, PutOptions, WatchOptions};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::probe::{Watch, refused, value};

#[case]
async fn an_expired_lease_deletes_all_its_keys_in_one_revision(mut env: TestEnv) {
    let lease = env.client.lease_grant(2, None).await.unwrap();
    let granted = Instant::now();
    for name in ["a", "b", "c"] {
        let options = PutOptions::new().with_lease(lease.id());
        env.client.put(env.key(name), "1", Some(options)).await.unwrap();
    }
    let mut watch = Watch::begin(&env.client, &env.key(""), WatchOptions::new().with_prefix()).await;
    let events = watch.events(3).await;
    let took = granted.elapsed();
    assert!(events.iter().all(|event| event.event_type() == EventType::Delete));
    let mut revisions: Vec<i64> = events.iter().map(|event| event.kv().unwrap().mod_revision()).collect();
    revisions.dedup();
    assert_eq!(revisions.len(), 1);
    // Never earlier than promised: the TTL is a lower bound. The upper one is a matter of the load.
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
}

#[case]
async fn a_lease_that_is_renewed_outlives_its_ttl(mut env: TestEnv) {
    let lease = env.client.lease_grant(2, None).await.unwrap().id();
    let key = env.key("a");
    env.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let (mut keeper, mut answers) = env.client.lease_keep_alive(lease).await.unwrap();
    let begun = Instant::now();
    let mut renewal = tokio::time::interval(Duration::from_millis(300));
    while begun.elapsed() < Duration::from_secs(4) {
        renewal.tick().await;
        keeper.keep_alive().await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 2);
    }
    assert_eq!(value(&env.client, &key).await.as_deref(), Some("1"));
}

#[case]
async fn an_expired_lease_is_gone(mut env: TestEnv) {
    let lease = env.client.lease_grant(2, None).await.unwrap().id();
    let (mut keeper, mut answers) = env.client.lease_keep_alive(lease).await.unwrap();
    let client = env.client.clone();
    until("expiry", SOON, async || {
        let options = LeaseTimeToLiveOptions::new();
        match client.clone().lease_time_to_live(lease, Some(options)).await.unwrap().ttl() {
            -1 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    keeper.keep_alive().await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 0);
    let result = env.client.lease_revoke(lease).await;
    refused(result, tonic::Code::NotFound, "etcdserver: requested lease not found");
    let options = PutOptions::new().with_lease(lease);
    let result = env.client.put(env.key("late"), "", Some(options)).await;
    refused(result, tonic::Code::NotFound, "etcdserver: requested lease not found");
}
