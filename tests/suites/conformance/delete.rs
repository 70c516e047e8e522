//! Deletes: of keys and of ranges, with what was there before.

use etcd_client::{DeleteOptions, GetOptions};
use planlease_tests::cases;
use planlease_tests::suite::{Case, Fixture};
use tonic::Code;

use crate::probe::{put, refused, revision, value};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_delete_counts_the_removed_keys,
        a_delete_of_a_range_leaves_its_end_alone,
        a_delete_gives_back_what_was_there_on_request,
        what_was_deleted_can_be_read_in_the_past,
        a_delete_without_a_key_is_refused,
    ]
}

async fn a_delete_counts_the_removed_keys(mut fixture: Fixture) {
    for name in ["a", "b", "c"] {
        let key = fixture.key(name);
        put(&fixture.client, &key, name).await;
    }
    assert_eq!(fixture.client.delete(fixture.key("a"), None).await.unwrap().deleted(), 1);
    assert_eq!(fixture.client.delete(fixture.key("a"), None).await.unwrap().deleted(), 0);
    let all = DeleteOptions::new().with_prefix();
    assert_eq!(fixture.client.delete(fixture.key(""), Some(all)).await.unwrap().deleted(), 2);
    assert_eq!(value(&fixture.client, &fixture.key("c")).await, None);
}

async fn a_delete_of_a_range_leaves_its_end_alone(mut fixture: Fixture) {
    for name in ["a", "b", "c"] {
        let key = fixture.key(name);
        put(&fixture.client, &key, name).await;
    }
    let options = DeleteOptions::new().with_range(fixture.key("c"));
    assert_eq!(fixture.client.delete(fixture.key("a"), Some(options)).await.unwrap().deleted(), 2);
    let options = DeleteOptions::new().with_range(fixture.key("a"));
    assert_eq!(fixture.client.delete(fixture.key("c"), Some(options)).await.unwrap().deleted(), 0);
    assert_eq!(value(&fixture.client, &fixture.key("c")).await.as_deref(), Some("c"));
}

async fn a_delete_gives_back_what_was_there_on_request(mut fixture: Fixture) {
    for name in ["b", "a"] {
        let key = fixture.key(name);
        put(&fixture.client, &key, name).await;
    }
    let options = DeleteOptions::new().with_prefix().with_prev_key();
    let answer = fixture.client.delete(fixture.key(""), Some(options)).await.unwrap();
    let before: Vec<&str> = answer.prev_kvs().iter().map(|kv| kv.value_str().unwrap()).collect();
    assert_eq!(before, ["a", "b"]);
    put(&fixture.client, &fixture.key("a"), "again").await;
    assert!(fixture.client.delete(fixture.key("a"), None).await.unwrap().prev_kvs().is_empty());
}

async fn what_was_deleted_can_be_read_in_the_past(mut fixture: Fixture) {
    let key = fixture.key("a");
    let written = put(&fixture.client, &key, "1").await;
    let deleted = revision(fixture.client.delete(key.as_str(), None).await.unwrap().header());
    for (at, count) in [(written, 1), (deleted, 0)] {
        let answer =
            fixture.client.get(key.as_str(), Some(GetOptions::new().with_revision(at))).await.unwrap();
        assert_eq!(answer.count(), count, "at {at}");
    }
}

async fn a_delete_without_a_key_is_refused(mut fixture: Fixture) {
    let result = fixture.client.delete("", None).await;
    refused(result, Code::InvalidArgument, "etcdserver: key is not provided");
}
