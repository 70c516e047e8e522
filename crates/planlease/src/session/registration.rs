//! The registration of a session: the key that shows it to others for as long as its lease lives.
//!
//! Its mod revision has a second use: each transaction that puts a key of this session into a queue compares
//! it. To write the registration again, unchanged, refuses all such transactions that are still under way.
//!
//! What it says can change while the session lives. Each change compares the revision of the record that it
//! was made of: another process may have written the record since.

use planlease_core::{
    LeaseId, OrchestratorId, Revision,
    codec::{self, FormatVersion},
    keys::Key,
    offer::Load,
    record,
};
use tokio::sync::watch;

use super::identity::Identity;
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Etcd, Op, Transaction},
};

/// How often a change of the registration is decided again after another process has changed it.
const ROUNDS: usize = 8;

/// The registration of a session.
#[derive(Debug)]
pub(super) struct Registration {
    key: Vec<u8>,
    /// The record as it was last read or written here, and by which revision.
    record: watch::Sender<(Revision, record::Registration)>,
    lease: LeaseId,
    created: Revision,
    /// The revision that wrote it last, as far as is known.
    modified: watch::Sender<Revision>,
}

impl Registration {
    /// Writes the registration. One transaction.
    pub(super) async fn write(
        coordinator: &Coordinator,
        identity: &Identity,
        id: &OrchestratorId,
        lease: LeaseId,
    ) -> Result<Self, Error> {
        let record = record::Registration {
            v: FormatVersion::default(),
            host: identity.host.clone(),
            pid: identity.pid,
            boot_id: identity.boot_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: identity.labels.clone(),
            endpoint: identity.endpoint.clone(),
            offer: identity.offer.clone(),
            load: None,
            lease,
            started_at: coordinator.clock().wall(),
            extra: planlease_core::Extra::default(),
        };
        let key = coordinator.layout().key(&Key::Orchestrator(id.clone()));
        let value = codec::encode(&record)?;
        let txn = Transaction::when([Compare::Created(key.clone(), None)])
            .then([Op::PutLeased(key.clone(), value.clone(), lease)])
            .otherwise([Op::Get(key.clone())]);
        let mut reply = coordinator.etcd().execute(&txn, Admission::TURN).await?;
        let created = match reply.branch {
            Branch::Then => reply.revision,
            Branch::Otherwise => match reply.row() {
                // A lost answer: it was us.
                Some(entry) if entry.lease == Some(lease) => entry.created,
                _ => return Err(Error::IdentityTaken(id.clone())),
            },
        };
        let record = watch::Sender::new((created, record));
        Ok(Self { key, record, lease, created, modified: watch::Sender::new(created) })
    }

    /// Its create revision.
    pub(super) fn created(&self) -> Revision {
        self.created
    }

    /// Its key, with the revision that wrote it last, as far as is known.
    pub(super) fn written(&self) -> (Vec<u8>, Revision) {
        (self.key.clone(), *self.modified.borrow())
    }

    /// Notes that it was seen as written by this revision.
    pub(super) fn seen_written(&self, modified: Revision) {
        self.modified.send_if_modified(|known| {
            let newer = modified > *known;
            *known = modified.max(*known);
            newer
        });
    }

    /// Writes it again, unchanged. If it is gone, so is the session.
    pub(super) async fn rewrite(&self, etcd: &Etcd) -> Result<(), Error> {
        let before = *self.modified.borrow();
        // A write of another process refuses what was sent before as well.
        self.change(etcd, |_| {}, |modified| modified > before).await
    }

    /// Writes how loaded the process is. If the registration is gone, so is the session.
    pub(super) async fn write_load(&self, etcd: &Etcd, load: &Load) -> Result<(), Error> {
        self.change(etcd, |record| record.load = Some(load.clone()), |_| false).await
    }

    /// Writes the record with a change, which is decided again if another process has written it since,
    /// unless that `will_do`.
    async fn change(
        &self,
        etcd: &Etcd,
        change: impl Fn(&mut record::Registration),
        will_do: impl Fn(Revision) -> bool,
    ) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let (of, mut record) = self.record.borrow().clone();
            change(&mut record);
            let txn = Transaction::when([
                Compare::Created(self.key.clone(), Some(self.created)),
                Compare::Modified(self.key.clone(), Some(of)),
            ])
            .then([Op::PutLeased(self.key.clone(), codec::encode(&record)?, self.lease)])
            .otherwise([Op::Get(self.key.clone())]);
            let mut reply = etcd.execute(&txn, Admission::TURN).await?;
            if reply.branch == Branch::Then {
                self.note(reply.revision, record);
                return Ok(());
            }
            let Some(entry) = reply.row().filter(|entry| entry.created == self.created) else {
                return Ok(()); // Gone with its session.
            };
            // Also our own write, if its answer got lost: it is done again, and does no harm.
            self.note(entry.modified, codec::decode(&entry.value)?);
            if will_do(entry.modified) {
                return Ok(());
            }
        }
        Err(Error::TimedOut("the registration is changed by another process all the time"))
    }

    fn note(&self, modified: Revision, record: record::Registration) {
        self.seen_written(modified);
        self.record.send_if_modified(|known| {
            let newer = modified > known.0;
            if newer {
                *known = (modified, record);
            }
            newer
        });
    }
}
