//! The registration of a session: the key that shows it to others for as long as its lease lives.
//!
//! Its mod revision has a second use: each transaction that puts a key of this session into a queue compares
//! it. To write the registration again, unchanged, refuses all such transactions that are still under way.

use planlease_core::{
    LeaseId, OrchestratorId, Revision,
    codec::{self, FormatVersion},
    keys::Key,
    record,
};
use tokio::sync::watch;

use super::Identity;
use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Etcd, Op, Transaction},
};

/// The registration of a session.
#[derive(Debug)]
pub(super) struct Registration {
    key: Vec<u8>,
    value: Vec<u8>,
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
            lease,
            started_at: coordinator.clock().wall(),
            extra: serde_json::Map::new(),
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
        Ok(Self { key, value, lease, created, modified: watch::Sender::new(created) })
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
        let txn = Transaction::when([Compare::Created(self.key.clone(), Some(self.created))])
            .then([Op::PutLeased(self.key.clone(), self.value.clone(), self.lease)]);
        let reply = etcd.execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            self.seen_written(reply.revision);
        }
        Ok(())
    }
}
