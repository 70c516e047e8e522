//! An orchestrator: what it believes, what it waits for, and what it does about an answer.
//!
//! It has no clock. It goes on whenever the checker lets it, however much later, and believes what it heard
//! last: so every process is paused at every point of its life, for every length of time, without a word
//! about it here.

use planlease_core::term::Standing;

use crate::{
    bridge::{self, Term},
    etcd::{Answer, Compare, Lease, OpId, Place, Rev, Store, Txn},
    flaws::{Flaw, Protocol},
    protocol::{self, SeenTerm},
};

/// What a process believes, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its session.
    pub lease: Lease,
    /// How often it has wanted the plan.
    pub acquisitions: u8,
    /// When it last wrote its registration, as far as it knows.
    pub registered: Rev,
    /// Where it believes to be.
    pub phase: Phase,
    /// Whether a request for the place where it is may still be under way.
    pub late: bool,
    /// What is to be done about such requests of before.
    pub chore: Option<Chore>,
    /// The request whose answer it waits for.
    pub call: Option<Call>,
}

/// Where a process believes to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not in the queue.
    Idle,
    /// Has asked for the plan.
    Seeking,
    /// Waits for the one before to leave.
    Behind(Waiting),
    /// Owns the plan.
    Owner(Tenure),
    /// Knows that its session is over.
    Lost,
    /// Is no more. Its session is, until it expires.
    Crashed,
}

/// What a session does so that no late request leaves a key that no process knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chore {
    /// Writes its registration again: what was sent before compares that, and is outdated.
    Outdate,
    /// Looks whether such a place was taken before that.
    Look,
}

/// A candidate's key, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// The own one.
    pub own: Place,
    /// The one before, which is watched.
    pub before: Place,
    /// Whether that was the owner.
    pub was_owner: bool,
    /// The term as it was seen.
    pub term: SeenTerm,
    /// When the predecessor left, as the watch reported.
    pub left_at: Option<Rev>,
}

/// An ownership, as its owner believes in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tenure {
    /// Its key: what every write compares.
    pub own: Place,
    /// Its term.
    pub term: Term,
    /// Whether it has looked for orphans until there were none.
    pub recovered: bool,
}

/// A request, and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// What for.
    pub purpose: Purpose,
    /// What was sent; the same whenever it is sent again.
    pub txn: Txn,
    /// Whether it is under way and its answer waited for.
    pub awaited: bool,
    /// Whether an earlier sending of it was not answered in time, and may have been or may be carried out.
    pub uncertain: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Acquire the plan, or join the queue.
    Acquire,
    /// Take over.
    TakeOver,
    /// End a term: the own one, or another's by force.
    End(Term),
    /// Remove a key from the queue: the own one, or another's by force.
    Leave,
    /// Write a task that was last written at the revision.
    Write(u8, Rev, OpId),
}

/// What was reported of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Nothing yet, or there is no process to report to.
    Nothing,
    /// Carried out.
    Committed,
    /// Carried out, by a sending whose answer got lost.
    Proven,
    /// Not carried out.
    Refused,
    /// Perhaps.
    Unknown,
}

impl Call {
    /// Sends a request for the first time.
    #[must_use]
    pub fn send(purpose: Purpose, txn: Txn) -> Self {
        Self { purpose, txn, awaited: true, uncertain: false }
    }
}

impl Process {
    /// One that has not begun.
    #[must_use]
    pub fn new(lease: Lease) -> Self {
        Self {
            lease,
            acquisitions: 0,
            registered: Rev(1),
            phase: Phase::Idle,
            late: false,
            chore: None,
            call: None,
        }
    }

    /// The ownership that it believes in.
    #[must_use]
    pub fn tenure(&self) -> Option<Tenure> {
        if let Phase::Owner(tenure) = self.phase { Some(tenure) } else { None }
    }

    /// Goes on after the answer to `call`, which came with the reads of `store`.
    pub fn hear(&mut self, protocol: Protocol, call: &Call, answer: Answer, store: &Store) {
        match call.purpose {
            _ if answer == Answer::NoSuchLease => self.end(Phase::Lost),
            // Its registration is gone.
            Purpose::Acquire | Purpose::TakeOver if !store.lives(self.lease) => self.end(Phase::Lost),
            Purpose::Acquire | Purpose::TakeOver => {
                self.late |= call.uncertain;
                self.registered = store.registered[usize::from(self.lease.0)];
                self.look(protocol, store);
            }
            Purpose::End(_) => self.phase = Phase::Idle,
            Purpose::Leave if answer == Answer::Refused => self.chore = Some(Chore::Look),
            Purpose::Leave => {}
            Purpose::Write(..) => {
                let gone = self.tenure().is_some_and(|tenure| !store.has(tenure.own));
                if answer == Answer::Refused && gone {
                    self.phase = Phase::Idle;
                }
            }
        }
    }

    /// Is over, in this way.
    pub fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.chore = None;
        self.late = false;
    }

    /// Goes on as the queue and the term require.
    fn look(&mut self, protocol: Protocol, store: &Store) {
        let line = bridge::line(store);
        if let Some((owner, term)) = line.owner()
            && bridge::place(owner).lease == self.lease
        {
            if std::mem::take(&mut self.late) && !protocol.has(Flaw::PlaceForgotten) {
                self.chore = Some(Chore::Outdate);
            }
            let recovered = protocol.has(Flaw::RecoveryLeftOut);
            self.phase = Phase::Owner(Tenure { own: bridge::place(owner), term: Term::of(term), recovered });
            return;
        }
        let own = store.place(self.lease);
        match (line.standing(bridge::lease_id(self.lease)), own) {
            (Standing::First, Some(own)) => {
                self.call =
                    Some(Call::send(Purpose::TakeOver, protocol::take_over(protocol, own, store.term, None)));
                self.phase = Phase::Seeking;
            }
            (Standing::Behind(before), Some(own)) => {
                let was_owner = line.owner().is_some_and(|(owner, _)| *owner == before);
                let before = bridge::place(&before);
                self.phase =
                    Phase::Behind(Waiting { own, before, was_owner, term: store.term, left_at: None });
            }
            _ => self.ask(protocol, store),
        }
    }

    /// Asks for the plan, with the term as it is now.
    pub fn ask(&mut self, protocol: Protocol, store: &Store) {
        let txn = protocol::acquire(protocol, self.lease, store.term, self.registered);
        self.call = Some(Call::send(Purpose::Acquire, txn));
        self.phase = Phase::Seeking;
    }

    /// The watch reports that a key is gone.
    pub fn see_leave(&mut self, store: &Store) {
        if let Phase::Behind(waiting) = &mut self.phase
            && waiting.left_at.is_none()
            && !store.has(waiting.before)
        {
            waiting.left_at = Some(store.revision);
        }
    }

    /// Takes over from the one before, which has left.
    pub fn step_forward(&mut self, protocol: Protocol) {
        if let Phase::Behind(waiting) = &self.phase {
            let left_at = waiting.left_at.filter(|_| waiting.was_owner || protocol.has(Flaw::TermGuessed));
            let txn = protocol::take_over(protocol, waiting.own, waiting.term, left_at);
            self.call = Some(Call::send(Purpose::TakeOver, txn));
            self.phase = Phase::Seeking;
        }
    }
}

/// What an answer says about a write.
#[must_use]
pub fn outcome(
    protocol: Protocol,
    call: &Call,
    (task, seen, op): (u8, Rev, OpId),
    answer: Answer,
    store: &Store,
) -> Reply {
    let present = store.tasks[usize::from(task)];
    let in_history = || store.history[usize::from(task)].contains(&op) && !protocol.has(Flaw::HistoryNotRead);
    // A revision that is past never comes again, so a refusal for its sake is one for every sending. But that
    // a process is in the queue can change, and then an earlier sending finds all that it compares.
    let may_hold_again = call.txn.when.contains(&Compare::Empty) && present.modified == seen;
    if let Answer::Done(_) = answer {
        Reply::Committed
    } else if present.value.op == op {
        Reply::Proven
    } else if !call.uncertain {
        Reply::Refused
    } else if present.modified != seen && in_history() {
        Reply::Proven
    } else if may_hold_again && !protocol.has(Flaw::RefusalTrusted) {
        Reply::Unknown
    } else {
        Reply::Refused
    }
}

/// Whether an answer says that a term was ended as asked for.
#[must_use]
pub fn has_ended(call: &Call, ended: Term, answer: Answer, store: &Store) -> bool {
    let says_so = |term: &Term| term.number == ended.number && term.ended == ended.ended;
    let present = store.term.map(|term| term.value);
    match answer {
        Answer::Done(_) => true,
        Answer::Refused | Answer::NoSuchLease if !call.uncertain => false,
        Answer::Refused | Answer::NoSuchLease => {
            present.is_some_and(|term| says_so(&term)) || store.past.iter().any(says_so)
        }
    }
}
