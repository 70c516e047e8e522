//! Transactions: what is compared, what is done, what came back; checked against etcd's limits before they
//! are sent.

use etcd_client::{
    CompareOp, DeleteOptions, GetOptions, PutOptions, Txn, TxnOp,
    proto::{PbTxnOpResponse, PbTxnResponse},
};
use planlease_core::{LeaseId, Revision, change::Entry, keys::KeyRange};

use super::{
    fault::Fault,
    rows::{Row, rows},
};

/// etcd's default limit for the operations, and for the compares, of one transaction (`--max-txn-ops`).
pub(crate) const MAX_OPS: usize = 128;

/// What one transaction may hold in bytes: etcd's default limit for a request is 1.5 MiB.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// One condition. A revision of `None` means that the key does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    /// The key was made at this revision.
    Created(Vec<u8>, Option<Revision>),
    /// The key was last written at this revision.
    Modified(Vec<u8>, Option<Revision>),
    /// The key exists.
    Exists(Vec<u8>),
    /// No key of the range exists.
    Empty(KeyRange),
    /// No key of the range was made before this revision.
    NoneBefore(KeyRange, Revision),
    /// The range has a key, and none of its keys was written after this revision.
    NoneWrittenAfter(KeyRange, Revision),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Writes a value that stays until it is deleted.
    Put(Vec<u8>, Vec<u8>),
    /// Writes a value that lives on a lease.
    PutLeased(Vec<u8>, Vec<u8>, LeaseId),
    /// Deletes a key, if it is there.
    Delete(Vec<u8>),
    /// Deletes all keys of a range.
    DeleteRange(KeyRange),
    /// Reads a key.
    Get(Vec<u8>),
    /// Reads whether a key is there, without its value.
    Find(Vec<u8>),
    /// Reads the first keys of a range; all of them if the limit is 0.
    Range(KeyRange, i64),
    /// A transaction of its own inside this one.
    Nested(Transaction),
}

/// If all of `when` holds, does `then`, else `otherwise`; all at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) when: Vec<Compare>,
    pub(crate) then: Vec<Op>,
    pub(crate) otherwise: Vec<Op>,
}

/// Which of the two branches was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    Then,
    Otherwise,
}

/// What a transaction answered: the branch, and what each of its operations brought.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) branch: Branch,
    pub(crate) revision: Revision,
    /// The cluster that answered; 0 in a nested reply.
    pub(crate) cluster_id: u64,
    /// Whether an earlier try of the same transaction was not answered, so that it may have been carried out
    /// then.
    pub(crate) uncertain: bool,
    /// Whether the guard held under which it was to be carried out, if it was to be under one.
    pub(crate) guard_held: bool,
    results: std::vec::IntoIter<OpResult>,
}

#[derive(Debug)]
enum OpResult {
    Written,
    Read(Vec<Row>, bool),
    Nested(Reply),
}

impl Transaction {
    pub(crate) fn when(compares: impl IntoIterator<Item = Compare>) -> Self {
        Self { when: compares.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn then(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.then.extend(ops);
        self
    }

    pub(crate) fn otherwise(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.otherwise.extend(ops);
        self
    }

    /// Refuses before sending what etcd would refuse.
    pub(super) fn check_limits(&self) -> Result<(), Fault> {
        Self::check_size(self.widest(), self.bytes())
    }

    pub(super) fn check_size(ops: usize, bytes: usize) -> Result<(), Fault> {
        if ops > MAX_OPS {
            return Err(Fault::too_large(format!(
                "{ops} operations in one transaction; etcd allows {MAX_OPS}"
            )));
        }
        if bytes > MAX_BYTES {
            return Err(Fault::too_large(format!(
                "{bytes} bytes in one transaction; at most {MAX_BYTES} are sent"
            )));
        }
        Ok(())
    }

    /// As etcd counts: the longest list on each level, summed down the deepest nesting.
    pub(super) fn widest(&self) -> usize {
        let nested = |op: &Op| if let Op::Nested(txn) = op { txn.widest() } else { 0 };
        let below = self.then.iter().chain(&self.otherwise).map(nested).max().unwrap_or(0);
        self.when.len().max(self.then.len()).max(self.otherwise.len()) + below
    }

    /// Roughly the size of the request.
    pub(crate) fn bytes(&self) -> usize {
        let compares: usize = self.when.iter().map(Compare::bytes).sum();
        let ops: usize = self.then.iter().chain(&self.otherwise).map(Op::bytes).sum();
        compares + ops
    }

    /// The single keys that it may write.
    pub(super) fn written(&self) -> impl Iterator<Item = &[u8]> {
        self.then.iter().chain(&self.otherwise).filter_map(|op| match op {
            Op::Put(key, _) | Op::PutLeased(key, ..) | Op::Delete(key) => Some(key.as_slice()),
            Op::DeleteRange(_) | Op::Get(_) | Op::Find(_) | Op::Range(..) | Op::Nested(_) => None,
        })
    }

    pub(super) fn to_wire(&self) -> Txn {
        let ops = |ops: &[Op]| ops.iter().map(Op::to_wire).collect::<Vec<_>>();
        let mut txn = Txn::new();
        // etcd-client insists on the order, and on each being said at most once.
        if !self.when.is_empty() {
            txn = txn.when(self.when.iter().map(Compare::to_wire).collect::<Vec<_>>());
        }
        if !self.then.is_empty() {
            txn = txn.and_then(ops(&self.then));
        }
        if !self.otherwise.is_empty() {
            txn = txn.or_else(ops(&self.otherwise));
        }
        txn
    }
}

impl Compare {
    /// Roughly its size in a request.
    pub(super) fn bytes(&self) -> usize {
        32 + match self {
            Self::Created(key, _) | Self::Modified(key, _) | Self::Exists(key) => key.len(),
            Self::Empty(range) | Self::NoneBefore(range, _) | Self::NoneWrittenAfter(range, _) => {
                range.start.len() + range.end.len()
            }
        }
    }

    fn to_wire(&self) -> etcd_client::Compare {
        use etcd_client::Compare as Wire;
        let wire = |revision: &Option<Revision>| revision.map_or(0, Revision::to_wire);
        match self {
            Self::Created(key, at) => Wire::create_revision(key.clone(), CompareOp::Equal, wire(at)),
            Self::Modified(key, at) => Wire::mod_revision(key.clone(), CompareOp::Equal, wire(at)),
            Self::Exists(key) => Wire::create_revision(key.clone(), CompareOp::Greater, 0),
            // etcd compares every key of the range; an empty one counts as a key of revision 0.
            Self::Empty(range) => {
                Wire::create_revision(range.start.clone(), CompareOp::Equal, 0).with_range(range.end.clone())
            }
            Self::NoneWrittenAfter(range, at) => {
                Wire::mod_revision(range.start.clone(), CompareOp::Less, at.to_wire() + 1)
                    .with_range(range.end.clone())
            }
            Self::NoneBefore(range, at) => {
                Wire::create_revision(range.start.clone(), CompareOp::Greater, at.to_wire() - 1)
                    .with_range(range.end.clone())
            }
        }
    }
}

impl Op {
    /// Roughly its size in a request.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put(key, value) | Self::PutLeased(key, value, _) => 24 + key.len() + value.len(),
            Self::Delete(key) | Self::Get(key) | Self::Find(key) => 16 + key.len(),
            Self::DeleteRange(range) | Self::Range(range, _) => 24 + range.start.len() + range.end.len(),
            Self::Nested(txn) => Self::nested_bytes(txn),
        }
    }

    /// The same of a transaction that goes inside another one.
    pub(super) fn nested_bytes(txn: &Transaction) -> usize {
        16 + txn.bytes()
    }

    fn to_wire(&self) -> TxnOp {
        match self {
            Self::Put(key, value) => TxnOp::put(key.clone(), value.clone(), None),
            Self::PutLeased(key, value, lease) => {
                let options = PutOptions::new().with_lease(lease.to_wire());
                TxnOp::put(key.clone(), value.clone(), Some(options))
            }
            Self::Delete(key) => TxnOp::delete(key.clone(), None),
            Self::DeleteRange(range) => {
                TxnOp::delete(range.start.clone(), Some(DeleteOptions::new().with_range(range.end.clone())))
            }
            Self::Get(key) => TxnOp::get(key.clone(), None),
            Self::Find(key) => TxnOp::get(key.clone(), Some(GetOptions::new().with_keys_only())),
            Self::Range(range, limit) => {
                let options = GetOptions::new().with_range(range.end.clone()).with_limit(*limit);
                TxnOp::get(range.start.clone(), Some(options))
            }
            Self::Nested(txn) => TxnOp::txn(txn.to_wire()),
        }
    }
}

impl Reply {
    pub(super) fn from_wire(wire: PbTxnResponse) -> Result<Self, Fault> {
        let (revision, cluster_id) =
            wire.header.as_ref().map_or((0, 0), |header| (header.revision, header.cluster_id));
        let revision =
            Revision::from_wire(revision).ok_or_else(|| Fault::nonsense("an answer without a revision"))?;
        Self::nested(wire, revision, cluster_id)
    }

    fn nested(wire: PbTxnResponse, revision: Revision, cluster_id: u64) -> Result<Self, Fault> {
        let results = wire.responses.into_iter().map(|response| match response.response {
            Some(PbTxnOpResponse::ResponseRange(range)) => {
                let (rows, more) = rows(range)?;
                Ok(OpResult::Read(rows, more))
            }
            Some(PbTxnOpResponse::ResponseTxn(txn)) => Ok(OpResult::Nested(Self::nested(txn, revision, 0)?)),
            Some(PbTxnOpResponse::ResponsePut(_) | PbTxnOpResponse::ResponseDeleteRange(_)) => {
                Ok(OpResult::Written)
            }
            None => Err(Fault::nonsense("an empty answer in a transaction")),
        });
        let results = results.collect::<Result<Vec<_>, Fault>>()?.into_iter();
        let branch = if wire.succeeded { Branch::Then } else { Branch::Otherwise };
        Ok(Self { branch, revision, cluster_id, uncertain: false, guard_held: true, results })
    }

    /// What operations brought that each wrote one key and read another one, which has its name as its value.
    #[cfg(test)]
    pub(super) fn of_reads<const N: usize>(keys: [&str; N]) -> Self {
        let revision = Revision::from_wire(9).unwrap();
        let read = |key: &str| {
            let value = key.as_bytes().to_vec();
            let entry = Entry { value, modified: revision, created: revision, version: 1, lease: None };
            [OpResult::Written, OpResult::Read(vec![(key.into(), entry)], false)]
        };
        let results = keys.into_iter().flat_map(read).collect::<Vec<_>>().into_iter();
        Self { results, ..Self::with(Branch::Then, Vec::new()) }
    }

    #[cfg(test)]
    pub(super) fn with(branch: Branch, nested: Vec<Self>) -> Self {
        let results = nested.into_iter().map(OpResult::Nested).collect::<Vec<_>>().into_iter();
        let revision = Revision::from_wire(9).unwrap();
        Self { branch, revision, cluster_id: 0, uncertain: false, guard_held: true, results }
    }

    /// What the next reading operation of the branch brought, and whether its range has more.
    pub(crate) fn rows(&mut self) -> (Vec<Row>, bool) {
        self.read().unwrap_or_default()
    }

    /// What each further reading operation of the branch brought.
    pub(crate) fn next_rows(&mut self) -> Option<Vec<Row>> {
        self.read().map(|(rows, _)| rows)
    }

    fn read(&mut self) -> Option<(Vec<Row>, bool)> {
        self.results.by_ref().find_map(|result| match result {
            OpResult::Read(rows, more) => Some((rows, more)),
            OpResult::Written | OpResult::Nested(_) => None,
        })
    }

    /// What the next `Get` of the branch brought.
    pub(crate) fn row(&mut self) -> Option<Entry> {
        self.rows().0.pop().map(|(_, entry)| entry)
    }

    /// What the last operation of the branch brought.
    pub(super) fn last_row(&mut self) -> Option<Entry> {
        match self.results.next_back() {
            Some(OpResult::Read(mut rows, _)) => rows.pop().map(|(_, entry)| entry),
            Some(OpResult::Written | OpResult::Nested(_)) | None => None,
        }
    }

    /// The reply of the next nested transaction of the branch.
    pub(crate) fn nested_reply(&mut self) -> Option<Self> {
        let uncertain = self.uncertain;
        self.results.by_ref().find_map(|result| match result {
            OpResult::Nested(reply) => Some(Self { uncertain, ..reply }),
            OpResult::Written | OpResult::Read(..) => None,
        })
    }

    /// What the next operations of the branch brought, as a reply of their own; `None` if there are fewer.
    pub(super) fn part(&mut self, ops: usize) -> Option<Self> {
        if self.results.len() < ops {
            return None;
        }
        let read = self.results.by_ref().take(ops).filter(|result| !matches!(result, OpResult::Written));
        let results = read.collect::<Vec<_>>().into_iter();
        Some(Self { results, cluster_id: 0, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_counted_as_etcd_counts_them() {
        let put = || Op::Put(b"k".to_vec(), b"v".to_vec());
        let nested =
            |n| Transaction::default().then((0..n).map(|_| Op::Nested(Transaction::default().then([put()]))));
        assert!(nested(127).check_limits().is_ok());
        assert!(nested(128).check_limits().is_err());
        assert!(Transaction::default().then((0..128).map(|_| put())).check_limits().is_ok());
        assert!(Transaction::default().otherwise((0..129).map(|_| put())).check_limits().is_err());
        let large = Op::Put(b"k".to_vec(), vec![0; MAX_BYTES]);
        assert!(Transaction::default().then([large]).check_limits().is_err());
    }
}
