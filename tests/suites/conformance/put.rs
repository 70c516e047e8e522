//! Puts: versions and revisions, the previous value, what is kept and what is refused.

use etcd_client::PutOptions;
use planlease_tests::cases;
use planlease_tests::suite::{Case, Fixture};
use tonic::Code;

use crate::probe::{put, refused, revision, value};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_put_creates_a_key_and_later_puts_count_its_versions,
        a_recreated_key_starts_at_version_one,
        a_put_gives_back_the_previous_value_on_request,
        a_put_without_a_key_is_refused,
        an_empty_value_is_a_value,
        keys_and_values_are_bytes,
        ignore_value_keeps_the_value_and_counts_a_version,
        ignore_value_needs_a_key_that_exists_and_no_value,
        ignore_lease_keeps_the_lease,
        ignore_lease_needs_a_key_that_exists_and_no_lease,
        a_put_without_a_lease_detaches_the_key_from_its_lease,
        a_put_with_a_lease_that_does_not_exist_is_refused,
    ]
}

async fn a_put_creates_a_key_and_later_puts_count_its_versions(mut fixture: Fixture) {
    let key = fixture.key("a");
    let first = put(&fixture.client, &key, "1").await;
    let second = put(&fixture.client, &key, "2").await;
    assert!(second > first);
    let answer = fixture.client.get(key.as_str(), None).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.create_revision(), kv.mod_revision(), kv.version()), (first, second, 2));
    assert_eq!((kv.value(), kv.lease()), (&b"2"[..], 0));
}

async fn a_recreated_key_starts_at_version_one(mut fixture: Fixture) {
    let key = fixture.key("a");
    let first = put(&fixture.client, &key, "1").await;
    fixture.client.delete(key.as_str(), None).await.unwrap();
    let again = put(&fixture.client, &key, "2").await;
    assert!(again > first + 1);
    let answer = fixture.client.get(key.as_str(), None).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.create_revision(), kv.mod_revision(), kv.version()), (again, again, 1));
}

async fn a_put_gives_back_the_previous_value_on_request(mut fixture: Fixture) {
    let key = fixture.key("a");
    let options = || Some(PutOptions::new().with_prev_key());
    let first = fixture.client.put(key.as_str(), "1", options()).await.unwrap();
    assert!(first.prev_key().is_none());
    let second = fixture.client.put(key.as_str(), "2", options()).await.unwrap();
    let previous = second.prev_key().unwrap();
    assert_eq!((previous.value(), previous.version()), (&b"1"[..], 1));
    assert_eq!(previous.mod_revision(), revision(first.header()));
    let third = fixture.client.put(key.as_str(), "3", None).await.unwrap();
    assert!(third.prev_key().is_none());
}

async fn a_put_without_a_key_is_refused(mut fixture: Fixture) {
    let result = fixture.client.put("", "1", None).await;
    refused(result, Code::InvalidArgument, "etcdserver: key is not provided");
}

async fn an_empty_value_is_a_value(fixture: Fixture) {
    let key = fixture.key("a");
    put(&fixture.client, &key, "").await;
    assert_eq!(value(&fixture.client, &key).await.as_deref(), Some(""));
}

async fn keys_and_values_are_bytes(mut fixture: Fixture) {
    let key = [fixture.key("").as_bytes(), &[0, 255, 128, b'/']].concat();
    fixture.client.put(key.as_slice(), &[0_u8, 254, 10][..], None).await.unwrap();
    let answer = fixture.client.get(key.as_slice(), None).await.unwrap();
    assert_eq!(answer.kvs()[0].key(), key);
    assert_eq!(answer.kvs()[0].value(), [0, 254, 10]);
}

async fn ignore_value_keeps_the_value_and_counts_a_version(mut fixture: Fixture) {
    let key = fixture.key("a");
    let lease = fixture.client.lease_grant(60, None).await.unwrap().id();
    put(&fixture.client, &key, "kept").await;
    let options = PutOptions::new().with_ignore_value().with_lease(lease);
    fixture.client.put(key.as_str(), "", Some(options)).await.unwrap();
    let answer = fixture.client.get(key.as_str(), None).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.value(), kv.version(), kv.lease()), (&b"kept"[..], 2, lease));
}

async fn ignore_value_needs_a_key_that_exists_and_no_value(mut fixture: Fixture) {
    let key = fixture.key("a");
    let options = || Some(PutOptions::new().with_ignore_value());
    let result = fixture.client.put(key.as_str(), "", options()).await;
    refused(result, Code::InvalidArgument, "etcdserver: key not found");
    let result = fixture.client.put(key.as_str(), "1", options()).await;
    refused(result, Code::InvalidArgument, "etcdserver: value is provided");
}

async fn ignore_lease_keeps_the_lease(mut fixture: Fixture) {
    let key = fixture.key("a");
    let lease = fixture.client.lease_grant(60, None).await.unwrap().id();
    fixture.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    fixture.client.put(key.as_str(), "2", Some(PutOptions::new().with_ignore_lease())).await.unwrap();
    let answer = fixture.client.get(key.as_str(), None).await.unwrap();
    assert_eq!((answer.kvs()[0].value(), answer.kvs()[0].lease()), (&b"2"[..], lease));
    fixture.client.lease_revoke(lease).await.unwrap();
    assert_eq!(value(&fixture.client, &key).await, None);
}

async fn ignore_lease_needs_a_key_that_exists_and_no_lease(mut fixture: Fixture) {
    let key = fixture.key("a");
    let options = PutOptions::new().with_ignore_lease();
    let result = fixture.client.put(key.as_str(), "1", Some(options.clone())).await;
    refused(result, Code::InvalidArgument, "etcdserver: key not found");
    let result = fixture.client.put(key.as_str(), "1", Some(options.with_lease(7))).await;
    refused(result, Code::InvalidArgument, "etcdserver: lease is provided");
}

async fn a_put_without_a_lease_detaches_the_key_from_its_lease(mut fixture: Fixture) {
    let key = fixture.key("a");
    let lease = fixture.client.lease_grant(60, None).await.unwrap().id();
    fixture.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    put(&fixture.client, &key, "2").await;
    fixture.client.lease_revoke(lease).await.unwrap();
    assert_eq!(value(&fixture.client, &key).await.as_deref(), Some("2"));
}

async fn a_put_with_a_lease_that_does_not_exist_is_refused(mut fixture: Fixture) {
    let key = fixture.key("a");
    let result = fixture.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(0x0dead))).await;
    refused(result, Code::NotFound, "etcdserver: requested lease not found");
    assert_eq!(value(&fixture.client, &key).await, None);
}
