//! Deletes: of keys and of ranges, with what was there before.

use etcd_client::{DeleteOptions, GetOptions};
use planlease_tests::{TestEnv, case};
use tonic::Code;

use crate::probe::{put, refused, revision, value};

#[case]
async fn a_delete_counts_the_removed_keys(mut env: TestEnv) {
    for name in ["a", "b", "c"] {
        let key = env.key(name);
        put(&env.client, &key, name).await;
    }
    assert_eq!(env.client.delete(env.key("a"), None).await.unwrap().deleted(), 1);
    assert_eq!(env.client.delete(env.key("a"), None).await.unwrap().deleted(), 0);
    let all = DeleteOptions::new().with_prefix();
    assert_eq!(env.client.delete(env.key(""), Some(all)).await.unwrap().deleted(), 2);
    assert_eq!(value(&env.client, &env.key("c")).await, None);
}

#[case]
async fn a_delete_of_a_range_leaves_its_end_alone(mut env: TestEnv) {
    for name in ["a", "b", "c"] {
        let key = env.key(name);
        put(&env.client, &key, name).await;
    }
    let options = DeleteOptions::new().with_range(env.key("c"));
    assert_eq!(env.client.delete(env.key("a"), Some(options)).await.unwrap().deleted(), 2);
    let options = DeleteOptions::new().with_range(env.key("a"));
    assert_eq!(env.client.delete(env.key("c"), Some(options)).await.unwrap().deleted(), 0);
    assert_eq!(value(&env.client, &env.key("c")).await.as_deref(), Some("c"));
}

#[case]
async fn a_delete_gives_back_what_was_there_on_request(mut env: TestEnv) {
    for name in ["b", "a"] {
        let key = env.key(name);
        put(&env.client, &key, name).await;
    }
    let options = DeleteOptions::new().with_prefix().with_prev_key();
    let answer = env.client.delete(env.key(""), Some(options)).await.unwrap();
    let before: Vec<&str> = answer.prev_kvs().iter().map(|kv| kv.value_str().unwrap()).collect();
    assert_eq!(before, ["a", "b"]);
    put(&env.client, &env.key("a"), "again").await;
    assert!(env.client.delete(env.key("a"), None).await.unwrap().prev_kvs().is_empty());
}

#[case]
async fn a_deleted_key_can_be_read_in_the_past(mut env: TestEnv) {
    let key = env.key("a");
    let written = put(&env.client, &key, "1").await;
    let deleted = revision(env.client.delete(key.as_str(), None).await.unwrap().header());
    for (at, count) in [(written, 1), (deleted, 0)] {
        let answer = env.client.get(key.as_str(), Some(GetOptions::new().with_revision(at))).await.unwrap();
        assert_eq!(answer.count(), count, "at {at}");
    }
}

#[case]
async fn a_delete_without_a_key_is_refused(mut env: TestEnv) {
    let result = env.client.delete("", None).await;
    refused(result, Code::InvalidArgument, "etcdserver: key is not provided");
}
