//! A snapshot as the file that etcd would send.
//!
//! What `etcdutl snapshot restore` makes of it is a store of etcd's with the same keys, history, revisions
//! and leases.

use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::bolt::File;
use crate::shared::Identity;
use crate::snapshot::Contents;
use crate::storage::row_value;

/// A lease as etcd stores it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Lease {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
    #[prost(int64, tag = "2")]
    pub(crate) ttl: i64,
}

/// The buckets of an etcd that stay empty. `etcdutl snapshot restore` empties some of them, and they have to
/// be there.
const EMPTY: [&str; 8] =
    ["alarm", "auth", "authRoles", "authUsers", "cluster", "members", "members_removed", "authRevision"];

/// The file, with the hash at its end by which its readers know that it is whole.
pub(crate) fn file(contents: Contents, identity: &Identity) -> Vec<u8> {
    let mut file = File::new();
    for name in EMPTY {
        file.bucket(name, []);
    }
    let rows = contents.rows.into_iter().map(|((revision, position), key, kv)| {
        let mut name = revision_key(revision, position);
        if kv.is_none() {
            name.push(b't');
        }
        (name, row_value(&key, kv.as_deref(), revision).encode_to_vec())
    });
    file.bucket("key", rows);
    let mut leases = contents.leases;
    leases.sort_unstable_by_key(|(id, _)| id.to_be_bytes());
    let leases =
        leases.into_iter().map(|(id, ttl)| (id.to_be_bytes().to_vec(), Lease { id, ttl }.encode_to_vec()));
    file.bucket("lease", leases);
    let number = |number: u64| number.to_be_bytes().to_vec();
    let voters = format!("{{\"voters\":[{}],\"auto_leave\":false}}", identity.member_id);
    let mut meta = vec![("confState", voters.into_bytes()), ("consistent_index", number(contents.index))];
    if contents.compaction > 0 {
        meta.push(("finishedCompactRev", revision_key(contents.compaction, 0)));
        meta.push(("scheduledCompactRev", revision_key(contents.compaction, 0)));
    }
    meta.push(("term", number(identity.term)));
    file.bucket("meta", meta.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)));
    let mut bytes = file.finish();
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

/// A revision and a position in it, as etcd writes them in its keys.
fn revision_key(revision: i64, position: u32) -> Vec<u8> {
    let mut key = revision.to_be_bytes().to_vec();
    key.push(b'_');
    key.extend_from_slice(&i64::from(position).to_be_bytes());
    key
}
