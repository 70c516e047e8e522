//! What etcd itself needs for what planlease does: the measure of ours, on the same server at the same time.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::time::{Instant, sleep};

/// Until a watch that was asked for is followed. One that begins in the past is looked after by etcd every
/// 100 ms only.
pub const WATCHING: Duration = Duration::from_millis(10);

/// About as large as what planlease says of a candidate.
const VALUE: [u8; 120] = [b'x'; 120];

/// Makes a key on a lease that is not there yet, and writes `records` with it. Returns the revision of its
/// making.
///
/// # Panics
///
/// If the key is there, or the server does not answer.
pub async fn create(client: &mut Client, key: &str, lease: i64, records: impl Iterator<Item = TxnOp>) -> i64 {
    let absent = Compare::create_revision(key, CompareOp::Equal, 0);
    let put = TxnOp::put(key, VALUE, Some(PutOptions::new().with_lease(lease)));
    let txn = Txn::new().when([absent]).and_then([put].into_iter().chain(records).collect::<Vec<_>>());
    let answer = client.txn(txn.or_else([TxnOp::get(key, None)])).await.expect("a transaction");
    assert!(answer.succeeded(), "{key} is there");
    answer.header().expect("a header").revision()
}

/// Deletes a key as it was made at `created`, and writes `records` with it.
///
/// # Panics
///
/// If it is another one, or the server does not answer.
pub async fn delete(client: &mut Client, key: &str, created: i64, records: impl Iterator<Item = TxnOp>) {
    let same = Compare::create_revision(key, CompareOp::Equal, created);
    let ops = [TxnOp::delete(key, None)].into_iter().chain(records).collect::<Vec<_>>();
    assert!(client.txn(Txn::new().when([same]).and_then(ops)).await.expect("a transaction").succeeded());
}

/// A release: `client` deletes `key`, `next` learns it from its watch and makes `theirs`. How long that
/// takes.
///
/// # Panics
///
/// If one of the keys is there, or the server does not answer.
pub async fn handover(
    client: &mut Client,
    next: &mut Client,
    lease: i64,
    key: &str,
    theirs: &str,
) -> Duration {
    let created = create(client, key, lease, std::iter::empty()).await;
    let mut events = next.watch(key, None).await.expect("a watch");
    sleep(WATCHING).await;
    let began = Instant::now();
    let follow = async {
        while events.message().await.expect("a watch").expect("its next event").events().is_empty() {}
        create(next, theirs, lease, std::iter::empty()).await;
        began.elapsed()
    };
    let ((), took) = tokio::join!(delete(client, key, created, std::iter::empty()), follow);
    client.delete(theirs, None).await.expect("a deletion");
    took
}
