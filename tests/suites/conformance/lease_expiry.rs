//! What happens when nobody renews: the slow tests, each waits for a lease to run out.

use std::time::Duration;

use etcd_client::{EventType, LeaseTimeToLiveOptions, PutOptions, WatchOptions};
use planlease_tests::cases;
use planlease_tests::suite::{Case, Fixture};
use planlease_tests::wait::{SOON, until};
use tokio::time::Instant;

use crate::probe::{Watch, refused, value};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        an_expired_lease_deletes_all_its_keys_in_one_revision,
        a_lease_that_is_renewed_outlives_its_ttl,
        an_expired_lease_is_gone,
    ]
}

async fn an_expired_lease_deletes_all_its_keys_in_one_revision(mut fixture: Fixture) {
    let lease = fixture.client.lease_grant(2, None).await.unwrap();
    let granted = Instant::now();
    for name in ["a", "b", "c"] {
        let options = PutOptions::new().with_lease(lease.id());
        fixture.client.put(fixture.key(name), "1", Some(options)).await.unwrap();
    }
    let mut watch = Watch::begin(&fixture.client, &fixture.key(""), WatchOptions::new().with_prefix()).await;
    let events = watch.events(3).await;
    let took = granted.elapsed();
    assert!(events.iter().all(|event| event.event_type() == EventType::Delete));
    let mut revisions: Vec<i64> = events.iter().map(|event| event.kv().unwrap().mod_revision()).collect();
    revisions.dedup();
    assert_eq!(revisions.len(), 1);
    // Never earlier than promised: the TTL is a lower bound. The upper one is a matter of the load.
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
}

async fn a_lease_that_is_renewed_outlives_its_ttl(mut fixture: Fixture) {
    let lease = fixture.client.lease_grant(2, None).await.unwrap().id();
    let key = fixture.key("a");
    fixture.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let (mut keeper, mut answers) = fixture.client.lease_keep_alive(lease).await.unwrap();
    let begun = Instant::now();
    let mut renewal = tokio::time::interval(Duration::from_millis(300));
    while begun.elapsed() < Duration::from_secs(4) {
        renewal.tick().await;
        keeper.keep_alive().await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 2);
    }
    assert_eq!(value(&fixture.client, &key).await.as_deref(), Some("1"));
}

async fn an_expired_lease_is_gone(mut fixture: Fixture) {
    let lease = fixture.client.lease_grant(2, None).await.unwrap().id();
    let (mut keeper, mut answers) = fixture.client.lease_keep_alive(lease).await.unwrap();
    let client = fixture.client.clone();
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
    let result = fixture.client.lease_revoke(lease).await;
    refused(result, tonic::Code::NotFound, "etcdserver: requested lease not found");
    let options = PutOptions::new().with_lease(lease);
    let result = fixture.client.put(fixture.key("late"), "", Some(options)).await;
    refused(result, tonic::Code::NotFound, "etcdserver: requested lease not found");
}
