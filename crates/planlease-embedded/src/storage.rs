//! The data folder: one redb file with every row of history, the leases and a few numbers.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | name | number |
//! | `history` | revision, position in it | the version, as etcd's `KeyValue`; version 0 is a tombstone |
//! | `leases` | id | TTL in seconds |
//!
//! A batch is one redb transaction, durable (fsync) when [`Storage::commit`] returns. What hangs on a lease
//! is not stored: it is in the versions. A lock file beside it gives a folder to one process at a time.
//!
//! Every opening verifies the checksum of every page. A commit looks first whether the file is still the one
//! that was opened, and whether there is [room](crate::reserve) for it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use etcd_client::proto::PbKeyValue;
use prost::Message;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::engine::{Entry, Record};
use crate::mvcc::{KeyValue, RowId, Store};
use crate::range::to_wire;
use crate::reserve::{Reserve, Space};

/// Name of the file in the data folder.
const FILE: &str = "etcd.redb";
/// A file that is being made, and is no data folder's yet.
const NEW_FILE: &str = "etcd.redb.new";
/// A file that another one has replaced at a restoration.
const REPLACED_FILE: &str = "etcd.redb.replaced";
/// Locked by the process that has the folder open.
const LOCK_FILE: &str = "lock";
/// Raised whenever an older program could not read what is written.
const FORMAT: i64 = 1;

const META: TableDefinition<'_, &str, i64> = TableDefinition::new("meta");
const HISTORY: TableDefinition<'_, RowId, &[u8]> = TableDefinition::new("history");
const LEASES: TableDefinition<'_, i64, i64> = TableDefinition::new("leases");

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another server of this one, has it open. Connect to that one instead, or stop it.
    #[error("the data folder {} is in use by another server", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// What is there is not a data folder, or was damaged. Restore it from a backup, or use another folder.
    #[error("the data folder {} is damaged: {what}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A newer program wrote it. Use that one.
    #[error(
        "the data folder {} has format {found}, this program knows up to {known}", path.display(), known = FORMAT
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// The folder cannot be created, read or written.
    #[error("cannot open the data folder {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A batch could not be written; the data folder is as it was before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The database could not write.
    #[error("{0}")]
    Database(redb::Error),
    /// The file was deleted or replaced while it was open; what would be written could never be read again.
    #[error("{} was deleted or replaced while the server ran; stop the server, restore a backup", .0.display())]
    Gone(PathBuf),
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

/// An open data folder.
#[derive(Debug)]
pub(crate) struct Storage {
    database: Database,
    blocks: bool,
    /// Where the database is, unless it is on something else than a file.
    place: Option<Place>,
}

/// The file of an open data folder, and what belongs to it.
#[derive(Debug)]
struct Place {
    file: PathBuf,
    /// Device and inode, which distinguish it from another file of the same name.
    identity: Option<(u64, u64)>,
    reserve: Reserve,
    /// Held for as long as the folder is open.
    _lock: File,
}

impl Place {
    fn check(&self) -> Result<(), WriteError> {
        if self.identity.is_some() && identity(&self.file) != self.identity {
            return Err(WriteError::Gone(self.file.clone()));
        }
        Ok(())
    }
}

/// Device and inode of a file; `None` if it is not there, or where there are none.
fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// What an open data folder holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) store: Store,
    /// Ids and TTLs in seconds.
    pub(crate) leases: Vec<(i64, i64)>,
    pub(crate) seed: u64,
    /// Number of openings, this one included.
    pub(crate) opening: u64,
    pub(crate) index: u64,
}

impl Storage {
    /// Opens a data folder, or makes a new one with the given seed, and reads all of it. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(path: &Path, seed: u64) -> Result<(Self, Contents), OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        make_folder(path).map_err(io)?;
        let lock = lock(path)?;
        let file = path.join(FILE);
        match std::fs::metadata(&file) {
            Ok(metadata) if metadata.len() == 0 => {
                return Err(OpenError::Damaged { path: path.to_owned(), what: format!("{FILE} is empty") });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_database(path)?,
            Err(error) => return Err(io(error)),
        }
        let database = Database::builder().set_check_integrity_on_open(true).open(&file);
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                OpenError::InUse { path: path.to_owned() }
            }
            other => classify(path, other.into()),
        })?;
        let reserve = Reserve::open(path);
        let place = Place { identity: identity(&file), file, reserve, _lock: lock };
        let storage = Self { database, blocks: true, place: Some(place) };
        let contents = storage.load(path, seed)?;
        secure(path).map_err(io)?;
        Ok((storage, contents))
    }

    /// Opens a database on something else than a file, which never blocks.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn on(backend: impl redb::StorageBackend, seed: u64) -> Result<(Self, Contents), OpenError> {
        let place = Path::new("a backend");
        let database = Database::builder().create_with_backend(backend);
        let database = database.map_err(|error| classify(place, error.into()))?;
        let storage = Self { database, blocks: false, place: None };
        let contents = storage.load(place, seed)?;
        Ok((storage, contents))
    }

    /// As [`Storage::on`], for a backend that blocks as a file does.
    #[cfg(test)]
    pub(crate) fn on_blocking(
        backend: impl redb::StorageBackend,
        seed: u64,
    ) -> Result<(Self, Contents), OpenError> {
        let (storage, contents) = Self::on(backend, seed)?;
        Ok((Self { blocks: true, ..storage }, contents))
    }

    /// Whether [`Storage::commit`] and closing may take as long as the disk likes.
    pub(crate) fn blocks(&self) -> bool {
        self.blocks
    }

    /// Whether the disk has room for more than what frees some.
    pub(crate) fn space(&self) -> Space {
        self.place.as_ref().map_or_else(Space::unbounded, |place| place.reserve.space())
    }

    /// Writes a batch and waits until it is on the disk. Blocks.
    ///
    /// # Errors
    /// If it is unknown whether the batch is on the disk; nothing may be written any more.
    pub(crate) fn commit(&mut self, batch: &[Entry]) -> Result<(), WriteError> {
        if let Some(place) = &mut self.place {
            place.check()?;
            place.reserve.make_room(batch.iter().map(|entry| entry.record.bytes()).sum());
        }
        let write = self.database.begin_write()?;
        for entry in batch {
            write_record(&write, &entry.record)?;
        }
        if let Some(entry) = batch.last() {
            let mut meta = write.open_table(META)?;
            meta.insert("revision", entry.mark.revision)?;
            meta.insert("index", entry.mark.index.cast_signed())?;
        }
        write.commit()?;
        Ok(())
    }

    fn load(&self, path: &Path, seed: u64) -> Result<Contents, OpenError> {
        let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.to_owned() };
        let begun = self.begin_opening(seed).map_err(|error| unreadable(path, error))?;
        if begun.format > FORMAT {
            return Err(OpenError::NewerFormat { path: path.to_owned(), found: begun.format });
        }
        let (rows, leases) = self.read_tables().map_err(|error| unreadable(path, error))?;
        let mut store = Store::default();
        for (at, value) in rows {
            let kv = PbKeyValue::decode(&value[..]).map_err(|_| damaged("a version cannot be decoded"))?;
            if kv.mod_revision != at.0 || at.0 > begun.revision {
                return Err(damaged("a version stands in the wrong place"));
            }
            let (key, put) = from_wire(kv);
            store.restore(at, key, put);
        }
        store.restored(begun.revision, begun.compaction);
        Ok(Contents { store, leases, seed: begun.seed, opening: begun.opening, index: begun.index })
    }

    /// Counts the opening, and makes the tables of a new folder. A newer format is left as it is.
    fn begin_opening(&self, seed: u64) -> Result<Begun, WriteError> {
        let write = self.database.begin_write()?;
        let begun = {
            let mut meta = write.open_table(META)?;
            let get = |name: &str| -> Result<Option<i64>, WriteError> {
                Ok(meta.get(name)?.map(|value| value.value()))
            };
            let begun = Begun {
                format: get("format")?.unwrap_or(FORMAT),
                seed: get("seed")?.map_or(seed, i64::cast_unsigned),
                opening: get("opening")?.unwrap_or(0).cast_unsigned() + 1,
                revision: get("revision")?.unwrap_or(Store::default().applied()),
                compaction: get("compaction")?.unwrap_or(Store::default().applied_compaction()),
                index: get("index")?.unwrap_or(0).cast_unsigned(),
            };
            if begun.format <= FORMAT {
                meta.insert("format", FORMAT)?;
                meta.insert("seed", begun.seed.cast_signed())?;
                meta.insert("opening", begun.opening.cast_signed())?;
                write.open_table(HISTORY)?;
                write.open_table(LEASES)?;
            }
            begun
        };
        write.commit()?;
        Ok(begun)
    }

    #[expect(clippy::type_complexity, reason = "two lists of pairs, taken apart at once")]
    fn read_tables(&self) -> Result<(Vec<(RowId, Vec<u8>)>, Vec<(i64, i64)>), WriteError> {
        let read = self.database.begin_read()?;
        let mut rows = Vec::new();
        for row in read.open_table(HISTORY)?.iter()? {
            let (at, value) = row?;
            rows.push((at.value(), value.value().to_vec()));
        }
        let mut leases = Vec::new();
        for row in read.open_table(LEASES)?.iter()? {
            let (id, ttl_secs) = row?;
            leases.push((id.value(), ttl_secs.value()));
        }
        Ok((rows, leases))
    }
}

/// The numbers of the `meta` table.
#[derive(Debug)]
struct Begun {
    format: i64,
    seed: u64,
    opening: u64,
    revision: i64,
    compaction: i64,
    index: u64,
}

fn write_record(write: &WriteTransaction, record: &Record) -> Result<(), WriteError> {
    match record {
        Record::Events(revision, events) => {
            let mut history = write.open_table(HISTORY)?;
            for (position, event) in (0_u32..).zip(events) {
                let row = row_value(&event.key, event.put.as_deref(), *revision).encode_to_vec();
                history.insert((*revision, position), &row[..])?;
            }
        }
        Record::Grant(id, ttl_secs) => {
            write.open_table(LEASES)?.insert(id, ttl_secs)?;
        }
        Record::Revoke(id) => {
            write.open_table(LEASES)?.remove(id)?;
        }
        Record::Compact(revision) => {
            write.open_table(META)?.insert("compaction", revision)?;
        }
        Record::Drop(rows) => {
            let mut history = write.open_table(HISTORY)?;
            for row in rows {
                history.remove(row)?;
            }
        }
    }
    Ok(())
}

/// A version as it is stored, here and by etcd.
pub(crate) fn row_value(key: &Bytes, put: Option<&KeyValue>, revision: i64) -> PbKeyValue {
    let tombstone = || PbKeyValue { key: key.to_vec(), mod_revision: revision, ..Default::default() };
    put.map_or_else(tombstone, |kv| to_wire(kv, false))
}

fn from_wire(kv: PbKeyValue) -> (Bytes, Option<Arc<KeyValue>>) {
    let key = Bytes::from(kv.key);
    let put = (kv.version != 0).then(|| {
        Arc::new(KeyValue {
            key: key.clone(),
            value: kv.value.into(),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        })
    });
    (key, put)
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Closes the file to others, and makes its being there as durable as what is in it.
fn secure(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path.join(FILE), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    File::open(path)?.sync_all()
}

/// Locks the folder for this process.
fn lock(path: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let file =
        File::options().write(true).create(true).truncate(false).open(path.join(LOCK_FILE)).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Makes an empty database, under its name only once it is whole: a file that a crash left empty is no new
/// store.
fn make_database(path: &Path) -> Result<(), OpenError> {
    let new = path.join(NEW_FILE);
    let renamed = || -> io::Result<()> {
        std::fs::rename(&new, path.join(FILE))?;
        File::open(path)?.sync_all()
    };
    remove_new(path, &new)?;
    let database = Database::create(&new).map_err(|error| classify(path, error.into()))?;
    database.close().map_err(|error| classify(path, error.into()))?;
    renamed().map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// What a data folder is filled with.
#[derive(Debug)]
pub(crate) struct Filling {
    pub(crate) rows: Vec<(RowId, Vec<u8>)>,
    pub(crate) leases: Vec<(i64, i64)>,
    pub(crate) revision: i64,
    pub(crate) compaction: i64,
    pub(crate) index: i64,
}

/// Makes a data folder with these contents. With `replace` a database that is there is kept beside it.
/// Blocks.
///
/// # Errors
/// See [`OpenError`]; `AlreadyExists` if there is a database that is not to be replaced.
pub(crate) fn fill(path: &Path, filling: &Filling, replace: bool) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    make_folder(path).map_err(io)?;
    let _lock = lock(path)?;
    let (file, new) = (path.join(FILE), path.join(NEW_FILE));
    if file.exists() && !replace {
        return Err(io(io::ErrorKind::AlreadyExists.into()));
    }
    remove_new(path, &new)?;
    write_new(&new, filling).map_err(|error| unreadable(path, error))?;
    if file.exists() {
        std::fs::rename(&file, path.join(REPLACED_FILE)).map_err(io)?;
    }
    std::fs::rename(&new, &file).map_err(io)?;
    secure(path).map_err(io)
}

fn write_new(new: &Path, filling: &Filling) -> Result<(), WriteError> {
    let database = Database::create(new)?;
    let write = database.begin_write()?;
    {
        let mut history = write.open_table(HISTORY)?;
        for (at, row) in &filling.rows {
            history.insert(at, &row[..])?;
        }
        let mut leases = write.open_table(LEASES)?;
        for (id, ttl) in &filling.leases {
            leases.insert(id, ttl)?;
        }
        let mut meta = write.open_table(META)?;
        for (name, number) in [
            ("format", FORMAT),
            ("revision", filling.revision),
            ("compaction", filling.compaction),
            ("index", filling.index),
        ] {
            meta.insert(name, number)?;
        }
    }
    write.commit()?;
    database.close()?;
    Ok(())
}

/// Removes a database that was being made when its maker ended.
fn remove_new(path: &Path, new: &Path) -> Result<(), OpenError> {
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(OpenError::Io { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

fn unreadable(path: &Path, error: WriteError) -> OpenError {
    match error {
        WriteError::Database(error) => classify(path, error),
        gone @ WriteError::Gone(_) => OpenError::Damaged { path: path.to_owned(), what: gone.to_string() },
    }
}

fn classify(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path, source }
        }
        other => OpenError::Damaged { path, what: other.to_string() },
    }
}
