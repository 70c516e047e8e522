//! Watches.

use etcd_client::{
    CompactionOptions, EventType, LeaseGrantOptions, PutOptions, Txn, TxnOp, WatchFilterType, WatchOptions,
    WatchResponse, WatchStream,
};
use planlease_embedded::{Options, Server};

use crate::{in_memory, soon};

/// `put a=1 @2` and the like.
fn lines_of(response: &WatchResponse) -> Vec<String> {
    let events = response.events().iter().map(|event| {
        let kv = event.kv().unwrap();
        let (key, value) = (kv.key_str().unwrap(), kv.value_str().unwrap());
        let prev = event.prev_kv().map(|kv| format!(" was {}", kv.value_str().unwrap())).unwrap_or_default();
        match event.event_type() {
            EventType::Put => format!("put {key}={value} @{}{prev}", kv.mod_revision()),
            EventType::Delete => format!("delete {key} @{}{prev}", kv.mod_revision()),
        }
    });
    events.collect()
}

async fn next(stream: &mut WatchStream) -> WatchResponse {
    soon(stream.message()).await.unwrap().expect("the stream goes on")
}

async fn created(stream: &mut WatchStream) -> i64 {
    let response = next(stream).await;
    assert!(response.created() && !response.canceled(), "{response:?}");
    response.watch_id()
}

#[tokio::test(start_paused = true)]
async fn a_watch_gets_whole_revisions_of_its_keys() {
    let (_server, mut client) = in_memory().await;
    let options = WatchOptions::new().with_prefix().with_prev_key();
    let mut stream = client.watch("a", Some(options)).await.unwrap();
    created(&mut stream).await;
    client.put("b", "1", None).await.unwrap();
    let ops = [TxnOp::put("a2", "2", None), TxnOp::put("b", "2", None), TxnOp::put("a1", "2", None)];
    client.txn(Txn::new().and_then(ops)).await.unwrap();
    assert_eq!(lines_of(&next(&mut stream).await), ["put a2=2 @3", "put a1=2 @3"]);
    client.lease_grant(60, Some(LeaseGrantOptions::new().with_id(5))).await.unwrap();
    client.put("a1", "3", Some(PutOptions::new().with_lease(5))).await.unwrap();
    assert_eq!(lines_of(&next(&mut stream).await), ["put a1=3 @4 was 2"]);
    client.put("a2", "3", Some(PutOptions::new().with_lease(5))).await.unwrap();
    next(&mut stream).await;
    client.lease_revoke(5).await.unwrap();
    assert_eq!(lines_of(&next(&mut stream).await), ["delete a1 @6 was 3", "delete a2 @6 was 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_in_the_past_or_in_the_future() {
    let (_server, mut client) = in_memory().await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    let from = |revision| Some(WatchOptions::new().with_start_revision(revision).with_prev_key());
    let mut past = client.watch("a", from(3)).await.unwrap();
    let mut future = client.watch("a", from(6)).await.unwrap();
    created(&mut past).await;
    created(&mut future).await;
    assert_eq!(lines_of(&next(&mut past).await), ["put a=2 @3 was 1", "put a=3 @4 was 2"]);
    client.put("a", "4", None).await.unwrap();
    client.put("a", "5", None).await.unwrap();
    assert_eq!(lines_of(&next(&mut future).await), ["put a=5 @6 was 4"]);
}

#[tokio::test(start_paused = true)]
async fn filters_leave_out_what_they_say() {
    let (_server, mut client) = in_memory().await;
    let options = |filter| Some(WatchOptions::new().with_filters([filter]));
    let mut deletes = client.watch("a", options(WatchFilterType::NoPut)).await.unwrap();
    let mut puts = client.watch("a", options(WatchFilterType::NoDelete)).await.unwrap();
    created(&mut deletes).await;
    created(&mut puts).await;
    client.put("a", "1", None).await.unwrap();
    client.delete("a", None).await.unwrap();
    client.put("a", "2", None).await.unwrap();
    assert_eq!(lines_of(&next(&mut deletes).await), ["delete a @3"]);
    let mut seen = lines_of(&next(&mut puts).await);
    while seen.len() < 2 {
        seen.extend(lines_of(&next(&mut puts).await));
    }
    assert_eq!(seen, ["put a=1 @2", "put a=2 @4"]);
}

#[tokio::test(start_paused = true)]
async fn many_watches_share_a_stream_and_are_cancelled_one_by_one() {
    let (server, mut client) = in_memory().await;
    let with_id = |id| Some(WatchOptions::new().with_watch_id(id));
    let mut stream = client.watch("a", with_id(7)).await.unwrap();
    assert_eq!(created(&mut stream).await, 7);
    stream.watch("b", None).await.unwrap();
    assert_eq!(created(&mut stream).await, 0);
    stream.watch("c", with_id(7)).await.unwrap();
    let refused = next(&mut stream).await;
    assert!(refused.created() && refused.canceled() && refused.watch_id() == -1, "{refused:?}");
    assert_eq!(refused.cancel_reason(), "mvcc: duplicate watch ID provided on the WatchStream");
    assert_eq!(server.activity().borrow().watches, 2);

    stream.cancel(7).await.unwrap();
    let canceled = next(&mut stream).await;
    assert!(canceled.canceled() && !canceled.created() && canceled.watch_id() == 7, "{canceled:?}");
    client.put("a", "1", None).await.unwrap();
    client.put("b", "1", None).await.unwrap();
    assert_eq!(lines_of(&next(&mut stream).await), ["put b=1 @3"]);
    drop(stream);
    soon(server.activity().wait_for(|activity| activity.watches == 0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn progress_is_sent_on_request_and_after_silence() {
    let (_server, mut client) = in_memory().await;
    let mut stream = client.watch("a", Some(WatchOptions::new().with_progress_notify())).await.unwrap();
    let id = created(&mut stream).await;
    client.put("b", "1", None).await.unwrap();
    stream.request_progress().await.unwrap();
    let asked = next(&mut stream).await;
    assert_eq!((asked.watch_id(), asked.header().unwrap().revision(), asked.events().len()), (-1, 2, 0));
    client.put("b", "2", None).await.unwrap();
    let wait = std::time::Duration::from_secs(1300);
    let periodic = tokio::time::timeout(wait, stream.message()).await.unwrap().unwrap().unwrap();
    assert_eq!((periodic.watch_id(), periodic.header().unwrap().revision()), (id, 3));
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_compacted_history_is_created_then_cancelled() {
    let (_server, mut client) = in_memory().await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.compact(4, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let from = |revision| Some(WatchOptions::new().with_start_revision(revision).with_prev_key());
    let mut stream = client.watch("a", from(3)).await.unwrap();
    let id = created(&mut stream).await;
    let canceled = next(&mut stream).await;
    assert!(canceled.canceled() && canceled.watch_id() == id, "{canceled:?}");
    assert_eq!((canceled.compact_revision(), canceled.cancel_reason()), (4, ""));
    let mut negative = client.watch("a", from(-1)).await.unwrap();
    let refused = next(&mut negative).await;
    assert!(refused.created() && refused.canceled() && refused.watch_id() == -1, "{refused:?}");
    assert_eq!(refused.cancel_reason(), "etcdserver: mvcc: required revision has been compacted");
    let mut stream = client.watch("a", from(4)).await.unwrap();
    created(&mut stream).await;
    assert_eq!(lines_of(&next(&mut stream).await), ["put a=3 @4"], "what was before is gone");
}

#[tokio::test(start_paused = true)]
async fn a_compaction_spares_a_watch_that_is_slightly_late() {
    let (_server, mut client) = in_memory().await;
    let mut stream = client.watch("a", None).await.unwrap();
    created(&mut stream).await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.compact(4, None).await.unwrap();
    assert_eq!(lines_of(&next(&mut stream).await), ["put a=1 @2", "put a=2 @3", "put a=3 @4"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_delays_no_other_and_catches_up() {
    let mut options = Options::in_memory(7);
    options.limits.watch_backlog_max = 100;
    let server = Server::open(options).await.unwrap();
    let mut client = server.client().await;
    let mut slow = client.watch("a", None).await.unwrap();
    let mut late = client.watch("a", None).await.unwrap();
    let mut fast = client.watch("a", None).await.unwrap();
    for stream in [&mut slow, &mut late, &mut fast] {
        created(stream).await;
    }
    for n in 0..500 {
        client.put("a", n.to_string(), None).await.unwrap();
        assert_eq!(lines_of(&next(&mut fast).await), [format!("put a={n} @{}", n + 2)]);
    }
    let mut seen = Vec::new();
    while seen.len() < 500 {
        seen.extend(lines_of(&next(&mut slow).await));
    }
    assert_eq!(seen.first().unwrap(), "put a=0 @2");
    assert_eq!(seen.last().unwrap(), "put a=499 @501");
    client.compact(501, None).await.unwrap();
    let lost = next(&mut late).await;
    assert!(lost.canceled() && lost.compact_revision() == 501, "more than 100 revisions behind: {lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_divided_only_when_that_is_wanted() {
    let mut options = Options::in_memory(7);
    options.limits.request_bytes_max = 1_100_000;
    let server = Server::open(options).await.unwrap();
    let mut client = server.client().await;
    for n in 0..10 {
        let ops: Vec<_> = (0..15).map(|k| TxnOp::put([b'a', k], vec![n; 50_000], None)).collect();
        client.txn(Txn::new().and_then(ops)).await.unwrap();
    }
    let options = || WatchOptions::new().with_prefix().with_start_revision(2);
    for (options, whole) in [(options(), true), (options().with_fragment(), false)] {
        let mut stream = client.watch("a", Some(options)).await.unwrap();
        created(&mut stream).await;
        let (mut revisions, mut divided) = (Vec::new(), false);
        while revisions.len() < 150 {
            let response = next(&mut stream).await;
            divided |= response.events().len() % 15 != 0;
            revisions.extend(response.events().iter().map(|event| event.kv().unwrap().mod_revision()));
        }
        assert!(revisions.is_sorted());
        assert_eq!(divided, !whole, "a revision is divided only into fragments");
    }
}
