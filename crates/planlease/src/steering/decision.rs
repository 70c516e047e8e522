//! A decision of an operator that stands in one key: made and ended as the key was seen.
//!
//! A request that was sent again may arrive once more when operators have decided something else since. So
//! what replaces or ends a decision compares the revision that wrote it, which never comes back. The first
//! decision has none to compare. It is put on a lease, and written again without it; then the lease is
//! revoked, and what arrives later is refused for want of it.

use std::time::Duration;

use planlease_core::{Revision, change::Entry};

use crate::{
    coordinator::Coordinator,
    error::Error,
    etcd::{Admission, Branch, Compare, Op, Transaction},
};

/// How often a decision is made or ended again while other operators change it.
pub(super) const TRIES: usize = 8;

/// How long a first decision stands whose maker dies before it is written without a lease; longer where
/// requests may take longer.
const UNFINISHED: Duration = Duration::from_mins(1);

impl Coordinator {
    /// The decision that stands in a key. One read.
    pub(super) async fn decision(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let read = Transaction::default().then([Op::Get(key.to_vec())]);
        Ok(self.etcd().execute(&read, Admission::TURN).await?.row())
    }

    /// Makes a decision if the key is as it was seen: written at this revision, or not there. Returns since
    /// when it stands; `None` if the key is another one by now.
    pub(super) async fn decide(
        &self,
        key: &[u8],
        seen: Option<Revision>,
        value: &[u8],
    ) -> Result<Option<Revision>, Error> {
        let Some(seen) = seen else { return self.decide_first(key, value).await };
        let txn = Transaction::when([Compare::Modified(key.to_vec(), Some(seen))])
            .then([Op::Put(key.to_vec(), value.to_vec())])
            .otherwise([Op::Get(key.to_vec())]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        match (reply.branch, reply.row()) {
            (Branch::Then, _) => Ok(Some(reply.revision)),
            (Branch::Otherwise, _) if !reply.uncertain => Ok(None),
            // By an earlier try, whose answer got lost.
            (Branch::Otherwise, Some(present)) if present.value == value => Ok(Some(present.modified)),
            (Branch::Otherwise, _) => Err(decided_otherwise()),
        }
    }

    /// Makes a decision where there is none.
    async fn decide_first(&self, key: &[u8], value: &[u8]) -> Result<Option<Revision>, Error> {
        let unfinished = UNFINISHED.max(self.config().operation_timeout.saturating_mul(4));
        let limit = self.grant_limit(unfinished).await?;
        let txn = Transaction::when([Compare::Created(key.to_vec(), None)])
            .then([Op::PutLeased(key.to_vec(), value.to_vec(), limit.lease)])
            .otherwise([Op::Get(key.to_vec())]);
        let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
        let first = match (reply.branch, reply.row()) {
            (Branch::Then, _) => Some(reply.revision),
            // By an earlier try, whose answer got lost.
            (Branch::Otherwise, Some(present)) if present.lease == Some(limit.lease) => {
                Some(present.modified)
            }
            (Branch::Otherwise, _) if reply.uncertain => return Err(decided_otherwise()),
            (Branch::Otherwise, _) => None,
        };
        if let Some(first) = first {
            // Refused if it was replaced or ended meanwhile: it stood until then.
            let keep = Transaction::when([Compare::Modified(key.to_vec(), Some(first))])
                .then([Op::Put(key.to_vec(), value.to_vec())]);
            self.etcd().execute(&keep, Admission::TURN).await?;
        }
        self.end_limit(&limit).await; // Nothing hangs on it any more.
        Ok(first)
    }

    /// Ends the decision that stands in a key, also if it is replaced meanwhile; never one that is made after
    /// it was ended. Whether there was one.
    pub(super) async fn end_decision(&self, key: &[u8]) -> Result<bool, Error> {
        let Some(first) = self.decision(key).await? else { return Ok(false) };
        let (mut seen, mut uncertain) = (first.modified, false);
        for _ in 0..TRIES {
            let txn = Transaction::when([Compare::Modified(key.to_vec(), Some(seen))])
                .then([Op::Delete(key.to_vec())])
                .otherwise([Op::Get(key.to_vec())]);
            let mut reply = self.etcd().execute(&txn, Admission::TURN).await?;
            if reply.branch == Branch::Then {
                return Ok(true);
            }
            uncertain |= reply.uncertain;
            match reply.row().filter(|present| present.created == first.created) {
                Some(present) => seen = present.modified,
                // Ended: by an earlier try, whose answer got lost, or by another operator.
                None => return Ok(uncertain),
            }
        }
        Err(Error::TimedOut("other operators keep deciding otherwise"))
    }
}

fn decided_otherwise() -> Error {
    Error::outcome_unknown("another operator decided otherwise at the same time")
}
