//! Where the output of commands can be followed: written beside the registration, read by those who follow.

use planlease_core::{OrchestratorId, codec, keys::Key, logs::LogsRecord, unreadable};

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    feed::RawSnapshot,
    session::Session,
};

impl Session {
    /// Shows where the output of this session's commands can be followed, as long as the session lives. One
    /// transaction; a second one replaces the first.
    ///
    /// # Errors
    /// The session's loss if it is over, and as for any request. A session without a registration has
    /// nothing to show: nothing is written.
    ///
    /// # Cancel safety
    /// If the future is dropped, the write is carried out once or not at all.
    pub async fn show_logs(&self, logs: &LogsRecord) -> Result<(), Error> {
        self.ensure_live()?;
        let Some(registered) = self.registered() else { return Ok(()) };
        let layout = self.coordinator().layout();
        let (registration, key) =
            (layout.key(&Key::Orchestrator(self.id().clone())), layout.key(&Key::Logs(self.id().clone())));
        let txn = Transaction::when([Compare::Created(registration, Some(registered))])
            .then([Op::PutLeased(key, codec::encode(logs)?, self.lease())]);
        match self.coordinator().etcd().execute(&txn, Admission::TURN).await?.branch {
            Branch::Then => Ok(()),
            Branch::Otherwise => Err(Error::session_lost(planlease_core::session::LossReason::LeaseGone)),
        }
    }
}

impl Coordinator {
    /// Where the output of an orchestrator's commands can be followed; `None` if it serves none, or is gone.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn logs_of(&self, orchestrator: &OrchestratorId) -> Result<Option<LogsRecord>, Error> {
        let key = Key::Logs(orchestrator.clone());
        let txn = Transaction::default().then([Op::Get(self.layout().key(&key))]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        Ok(reply.row().map(|entry| unreadable::read(&key, &entry.value)).transpose()?)
    }

    /// All orchestrators whose commands' output can be followed. What cannot be read is left out.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn logs(&self) -> Result<Vec<(OrchestratorId, LogsRecord)>, Error> {
        let snapshot = RawSnapshot::read(self.etcd(), self.layout(), &self.layout().logs(), None).await?;
        let read = snapshot.entries.into_iter().filter_map(|(key, entry)| {
            let record = unreadable::read(&key, &entry.value).ok()?;
            if let Key::Logs(id) = key { Some((id, record)) } else { None }
        });
        Ok(read.collect())
    }
}
