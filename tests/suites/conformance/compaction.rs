//! Compaction: what is forgotten, who is notified, and what stays. Each test has a server of its own.

use etcd_client::{CompactionOptions, GetOptions, WatchOptions};
use planlease_tests::{TestEnv, case};
use tonic::Code;

use crate::probe::{Watch, put, refused, revision};

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";

/// Puts `a` so many times and returns the revision of the last.
async fn written(env: &mut TestEnv, times: usize) -> i64 {
    let mut last = 0;
    for number in 0..times {
        last = put(&env.client, "a", &number.to_string()).await;
    }
    last
}

async fn compact(env: &mut TestEnv, at: i64) {
    let options = CompactionOptions::new().with_physical();
    env.client.compact(at, Some(options)).await.unwrap();
}

#[case(alone)]
async fn the_past_before_a_compaction_cannot_be_read(mut env: TestEnv) {
    let last = written(&mut env, 5).await;
    compact(&mut env, last - 2).await;
    let at = |revision| Some(GetOptions::new().with_revision(revision));
    refused(env.client.get("a", at(last - 3)).await, Code::OutOfRange, COMPACTED);
    refused(env.client.get("a", at(1)).await, Code::OutOfRange, COMPACTED);
    for (revision, value) in [(last - 2, "2"), (last - 1, "3"), (last, "4")] {
        let answer = env.client.get("a", at(revision)).await.unwrap();
        assert_eq!(answer.kvs()[0].value_str().unwrap(), value);
    }
}

#[case(alone)]
async fn a_revision_is_compacted_once_and_not_in_advance(mut env: TestEnv) {
    let last = written(&mut env, 5).await;
    refused(env.client.compact(last + 1, None).await, Code::OutOfRange, FUTURE);
    compact(&mut env, last - 1).await;
    refused(env.client.compact(last - 1, None).await, Code::OutOfRange, COMPACTED);
    refused(env.client.compact(last - 2, None).await, Code::OutOfRange, COMPACTED);
    compact(&mut env, last).await;
}

#[case(alone)]
async fn current_values_survive_a_compaction(mut env: TestEnv) {
    let kept = put(&env.client, "kept", "1").await;
    put(&env.client, "gone", "1").await;
    env.client.delete("gone", None).await.unwrap();
    let last = written(&mut env, 2).await;
    compact(&mut env, last).await;
    let answer = env.client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    let keys: Vec<&str> = answer.kvs().iter().map(|kv| kv.key_str().unwrap()).collect();
    assert_eq!(keys, ["a", "kept"]);
    assert_eq!((answer.kvs()[1].create_revision(), answer.kvs()[1].version()), (kept, 1));
    assert_eq!(revision(answer.header()), last);
    let again = put(&env.client, "gone", "2").await;
    assert_eq!(again, last + 1);
}

#[case(alone)]
async fn a_watch_from_before_a_compaction_is_cancelled(mut env: TestEnv) {
    let last = written(&mut env, 5).await;
    compact(&mut env, last - 1).await;
    let from = |revision| WatchOptions::new().with_start_revision(revision);
    let mut watch = Watch::begin(&env.client, "a", from(last - 3)).await;
    let cancelled = watch.message().await;
    assert!(cancelled.canceled() && cancelled.events().is_empty(), "{cancelled:?}");
    assert_eq!((cancelled.watch_id(), cancelled.compact_revision()), (watch.id, last - 1));
    // The revision that it names is the first from which everything can be had.
    let mut watch = Watch::begin(&env.client, "a", from(last - 1)).await;
    assert_eq!(watch.seen(2, "").await, ["+a=3", "+a=4"]);
}

#[case(alone)]
async fn a_watch_that_is_running_is_not_disturbed_by_a_compaction(mut env: TestEnv) {
    let mut watch = Watch::begin(&env.client, "a", WatchOptions::new()).await;
    let last = written(&mut env, 2).await;
    assert_eq!(watch.seen(2, "").await, ["+a=0", "+a=1"]);
    compact(&mut env, last).await;
    put(&env.client, "a", "after").await;
    assert_eq!(watch.seen(1, "").await, ["+a=after"]);
}

#[case(alone)]
async fn the_id_of_a_compacted_watch_stays_taken_until_cancelled(mut env: TestEnv) {
    let last = written(&mut env, 5).await;
    compact(&mut env, last - 1).await;
    let from = |revision| WatchOptions::new().with_watch_id(7).with_start_revision(revision);
    let mut watch = Watch::begin(&env.client, "a", from(2)).await;
    let ended = watch.message().await;
    assert!(ended.canceled() && ended.watch_id() == 7 && ended.compact_revision() == last - 1, "{ended:?}");
    watch.stream().watch("a", Some(from(last))).await.unwrap();
    let refused = watch.message().await;
    assert!(refused.created() && refused.canceled() && refused.watch_id() == -1, "{refused:?}");
    watch.stream().cancel(7).await.unwrap();
    let cancelled = watch.message().await;
    assert!(cancelled.canceled() && cancelled.watch_id() == 7, "{cancelled:?}");
    watch.stream().watch("a", Some(from(last))).await.unwrap();
    assert!(watch.message().await.created());
    assert_eq!(watch.seen(1, "").await, ["+a=4"]);
}
