//! Snapshots: a file that etcd's own tools accept, and what becomes of it.

use std::path::Path;

use etcd_client::{
    Client, CompactionOptions, GetOptions, LeaseTimeToLiveOptions, PutOptions, Txn, TxnOp, WatchOptions,
};
use planlease_embedded::{Options, Server};
use planlease_tests::backend::Backend;
use planlease_tests::etcd::{Etcd, Restore};
use planlease_tests::{TestEnv, case, plain};
use sha2::{Digest as _, Sha256};

use crate::probe::{Watch, put, refused, revision};

async fn saved(client: &Client) -> Vec<u8> {
    let mut stream = client.clone().snapshot().await.unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        bytes.extend_from_slice(part.blob());
    }
    bytes
}

#[case]
async fn a_snapshot_ends_with_its_hash(env: TestEnv) {
    put(&env.client, &env.key("a"), "1").await;
    let bytes = saved(&env.client).await;
    let (file, hash) = bytes.split_at(bytes.len() - 32);
    assert_eq!(file.len() % 512, 0, "by this etcdutl sees that there is a hash");
    assert_eq!(Sha256::digest(file).as_slice(), hash);
}

/// All keys as of a revision, with everything that is known of them.
async fn all(client: &Client, at: i64) -> Vec<(Vec<u8>, Vec<u8>, i64, i64, i64, i64)> {
    let options = GetOptions::new().with_all_keys().with_revision(at);
    let answer = client.clone().get("", Some(options)).await.unwrap();
    let kvs = answer.kvs().iter();
    kvs.map(|kv| {
        let numbers = (kv.create_revision(), kv.mod_revision(), kv.version(), kv.lease());
        (kv.key().to_vec(), kv.value().to_vec(), numbers.0, numbers.1, numbers.2, numbers.3)
    })
    .collect()
}

async fn restored(folder: &Path, bytes: &[u8]) -> (Etcd, Client) {
    let file = folder.join("snapshot.db");
    std::fs::write(&file, bytes).unwrap();
    let etcd = Etcd::builder().start().await;
    etcd.restore(&file, Restore::default()).await;
    let client = etcd.client(0).await;
    (etcd, client)
}

#[plain(on_etcd)]
async fn etcd_continues_from_a_snapshot_of_the_embedded_server() {
    etcd_continues_from_a_snapshot(Backend::Embedded).await;
}

#[plain(on_etcd)]
async fn etcd_continues_from_a_snapshot_of_a_data_folder() {
    etcd_continues_from_a_snapshot(Backend::EmbeddedInFolder).await;
}

async fn etcd_continues_from_a_snapshot(backend: Backend) {
    let server = backend.start().await;
    let written = Written::to(server.client().await).await;
    let folder = tempfile::tempdir().unwrap();
    let (_etcd, copy) = restored(folder.path(), &saved(&written.client).await).await;
    written.is_in(copy).await;
}

#[plain(on_etcd)]
async fn the_embedded_server_continues_from_a_snapshot() {
    for backend in [Backend::Embedded, Backend::Etcd] {
        let server = backend.start().await;
        let written = Written::to(server.client().await).await;
        let (folder, snapshot) = (tempfile::tempdir().unwrap(), saved(&written.client).await);
        let data = folder.path().join("data");
        let restored = planlease_embedded::restore(&data, &snapshot, false).unwrap();
        assert_eq!((restored.revision, restored.leases), (written.last, 2));
        let server = Server::open(Options::in_folder(&data, 7)).await.unwrap();
        written.is_in(server.client().await).await;
        server.close().await;
        let before = std::fs::read(data.join("etcd.redb")).unwrap();
        for (bytes, refused) in [
            (&snapshot[..], "Occupied"),
            (&snapshot[..snapshot.len() - 1], "Incomplete"),
            (&snapshot[1..], "Incomplete"),
            (&[], "Incomplete"),
        ] {
            let error = planlease_embedded::restore(&data, bytes, refused != "Occupied").unwrap_err();
            assert_eq!(format!("{error:?}"), refused);
        }
        for bytes in [&snapshot[..snapshot.len() - 1], &snapshot[1..], &[]] {
            let mut part = std::io::Cursor::new(bytes);
            assert!(planlease_embedded::restore_from(&data, &mut part, true).is_err());
        }
        assert!(std::fs::read(data.join("etcd.redb")).unwrap() == before, "what is refused changes nothing");
        planlease_embedded::restore_from(&data, &mut std::io::Cursor::new(&snapshot), true).unwrap();
        assert!(std::fs::read(data.join("etcd.redb.replaced")).unwrap() == before);
    }
}

/// What was written to a server, in every shape that a file may take: many keys, large values, a value for
/// several pages, tombstones, several writes at one revision, leases, compacted history.
struct Written {
    client: Client,
    compacted: i64,
    last: i64,
    lease: i64,
    bare: i64,
}

impl Written {
    async fn to(mut client: Client) -> Self {
        for number in 0..300 {
            put(&client, &format!("many/{number:05}"), &"x".repeat(number)).await;
        }
        for number in 0..120 {
            put(&client, &format!("versions/{}", number % 3), &number.to_string()).await;
        }
        client.delete("versions/2", None).await.unwrap();
        let compacted = put(&client, "again", "1").await;
        client.delete("again", None).await.unwrap();
        put(&client, "again", "2").await;
        put(&client, "large", &"y".repeat(1024 * 1024)).await;
        put(&client, "page", &"z".repeat(4096 - 16 - 16 - 17 - 30)).await;
        put(&client, "empty", "").await;
        let ops: Vec<TxnOp> = (0..100).map(|number| TxnOp::put(format!("txn/{number}"), "1", None)).collect();
        client.txn(Txn::new().and_then(ops)).await.unwrap();
        let lease = client.lease_grant(3600, None).await.unwrap().id();
        let bare = client.lease_grant(7200, None).await.unwrap().id();
        client.put("leased", "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
        client.compact(compacted, Some(CompactionOptions::new().with_physical())).await.unwrap();
        let last = put(&client, "last", "1").await;
        Self { client, compacted, last, lease, bare }
    }

    /// Checks that a copy has it, and that work goes on there.
    async fn is_in(&self, mut copy: Client) {
        let Self { client, compacted, last, lease, bare } = self;
        for at in [*compacted, compacted + 1, compacted + 2, last - 1, *last] {
            assert_eq!(all(&copy, at).await, all(client, at).await, "as of {at}");
        }
        let options = GetOptions::new().with_revision(compacted - 1);
        let gone = copy.get("a", Some(options)).await;
        refused(gone, tonic::Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted");
        assert_eq!(revision(copy.get("a", None).await.unwrap().header()), *last);
        // The history is there, in the order of the writes.
        let watched = async |client: &Client| {
            let options = WatchOptions::new().with_all_keys().with_start_revision(compacted + 1);
            Watch::begin(client, "", options).await.seen(107, "").await
        };
        assert_eq!(watched(&copy).await, watched(client).await);
        let about = async |client: &mut Client, id| {
            let options = LeaseTimeToLiveOptions::new().with_keys();
            let answer = client.lease_time_to_live(id, Some(options)).await.unwrap();
            (answer.granted_ttl(), answer.keys().to_vec())
        };
        assert_eq!(about(&mut copy, *lease).await, (3600, vec![b"leased".to_vec()]));
        assert_eq!(about(&mut copy, *bare).await, (7200, vec![]));
        copy.lease_revoke(*lease).await.unwrap();
        assert_eq!(put(&copy, "new", "1").await, last + 2);
        assert_eq!(all(&copy, 0).await.len(), all(client, 0).await.len());
    }
}

#[plain(on_etcd)]
async fn an_empty_embedded_server_has_a_snapshot() {
    let server = Backend::Embedded.start().await;
    let folder = tempfile::tempdir().unwrap();
    let bytes = saved(&server.client().await).await;
    let (_etcd, copy) = restored(folder.path(), &bytes).await;
    assert_eq!(put(&copy, "a", "1").await, 2);
}
