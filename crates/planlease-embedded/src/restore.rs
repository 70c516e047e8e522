//! A data folder made of a snapshot: of this server's own, or of an etcd's.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use bytes::Bytes;
use etcd_client::proto::PbKeyValue;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{
    bolt_reader::{Element, Malformed, Reader},
    mvcc::{RowId, Store},
    snapshot_file::Lease,
    storage::{self, Filling, OpenError},
};

/// The length of the hash at the end of a snapshot.
const HASH: usize = 32;

/// How many bytes the two first pages have at most: a page of bbolt has up to 64 KiB.
const FIRST_PAGES: u64 = 128 * 1024;

/// How many bytes of a file are held while its hash is computed.
const PART: u64 = 1024 * 1024;

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The versions of all keys, with their history.
    pub versions: usize,
    /// The leases; each starts over.
    pub leases: usize,
    /// The revision of the store.
    pub revision: i64,
    /// Whether users and roles were left out, which this server has not.
    pub users_left_out: bool,
}

/// Why a snapshot cannot be restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The hash at its end does not fit: it is no snapshot, or a part of one.
    #[error("it is no whole snapshot: the hash at its end does not fit")]
    Incomplete,
    /// It has not the form of a snapshot.
    #[error("it is no snapshot of an etcd: {0}")]
    Malformed(&'static str),
    /// The folder holds a store already.
    #[error("there is a store already")]
    Occupied,
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The snapshot cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// As [`restore`], of a snapshot in a file: it is held in memory only once it is known to be whole. Blocks.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_from(
    folder: &Path,
    snapshot: &mut (impl Read + Seek),
    replace: bool,
) -> Result<Restored, RestoreError> {
    let length = snapshot.seek(SeekFrom::End(0))?;
    check(snapshot, length)?;
    snapshot.rewind()?;
    let mut bytes = Vec::new();
    snapshot.take(length).read_to_end(&mut bytes)?;
    restore(folder, &bytes, replace)
}

/// Checks that a file of this length is a whole snapshot: by its first pages, so that a large file of another
/// kind is refused at once, and by the hash at its end.
fn check(snapshot: &mut (impl Read + Seek), length: u64) -> Result<(), RestoreError> {
    snapshot.rewind()?;
    let mut first = Vec::new();
    snapshot.by_ref().take(FIRST_PAGES).read_to_end(&mut first)?;
    Reader::new(&first)
        .map_err(|Malformed| RestoreError::Malformed("its first pages are those of another file"))?;
    snapshot.rewind()?;
    let mut hashed = snapshot.by_ref().take(length.saturating_sub(HASH as u64));
    let (mut digest, mut part) = (Sha256::new(), Vec::new());
    while hashed.by_ref().take(PART).read_to_end(&mut part)? > 0 {
        digest.update(&part);
        part.clear();
    }
    let mut hash = [0; HASH];
    snapshot.read_exact(&mut hash)?;
    match digest.finalize().as_slice() == hash {
        true => Ok(()),
        false => Err(RestoreError::Incomplete),
    }
}

/// Makes a data folder of a snapshot. With `replace` a store that is there is kept beside it, under a name
/// that ends in `.replaced`. Blocks.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(folder: &Path, snapshot: &[u8], replace: bool) -> Result<Restored, RestoreError> {
    let (file, hash) = snapshot.split_at_checked(snapshot.len().saturating_sub(HASH)).unwrap_or_default();
    if Sha256::digest(file).as_slice() != hash {
        return Err(RestoreError::Incomplete);
    }
    let (filling, users_left_out) = read(file)?;
    let Filling { ref rows, ref leases, revision, .. } = filling;
    let restored = Restored { versions: rows.len(), leases: leases.len(), revision, users_left_out };
    match storage::fill(folder, &filling, replace) {
        Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(RestoreError::Occupied)
        }
        filled => Ok(filled.map(|()| restored)?),
    }
}

/// What the file holds, and whether it has users.
fn read(file: &[u8]) -> Result<(Filling, bool), RestoreError> {
    let malformed = |Malformed| RestoreError::Malformed("its pages lead nowhere");
    let reader = Reader::new(file).map_err(malformed)?;
    let rows =
        reader.bucket("key").map_err(malformed)?.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let leases = reader.bucket("lease").map_err(malformed)?;
    let leases = leases.into_iter().map(|(_, value)| {
        let lease = Lease::decode(value).map_err(|_| RestoreError::Malformed("a lease cannot be decoded"))?;
        Ok((lease.id, lease.ttl))
    });
    let leases = leases.collect::<Result<Vec<_>, RestoreError>>()?;
    let meta = reader.bucket("meta").map_err(malformed)?;
    let meta = |name: &str| {
        let found = meta.iter().find(|(key, _)| *key == name.as_bytes());
        found.and_then(|(_, value)| value.first_chunk::<8>()).map_or(0, |number| i64::from_be_bytes(*number))
    };
    let none = Store::default();
    let compaction = meta("scheduledCompactRev").max(meta("finishedCompactRev"));
    let last = rows.last().map_or(0, |((revision, _), _)| *revision);
    let revision = last.max(compaction).max(none.applied());
    let compaction = if compaction > 0 { compaction } else { none.applied_compaction() };
    let users = reader.bucket("authUsers").map_err(malformed)?;
    Ok((Filling { rows, leases, revision, compaction, index: meta("consistent_index") }, !users.is_empty()))
}

/// A version: its place by its key, and its value as it is stored here. etcd's tombstones have no revision in
/// their value.
fn row((key, value): Element<'_>) -> Result<(RowId, Vec<u8>), RestoreError> {
    let malformed = RestoreError::Malformed;
    let number = |at: usize| {
        let bytes = key.get(at..).and_then(|rest| rest.first_chunk::<8>());
        bytes.map(|bytes| i64::from_be_bytes(*bytes)).ok_or(malformed("a version has no revision"))
    };
    let revision = number(0)?;
    let position = u32::try_from(number(9)?).map_err(|_| malformed("a version has no position"))?;
    let mut kv = PbKeyValue::decode(Bytes::copy_from_slice(value))
        .map_err(|_| malformed("a version cannot be decoded"))?;
    if key.get(17) == Some(&b't') {
        kv = PbKeyValue { key: kv.key, mod_revision: revision, ..PbKeyValue::default() };
    }
    Ok(((revision, position), kv.encode_to_vec()))
}
