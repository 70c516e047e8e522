//! What the writes of one right have in common: etcd compares that the right is still there. Kept apart from
//! what else a write compares, so that it is asked once for all that travel together.

use std::sync::Arc;

use planlease_core::{Revision, change::Entry, keys::KeyRange};

use super::{
    fault::Fault,
    txn::{Compare, Op, Transaction},
};

/// What stands for a right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// A key that was made at this revision.
    Key(Vec<u8>, Revision),
    /// That no key of the range exists.
    Unowned(KeyRange),
}

/// A transaction under a right.
#[derive(Clone, Debug)]
pub(crate) struct Fenced {
    pub(crate) right: Arc<Right>,
    pub(crate) txn: Transaction,
}

impl Right {
    pub(crate) fn compare(&self) -> Compare {
        match self {
            Self::Key(key, created) => Compare::Created(key.clone(), Some(*created)),
            Self::Unowned(range) => Compare::Empty(range.clone()),
        }
    }

    /// Reads what [`Right::holds`] looks at.
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

    pub(super) fn holds(&self, row: Option<&Entry>) -> bool {
        match self {
            Self::Key(_, created) => row.is_some_and(|entry| entry.created == *created),
            Self::Unowned(_) => row.is_none(),
        }
    }
}

impl Fenced {
    /// Refuses before sending what etcd would refuse.
    pub(super) fn check_limits(&self) -> Result<(), Fault> {
        Transaction::check_size(self.txn.widest() + 1, self.txn.bytes() + 2 * self.right.bytes())
    }

    /// The transaction that compares the right as well, and reads last whether it was there if anything was
    /// not the case.
    pub(super) fn whole(&self) -> Transaction {
        let Self { right, txn } = self;
        let mut whole = txn.clone();
        whole.when.push(right.compare());
        whole.otherwise([right.read()])
    }
}
