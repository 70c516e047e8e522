//! Which store this is: made by the first process, compared at each connection, adopted by an operator after
//! a restore.

use planlease_core::{
    Extra, Generation, Revision,
    codec::{self, FormatVersion},
    keys::{Key, Layout},
    life::{self, Marks, Verdict},
    record::StoreRecord,
    unreadable,
};

use crate::{
    config::Config,
    error::Error,
    etcd::{Admission, Branch, Compare, Etcd, Known, Op, Seen, Transaction},
    memory::Memory,
};

/// How often it is tried while other processes write the record.
const TRIES: usize = 16;

/// The store of this configuration.
pub(crate) struct Store<'a> {
    etcd: &'a Etcd,
    key: Vec<u8>,
    memory: Memory,
}

/// What one look at it has shown.
struct Look {
    record: Option<(StoreRecord, Revision)>,
    cluster: u64,
    /// The same in hex.
    cluster_id: String,
    marks: Marks,
}

impl<'a> Store<'a> {
    pub(crate) fn new(etcd: &'a Etcd, layout: &Layout) -> Self {
        let Config { state_folder, root, namespace, .. } = etcd.config();
        let memory = Memory::at(state_folder.as_deref(), root, namespace.as_str());
        Self { etcd, key: layout.key(&Key::Store), memory }
    }

    /// Which store this is; made if there is none yet.
    pub(crate) async fn identify(&self) -> Result<StoreRecord, Error> {
        for _ in 0..TRIES {
            let remembered = self.memory.read(); // First: another process may see more while this one asks.
            let look = self.look().await?;
            let record = look.record.as_ref().map(|(record, written)| (record, *written));
            let record = match life::judge(record, &look.cluster_id, &look.marks, &remembered) {
                Verdict::Moved => {
                    let recorded = look.record.map(|(record, _)| record.cluster_id).unwrap_or_default();
                    return Err(Error::StoreMoved { recorded, found: look.cluster_id });
                }
                Verdict::Restored(sign) => return Err(Error::StoreRestored(sign.to_string())),
                Verdict::Missing(generation) => {
                    let made = StoreRecord {
                        v: FormatVersion::default(),
                        generation,
                        cluster_id: look.cluster_id.clone(),
                        created_at: self.etcd.config().clock.wall(),
                        raft_term: None,
                        raft_index: None,
                        extra: Extra::default(),
                    };
                    self.write(made, None, &look.marks).await?
                }
                Verdict::Same => self.refresh(look.record, &look.marks).await?,
            };
            if let Some(record) = record {
                self.memory.note(&record, &look.marks);
                self.etcd.pin(Known::new(look.cluster, record.generation, look.marks));
                return Ok(record);
            }
        }
        Err(Error::TimedOut("the record of the store keeps changing"))
    }

    /// Raises the generation, whatever the store turns out to be. Returns the new one.
    pub(crate) async fn adopt(&self) -> Result<Generation, Error> {
        for _ in 0..TRIES {
            let look = self.look().await?;
            let Some((record, written)) = look.record else { return Ok(self.identify().await?.generation) };
            let generation = life::adopted(&record, &self.memory.read());
            let adopted = StoreRecord { generation, cluster_id: look.cluster_id, ..record };
            if let Some(adopted) = self.write(adopted, Some(written), &look.marks).await? {
                self.memory.note(&adopted, &look.marks);
                return Ok(adopted.generation);
            }
        }
        Err(Error::TimedOut("the record of the store keeps changing"))
    }

    async fn look(&self) -> Result<Look, Error> {
        let Seen { cluster_id, marks, entry } = self.etcd.look(&self.key).await?;
        let record =
            entry.map(|entry| Ok::<_, Error>((unreadable::read(&Key::Store, &entry.value)?, entry.modified)));
        Ok(Look {
            record: record.transpose()?,
            cluster: cluster_id,
            cluster_id: format!("{cluster_id:x}"),
            marks,
        })
    }

    /// Writes the record with how far the cluster has come, unless another process was first: `None` then.
    async fn write(
        &self,
        record: StoreRecord,
        before: Option<Revision>,
        marks: &Marks,
    ) -> Result<Option<StoreRecord>, Error> {
        let record = StoreRecord { raft_term: Some(marks.raft_term), raft_index: marks.raft_index, ..record };
        let txn = Transaction::when([Compare::Modified(self.key.clone(), before)])
            .then([Op::Put(self.key.clone(), codec::encode(&record)?)]);
        Ok((self.etcd.execute(&txn, Admission::TURN).await?.branch == Branch::Then).then_some(record))
    }

    /// Brings a record up to date after an election. A user who may only read goes without.
    async fn refresh(
        &self,
        record: Option<(StoreRecord, Revision)>,
        marks: &Marks,
    ) -> Result<Option<StoreRecord>, Error> {
        let Some((record, written)) = record else { return Ok(None) };
        if !life::is_outdated(&record, marks) {
            return Ok(Some(record));
        }
        match self.write(record.clone(), Some(written), marks).await {
            Err(Error::PermissionDenied(_) | Error::NoSpace(_)) => Ok(Some(record)),
            written => written,
        }
    }
}
