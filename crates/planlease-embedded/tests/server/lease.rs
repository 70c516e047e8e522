//! Leases, by a clock that stands still until everybody waits for it.

use std::time::Duration;

use etcd_client::{LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions};
use tokio::time::Instant;
use tonic::Code;

use crate::{in_memory, refusal};

fn on_lease(id: i64) -> Option<PutOptions> {
    Some(PutOptions::new().with_lease(id))
}

#[tokio::test(start_paused = true)]
async fn an_expired_lease_takes_its_keys_in_one_revision() {
    let (server, mut client) = in_memory().await;
    // A longer lease is what the server waits for when the shorter one comes.
    client.lease_grant(5, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    let lease = client.lease_grant(1, None).await.unwrap();
    assert_eq!(lease.ttl(), 2, "raised to the minimum");
    client.put("a", "1", on_lease(lease.id())).await.unwrap();
    client.put("b", "1", on_lease(lease.id())).await.unwrap();
    client.put("b", "2", None).await.unwrap();
    client.put("c", "1", on_lease(lease.id())).await.unwrap();

    let mut activity = server.activity();
    activity.wait_for(|activity| activity.leases <= 1).await.unwrap();
    let took = started.elapsed();
    assert!((2000..2010).contains(&took.as_millis()), "{took:?}");
    let all = client.get("", Some(etcd_client::GetOptions::new().with_all_keys())).await.unwrap();
    assert_eq!(all.kvs().len(), 1, "a put without a lease takes the key off it");
    assert_eq!((all.kvs()[0].key(), all.header().unwrap().revision()), (&b"b"[..], 6));
    let late = client.put("d", "1", on_lease(lease.id())).await;
    assert_eq!(refusal(late), (Code::NotFound, "etcdserver: requested lease not found".to_owned()));
    assert!(activity.wait_for(|activity| activity.leases == 0).await.unwrap().is_idle());
}

#[tokio::test(start_paused = true)]
async fn renewal_extends_a_lease_and_answers_zero_for_an_ended_one() {
    let (_server, mut client) = in_memory().await;
    let id = client.lease_grant(10, Some(LeaseGrantOptions::new().with_id(77))).await.unwrap().id();
    assert_eq!(id, 77);
    let (mut keeper, mut answers) = client.lease_keep_alive(id).await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        keeper.keep_alive().await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 10);
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    keeper.keep_alive().await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 0);
}

#[tokio::test(start_paused = true)]
async fn leases_can_be_asked_about_and_revoked() {
    let (_server, mut client) = in_memory().await;
    for (id, ttl) in [(1, 60), (2, 30)] {
        client.lease_grant(ttl, Some(LeaseGrantOptions::new().with_id(id))).await.unwrap();
    }
    let again = client.lease_grant(60, Some(LeaseGrantOptions::new().with_id(1))).await;
    assert_eq!(refusal(again), (Code::FailedPrecondition, "etcdserver: lease already exists".to_owned()));
    let long = client.lease_grant(9_000_000_001, None).await;
    assert_eq!(refusal(long), (Code::OutOfRange, "etcdserver: too large lease TTL".to_owned()));

    client.put("a", "", on_lease(1)).await.unwrap();
    client.put("gone", "", on_lease(1)).await.unwrap();
    client.delete("gone", None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let info = client.lease_time_to_live(1, Some(LeaseTimeToLiveOptions::new().with_keys())).await.unwrap();
    assert_eq!((info.granted_ttl(), info.ttl(), info.keys()), (60, 58, &[b"a".to_vec()][..]));
    assert_eq!(client.lease_time_to_live(5, None).await.unwrap().ttl(), -1);
    let ids: Vec<_> = client.leases().await.unwrap().leases().iter().map(|lease| lease.id()).collect();
    assert_eq!(ids, [2, 1], "the one that ends first in front");

    assert_eq!(client.lease_revoke(1).await.unwrap().header().unwrap().revision(), 5);
    assert_eq!(client.lease_revoke(2).await.unwrap().header().unwrap().revision(), 5, "it had no keys");
    assert_eq!(refusal(client.lease_revoke(1).await).0, Code::NotFound);
    assert_eq!(client.get("a", None).await.unwrap().count(), 0);
}
