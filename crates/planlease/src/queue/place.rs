//! A place in a queue: the key that stands for it, the requests that may put it, and how it is given up.
//!
//! A request that was given up may still be under way, and put the key later, when all that it compares holds
//! again. So each compares the registration of the session too, as it was written last, and giving up a place
//! whose requests are not all answered writes the registration again first ([`Session::fence_stale_joins`]).

use std::sync::atomic::{AtomicBool, Ordering};

use planlease_core::{
    Revision,
    change::Entry,
    codec,
    keys::KeyRange,
    record::CandidateRecord,
    session::LossReason,
    term::{Candidate, Queue},
};

use super::{abandoned::Abandoned, reservation::Reservation};
use crate::{
    error::Error,
    etcd::{Admission, Compare, Fault, Op, Reply, Transaction},
    key_watch::gone,
    session::{Reservable, Session},
};

/// A place in a queue, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    session: Session,
    what: Reservable,
    key: Vec<u8>,
    /// `None` once there is nothing to give up any more.
    held: Option<Reservation>,
    /// Whether a transaction that may put the key may still be under way, its answer lost or not waited for:
    /// the key may appear after one has looked for it.
    in_flight: AtomicBool,
}

impl Place {
    /// Reserves the place for this part of the process. Nothing is written yet.
    ///
    /// # Errors
    /// [`Error::HeldLocally`] or [`Error::LockedLocally`] if another part has it.
    pub(crate) async fn reserve(session: &Session, what: Reservable) -> Result<Self, Error> {
        let held = Reservation::new(session, what.clone()).await?;
        let key = what.key(session.coordinator().layout(), session.lease());
        Ok(Self { session: session.clone(), what, key, held: Some(held), in_flight: AtomicBool::new(false) })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The key that stands for the place.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The keys of all candidates.
    pub(crate) fn range(&self) -> KeyRange {
        let layout = self.session.coordinator().layout();
        match &self.what {
            Reservable::Plan(plan) => layout.queue(plan),
            Reservable::Lock(Some(plan), lock) => layout.lock_queue(plan, lock),
            Reservable::Lock(None, lock) => layout.global_lock_queue(lock),
        }
    }

    /// Puts the key: the only place that does so, and always with the lease, without which the key would be
    /// immortal.
    pub(crate) fn put(&self) -> Op {
        self.put_with(1)
    }

    /// The same, for a lock that this many can have at a time.
    pub(crate) fn put_with(&self, permits: u32) -> Op {
        let candidate =
            CandidateRecord { permits: (permits > 1).then_some(permits), ..candidate(&self.session) };
        let candidate = codec::encode(&candidate);
        let value = candidate.unwrap_or_default(); // Two names and two numbers: never too large.
        Op::PutLeased(self.key.clone(), value, self.session.lease())
    }

    /// What each transaction compares that may put the key, and what it reads if it is refused: the session's
    /// registration. Nothing for a session that is not shown to others.
    pub(crate) fn not_outdated(&self) -> (Option<Compare>, Option<Op>) {
        match self.session.written() {
            Some((key, modified)) => {
                (Some(Compare::Modified(key.clone(), Some(modified))), Some(Op::Get(key)))
            }
            None => (None, None),
        }
    }

    /// Takes note of the registration that a refused transaction read. Whether it had been written again, so
    /// that the transaction was outdated.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`] if the registration is gone.
    pub(crate) fn note_registration(&self, registration: Option<Entry>) -> Result<bool, Error> {
        let Some((_, known)) = self.session.written() else { return Ok(false) };
        let registration = registration.ok_or_else(|| Error::session_lost(LossReason::LeaseGone))?;
        self.session.seen_written(registration.modified);
        Ok(registration.modified != known)
    }

    /// Executes a transaction that may put the key.
    pub(crate) async fn execute(&self, txn: &Transaction) -> Result<Reply, Fault> {
        let before = self.in_flight.swap(true, Ordering::Relaxed);
        let reply = self.session.coordinator().etcd().execute(txn, Admission::TURN).await;
        let certain = match &reply {
            Ok(reply) => !reply.uncertain,
            Err(fault) => fault.not_executed,
        };
        self.in_flight.store(before || !certain, Ordering::Relaxed);
        reply
    }

    /// Whether a transaction that may put the key may still be under way.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Waits until the candidate before it has left; when that was, if it is known.
    ///
    /// # Errors
    /// [`Error::AuthorityLost`]: without a session there is no place in the queue.
    pub(crate) async fn wait_behind(
        &self,
        queue: &Queue,
        before: &Candidate,
    ) -> Result<Option<Revision>, Error> {
        let key = self.what.key(self.session.coordinator().layout(), before.lease);
        let seen = queue.candidates().last().map_or(before.joined, |last| last.joined);
        let mut leaves = self.session.watch_key(key, before.joined, seen);
        tokio::select! {
            biased; // Without a session there is no place in the queue.
            reason = self.session.lost() => Err(Error::session_lost(reason)),
            left = gone(&mut leaves) => left.map_err(|_| Error::session_lost(LossReason::Closed)),
        }
    }

    /// Leaves the queue without a trace, since the key is not there (any more), or is an ownership's from now
    /// on; a request that may still be under way is looked after.
    pub(crate) fn leave(mut self) -> Option<Reservation> {
        if self.is_in_flight() {
            let (session, what) = (self.session.clone(), self.what.clone());
            self.session.clean_up_after(Abandoned::Late { session, what, fenced: false });
        }
        self.held.take()
    }

    /// The key was deleted: there is nothing to give up any more.
    pub(crate) fn released(mut self) {
        drop(self.held.take());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let (what, in_flight) = (self.what.clone(), self.is_in_flight());
            self.session.clean_up_after(Abandoned::Place { what, held: held.abandoned(), in_flight });
        }
    }
}

/// What the key of a session's place says.
pub(crate) fn candidate(session: &Session) -> CandidateRecord {
    let identity = session.identity();
    CandidateRecord::new(session.id().clone(), identity.host.clone(), identity.pid, session.clock().wall())
}
