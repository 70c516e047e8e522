//! etcd, as little of it as the protocol relies on: keys with their revisions, leases, transactions.
//!
//! One plan only, so a key is known by what it is. A transaction is carried out at once and whole, or not at
//! all; when it arrives is the business of [`crate::model`].

use crate::bridge::{Task, Term};

/// A revision of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rev(pub u8);

/// A session's lease: the number of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease(pub u8);

/// A key of the queue, `owner/{lease}`, in one of its lives; compared in a write, it is a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose.
    pub lease: Lease,
    /// Its create revision.
    pub created: Rev,
}

/// Identifies a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId {
    /// Which write of a process.
    pub write: u8,
    /// Whether it was given a new id when it was sent again, which must not be.
    pub renewed: bool,
}

/// A value and the revision that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kept<T> {
    /// The key's mod revision.
    pub modified: Rev,
    /// The value.
    pub value: T,
}

/// What the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// The revision of the last change.
    pub revision: Rev,
    /// Which leases live.
    pub leases: Vec<bool>,
    /// When each process's registration was last written.
    pub registered: Vec<Rev>,
    /// The keys below `owner/`, in the order of their create revisions.
    pub line: Vec<Place>,
    /// The key `term`.
    pub term: Option<Kept<Term>>,
    /// The keys below `terms/`.
    pub past: Vec<Term>,
    /// The keys below `tasks/`.
    pub tasks: Vec<Kept<Task>>,
    /// Who wrote each task, write by write: etcd keeps its history.
    pub history: Vec<Vec<OpId>>,
}

/// What a transaction compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compare {
    /// The key of this lease in the queue has this create revision; `None`: it does not exist.
    Created(Lease, Option<Rev>),
    /// The queue is empty.
    Empty,
    /// No key of the queue was created before this revision.
    NoneBefore(Rev),
    /// The term was last written at this revision; `None`: it is not there.
    TermModified(Option<Rev>),
    /// The registration of this lease's process was last written at this revision.
    Registered(Lease, Rev),
    /// The task was last written at this revision.
    TaskModified(u8, Rev),
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Puts a key of the queue, on its lease.
    Join(Lease),
    /// Deletes a key of the queue.
    Leave(Lease),
    /// Writes the term.
    Term(Term),
    /// Writes a past term.
    Past(Term),
    /// Writes a task.
    Task(u8, Task),
}

/// A transaction. Its reads are left out: a refused writer reads the store as it is then.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txn {
    /// Compares this,
    pub when: Vec<Compare>,
    /// and if all of it holds, does that;
    pub then: Vec<Op>,
    /// else this, a transaction in its turn.
    pub otherwise: Option<Box<Txn>>,
}

/// What etcd answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The compares held.
    Done(Rev),
    /// They did not; the transaction in the other branch may have done something all the same.
    Refused,
    /// It would have put a key on a lease that is gone; nothing was done.
    NoSuchLease,
}

impl Store {
    /// A plan with so many tasks, and without candidates.
    #[must_use]
    pub fn new(processes: u8, tasks: u8) -> Self {
        let imported = Kept { modified: Rev(1), value: Task::imported() };
        Self {
            revision: Rev(1),
            leases: vec![true; usize::from(processes)],
            registered: vec![Rev(1); usize::from(processes)],
            line: Vec::new(),
            term: None,
            past: Vec::new(),
            tasks: vec![imported; usize::from(tasks)],
            history: vec![Vec::new(); usize::from(tasks)],
        }
    }

    /// The key of this lease in the queue.
    #[must_use]
    pub fn place(&self, lease: Lease) -> Option<Place> {
        self.line.iter().copied().find(|place| place.lease == lease)
    }

    /// Whether this very key, in this very life, is in the queue.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.line.contains(&place)
    }

    /// Whether the lease lives.
    #[must_use]
    pub fn lives(&self, lease: Lease) -> bool {
        self.leases[usize::from(lease.0)]
    }

    /// Carries a transaction out, or refuses it.
    pub fn handle(&mut self, txn: &Txn) -> Answer {
        if txn.when.iter().all(|compare| self.holds(*compare)) {
            return self.perform(&txn.then);
        }
        match &txn.otherwise {
            Some(nested) if self.handle(nested) == Answer::NoSuchLease => Answer::NoSuchLease,
            _ => Answer::Refused,
        }
    }

    /// Drops a lease, with its key if that hangs on it.
    pub fn expire(&mut self, lease: Lease, key_is_leased: bool) {
        self.leases[usize::from(lease.0)] = false;
        if key_is_leased && self.place(lease).is_some() {
            self.revision = self.next();
            self.line.retain(|place| place.lease != lease);
        }
    }

    /// Writes a registration again, as it is, if it is still there.
    pub fn register_again(&mut self, lease: Lease) {
        if self.lives(lease) {
            self.revision = self.next();
            self.registered[usize::from(lease.0)] = self.revision;
        }
    }

    /// Whether the transaction can never do anything any more, since it compares a revision that is past for
    /// ever.
    #[must_use]
    pub fn is_spent(&self, txn: &Txn) -> bool {
        (txn.when.iter().any(|compare| self.is_past(*compare)) || self.joins_in_vain(&txn.then))
            && txn.otherwise.as_ref().is_none_or(|nested| self.is_spent(nested))
    }

    fn is_past(&self, compare: Compare) -> bool {
        match compare {
            // No revision comes twice, and the term is never deleted.
            Compare::Created(_, Some(_))
            | Compare::TermModified(_)
            | Compare::Registered(..)
            | Compare::TaskModified(..) => !self.holds(compare),
            Compare::Created(_, None) | Compare::Empty | Compare::NoneBefore(_) => false,
        }
    }

    /// Whether what is compared is so.
    #[must_use]
    pub fn holds(&self, compare: Compare) -> bool {
        match compare {
            Compare::Created(lease, at) => self.place(lease).map(|place| place.created) == at,
            Compare::Empty => self.line.is_empty(),
            Compare::NoneBefore(at) => self.line.iter().all(|place| place.created >= at),
            Compare::TermModified(at) => self.term.map(|term| term.modified) == at,
            Compare::Registered(lease, at) => {
                self.lives(lease) && self.registered[usize::from(lease.0)] == at
            }
            Compare::TaskModified(task, at) => self.tasks[usize::from(task)].modified == at,
        }
    }

    fn perform(&mut self, ops: &[Op]) -> Answer {
        if self.joins_in_vain(ops) {
            return Answer::NoSuchLease;
        }
        let now = self.next();
        let mut changed = false;
        for op in ops {
            changed |= !matches!(op, Op::Leave(lease) if self.place(*lease).is_none());
            match *op {
                Op::Join(lease) if self.place(lease).is_some() => {} // A new version of it, no new life.
                Op::Join(lease) => self.line.push(Place { lease, created: now }),
                Op::Leave(lease) => self.line.retain(|place| place.lease != lease),
                Op::Term(value) => self.term = Some(Kept { modified: now, value }),
                Op::Past(term) => {
                    self.past.retain(|past| past.number != term.number);
                    self.past.push(term);
                    self.past.sort_unstable();
                }
                Op::Task(task, value) => {
                    self.tasks[usize::from(task)] = Kept { modified: now, value };
                    self.history[usize::from(task)].push(value.op);
                }
            }
        }
        if changed {
            self.revision = now;
        }
        Answer::Done(self.revision)
    }

    fn joins_in_vain(&self, ops: &[Op]) -> bool {
        ops.iter().any(|op| matches!(op, Op::Join(lease) if !self.lives(*lease)))
    }

    fn next(&self) -> Rev {
        Rev(self.revision.0 + 1)
    }
}
