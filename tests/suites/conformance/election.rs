//! etcd's own election recipe, by plain calls: the layout and the steps that planlease's ownership shares.

use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, SortOrder, SortTarget, TxnOp, WatchOptions};
use planlease_tests::{TestEnv, case};

use crate::probe::{Watch, absent, read, refused, revision, txn};

/// A candidate: its lease, its key, and the create revision of that key, which is its place in the queue.
struct Candidate {
    lease: i64,
    key: String,
    place: i64,
}

/// Joins the queue: `prefix/{lease in hex}`, put only if it does not exist yet.
async fn join_queue(env: &mut TestEnv, lease: i64) -> Candidate {
    let key = env.key(&format!("owner/{lease:x}"));
    let put = TxnOp::put(&*key, "", Some(PutOptions::new().with_lease(lease)));
    let request = txn([absent(&*key)], [put], [TxnOp::get(&*key, None)]);
    let answer = env.client.txn(request).await.unwrap();
    let place = if answer.succeeded() {
        revision(answer.header())
    } else {
        read(&answer, 0).kvs()[0].create_revision()
    };
    Candidate { lease, key, place }
}

async fn candidates(env: &mut TestEnv, count: usize) -> Vec<Candidate> {
    let mut line = Vec::new();
    for _ in 0..count {
        let lease = env.client.lease_grant(60, None).await.unwrap().id();
        line.push(join_queue(env, lease).await);
    }
    line
}

/// The owner: who has the lowest create revision.
async fn owner(env: &mut TestEnv) -> Option<String> {
    let first =
        GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
    let answer = env.client.get(env.key("owner/"), Some(first)).await.unwrap();
    answer.kvs().first().map(|kv| kv.key_str().unwrap().to_owned())
}

#[case]
async fn candidates_queue_in_the_order_of_arrival(mut env: TestEnv) {
    let line = candidates(&mut env, 4).await;
    for candidate in &line {
        assert_eq!(owner(&mut env).await.as_ref(), Some(&candidate.key));
        env.client.lease_revoke(candidate.lease).await.unwrap();
    }
    assert_eq!(owner(&mut env).await, None);
}

#[case]
async fn a_retry_finds_its_own_candidate(mut env: TestEnv) {
    let line = candidates(&mut env, 2).await;
    let again = join_queue(&mut env, line[0].lease).await;
    assert_eq!(again.place, line[0].place);
}

#[case]
async fn a_waiter_waits_for_its_predecessor_only(mut env: TestEnv) {
    let line = candidates(&mut env, 3).await;
    let before = GetOptions::new()
        .with_prefix()
        .with_sort(SortTarget::Create, SortOrder::Descend)
        .with_max_create_revision(line[2].place - 1)
        .with_limit(1);
    let answer = env.client.get(env.key("owner/"), Some(before)).await.unwrap();
    assert_eq!(answer.kvs()[0].key_str().unwrap(), line[1].key);
    let from = WatchOptions::new().with_start_revision(revision(answer.header()) + 1);
    let mut watch = Watch::begin(&env.client, &line[1].key, from).await;
    env.client.lease_revoke(line[0].lease).await.unwrap();
    env.client.lease_revoke(line[1].lease).await.unwrap();
    let gone = watch.events(1).await;
    assert_eq!(gone[0].kv().unwrap().key_str().unwrap(), line[1].key);
    assert_eq!(owner(&mut env).await.as_ref(), Some(&line[2].key));
}

#[case]
async fn a_guarded_write_fails_once_the_owner_is_gone(mut env: TestEnv) {
    let owner = candidates(&mut env, 1).await.remove(0);
    let task = env.key("task");
    let guarded = || {
        let guard = Compare::create_revision(&*owner.key, CompareOp::Equal, owner.place);
        txn([guard], [TxnOp::put(&*task, "done", None)], [])
    };
    assert!(env.client.txn(guarded()).await.unwrap().succeeded());
    env.client.lease_revoke(owner.lease).await.unwrap();
    assert!(!env.client.txn(guarded()).await.unwrap().succeeded());
    let result = env.client.lease_revoke(owner.lease).await;
    refused(result, tonic::Code::NotFound, "etcdserver: requested lease not found");
}
