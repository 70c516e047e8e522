//! Puts: versions and revisions, the previous value, what is kept and what is refused.

use etcd_client::PutOptions;
use planlease_tests::{TestEnv, case};
use tonic::Code;

use crate::probe::{put, refused, revision, value};

#[case]
async fn a_put_creates_a_key_and_later_puts_count_its_versions(mut env: TestEnv) {
    let key = env.key("a");
    let first = put(&env.client, &key, "1").await;
    let second = put(&env.client, &key, "2").await;
    assert!(second > first);
    let answer = env.client.get(key.as_str(), None).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.create_revision(), kv.mod_revision(), kv.version()), (first, second, 2));
    assert_eq!((kv.value(), kv.lease()), (&b"2"[..], 0));
}

#[case]
async fn a_recreated_key_starts_at_version_one(mut env: TestEnv) {
    let key = env.key("a");
    let first = put(&env.client, &key, "1").await;
    env.client.delete(key.as_str(), None).await.unwrap();
    let again = put(&env.client, &key, "2").await;
    assert!(again > first + 1);
    let answer = env.client.get(key.as_str(), None).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.create_revision(), kv.mod_revision(), kv.version()), (again, again, 1));
}

#[case]
async fn a_put_gives_back_the_previous_value_on_request(mut env: TestEnv) {
    let key = env.key("a");
    let options = || Some(PutOptions::new().with_prev_key());
    let first = env.client.put(key.as_str(), "1", options()).await.unwrap();
    assert!(first.prev_key().is_none());
    let second = env.client.put(key.as_str(), "2", options()).await.unwrap();
    let previous = second.prev_key().unwrap();
    assert_eq!((previous.value(), previous.version()), (&b"1"[..], 1));
    assert_eq!(previous.mod_revision(), revision(first.header()));
    let third = env.client.put(key.as_str(), "3", None).await.unwrap();
    assert!(third.prev_key().is_none());
}

#[case]
async fn a_put_without_a_key_is_refused(mut env: TestEnv) {
    let result = env.client.put("", "1", None).await;
    refused(result, Code::InvalidArgument, "etcdserver: key is not provided");
}

#[case]
async fn an_empty_value_is_a_value(env: TestEnv) {
    let key = env.key("a");
    put(&env.client, &key, "").await;
    assert_eq!(value(&env.client, &key).await.as_deref(), Some(""));
}

#[case]
async fn keys_and_values_are_bytes(mut env: TestEnv) {
    let key = [env.key("").as_bytes(), &[0, 255, 128, b'/']].concat();
    env.client.put(key.as_slice(), &[0_u8, 254, 10][..], None).await.unwrap();
    let answer = env.client.get(key.as_slice(), None).await.unwrap();
    assert_eq!(answer.kvs()[0].key(), key);
    assert_eq!(answer.kvs()[0].value(), [0, 254, 10]);
}

#[case]
async fn ignore_value_keeps_the_value_and_counts_a_version(mut env: TestEnv) {
    let key = env.key("a");
    let lease = env.client.lease_grant(60, None).await.unwrap().id();
    put(&env.client, &key, "kept").await;
    let options = PutOptions::new().with_ignore_value().with_lease(lease);
    env.client.put(key.as_str(), "", Some(options)).await.unwrap();
    let answer = env.client.get(key.as_str(), None).await.unwrap();
    let kv = &answer.kvs()[0];
    assert_eq!((kv.value(), kv.version(), kv.lease()), (&b"kept"[..], 2, lease));
}

#[case]
async fn ignore_value_needs_a_key_that_exists_and_no_value(mut env: TestEnv) {
    let key = env.key("a");
    let options = || Some(PutOptions::new().with_ignore_value());
    let result = env.client.put(key.as_str(), "", options()).await;
    refused(result, Code::InvalidArgument, "etcdserver: key not found");
    let result = env.client.put(key.as_str(), "1", options()).await;
    refused(result, Code::InvalidArgument, "etcdserver: value is provided");
}

#[case]
async fn ignore_lease_keeps_the_lease(mut env: TestEnv) {
    let key = env.key("a");
    let lease = env.client.lease_grant(60, None).await.unwrap().id();
    env.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    env.client.put(key.as_str(), "2", Some(PutOptions::new().with_ignore_lease())).await.unwrap();
    let answer = env.client.get(key.as_str(), None).await.unwrap();
    assert_eq!((answer.kvs()[0].value(), answer.kvs()[0].lease()), (&b"2"[..], lease));
    env.client.lease_revoke(lease).await.unwrap();
    assert_eq!(value(&env.client, &key).await, None);
}

#[case]
async fn ignore_lease_needs_a_key_that_exists_and_no_lease(mut env: TestEnv) {
    let key = env.key("a");
    let options = PutOptions::new().with_ignore_lease();
    let result = env.client.put(key.as_str(), "1", Some(options.clone())).await;
    refused(result, Code::InvalidArgument, "etcdserver: key not found");
    let result = env.client.put(key.as_str(), "1", Some(options.with_lease(7))).await;
    refused(result, Code::InvalidArgument, "etcdserver: lease is provided");
}

#[case]
async fn a_put_without_a_lease_detaches_the_key_from_its_lease(mut env: TestEnv) {
    let key = env.key("a");
    let lease = env.client.lease_grant(60, None).await.unwrap().id();
    env.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    put(&env.client, &key, "2").await;
    env.client.lease_revoke(lease).await.unwrap();
    assert_eq!(value(&env.client, &key).await.as_deref(), Some("2"));
}

#[case]
async fn a_put_with_a_lease_that_does_not_exist_is_refused(mut env: TestEnv) {
    let key = env.key("a");
    let result = env.client.put(key.as_str(), "1", Some(PutOptions::new().with_lease(0x0dead))).await;
    refused(result, Code::NotFound, "etcdserver: requested lease not found");
    assert_eq!(value(&env.client, &key).await, None);
}
