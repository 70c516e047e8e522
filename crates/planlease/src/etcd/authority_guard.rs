//! The guard of an authority: the compare that all writes under it share. Kept apart from what else a write
//! compares, so that it is compared once for all that travel in one request.

use std::sync::Arc;

use planlease_core::{Revision, change::Entry, keys::KeyRange};

use super::{
    fault::Fault,
    txn::{Compare, Op, Transaction},
};

/// What stands for an authority in etcd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AuthorityGuard {
    /// A key that was made at this revision.
    Key(Vec<u8>, Revision),
    /// That no key of the range exists.
    Unowned(KeyRange),
}

/// A transaction under an authority.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    pub(crate) guard: Arc<AuthorityGuard>,
    pub(crate) txn: Transaction,
}

impl AuthorityGuard {
    pub(crate) fn compare(&self) -> Compare {
        match self {
            Self::Key(key, created) => Compare::Created(key.clone(), Some(*created)),
            Self::Unowned(range) => Compare::Empty(range.clone()),
        }
    }

    /// Reads what [`AuthorityGuard::holds`] looks at.
    fn read(&self) -> Op {
        match self {
            Self::Key(key, _) => Op::Find(key.clone()),
            Self::Unowned(range) => Op::Range(range.clone(), 1),
        }
    }

    /// Roughly the size of what is compared, or read, in a request.
    pub(super) fn bytes(&self) -> usize {
        32 + match self {
            Self::Key(key, _) => key.len(),
            Self::Unowned(range) => range.start.len() + range.end.len(),
        }
    }

    /// Whether the guard holds, given what its key, or its range, has.
    pub(super) fn holds(&self, row: Option<&Entry>) -> bool {
        match self {
            Self::Key(_, created) => row.is_some_and(|entry| entry.created == *created),
            Self::Unowned(_) => row.is_none(),
        }
    }
}

impl Guarded {
    /// Refuses before sending what etcd would refuse.
    pub(super) fn check_limits(&self) -> Result<(), Fault> {
        Transaction::check_size(self.txn.widest() + 1, self.txn.bytes() + 2 * self.guard.bytes())
    }

    /// The transaction that compares the guard as well, and reads last, if anything was not the case, whether
    /// the guard holds.
    pub(super) fn whole(&self) -> Transaction {
        let Self { guard, txn } = self;
        let mut whole = txn.clone();
        whole.when.push(guard.compare());
        whole.otherwise([guard.read()])
    }
}
