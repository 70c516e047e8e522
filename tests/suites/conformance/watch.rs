//! Watches: which events come, from when on, in which order, and what they carry.

use etcd_client::{DeleteOptions, EventType, PutOptions, TxnOp, WatchFilterType, WatchOptions};
use planlease_tests::{TestEnv, case};

use crate::probe::{Watch, in_short, put, put_op, revision, txn};

fn prefix() -> WatchOptions {
    WatchOptions::new().with_prefix()
}

#[case]
async fn a_watch_from_now_on_sees_what_comes_next(mut env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    put(&env.client, &a, "before").await;
    let mut watch = Watch::begin(&env.client, &all, prefix()).await;
    put(&env.client, &a, "1").await;
    env.client.delete(a.as_str(), None).await.unwrap();
    assert_eq!(watch.seen(2, &all).await, ["+a=1", "-a"]);
}

#[case]
async fn a_watch_of_one_key_sees_no_other(env: TestEnv) {
    let (all, a, longer) = (env.key(""), env.key("a"), env.key("aa"));
    let mut watch = Watch::begin(&env.client, &a, WatchOptions::new()).await;
    put(&env.client, &longer, "1").await;
    put(&env.client, &a, "1").await;
    assert_eq!(watch.seen(1, &all).await, ["+a=1"]);
}

#[case]
async fn a_watch_from_the_past_sees_everything_since_in_order(mut env: TestEnv) {
    let all = env.key("");
    let (a, b) = (env.key("a"), env.key("b"));
    put(&env.client, &a, "0").await;
    let from = put(&env.client, &b, "1").await;
    put(&env.client, &a, "2").await;
    env.client.delete(b.as_str(), None).await.unwrap();
    put(&env.client, &a, "3").await;
    let mut watch = Watch::begin(&env.client, &all, prefix().with_start_revision(from)).await;
    assert_eq!(watch.seen(4, &all).await, ["+b=1", "+a=2", "-b", "+a=3"]);
}

#[case]
async fn a_watch_from_the_past_goes_on_into_the_present(env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    let mut expected = Vec::new();
    let from = put(&env.client, &a, "0").await;
    expected.push("+a=0".to_owned());

    let mut watch = Watch::begin(&env.client, &all, prefix().with_start_revision(from)).await;
    for number in 1..50 {
        put(&env.client, &a, &number.to_string()).await;
        expected.push(format!("+a={number}"));
    }
    assert_eq!(watch.seen(50, &all).await, expected);
}

/// The server is shared, so its revision may pass the start before anything is written here: the events
/// before it must not come, those after it must.
#[case]
async fn a_watch_from_the_future_waits_for_it(env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    let now = put(&env.client, &a, "0").await;
    let start = now + 10;
    let mut watch = Watch::begin(&env.client, &all, prefix().with_start_revision(start)).await;
    let mut at = now;
    while at < start {
        at = put(&env.client, &a, "x").await;
    }
    let first = watch.message().await;
    assert!(!first.events().is_empty());
    assert!(first.events().iter().all(|event| event.kv().unwrap().mod_revision() >= start), "{first:?}");
}

#[case]
async fn the_events_of_one_transaction_come_in_one_message(mut env: TestEnv) {
    let all = env.key("");
    let (a, b, c) = (env.key("a"), env.key("b"), env.key("c"));
    put(&env.client, &b, "0").await;
    let mut watch = Watch::begin(&env.client, &all, prefix()).await;
    let nested = TxnOp::txn(txn([], [put_op(&*c, "1")], []));
    let request = txn([], [put_op(&*a, "1"), TxnOp::delete(&*b, None), nested], []);
    let at = revision(env.client.txn(request).await.unwrap().header());
    let message = watch.message().await;
    let events: Vec<String> = message.events().iter().map(|event| in_short(event, &all)).collect();
    assert_eq!(events, ["+a=1", "-b", "+c=1"]);
    // Up to here everything has been delivered; others may have written elsewhere since.
    assert!(revision(message.header()) >= at);
    assert!(message.events().iter().all(|event| event.kv().unwrap().mod_revision() == at));
}

#[case]
async fn a_transactions_events_share_a_message_also_in_history(mut env: TestEnv) {
    let all = env.key("");
    let (a, b) = (env.key("a"), env.key("b"));
    let both = || txn([], [put_op(&*a, "1"), put_op(&*b, "1")], []);
    let from = revision(env.client.txn(both()).await.unwrap().header());
    env.client.txn(both()).await.unwrap();
    let mut watch = Watch::begin(&env.client, &all, prefix().with_start_revision(from)).await;
    let mut seen = 0;
    while seen < 4 {
        let message = watch.message().await;
        // Several revisions may share a message, but none is torn in two.
        assert_eq!(message.events().len() % 2, 0, "{message:?}");
        seen += message.events().len();
    }
}

#[case]
async fn a_large_transaction_is_not_torn(mut env: TestEnv) {
    let all = env.key("");
    let mut watch = Watch::begin(&env.client, &all, prefix()).await;
    let big = "x".repeat(10_000);
    let puts: Vec<TxnOp> = (0..128).map(|number| put_op(env.key(&number.to_string()), &big)).collect();
    env.client.txn(txn([], puts, [])).await.unwrap();
    assert_eq!(watch.message().await.events().len(), 128);
}

#[case]
async fn an_event_carries_revisions_versions_and_lease(mut env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    let lease = env.client.lease_grant(60, None).await.unwrap().id();
    let created = put(&env.client, &a, "1").await;
    let mut watch = Watch::begin(&env.client, &all, prefix()).await;
    env.client.put(a.as_str(), "2", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let events = watch.events(1).await;
    let kv = events[0].kv().unwrap();
    assert_eq!((kv.create_revision(), kv.version(), kv.lease(), kv.value()), (created, 2, lease, &b"2"[..]));
    assert!(kv.mod_revision() > created);
    assert!(events[0].prev_kv().is_none());
}

#[case]
async fn a_delete_carries_the_key_and_the_revision_only(mut env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    put(&env.client, &a, "1").await;
    let mut watch = Watch::begin(&env.client, &all, prefix()).await;
    let at = revision(env.client.delete(a.as_str(), None).await.unwrap().header());
    let events = watch.events(1).await;
    assert_eq!(events[0].event_type(), EventType::Delete);
    let kv = events[0].kv().unwrap();
    assert_eq!((kv.key_str().unwrap(), kv.mod_revision()), (a.as_str(), at));
    assert_eq!((kv.create_revision(), kv.version(), kv.lease(), kv.value()), (0, 0, 0, &b""[..]));
}

#[case]
async fn the_previous_value_comes_on_request(mut env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    let mut watch = Watch::begin(&env.client, &all, prefix().with_prev_key()).await;
    put(&env.client, &a, "1").await;
    put(&env.client, &a, "2").await;
    env.client.delete(a.as_str(), None).await.unwrap();
    let events = watch.events(3).await;
    let before: Vec<Option<&[u8]>> =
        events.iter().map(|event| event.prev_kv().map(etcd_client::KeyValue::value)).collect();
    assert_eq!(before, [None, Some(&b"1"[..]), Some(&b"2"[..])]);
}

#[case]
async fn a_filter_leaves_events_out(mut env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    let filtered = |filter| prefix().with_filters([filter]);
    let mut puts = Watch::begin(&env.client, &all, filtered(WatchFilterType::NoDelete)).await;
    let mut deletes = Watch::begin(&env.client, &all, filtered(WatchFilterType::NoPut)).await;
    for value in ["1", "2"] {
        put(&env.client, &a, value).await;
        env.client.delete(a.as_str(), None).await.unwrap();
    }
    assert_eq!(puts.seen(2, &all).await, ["+a=1", "+a=2"]);
    assert_eq!(deletes.seen(2, &all).await, ["-a", "-a"]);
}

#[case]
async fn deleting_a_range_is_one_event_a_key(mut env: TestEnv) {
    let all = env.key("");
    for name in ["c", "a", "b"] {
        let key = env.key(name);
        put(&env.client, &key, "").await;
    }
    let mut watch = Watch::begin(&env.client, &all, prefix()).await;
    env.client.delete(all.as_str(), Some(DeleteOptions::new().with_prefix())).await.unwrap();
    let message = watch.message().await;
    let events: Vec<String> = message.events().iter().map(|event| in_short(event, &all)).collect();
    assert_eq!(events, ["-a", "-b", "-c"]);
}

#[case]
async fn a_write_that_changes_nothing_is_no_event(mut env: TestEnv) {
    let (all, a) = (env.key(""), env.key("a"));
    let mut watch = Watch::begin(&env.client, &all, prefix()).await;
    env.client.delete(a.as_str(), None).await.unwrap();
    env.client.txn(txn([], [TxnOp::delete(&*a, None)], [put_op(&*a, "no")])).await.unwrap();
    put(&env.client, &a, "1").await;
    assert_eq!(watch.seen(1, &all).await, ["+a=1"]);
}
