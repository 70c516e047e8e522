//! The runner of a hook: one process at a time, under its session's lease, which keeps the hook's position.
//!
//! `hooks/{name}/runner` hangs on the runner's lease. `hooks/{name}` is the position; each write of it
//! compares the runner's key and the position before it, so that a runner that lost its lease moves nothing.

use std::time::Duration;

use planlease_core::{
    Extra, HookName, Revision,
    codec::{self, FormatVersion},
    hook::HookRecord,
    keys::Key,
    unreadable,
};

use crate::{
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
    retry::Backoff,
    session::Session,
};

/// The pauses between two tries to become the runner while another process is.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// The right to run a hook, as long as the session lives. Made by [`Session::run_hook`].
#[derive(Debug)]
#[must_use = "without it no event is delivered"]
pub struct HookRunner {
    session: Session,
    name: HookName,
    /// Create revision of the runner's key.
    created: Revision,
    /// The position, and the revision that wrote it.
    position: Option<(HookRecord, Revision)>,
}

impl Session {
    /// Waits until this session runs the hook: at once if no process does, else within seconds after the
    /// present runner has released it or its lease has expired. Also at once if this session runs it already,
    /// as after a release that failed: run a hook in one place of a process, since of two runners of one
    /// session only one can move the position.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`] if the session is over, [`Error::Unreadable`] if the position cannot be read,
    /// and as for any request.
    ///
    /// # Cancel safety
    /// If the future is dropped, the session may run the hook until it ends.
    pub async fn run_hook(&self, name: &HookName) -> Result<HookRunner, Error> {
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1, None);
        loop {
            self.ensure_live()?;
            if let Some(runner) = self.try_run_hook(name).await? {
                return Ok(runner);
            }
            if let Some(pause) = pauses.next(self.coordinator().etcd().random()) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Runs the hook, if no other process does. One transaction.
    async fn try_run_hook(&self, name: &HookName) -> Result<Option<HookRunner>, Error> {
        let layout = self.coordinator().layout();
        let (key, position) = (Key::Hook(name.clone()), layout.key(&Key::Hook(name.clone())));
        let runner = layout.key(&Key::HookRunner(name.clone()));
        let value = self.id().as_str().as_bytes().to_vec();
        let txn = Transaction::when([Compare::Created(runner.clone(), None)])
            .then([Op::PutLeased(runner.clone(), value, self.lease()), Op::Get(position.clone())])
            .otherwise([Op::Get(position), Op::Get(runner)]);
        let mut reply = self.coordinator().etcd().execute(&txn, Admission::TURN).await?;
        let seen = reply.row();
        let created = match reply.branch {
            Branch::Then => reply.revision,
            Branch::Otherwise => match reply.row() {
                // By an earlier try whose answer got lost, or a runner that could not be released.
                Some(entry) if entry.lease == Some(self.lease()) => entry.created,
                _ => return Ok(None),
            },
        };
        let runner = HookRunner { session: self.clone(), name: name.clone(), created, position: None };
        let Some(entry) = seen else { return Ok(Some(runner)) };
        match unreadable::read::<HookRecord>(&key, &entry.value) {
            Ok(record) => Ok(Some(HookRunner { position: Some((record, entry.modified)), ..runner })),
            Err(damaged) => {
                // Another process, of a newer version, may be able to read it.
                if let Err(error) = runner.release().await {
                    tracing::warn!(hook = %name, %error, "not released: no other process can run it yet");
                }
                Err(damaged.into())
            }
        }
    }
}

impl HookRunner {
    /// The hook.
    #[must_use]
    pub fn name(&self) -> &HookName {
        &self.name
    }

    /// The last revision whose events are delivered; `None` if the hook never ran.
    #[must_use]
    pub fn position(&self) -> Option<Revision> {
        self.position.as_ref().map(|(record, _)| record.revision)
    }

    /// Moves the position to this revision; a lower one changes nothing. `false` if this session does not run
    /// the hook any more: nothing was changed then, and nothing more must be delivered. One transaction.
    ///
    /// # Errors
    /// As for any request. [`Error::OutcomeUnknown`]: the position may have moved; run the hook again.
    ///
    /// # Cancel safety
    /// If the future is dropped, the position is moved once or not at all.
    pub async fn advance(&mut self, to: Revision) -> Result<bool, Error> {
        if self.position().is_some_and(|present| present >= to) {
            return Ok(true);
        }
        let coordinator = self.session.coordinator();
        let layout = coordinator.layout();
        let (position, runner) = (Key::Hook(self.name.clone()), Key::HookRunner(self.name.clone()));
        let (bytes, runner) = (layout.key(&position), layout.key(&runner));
        let record = HookRecord {
            v: FormatVersion::default(),
            revision: to,
            by: self.session.id().to_string(),
            at: coordinator.clock().wall(),
            op_id: coordinator.etcd().random().uuid(),
            extra: self.position.as_ref().map_or_else(Extra::default, |(before, _)| before.extra.clone()),
        };
        let txn = Transaction::when([
            Compare::Created(runner, Some(self.created)),
            Compare::Modified(bytes.clone(), self.position.as_ref().map(|(_, modified)| *modified)),
        ]);
        let txn = txn.then([Op::Put(bytes.clone(), codec::encode(&record)?)]).otherwise([Op::Get(bytes)]);
        let mut reply = coordinator.etcd().execute(&txn, Admission::TURN).await?;
        if reply.branch == Branch::Then {
            self.position = Some((record, reply.revision));
            return Ok(true);
        }
        let Some(entry) = reply.row() else { return Ok(false) };
        let present = unreadable::read::<HookRecord>(&position, &entry.value)?;
        let ours = present.op_id == record.op_id; // By an earlier try whose answer got lost.
        if ours {
            self.position = Some((present, entry.modified));
        }
        Ok(ours)
    }

    /// Lets another process run the hook at once. One transaction.
    ///
    /// # Errors
    /// As for any request; the end of the session releases it as well.
    ///
    /// # Cancel safety
    /// If the future is dropped, it is released once or not at all.
    pub async fn release(self) -> Result<(), Error> {
        let runner = self.session.coordinator().layout().key(&Key::HookRunner(self.name.clone()));
        let txn = Transaction::when([Compare::Created(runner.clone(), Some(self.created))])
            .then([Op::Delete(runner)]);
        self.session.coordinator().etcd().execute(&txn, Admission::TURN).await?;
        Ok(())
    }
}
