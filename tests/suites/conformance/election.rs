//! etcd's own election recipe, by plain calls: the layout and the steps that planlease's ownership shares.

use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, SortOrder, SortTarget, TxnOp, WatchOptions};
use planlease_tests::cases;
use planlease_tests::suite::{Case, Fixture};

use crate::probe::{Watch, absent, read, refused, revision, txn};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        candidates_queue_in_the_order_of_arrival,
        a_retry_finds_its_own_candidate,
        a_waiter_waits_for_its_predecessor_only,
        a_guarded_write_fails_once_the_owner_is_gone,
    ]
}

/// A candidate: its lease, its key, and the create revision of that key, which is its place in line.
struct Candidate {
    lease: i64,
    key: String,
    place: i64,
}

/// Stands in line: `prefix/{lease in hex}`, put only if it is not there yet.
async fn stand_in_line(fixture: &mut Fixture, lease: i64) -> Candidate {
    let key = fixture.key(&format!("owner/{lease:x}"));
    let put = TxnOp::put(&*key, "", Some(PutOptions::new().with_lease(lease)));
    let request = txn([absent(&*key)], [put], [TxnOp::get(&*key, None)]);
    let answer = fixture.client.txn(request).await.unwrap();
    let place = if answer.succeeded() {
        revision(answer.header())
    } else {
        read(&answer, 0).kvs()[0].create_revision()
    };
    Candidate { lease, key, place }
}

async fn candidates(fixture: &mut Fixture, count: usize) -> Vec<Candidate> {
    let mut line = Vec::new();
    for _ in 0..count {
        let lease = fixture.client.lease_grant(60, None).await.unwrap().id();
        line.push(stand_in_line(fixture, lease).await);
    }
    line
}

/// The owner: who has the lowest create revision.
async fn owner(fixture: &mut Fixture) -> Option<String> {
    let first =
        GetOptions::new().with_prefix().with_sort(SortTarget::Create, SortOrder::Ascend).with_limit(1);
    let answer = fixture.client.get(fixture.key("owner/"), Some(first)).await.unwrap();
    answer.kvs().first().map(|kv| kv.key_str().unwrap().to_owned())
}

async fn candidates_queue_in_the_order_of_arrival(mut fixture: Fixture) {
    let line = candidates(&mut fixture, 4).await;
    for candidate in &line {
        assert_eq!(owner(&mut fixture).await.as_ref(), Some(&candidate.key));
        fixture.client.lease_revoke(candidate.lease).await.unwrap();
    }
    assert_eq!(owner(&mut fixture).await, None);
}

async fn a_retry_finds_its_own_candidate(mut fixture: Fixture) {
    let line = candidates(&mut fixture, 2).await;
    let again = stand_in_line(&mut fixture, line[0].lease).await;
    assert_eq!(again.place, line[0].place);
}

async fn a_waiter_waits_for_its_predecessor_only(mut fixture: Fixture) {
    let line = candidates(&mut fixture, 3).await;
    let before = GetOptions::new()
        .with_prefix()
        .with_sort(SortTarget::Create, SortOrder::Descend)
        .with_max_create_revision(line[2].place - 1)
        .with_limit(1);
    let answer = fixture.client.get(fixture.key("owner/"), Some(before)).await.unwrap();
    assert_eq!(answer.kvs()[0].key_str().unwrap(), line[1].key);
    let from = WatchOptions::new().with_start_revision(revision(answer.header()) + 1);
    let mut watch = Watch::begin(&fixture.client, &line[1].key, from).await;
    fixture.client.lease_revoke(line[0].lease).await.unwrap();
    fixture.client.lease_revoke(line[1].lease).await.unwrap();
    let gone = watch.events(1).await;
    assert_eq!(gone[0].kv().unwrap().key_str().unwrap(), line[1].key);
    assert_eq!(owner(&mut fixture).await.as_ref(), Some(&line[2].key));
}

async fn a_guarded_write_fails_once_the_owner_is_gone(mut fixture: Fixture) {
    let owner = candidates(&mut fixture, 1).await.remove(0);
    let task = fixture.key("task");
    let guarded = || {
        let guard = Compare::create_revision(&*owner.key, CompareOp::Equal, owner.place);
        txn([guard], [TxnOp::put(&*task, "done", None)], [])
    };
    assert!(fixture.client.txn(guarded()).await.unwrap().succeeded());
    fixture.client.lease_revoke(owner.lease).await.unwrap();
    assert!(!fixture.client.txn(guarded()).await.unwrap().succeeded());
    let result = fixture.client.lease_revoke(owner.lease).await;
    refused(result, tonic::Code::NotFound, "etcdserver: requested lease not found");
}
