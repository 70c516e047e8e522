//! From the model's values to those of `planlease-core`, and back: what lets the model ask the code for its
//! decisions.
//!
//! The model's values are small, since every reachable state is kept; they leave out what decides nothing
//! (texts, times).

use planlease_core::{
    Generation, LeaseId, OrchestratorId, Revision, TermNumber, WallTime,
    codec::FormatVersion,
    orphan::Alive,
    record::{self, CandidateRecord, Claim, Guard, Role, TaskRecord, TermEnd, TermRecord, Writer},
    term::{Candidate, Queue, Successor},
    transition::TaskStatus,
};
use uuid::Uuid;

use crate::etcd::{Kept, Lease, OpId, Place, Rev, Store};

/// How the processes are called.
pub const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// The ids of their leases: chosen at random in life, so they need not grow.
const LEASE_IDS: [u8; 4] = [7, 3, 5, 2];

/// When everything happens: the wall clock decides nothing.
pub(crate) const NOW: WallTime = WallTime(0);

/// A term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// Which ownership.
    pub number: u8,
    /// Whose.
    pub lease: Lease,
    /// Create revision of its key, if the term was not written by the same transaction.
    pub guard: Option<Rev>,
    /// How it ended, if that is known.
    pub ended: Option<End>,
}

/// How a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Released.
    Clean,
    /// Found so by the successor.
    Unclean,
    /// By an operator.
    Forced,
}

/// Under which authority a task was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authority {
    /// The import's; no other writer uses it.
    Import,
    /// The owner's, in a term.
    Owner(Place, u8),
    /// An operator's, under the owner's guard or under the guard that there is no owner.
    Operator(Option<Place>),
}

/// A task's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    /// Where it stands.
    pub status: TaskStatus,
    /// How often it was started.
    pub attempt: u8,
    /// How many attempts were lost.
    pub lost: u8,
    /// Whose claim it is, if it is in progress.
    pub claim: Option<Place>,
    /// Who wrote it.
    pub authority: Authority,
    /// By which write.
    pub op: OpId,
}

impl Task {
    /// As an import writes it.
    #[must_use]
    pub fn imported() -> Self {
        Self {
            status: TaskStatus::Pending,
            attempt: 0,
            lost: 0,
            claim: None,
            authority: Authority::Import,
            op: OpId { write: u8::MAX, renewed: false },
        }
    }

    /// As the code has it.
    #[must_use]
    pub fn record(&self) -> TaskRecord {
        let claim =
            self.claim.map(|place| Claim::new(name(place.lease).to_owned(), Some(guard(place)), None, NOW));
        TaskRecord {
            status: self.status,
            attempt: self.attempt.into(),
            lost: self.lost.into(),
            claim,
            ..TaskRecord::new(self.authority.writer(), op_id(self.op))
        }
    }

    /// What the model keeps of a record that was written under this authority.
    #[must_use]
    pub fn of(record: &TaskRecord, authority: Authority, op: OpId) -> Self {
        let claimed_by = |claim: &Claim| match &claim.guard {
            Some(Guard::Owner { lease, revision }) => {
                Place { lease: lease_of(*lease), created: rev(*revision) }
            }
            _ => unreachable!("only owners start tasks in this model"),
        };
        Self {
            status: record.status,
            attempt: small(record.attempt.into()),
            lost: small(record.lost.into()),
            claim: record.claim.as_ref().map(claimed_by),
            authority,
            op,
        }
    }
}

impl Authority {
    /// As the code has it.
    #[must_use]
    pub fn writer(self) -> Writer {
        match self {
            Self::Import => {
                Writer { who: "import".into(), role: Role::Operator, term: None, guard: Guard::Import }
            }
            Self::Owner(place, term) => Writer {
                who: name(place.lease).to_owned(),
                role: Role::Owner,
                term: Some(TermNumber(term.into())),
                guard: guard(place),
            },
            Self::Operator(place) => Writer {
                who: "operator".into(),
                role: Role::Operator,
                term: None,
                guard: place.map_or(Guard::Unowned, guard),
            },
        }
    }
}

impl Term {
    /// As the code has it.
    #[must_use]
    pub fn record(&self) -> TermRecord {
        let how = self.ended.map(|end| match end {
            End::Clean => record::Ending::Clean,
            End::Unclean => record::Ending::Unclean,
            End::Forced => record::Ending::Forced { by: String::new(), reason: String::new() },
        });
        TermRecord {
            v: FormatVersion::default(),
            number: TermNumber(self.number.into()),
            generation: Generation(1),
            owner: candidate(self.lease),
            lease: lease_id(self.lease),
            guard: self.guard.map(revision),
            since: NOW,
            ended: how.map(|how| TermEnd { at: NOW, how }),
            trace: None,
            extra: Default::default(),
        }
    }

    /// What the model keeps of a record.
    #[must_use]
    pub fn of(record: &TermRecord) -> Self {
        let ended = record.ended.as_ref().map(|end| match end.how {
            record::Ending::Unclean => End::Unclean,
            record::Ending::Forced { .. } => End::Forced,
            record::Ending::Clean | record::Ending::HandedOver { .. } => End::Clean,
        });
        Self {
            number: small(record.number.0),
            lease: lease_of(record.lease),
            guard: record.guard.map(rev),
            ended,
        }
    }
}

/// The queue and the term, as a reader of the store sees them.
#[must_use]
pub fn line(store: &Store) -> Queue {
    let candidates = store.line.iter().map(|place| Candidate {
        lease: lease_id(place.lease),
        joined: revision(place.created),
        record: Some(candidate(place.lease)),
    });
    let term = store.term.map(|Kept { modified, value }| (revision(modified), value.record()));
    Queue::new(candidates.collect(), term)
}

/// The key of a candidate.
#[must_use]
pub fn place(candidate: &Candidate) -> Place {
    Place { lease: lease_of(candidate.lease), created: rev(candidate.joined) }
}

/// The candidate of the effective owner.
#[must_use]
pub fn owner(store: &Store) -> Option<Place> {
    line(store).owner().map(|(candidate, _)| place(candidate))
}

/// Who takes over, by a key of this create revision, or one that the same transaction makes.
#[must_use]
pub fn successor(lease: Lease, guard: Option<Rev>) -> Successor {
    Successor { record: candidate(lease), lease: lease_id(lease), guard: guard.map(revision) }
}

/// Who is alive for the owner with this key: no workers, in this model.
#[must_use]
pub fn alive(place: Place) -> Alive {
    Alive {
        owner: guard(place),
        workers: std::collections::BTreeSet::new(),
        limits: std::collections::BTreeMap::new(),
    }
}

/// The id of the lease, as etcd knows it.
#[must_use]
pub(crate) fn lease_id(lease: Lease) -> LeaseId {
    LeaseId::from_wire(lease_number(lease).into()).expect("none of them is 0")
}

/// The same as a number.
#[must_use]
pub fn lease_number(lease: Lease) -> u8 {
    LEASE_IDS[usize::from(lease.0)]
}

/// Whose lease it is.
#[must_use]
pub fn name(lease: Lease) -> &'static str {
    NAMES[usize::from(lease.0)]
}

/// The id of a write.
#[must_use]
pub fn op_id(op: OpId) -> Uuid {
    Uuid::from_u128(u128::from(op.write) << 8 | u128::from(op.renewed))
}

fn guard(place: Place) -> Guard {
    Guard::Owner { lease: lease_id(place.lease), revision: revision(place.created) }
}

fn candidate(lease: Lease) -> CandidateRecord {
    CandidateRecord::new(OrchestratorId::new(name(lease)).expect("a word is a name"), String::new(), 0, NOW)
}

fn revision(rev: Rev) -> Revision {
    Revision::from_wire(rev.0.into()).expect("the first revision is 1")
}

fn rev(revision: Revision) -> Rev {
    Rev(small(revision.get()))
}

fn lease_of(id: LeaseId) -> Lease {
    let index = (0..).map(Lease).zip(LEASE_IDS).find(|(lease, _)| lease_id(*lease) == id);
    index.map(|(lease, _)| lease).expect("every lease in the model is one of these")
}

fn small(number: u64) -> u8 {
    u8::try_from(number).expect("bounds keep every number of the model small")
}
