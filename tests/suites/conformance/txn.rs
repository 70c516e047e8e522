//! Transactions: all or nothing, one revision, nested ones, and what may not stand side by side.

use etcd_client::{DeleteOptions, PutOptions, TxnOp, TxnOpResponse};
use planlease_tests::{TestEnv, case};
use tonic::Code;

use crate::probe::{absent, inner, present, put, put_op, read, refused, revision, txn, value};

const DUPLICATE: &str = "etcdserver: duplicate key given in txn request";

#[case]
async fn the_success_branch_runs_if_all_compares_hold(mut env: TestEnv) {
    let (a, b) = (env.key("a"), env.key("b"));
    let request = txn([absent(&*a), absent(&*b)], [put_op(&*a, "then")], [put_op(&*b, "else")]);
    assert!(env.client.txn(request).await.unwrap().succeeded());
    assert_eq!(value(&env.client, &a).await.as_deref(), Some("then"));
    assert_eq!(value(&env.client, &b).await, None);
}

#[case]
async fn the_failure_branch_runs_if_one_compare_does_not_hold(mut env: TestEnv) {
    let (a, b) = (env.key("a"), env.key("b"));
    let request = txn([absent(&*a), present(&*b)], [put_op(&*a, "then")], [put_op(&*b, "else")]);
    assert!(!env.client.txn(request).await.unwrap().succeeded());
    assert_eq!(value(&env.client, &a).await, None);
    assert_eq!(value(&env.client, &b).await.as_deref(), Some("else"));
}

#[case]
async fn without_compares_the_success_branch_runs(mut env: TestEnv) {
    let a = env.key("a");
    let answer = env.client.txn(txn([], [put_op(&*a, "1")], [])).await.unwrap();
    assert!(answer.succeeded());
}

#[case]
async fn all_writes_of_a_transaction_share_one_revision(mut env: TestEnv) {
    let (a, b, c) = (env.key("a"), env.key("b"), env.key("c"));
    let before = put(&env.client, &c, "1").await;
    let request = txn([], [put_op(&*a, "1"), TxnOp::delete(&*c, None), put_op(&*b, "1")], []);
    let at = revision(env.client.txn(request).await.unwrap().header());
    assert!(at > before);
    for key in [a, b] {
        let answer = env.client.get(key, None).await.unwrap();
        assert_eq!((answer.kvs()[0].create_revision(), answer.kvs()[0].mod_revision()), (at, at));
    }
}

#[case]
async fn a_read_in_a_transaction_sees_the_writes_before_it(mut env: TestEnv) {
    let a = env.key("a");
    let get = || TxnOp::get(&*a, None);
    let answer = env.client.txn(txn([], [get(), put_op(&*a, "1"), get()], [])).await.unwrap();
    assert!(read(&answer, 0).kvs().is_empty());
    assert_eq!(read(&answer, 2).kvs()[0].value(), b"1");
    assert_eq!(read(&answer, 2).kvs()[0].mod_revision(), revision(answer.header()));
}

#[case]
async fn compares_see_the_state_before_the_transaction(mut env: TestEnv) {
    let a = env.key("a");
    let answer = env.client.txn(txn([absent(&*a)], [put_op(&*a, "1")], [])).await.unwrap();
    assert!(answer.succeeded());
    let answer = env.client.txn(txn([absent(&*a)], [put_op(&*a, "2")], [])).await.unwrap();
    assert!(!answer.succeeded() && answer.op_responses().is_empty());
    assert_eq!(value(&env.client, &a).await.as_deref(), Some("1"));
}

#[case]
async fn each_operation_has_its_answer_in_its_place(mut env: TestEnv) {
    let (a, b) = (env.key("a"), env.key("b"));
    put(&env.client, &a, "old").await;
    let operations = [
        TxnOp::put(&*b, "1", None),
        TxnOp::get(&*b, None),
        TxnOp::delete(&*a, Some(DeleteOptions::new().with_prev_key())),
        TxnOp::txn(txn([present(&*a)], [], [])),
    ];
    let answer = env.client.txn(txn([], operations, [])).await.unwrap();
    match answer.op_responses().as_slice() {
        [
            TxnOpResponse::Put(put),
            TxnOpResponse::Get(get),
            TxnOpResponse::Delete(delete),
            TxnOpResponse::Txn(txn),
        ] => {
            assert!(put.prev_key().is_none());
            assert_eq!(get.kvs()[0].value(), b"1");
            assert_eq!((delete.deleted(), delete.prev_kvs()[0].value()), (1, &b"old"[..]));
            assert!(txn.succeeded());
        }
        others => panic!("{others:?}"),
    }
}

#[case]
async fn nested_transactions_succeed_and_fail_each_on_its_own(mut env: TestEnv) {
    let keys = ["a", "b", "c"].map(|name| env.key(name));
    put(&env.client, &keys[1], "mine").await;
    let nested = keys.each_ref().map(|key| {
        TxnOp::txn(txn(
            [absent(key.as_str())],
            [put_op(key.as_str(), "new")],
            [TxnOp::get(key.as_str(), None)],
        ))
    });
    let answer = env.client.txn(txn([], nested, [])).await.unwrap();
    assert!(answer.succeeded());
    assert_eq!([0, 1, 2].map(|number| inner(&answer, number).succeeded()), [true, false, true]);
    assert_eq!(value(&env.client, &keys[1]).await.as_deref(), Some("mine"));
    assert_eq!(value(&env.client, &keys[2]).await.as_deref(), Some("new"));
}

/// The keys of one group commit are distinct, so planlease does not depend on it; but it must be the same
/// everywhere.
#[case]
async fn nested_compares_see_the_state_before_the_transaction_too(mut env: TestEnv) {
    let (a, b) = (env.key("a"), env.key("b"));
    let nested = TxnOp::txn(txn([present(&*a)], [put_op(&*b, "seen")], [put_op(&*b, "not seen")]));
    let answer = env.client.txn(txn([], [put_op(&*a, "1"), nested], [])).await.unwrap();
    assert!(!inner(&answer, 1).succeeded());
    assert_eq!(value(&env.client, &b).await.as_deref(), Some("not seen"));
}

#[case]
async fn a_nested_failure_branch_brings_back_what_is_there(mut env: TestEnv) {
    let a = env.key("a");
    let at = put(&env.client, &a, "theirs").await;
    let nested = TxnOp::txn(txn([absent(&*a)], [put_op(&*a, "mine")], [TxnOp::get(&*a, None)]));
    let answer = env.client.txn(txn([], [nested], [])).await.unwrap();
    let present = read(&inner(&answer, 0), 0);
    assert_eq!((present.kvs()[0].value(), present.kvs()[0].mod_revision()), (&b"theirs"[..], at));
}

#[case]
async fn all_nested_writes_share_one_revision(mut env: TestEnv) {
    let keys = ["a", "b", "c", "d"].map(|name| env.key(name));
    let nested =
        keys.each_ref().map(|key| TxnOp::txn(txn([absent(key.as_str())], [put_op(key.as_str(), "1")], [])));
    let at = revision(env.client.txn(txn([], nested, [])).await.unwrap().header());
    for key in keys {
        assert_eq!(env.client.get(key, None).await.unwrap().kvs()[0].mod_revision(), at);
    }
}

#[case]
async fn a_key_is_put_only_once_in_a_transaction(mut env: TestEnv) {
    let a = env.key("a");
    let result = env.client.txn(txn([], [put_op(&*a, "1"), put_op(&*a, "2")], [])).await;
    refused(result, Code::InvalidArgument, DUPLICATE);
    // Also in the branch that would not run.
    let result = env.client.txn(txn([], [], [put_op(&*a, "1"), put_op(&*a, "2")])).await;
    refused(result, Code::InvalidArgument, DUPLICATE);
}

#[case]
async fn a_key_may_be_put_in_both_branches(mut env: TestEnv) {
    let a = env.key("a");
    let request = txn([present(&*a)], [put_op(&*a, "then")], [put_op(&*a, "else")]);
    env.client.txn(request).await.unwrap();
    assert_eq!(value(&env.client, &a).await.as_deref(), Some("else"));
}

#[case]
async fn a_key_is_not_put_inside_a_range_that_is_deleted(env: TestEnv) {
    let a = env.key("a");
    let range = || TxnOp::delete(env.key(""), Some(DeleteOptions::new().with_prefix()));
    let mut client = env.client.clone();
    refused(client.txn(txn([], [range(), put_op(&*a, "1")], [])).await, Code::InvalidArgument, DUPLICATE);
    refused(client.txn(txn([], [put_op(&*a, "1"), range()], [])).await, Code::InvalidArgument, DUPLICATE);
    let key = TxnOp::delete(&*a, None);
    refused(client.txn(txn([], [key, put_op(&*a, "1")], [])).await, Code::InvalidArgument, DUPLICATE);
}

#[case]
async fn nested_puts_count_as_puts_of_the_branch_they_are_in(mut env: TestEnv) {
    let a = env.key("a");
    let nested = || TxnOp::txn(txn([absent(&*a)], [put_op(&*a, "1")], []));
    let result = env.client.txn(txn([], [nested(), put_op(&*a, "2")], [])).await;
    refused(result, Code::InvalidArgument, DUPLICATE);
    let result = env.client.txn(txn([], [nested(), nested()], [])).await;
    refused(result, Code::InvalidArgument, DUPLICATE);
    let failing = TxnOp::txn(txn([], [], [put_op(&*a, "1")]));
    let result = env.client.txn(txn([], [failing, TxnOp::delete(&*a, None)], [])).await;
    refused(result, Code::InvalidArgument, DUPLICATE);
}

#[case]
async fn a_key_may_be_put_in_both_branches_of_a_nested_transaction(mut env: TestEnv) {
    let a = env.key("a");
    let nested = TxnOp::txn(txn([absent(&*a)], [put_op(&*a, "then")], [put_op(&*a, "else")]));
    env.client.txn(txn([], [nested], [])).await.unwrap();
    assert_eq!(value(&env.client, &a).await.as_deref(), Some("then"));
}

#[case]
async fn ranges_that_are_deleted_may_overlap(mut env: TestEnv) {
    let a = env.key("a");
    put(&env.client, &a, "1").await;
    let range = TxnOp::delete(env.key(""), Some(DeleteOptions::new().with_prefix()));
    let answer = env.client.txn(txn([], [TxnOp::delete(&*a, None), range], [])).await.unwrap();
    let deleted = answer.op_responses().into_iter().map(|answer| match answer {
        TxnOpResponse::Delete(delete) => delete.deleted(),
        other => panic!("{other:?}"),
    });
    assert_eq!(deleted.collect::<Vec<_>>(), [1, 0]);
}

#[case]
async fn one_operation_that_is_refused_undoes_the_whole_transaction(mut env: TestEnv) {
    let (a, b) = (env.key("a"), env.key("b"));
    let leased = TxnOp::put(&*b, "1", Some(PutOptions::new().with_lease(0x0dead)));
    let result = env.client.txn(txn([], [put_op(&*a, "1"), leased], [])).await;
    refused(result, Code::NotFound, "etcdserver: requested lease not found");
    let missing = TxnOp::put(&*b, "", Some(PutOptions::new().with_ignore_value()));
    let result = env.client.txn(txn([], [put_op(&*a, "1"), missing], [])).await;
    refused(result, Code::InvalidArgument, "etcdserver: key not found");
    assert_eq!(value(&env.client, &a).await, None);
}

#[case]
async fn a_transaction_without_a_key_somewhere_is_refused(mut env: TestEnv) {
    let requests = [
        txn([absent("")], [], []),
        txn([], [put_op("", "1")], []),
        txn([], [], [TxnOp::get("", None)]),
        txn([], [TxnOp::delete("", None)], []),
        txn([], [TxnOp::txn(txn([], [put_op("", "1")], []))], []),
    ];
    for request in requests {
        let result = env.client.txn(request).await;
        refused(result, Code::InvalidArgument, "etcdserver: key is not provided");
    }
}

#[case]
async fn an_empty_transaction_succeeds(mut env: TestEnv) {
    let answer = env.client.txn(txn([], [], [])).await.unwrap();
    assert!(answer.succeeded() && answer.op_responses().is_empty());
}

#[case(alone)]
async fn only_a_write_that_changes_something_takes_a_revision(mut env: TestEnv) {
    let mut client = env.client.clone();
    let now = put(&client, "a", "1").await;
    assert_eq!(revision(client.get("a", None).await.unwrap().header()), now);
    assert_eq!(revision(client.delete("nothing", None).await.unwrap().header()), now);
    let reading = txn([], [TxnOp::get("a", None), TxnOp::delete("nothing", None)], []);
    assert_eq!(revision(client.txn(reading).await.unwrap().header()), now);
    assert_eq!(
        revision(client.txn(txn([present("b")], [put_op("c", "1")], [])).await.unwrap().header()),
        now
    );
    let lease = client.lease_grant(60, None).await.unwrap();
    assert_eq!(revision(lease.header()), now);
    client.lease_revoke(lease.id()).await.unwrap();
    // The same value again is a write, and each write is one revision, also of several keys.
    assert_eq!(put(&client, "a", "1").await, now + 1);
    let several = txn([], [put_op("b", "1"), put_op("c", "1"), TxnOp::delete("a", None)], []);
    assert_eq!(revision(client.txn(several).await.unwrap().header()), now + 2);
    let all = DeleteOptions::new().with_prefix();
    assert_eq!(revision(env.client.delete("", Some(all)).await.unwrap().header()), now + 3);
}
