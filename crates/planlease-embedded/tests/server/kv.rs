//! Ranges, writes, transactions, compaction.

use etcd_client::{
    CompactionOptions, Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, SortOrder, SortTarget, Txn,
    TxnOp, TxnOpResponse,
};
use tonic::Code;

use crate::{in_memory, refusal};

fn keys(response: &etcd_client::GetResponse) -> Vec<&str> {
    response.kvs().iter().map(|kv| kv.key_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_answer_names_its_member_and_revision() {
    let (server, mut client) = in_memory().await;
    let put = client.put("a", "1", None).await.unwrap();
    let header = put.header().unwrap();
    assert_eq!((header.revision(), header.cluster_id()), (2, server.cluster_id()));
    let status = client.status().await.unwrap();
    assert_eq!(status.leader(), header.member_id());
    assert_eq!((status.header().unwrap().revision(), status.raft_term()), (2, header.raft_term()));
}

#[tokio::test(start_paused = true)]
async fn ranges_take_all_options() {
    let (_server, mut client) = in_memory().await;
    for (key, value) in [("a", "3"), ("b", "1"), ("c", "2"), ("d", "0"), ("a", "4")] {
        client.put(key, value, None).await.unwrap();
    }
    client.delete("d", None).await.unwrap();

    let options = || GetOptions::new().with_prefix();
    for (options, expected, more, count) in [
        (options(), vec!["a", "b", "c"], false, 3),
        (options().with_limit(2), vec!["a", "b"], true, 3),
        (options().with_sort(SortTarget::Value, SortOrder::Ascend), vec!["b", "c", "a"], false, 3),
        (options().with_sort(SortTarget::Mod, SortOrder::Descend).with_limit(1), vec!["a"], true, 3),
        (options().with_min_mod_revision(4), vec!["a", "c"], false, 3),
        (options().with_max_create_revision(3).with_limit(1), vec!["a"], true, 3),
        (options().with_revision(5), vec!["a", "b", "c", "d"], false, 4),
        (options().with_count_only(), vec![], false, 3),
    ] {
        let got = client.get("", Some(options.clone())).await.unwrap();
        assert_eq!((keys(&got), got.more(), got.count()), (expected, more, count), "{options:?}");
        assert_eq!(got.header().unwrap().revision(), 7);
    }
    let got = client.get("b", Some(GetOptions::new().with_from_key())).await.unwrap();
    assert_eq!(keys(&got), ["b", "c"]);
    let got = client.get("a", Some(GetOptions::new().with_keys_only())).await.unwrap();
    assert_eq!((got.kvs()[0].value(), got.kvs()[0].version()), (&b""[..], 2));
    let future = client.get("a", Some(GetOptions::new().with_revision(99))).await;
    let text = "etcdserver: mvcc: required revision is a future revision";
    assert_eq!(refusal(future), (Code::OutOfRange, text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_range_stream_gives_what_a_range_gives() {
    let (_server, mut client) = in_memory().await;
    for n in 0..30 {
        client.put(format!("k{n:02}"), vec![0; 100_000], None).await.unwrap();
    }
    let mut stream = client.kv_client().get_stream("k", Some(GetOptions::new().with_prefix())).await.unwrap();
    let (mut parts, mut found) = (0, Vec::new());
    while let Some(mut part) = stream.message().await.unwrap() {
        parts += 1;
        found.extend(part.take_kvs().into_iter().map(|kv| kv.key_str().unwrap().to_owned()));
    }
    assert!(parts > 3, "{parts} parts of about half a megabyte");
    assert_eq!(found, (0..30).map(|n| format!("k{n:02}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn puts_and_deletions_return_the_previous_value() {
    let (_server, mut client) = in_memory().await;
    client.put("a", "1", None).await.unwrap();
    let put = client.put("a", "2", Some(PutOptions::new().with_prev_key())).await.unwrap();
    assert_eq!(put.prev_key().unwrap().value(), b"1");
    let absent = client.put("x", "", Some(PutOptions::new().with_ignore_value())).await;
    assert_eq!(refusal(absent), (Code::InvalidArgument, "etcdserver: key not found".to_owned()));
    let both = client.put("a", "3", Some(PutOptions::new().with_ignore_value())).await;
    assert_eq!(refusal(both), (Code::InvalidArgument, "etcdserver: value is provided".to_owned()));
    let empty = client.put("", "3", None).await;
    assert_eq!(refusal(empty), (Code::InvalidArgument, "etcdserver: key is not provided".to_owned()));
    let huge = client.put("a", vec![0; 1536 * 1024], None).await;
    assert_eq!(refusal(huge), (Code::InvalidArgument, "etcdserver: request is too large".to_owned()));

    let larger = refusal(client.put("a", vec![0; 3_000_000], None).await);
    let text = "grpc: received message larger than max (3000008 vs. 2097152)";
    assert_eq!(larger, (Code::ResourceExhausted, text.to_owned()));

    client.put("ab", "3", None).await.unwrap();
    let options = DeleteOptions::new().with_prefix().with_prev_key();
    let deleted = client.delete("a", Some(options)).await.unwrap();
    assert_eq!((deleted.deleted(), deleted.header().unwrap().revision()), (2, 5));
    assert_eq!(deleted.prev_kvs()[0].value(), b"2");
    let nothing = client.delete("a", None).await.unwrap();
    assert_eq!((nothing.deleted(), nothing.header().unwrap().revision()), (0, 5), "no write, no revision");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_one_revision_and_reads_its_own_writes() {
    let (_server, mut client) = in_memory().await;
    client.put("a", "1", None).await.unwrap();
    let nested = Txn::new()
        .when([Compare::version("b", CompareOp::Equal, 0)])
        .and_then([TxnOp::get("b", None), TxnOp::put("c", "3", None)])
        .or_else([TxnOp::put("never", "", None)]);
    let txn = Txn::new()
        .when([
            Compare::value("a", CompareOp::Equal, "1"),
            Compare::create_revision("a", CompareOp::Greater, 1),
        ])
        .and_then([TxnOp::put("b", "2", None), TxnOp::txn(nested), TxnOp::delete("a", None)]);
    let response = client.txn(txn).await.unwrap();
    assert!(response.succeeded());
    assert_eq!(response.header().unwrap().revision(), 3);
    let Some(TxnOpResponse::Txn(nested)) = response.op_responses().into_iter().nth(1) else {
        panic!("the second is the nested one");
    };
    assert!(nested.succeeded(), "compares see the state before the transaction: b is not there yet");
    let Some(TxnOpResponse::Get(get)) = nested.op_responses().into_iter().next() else {
        panic!("the first is the range");
    };
    assert_eq!(get.kvs()[0].value(), b"2", "reads see it");
    let all = client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    assert_eq!(keys(&all), ["b", "c"]);
    assert!(all.kvs().iter().all(|kv| kv.mod_revision() == 3));
}

#[tokio::test(start_paused = true)]
async fn compacted_history_is_gone() {
    let (_server, mut client) = in_memory().await;
    for value in ["1", "2", "3"] {
        client.put("a", value, None).await.unwrap();
    }
    client.compact(3, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let get = |revision| Some(GetOptions::new().with_revision(revision));
    assert_eq!(client.get("a", get(3)).await.unwrap().kvs()[0].value(), b"2");
    let compacted = (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted".to_owned());
    assert_eq!(refusal(client.get("a", get(2)).await), compacted);
    assert_eq!(refusal(client.compact(3, None).await), compacted);
    assert_eq!(refusal(client.compact(9, None).await).0, Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn equal_histories_have_equal_hashes() {
    let (_one, mut one) = in_memory().await;
    let (_other, mut other) = in_memory().await;
    for client in [&mut one, &mut other] {
        client.put("a", "1", None).await.unwrap();
        client.put("b", "2", None).await.unwrap();
    }
    other.put("b", "3", None).await.unwrap();
    let hash = one.hash_kv(0).await.unwrap().hash();
    assert_ne!(other.hash_kv(0).await.unwrap().hash(), hash);
    assert_eq!(other.hash_kv(3).await.unwrap().hash(), hash);
}
