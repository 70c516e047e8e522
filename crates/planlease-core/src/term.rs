//! Ownership, decided: who is first in the queue, which term comes next, how the last one is closed.
//!
//! The queue is etcd's own Election recipe: first is the key with the lowest create revision. What the recipe
//! lacks is kept in the term: a number that grows for ever, and how the last ownership ended.

use crate::{
    change::Entry,
    codec::{self, FormatVersion},
    id::{LeaseId, OrchestratorId},
    record::{CandidateRecord, Ending, Guard, TermEnd, TermRecord},
    revision::{Generation, Revision, TermNumber},
    time::WallTime,
    unreadable::Unreadable,
};

/// How many past terms of a plan are kept.
pub const TERMS_KEPT: u64 = 100;

/// A candidate in the queue of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its session.
    pub lease: LeaseId,
    /// When it joined: the create revision of its key.
    pub joined: Revision,
    /// Its record; `None` for an unmanaged candidate (`etcdctl elect`), which waits in the queue like the
    /// others.
    pub record: Option<CandidateRecord>,
}

impl Candidate {
    /// Reads the candidate of a session from what its key holds. An unmanaged candidate's value can be
    /// anything.
    #[must_use]
    pub fn read(lease: LeaseId, entry: &Entry) -> Self {
        Self { lease, joined: entry.created, record: codec::decode(&entry.value).ok() }
    }

    /// A name for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.record.as_ref().map_or_else(
            || format!("an unmanaged candidate (lease {})", self.lease),
            |record| record.orchestrator.to_string(),
        )
    }
}

/// The queue of a plan, or of a lock, and the term of its first candidate, as seen at one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queue {
    /// In the order of arrival.
    candidates: Vec<Candidate>,
    /// The present term or the last one, and the revision of its record.
    pub term: Option<(Revision, TermRecord)>,
    /// What stands in the queue or in the place of the term and cannot be read. Then nothing may be concluded
    /// from the absence of an owner, or of a term.
    pub unreadable: Vec<Unreadable>,
}

/// Where a candidate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// First: it may take over.
    First,
    /// Behind this one, which is the only one to watch: no herd wakes up when the first one leaves.
    Behind(Candidate),
    /// Not in the queue: its key is gone, with its session or by an operator.
    Absent,
}

impl Queue {
    /// The line of these candidates, in whichever order they come.
    #[must_use]
    pub fn new(candidates: Vec<Candidate>, term: Option<(Revision, TermRecord)>) -> Self {
        let mut queue = Self { candidates: Vec::new(), term, unreadable: Vec::new() };
        queue.set_candidates(candidates);
        queue
    }

    /// Replaces the candidates by these, in whichever order they come.
    pub fn set_candidates(&mut self, mut candidates: Vec<Candidate>) {
        candidates.sort_by_key(|candidate| candidate.joined);
        self.candidates = candidates;
    }

    /// All candidates, the first one first.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Those that have it, and those that wait, each in the order of arrival. A plan has one owner; a lock
    /// has as many holders as its first candidate says: one with another number is refused.
    #[must_use]
    pub fn holders_and_waiters(&self) -> (&[Candidate], &[Candidate]) {
        let permits = self.candidates.first().and_then(|first| first.record.as_ref()?.permits);
        let holders = usize::try_from(permits.unwrap_or(1)).unwrap_or(usize::MAX).max(1);
        self.candidates.split_at(holders.min(self.candidates.len()))
    }

    /// Where the candidate of this session stands.
    #[must_use]
    pub fn standing(&self, lease: LeaseId) -> Standing {
        match self.candidates.iter().position(|candidate| candidate.lease == lease) {
            None => Standing::Absent,
            Some(0) => Standing::First,
            Some(n) => Standing::Behind(self.candidates[n - 1].clone()),
        }
    }

    /// The effective owner: first in the queue, *and* named by the term. A candidate that is first but has
    /// not taken over yet owns nothing.
    #[must_use]
    pub fn owner(&self) -> Option<(&Candidate, &TermRecord)> {
        let first = self.candidates.first()?;
        let (revision, term) = self.term.as_ref()?;
        let guard = term.guard.unwrap_or(*revision);
        let effective = term.ended.is_none() && term.lease == first.lease && guard == first.joined;
        effective.then_some((first, term))
    }

    /// The guard of the effective owner; else what a write without an owner compares, if the queue is empty.
    #[must_use]
    pub fn guard(&self) -> Option<Guard> {
        match (self.candidates.is_empty(), self.owner()) {
            (true, _) => Some(Guard::Unowned),
            (false, Some((candidate, _))) => {
                Some(Guard::Owner { lease: candidate.lease, revision: candidate.joined })
            }
            (false, None) => None,
        }
    }
}

/// The terms that one takeover writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Succession {
    /// The new present term.
    pub term: TermRecord,
    /// The previous one, if the successor must record how it ended, because no other process did.
    pub closed: Option<TermRecord>,
    /// A past term that is forgotten, to bound the history.
    pub forgotten: Option<TermNumber>,
}

/// Who takes over, from what.
#[derive(Clone, Debug)]
pub struct Successor {
    /// Who.
    pub record: CandidateRecord,
    /// Its session.
    pub lease: LeaseId,
    /// Create revision of its key in the line; `None` if the same transaction makes the key.
    pub guard: Option<Revision>,
}

/// What a takeover writes, given the last term that anybody had.
///
/// A previous term without an end ended by its session's expiry: unclean.
#[must_use]
pub fn succeed(
    previous: Option<&TermRecord>,
    generation: Generation,
    successor: &Successor,
    now: WallTime,
) -> Succession {
    let number = previous.map_or(TermNumber(1), |term| term.number.next());
    let closed = previous.filter(|term| term.ended.is_none()).map(|term| end(term, Ending::Unclean, now));
    Succession {
        term: TermRecord {
            v: FormatVersion::default(),
            number,
            // A process that was connected when an operator raised it knows an older one: tokens grow all the
            // same.
            generation: previous.map_or(generation, |term| term.generation.max(generation)),
            owner: successor.record.clone(),
            lease: successor.lease,
            guard: successor.guard,
            since: now,
            ended: None,
            trace: None,
            extra: crate::extra::Extra::default(),
        },
        closed,
        forgotten: number.0.checked_sub(TERMS_KEPT + 1).filter(|n| *n > 0).map(TermNumber),
    }
}

/// Whether a lock delay applies after this term: always, unless its owner has ended it. After an expired
/// session or an operator's forced end, work of the owner may still go on outside etcd.
#[must_use]
pub fn needs_lock_delay(term: &TermRecord) -> bool {
    let end = term.ended.as_ref().map(|end| &end.how);
    !matches!(end, Some(Ending::Clean | Ending::HandedOver { .. }))
}

/// The term with its end.
#[must_use]
pub fn end(term: &TermRecord, how: Ending, now: WallTime) -> TermRecord {
    TermRecord { ended: Some(TermEnd { at: now, how }), ..term.clone() }
}

/// A hand-over: the candidate that comes next, and those ahead of it.
///
/// The transaction that ends the term compares the successor's key, so that a term is not handed over to an
/// orchestrator that has left the queue, and deletes the keys of those ahead of it; they join again at the
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOver<'a> {
    /// Who comes next.
    pub successor: &'a Candidate,
    /// Who waited ahead of it, and loses the place.
    pub displaced: &'a [Candidate],
}

/// How `to` comes right after the first in the queue. An unmanaged candidate ahead of it would not notice its
/// removal, so then there is no hand-over.
///
/// # Errors
/// [`HandOverError`].
pub fn hand_over<'a>(queue: &'a Queue, to: &OrchestratorId) -> Result<HandOver<'a>, HandOverError> {
    let waiting = queue.candidates.get(1..).unwrap_or_default();
    let is_named =
        |candidate: &Candidate| candidate.record.as_ref().is_some_and(|record| record.orchestrator == *to);
    let n = waiting.iter().position(is_named).ok_or_else(|| HandOverError::NotQueued { to: to.clone() })?;
    let displaced = &waiting[..n];
    match displaced.iter().find(|candidate| candidate.record.is_none()) {
        Some(unmanaged) => Err(HandOverError::UnmanagedAhead { lease: unmanaged.lease }),
        None => Ok(HandOver { successor: &waiting[n], displaced }),
    }
}

/// Why an ownership cannot be handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// The successor has to be waiting.
    #[error("{to} does not wait for the plan; it must be in the queue before it can take over")]
    NotQueued {
        /// Who was named.
        to: OrchestratorId,
    },
    /// An unmanaged candidate waits ahead of the successor.
    #[error("an unmanaged candidate (lease {lease}) is ahead in the queue and cannot be asked to step back")]
    UnmanagedAhead {
        /// Its lease.
        lease: LeaseId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FencingToken;

    fn record(name: &str) -> CandidateRecord {
        CandidateRecord::new(OrchestratorId::new(name).unwrap(), "h", 1, WallTime(0))
    }

    fn candidate(n: i64, name: Option<&str>) -> Candidate {
        Candidate {
            lease: LeaseId::from_wire(n).unwrap(),
            joined: Revision::from_wire(n).unwrap(),
            record: name.map(record),
        }
    }

    #[test]
    fn a_lock_has_as_many_holders_as_its_first_candidate_says() {
        let with_permits = |n, permits| {
            let record = CandidateRecord { permits, ..record("a") };
            Candidate { record: Some(record), ..candidate(n, None) }
        };
        for (permits, candidates, counts) in
            [(None, 3, (1, 2)), (Some(2), 2, (2, 0)), (Some(2), 3, (2, 1)), (Some(3), 2, (2, 0))]
        {
            let queue = Queue::new((1..=candidates).map(|n| with_permits(n, permits)).collect(), None);
            let (holders, waiters) = queue.holders_and_waiters();
            assert_eq!((holders.len(), waiters.len()), counts, "{permits:?} {candidates}");
        }
        let empty = Queue::default();
        let (holders, waiters) = empty.holders_and_waiters();
        assert!(holders.is_empty() && waiters.is_empty());
    }

    fn first_term(by: i64) -> TermRecord {
        let successor = Successor {
            record: record("a"),
            lease: LeaseId::from_wire(by).unwrap(),
            guard: Revision::from_wire(by),
        };
        succeed(None, Generation(1), &successor, WallTime(0)).term
    }

    fn with_term(candidates: Vec<Candidate>, term: TermRecord) -> Queue {
        Queue::new(candidates, Some((Revision::from_wire(99).unwrap(), term)))
    }

    #[test]
    fn each_waits_for_the_one_before_it() {
        let queue =
            Queue::new(vec![candidate(5, Some("b")), candidate(3, None), candidate(9, Some("c"))], None);
        assert_eq!(queue.standing(LeaseId::from_wire(3).unwrap()), Standing::First);
        assert_eq!(queue.standing(LeaseId::from_wire(9).unwrap()), Standing::Behind(candidate(5, Some("b"))));
        assert_eq!(queue.standing(LeaseId::from_wire(4).unwrap()), Standing::Absent);
    }

    #[test]
    fn there_is_no_owner_without_a_term() {
        let first = || vec![candidate(3, Some("a"))];
        assert!(Queue::new(first(), None).owner().is_none());
        assert!(with_term(first(), first_term(3)).owner().is_some());
        assert!(with_term(first(), first_term(2)).owner().is_none(), "a term of somebody before");
        let ended = end(&first_term(3), Ending::Clean, WallTime(0));
        assert!(with_term(first(), ended).owner().is_none());
    }

    #[test]
    fn a_write_without_an_owner_needs_an_empty_queue() {
        assert_eq!(Queue::default().guard(), Some(Guard::Unowned));
        assert_eq!(Queue::new(vec![candidate(3, None)], None).guard(), None);
        assert!(matches!(
            with_term(vec![candidate(3, Some("a"))], first_term(3)).guard(),
            Some(Guard::Owner { .. })
        ));
    }

    #[test]
    fn the_successor_closes_an_open_term() {
        let successor = Successor { record: record("b"), lease: LeaseId::from_wire(8).unwrap(), guard: None };
        let next = succeed(Some(&first_term(3)), Generation(1), &successor, WallTime(5));
        assert_eq!(next.term.number, TermNumber(2));
        assert_eq!(next.closed.unwrap().ended.unwrap().how, Ending::Unclean);

        let ended = end(&first_term(3), Ending::Clean, WallTime(4));
        assert_eq!(succeed(Some(&ended), Generation(1), &successor, WallTime(5)).closed, None);
    }

    #[test]
    fn a_token_never_falls_with_an_older_generation() {
        let successor = Successor { record: record("b"), lease: LeaseId::from_wire(8).unwrap(), guard: None };
        let previous = TermRecord { generation: Generation(3), ..first_term(3) };
        for (known, generation) in [(1, 3), (3, 3), (4, 4)] {
            let next = succeed(Some(&previous), Generation(known), &successor, WallTime(5)).term;
            assert_eq!(
                next.token(),
                FencingToken { generation: Generation(generation), term: TermNumber(2) }
            );
        }
    }

    #[test]
    fn a_lock_delay_follows_every_end_but_the_owners_own() {
        let ended = |how| end(&first_term(3), how, WallTime(0));
        let forced = Ending::Forced { by: "x".to_owned(), reason: "y".to_owned() };
        let handed_over = Ending::HandedOver { to: OrchestratorId::new("b").unwrap() };
        assert!(needs_lock_delay(&first_term(3)));
        assert!(needs_lock_delay(&ended(Ending::Unclean)));
        assert!(needs_lock_delay(&ended(forced)));
        assert!(!needs_lock_delay(&ended(Ending::Clean)));
        assert!(!needs_lock_delay(&ended(handed_over)));
    }

    #[test]
    fn the_history_of_terms_is_bounded() {
        let successor = Successor { record: record("b"), lease: LeaseId::from_wire(8).unwrap(), guard: None };
        let previous = TermRecord { number: TermNumber(TERMS_KEPT + 1), ..first_term(3) };
        let next = succeed(Some(&previous), Generation(1), &successor, WallTime(5));
        assert_eq!(next.forgotten, Some(TermNumber(1)));
        assert_eq!(succeed(Some(&first_term(3)), Generation(1), &successor, WallTime(5)).forgotten, None);
    }

    #[test]
    fn a_hand_over_moves_waiters_but_no_unmanaged_candidate() {
        let named = |name| OrchestratorId::new(name).unwrap();
        let queue =
            Queue::new(vec![candidate(1, Some("a")), candidate(2, Some("b")), candidate(3, Some("c"))], None);
        let (b, c) = (candidate(2, Some("b")), candidate(3, Some("c")));
        let to_b = HandOver { successor: &b, displaced: &[] };
        assert_eq!(hand_over(&queue, &named("b")).unwrap(), to_b);
        let to_c = HandOver { successor: &c, displaced: std::slice::from_ref(&b) };
        assert_eq!(hand_over(&queue, &named("c")).unwrap(), to_c);
        assert!(matches!(hand_over(&queue, &named("x")), Err(HandOverError::NotQueued { .. })));
        assert!(matches!(hand_over(&queue, &named("a")), Err(HandOverError::NotQueued { .. })));
        let queue =
            Queue::new(vec![candidate(1, Some("a")), candidate(2, None), candidate(3, Some("c"))], None);
        assert!(matches!(hand_over(&queue, &named("c")), Err(HandOverError::UnmanagedAhead { .. })));
    }
}
