//! Limits that planlease must know before it sends: operations in a transaction, bytes in a request.

use etcd_client::TxnOp;
use planlease_tests::{TestEnv, case};
use tonic::Code;

use crate::probe::{absent, put_op, refusal, refused, txn, value};

/// etcd's default for `--max-txn-ops`.
const OPERATIONS: usize = 128;

/// etcd's default for `--max-request-bytes`.
const BYTES: usize = 1536 * 1024;

const TOO_MANY: &str = "etcdserver: too many operations in txn request";

#[case]
async fn a_transaction_has_at_most_128_operations_in_a_branch(mut env: TestEnv) {
    let puts =
        |count: usize| (0..count).map(|number| put_op(env.key(&number.to_string()), "")).collect::<Vec<_>>();
    let (fits, excess, other) = (puts(OPERATIONS), puts(OPERATIONS + 1), puts(OPERATIONS + 1));
    let both = txn([], fits.clone(), fits);
    env.client.txn(both).await.unwrap();
    refused(env.client.txn(txn([], excess, [])).await, Code::InvalidArgument, TOO_MANY);
    refused(env.client.txn(txn([], [], other)).await, Code::InvalidArgument, TOO_MANY);
}

#[case]
async fn a_transaction_has_at_most_128_compares(mut env: TestEnv) {
    let compares = |count| vec![absent(env.key("a")); count];
    let (fits, excess) = (compares(OPERATIONS), compares(OPERATIONS + 1));
    assert!(env.client.txn(txn(fits, [], [])).await.unwrap().succeeded());
    refused(env.client.txn(txn(excess, [], [])).await, Code::InvalidArgument, TOO_MANY);
}

/// With `n` nested transactions each of them may have `128 - n` operations: 126 with two compares each is the
/// most that one group commit can hold.
#[case]
async fn nested_transactions_share_what_the_outer_one_leaves(mut env: TestEnv) {
    let group = |count: usize, compares: usize| {
        let nested = |number: usize| {
            let key = env.key(&number.to_string());
            TxnOp::txn(txn(vec![absent(&*key); compares], [put_op(&*key, "")], [TxnOp::get(&*key, None)]))
        };
        txn([], (0..count).map(nested).collect::<Vec<_>>(), [])
    };
    let (fits, one_more, wider) = (group(126, 2), group(127, 2), group(126, 3));
    assert!(env.client.txn(fits).await.unwrap().succeeded());
    refused(env.client.txn(one_more).await, Code::InvalidArgument, TOO_MANY);
    refused(env.client.txn(wider).await, Code::InvalidArgument, TOO_MANY);
}

#[case]
async fn a_request_of_a_megabyte_and_a_half_is_too_large(mut env: TestEnv) {
    let key = env.key("a");
    // The key, and what frames a request, take some bytes as well.
    env.client.put(key.as_str(), vec![b'x'; BYTES - 512], None).await.unwrap();
    let result = env.client.put(key.as_str(), vec![b'x'; BYTES], None).await;
    refused(result, Code::InvalidArgument, "etcdserver: request is too large");
    assert_eq!(value(&env.client, &key).await.unwrap().len(), BYTES - 512);
}

#[case]
async fn a_message_far_beyond_that_is_refused_as_well(mut env: TestEnv) {
    let (code, text) = refusal(env.client.put(env.key("a"), vec![b'x'; 2 * BYTES], None).await);
    // By whom it is refused depends on how much of it a server reads: the gRPC layer, or etcd itself.
    assert!([Code::ResourceExhausted, Code::InvalidArgument].contains(&code), "{code:?}: {text}");
}
