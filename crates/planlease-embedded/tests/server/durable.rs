//! The data folder. These tests run on real time, since they wait for a real disk.

use std::path::Path;

use etcd_client::{GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, Txn, TxnOp};
use planlease_embedded::{OpenError, Options, Server};

use crate::{refusal, soon};

async fn open(path: &Path) -> Server {
    soon(Server::open(Options::in_folder(path, 3))).await.unwrap()
}

/// Opens a folder that a server was dropped on a moment ago.
async fn reopen(path: &Path) -> Server {
    soon(async {
        loop {
            match Server::open(Options::in_folder(path, 99)).await {
                Ok(server) => return server,
                Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await
}

#[tokio::test]
async fn everything_acknowledged_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(folder.path()).await;
    let mut client = server.client().await;
    client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(5))).await.unwrap();
    client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(6))).await.unwrap();
    client.put("a", "1", None).await.unwrap();
    client.put("a", "2", Some(PutOptions::new().with_lease(5))).await.unwrap();
    client.put("b", "1", None).await.unwrap();
    client.delete("b", None).await.unwrap();
    client.compact(3, None).await.unwrap();
    let ops = [TxnOp::put("c", "1", None), TxnOp::put("d", "1", None)];
    client.txn(Txn::new().and_then(ops)).await.unwrap();
    client.lease_revoke(6).await.unwrap();
    let (cluster_id, hash) = (server.cluster_id(), client.hash_kv(0).await.unwrap().hash());
    let term = client.status().await.unwrap().raft_term();
    drop(server);

    let server = reopen(folder.path()).await;
    let mut client = server.client().await;
    assert_eq!(server.cluster_id(), cluster_id, "the folder keeps its seed");
    assert_eq!(client.hash_kv(0).await.unwrap().hash(), hash);
    let status = client.status().await.unwrap();
    assert_eq!((status.header().unwrap().revision(), status.raft_term()), (6, term + 1));
    let old = |revision| Some(GetOptions::new().with_revision(revision));
    assert_eq!(client.get("b", old(4)).await.unwrap().count(), 1);
    assert!(refusal(client.get("a", old(2)).await).1.ends_with("has been compacted"));
    let lease = client.lease_time_to_live(5, Some(LeaseTimeToLiveOptions::new().with_keys())).await.unwrap();
    assert_eq!((lease.granted_ttl(), lease.keys()), (600, &[b"a".to_vec()][..]));
    assert_eq!(client.leases().await.unwrap().leases().len(), 1);
    client.lease_revoke(5).await.unwrap();
    assert_eq!(client.get("a", None).await.unwrap().count(), 0);
    let mut watch =
        client.watch("c", Some(etcd_client::WatchOptions::new().with_start_revision(4))).await.unwrap();
    soon(watch.message()).await.unwrap();
    let replayed = soon(watch.message()).await.unwrap().unwrap();
    assert_eq!(replayed.events()[0].kv().unwrap().mod_revision(), 6);
    server.close().await;
}

#[tokio::test]
async fn concurrent_writes_are_all_there_with_their_own_revision() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(folder.path()).await;
    let client = server.client().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..32 {
        let mut client = client.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0..20 {
                let put = client.put(format!("{writer}/{n}"), "x", None).await.unwrap();
                acknowledged.push((format!("{writer}/{n}"), put.header().unwrap().revision()));
            }
            acknowledged
        });
    }
    let mut acknowledged: Vec<_> = soon(writers.join_all()).await.into_iter().flatten().collect();
    drop(server);
    let server = reopen(folder.path()).await;
    let all = server.client().await.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    let mut stored: Vec<_> =
        all.kvs().iter().map(|kv| (kv.key_str().unwrap().to_owned(), kv.mod_revision())).collect();
    acknowledged.sort();
    stored.sort();
    assert_eq!(stored, acknowledged);
}

#[tokio::test]
async fn what_a_read_or_a_watch_sees_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(folder.path()).await;
    let mut client = server.client().await;
    let mut watch = client.watch("k", None).await.unwrap();
    soon(watch.message()).await.unwrap();
    let mut writer = client.clone();
    // Never awaited to its end: the answer is not what shows that it is durable.
    let write = tokio::spawn(async move { writer.put("k", "v", None).await });
    let seen = soon(watch.message()).await.unwrap().unwrap();
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("etcd.redb"), copy.path().join("etcd.redb")).unwrap();
    assert_eq!(seen.events().len(), 1);
    let restored = open(copy.path()).await;
    assert_eq!(restored.client().await.get("k", None).await.unwrap().count(), 1);
    soon(write).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_folder_has_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(folder.path()).await;
    let second = Server::open(Options::in_folder(folder.path(), 3)).await;
    let error = second.expect_err("refused");
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    server.close().await;
    open(folder.path()).await.close().await;
}

#[tokio::test]
async fn what_is_no_data_folder_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("etcd.redb"), [7; 10_000]).unwrap();
    let error = Server::open(Options::in_folder(folder.path(), 3)).await.expect_err("refused");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    let file = folder.path().join("etcd.redb");
    let error = Server::open(Options::in_folder(&file, 3)).await.expect_err("refused");
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}

#[tokio::test]
async fn a_closed_server_refuses_further_requests() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(folder.path()).await;
    let mut client = server.client().await;
    let mut watch = client.watch("k", None).await.unwrap();
    soon(watch.message()).await.unwrap();
    let ended = server.ended();
    server.close().await;
    assert_eq!(soon(ended).await, None);
    for refused in [refusal(client.put("a", "1", None).await), refusal(client.get("a", None).await)] {
        assert_eq!(refused, (tonic::Code::Unavailable, "etcdserver: server stopped".to_owned()));
    }
    soon(watch.message()).await.expect_err("the stream ends with an error");
}

#[tokio::test]
async fn an_empty_file_is_not_a_new_store() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("etcd.redb"), []).unwrap();
    let error = Server::open(Options::in_folder(folder.path(), 3)).await.expect_err("refused");
    assert!(matches!(error, OpenError::Damaged { .. }) && error.to_string().contains("empty"), "{error}");
}

#[tokio::test]
async fn a_crash_while_the_file_is_made_leaves_no_store() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("etcd.redb.new"), [7; 100]).unwrap();
    let server = open(folder.path()).await;
    server.client().await.put("a", "1", None).await.unwrap();
    server.close().await;
}

/// A folder with some history, and the hash of it.
async fn with_history(folder: &Path) -> u32 {
    let server = open(folder).await;
    let mut client = server.client().await;
    for number in 0..300 {
        client
            .put(format!("key/{}", number % 50), format!("value {number} {}", "x".repeat(200)), None)
            .await
            .unwrap();
    }
    client.lease_grant(600, Some(LeaseGrantOptions::new().with_id(5))).await.unwrap();
    let hash = client.hash_kv(0).await.unwrap().hash();
    server.close().await;
    hash
}

/// One bit in every page is flipped, each in a copy of its own: either the copy is refused, or it has lost
/// nothing.
#[tokio::test]
async fn a_flipped_bit_is_found_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let hash = with_history(folder.path()).await;
    let bytes = std::fs::read(folder.path().join("etcd.redb")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let mut refused = 0;
    let header = (0..320).step_by(3);
    let pages = (512..bytes.len()).step_by(1_531).filter(|at| bytes[*at] != 0);
    for at in header.chain(pages) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(copy.path().join("etcd.redb"), &flipped).unwrap();
        match Server::open(Options::in_folder(copy.path(), 3)).await {
            Ok(server) => {
                let mut client = server.client().await;
                assert_eq!(client.hash_kv(0).await.unwrap().hash(), hash, "byte {at}");
                assert_eq!(client.leases().await.unwrap().leases().len(), 1, "byte {at}");
                server.close().await;
            }
            Err(OpenError::Damaged { .. } | OpenError::NewerFormat { .. }) => refused += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(refused > 20, "only {refused} were refused");
}

#[tokio::test]
async fn a_deleted_or_replaced_file_ends_the_server() {
    for replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let server = open(folder.path()).await;
        let mut client = server.client().await;
        client.put("a", "1", None).await.unwrap();
        let file = folder.path().join("etcd.redb");
        if replaced {
            let copy = folder.path().join("copy");
            std::fs::copy(&file, &copy).unwrap();
            std::fs::rename(&copy, &file).unwrap();
        } else {
            std::fs::remove_dir_all(folder.path()).unwrap();
        }
        let error = refusal(client.put("a", "2", None).await);
        assert!(error.1.contains("was deleted or replaced"), "{error:?}");
        let reason = soon(server.ended()).await.expect("a reason");
        assert!(reason.contains("was deleted or replaced"), "{reason}");
        server.close().await;
    }
}

/// A busy plan for a week: an update every ten seconds, and a server that keeps an hour of history.
#[tokio::test(start_paused = true)]
async fn a_server_that_compacts_itself_stays_small() {
    let mut options = Options::in_memory(3);
    options.compaction = Some(planlease_embedded::KeptHistory::default());
    let server = Server::open(options).await.unwrap();
    let mut client = server.client().await;
    let mut largest = 0;
    for number in 0..7 * 24 * 360 {
        client.put(format!("task/{}", number % 100), "x".repeat(400), None).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        if number % 360 == 0 {
            largest = largest.max(client.status().await.unwrap().db_size());
        }
    }
    // 100 tasks, and an hour and six minutes of history.
    assert!(largest < (100 + 396 + 20) * 420, "{largest} bytes");
    let first = client.get("task/0", Some(GetOptions::new().with_revision(2))).await;
    assert!(refusal(first).1.ends_with("has been compacted"));
    server.close().await;
}

/// While a large history is compacted, writes wait for a step of it and not for the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_while_a_compaction_is_swept() {
    let server = Server::open(Options::in_memory(3)).await.unwrap();
    let mut client = server.client().await;
    for _ in 0..400 {
        let puts: Vec<_> = (0..100).map(|number| TxnOp::put(format!("k{number}"), "x", None)).collect();
        client.txn(Txn::new().and_then(puts)).await.unwrap();
    }
    let mut compacting = client.clone();
    let compacted = tokio::spawn(async move {
        let options = etcd_client::CompactionOptions::new().with_physical();
        compacting.compact(400, Some(options)).await.unwrap();
    });
    let mut during = 0;
    while !compacted.is_finished() {
        client.put("other", "x", None).await.unwrap();
        during += 1;
    }
    compacted.await.unwrap();
    assert!(during > 10, "{during} writes were answered during the sweep of 40,000 versions");
    assert!(client.status().await.unwrap().db_size() < 10_000, "and nothing of it is left");
    server.close().await;
}
