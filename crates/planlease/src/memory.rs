//! What this host remembers of the stores that it has seen: a small file in the state folder.
//!
//! Only [`crate::store`] uses it. A host without it, or with one that cannot be read, knows less and works
//! all the same.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use planlease_core::{
    life::{self, Marks, Remembered},
    record::StoreRecord,
};
use serde::{Deserialize, Serialize};

use crate::regular;

/// How many stores are remembered of one root and namespace, and in all: those that were seen last.
const MOST: (usize, usize) = (8, 64);

/// The largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// What this host remembers of the stores that it has seen.
#[derive(Debug)]
pub(crate) struct Memory {
    /// `None`: this process remembers nothing.
    file: Option<PathBuf>,
    /// Root and namespace.
    place: String,
}

/// One entry of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    place: String,
    #[serde(flatten)]
    seen: Remembered,
}

impl Memory {
    /// What is remembered in this folder, about stores of this root and namespace.
    pub(crate) fn at(folder: Option<&Path>, root: &str, namespace: &str) -> Self {
        let place = format!("{}/{namespace}", root.trim_end_matches('/'));
        Self { file: folder.map(|folder| folder.join("stores.json")), place }
    }

    /// What is remembered; nothing if there is no file, or none that can be read.
    pub(crate) fn read(&self) -> Vec<Remembered> {
        let Some(file) = &self.file else { return Vec::new() };
        match read(file) {
            Ok(kept) => self.split(kept).0,
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "what this host remembers of stores cannot be read");
                Vec::new()
            }
        }
    }

    /// Adds what was seen now.
    pub(crate) fn note(&self, record: &StoreRecord, now: &Marks) {
        let Some(file) = &self.file else { return };
        if let Err(error) = self.replace(file, record, now) {
            tracing::debug!(file = %file.display(), %error, "what was seen of the store is not remembered");
        }
    }

    /// What is kept of this place, and of the others.
    fn split(&self, kept: Vec<Kept>) -> (Vec<Remembered>, Vec<Kept>) {
        let (ours, others): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.place == self.place);
        (ours.into_iter().map(|kept| kept.seen).collect(), others)
    }

    /// Replaces the file whole, under a lock beside it. One that cannot be read is replaced too: what it knew
    /// is lost already.
    fn replace(&self, file: &Path, record: &StoreRecord, now: &Marks) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            create_private_folder(folder)?;
        }
        let lock = file.with_extension("lock"); // Never removed, since another process may be waiting for it.
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(lock)?;
        lock.lock()?;
        let before = read(file).unwrap_or_default();
        let (mut ours, mut kept) = self.split(before.clone());
        life::remember(&mut ours, record, now, MOST.0);
        kept.extend(ours.into_iter().map(|seen| Kept { place: self.place.clone(), seen }));
        kept.drain(..kept.len().saturating_sub(MOST.1));
        if kept == before {
            return Ok(());
        }
        let aside = file.with_extension("new"); // No other process writes it: the lock is held.
        let mut new = File::create(&aside)?;
        new.write_all(&serde_json::to_vec(&kept)?)?;
        fs::rename(&aside, file)
    }
}

fn read(file: &Path) -> io::Result<Vec<Kept>> {
    match regular::read(file, MAX_BYTES) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Makes a folder that only its owner can enter; one that is there is left as it is.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use planlease_core::{Generation, Revision, WallTime, codec::FormatVersion};

    use super::*;

    #[test]
    fn seen_stores_are_remembered_despite_a_damaged_file() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(Some(folder.path()), "/planlease", "team a/b");
        assert_eq!(memory.read(), []);
        let record = StoreRecord {
            v: FormatVersion::default(),
            generation: Generation(2),
            cluster_id: "c".to_owned(),
            created_at: WallTime(1),
            raft_term: None,
            raft_index: None,
            extra: planlease_core::Extra::default(),
        };
        let now = Marks { raft_term: 3, raft_index: Some(9), revision: Revision::from_wire(7).unwrap() };
        memory.note(&record, &now);
        memory.note(&record, &now);
        let again = memory.read();
        assert_eq!((again.len(), again[0].generation, again[0].raft_index), (1, Generation(2), 9));
        fs::write(memory.file.as_ref().unwrap(), "{").unwrap();
        assert_eq!(memory.read(), []);
        memory.note(&record, &now);
        assert_eq!(memory.read(), again);
        assert_eq!(Memory::at(None, "/planlease", "a").read(), []);
        for n in 0..100 {
            Memory::at(Some(folder.path()), "/planlease", &n.to_string()).note(&record, &now);
        }
        assert_eq!(read(memory.file.as_ref().unwrap()).unwrap().len(), MOST.1, "a bounded number");
        assert_eq!(Memory::at(Some(folder.path()), "/planlease/", "99").read(), again);
    }
}
