//! A policy that planlease does not have: an owner cut off from etcd goes on, because every other member
//! confirms that it is cut off too.
//!
//! The model answers what such a confirmation has to be. It has a clock, which all processes share but for
//! one flaw; a lease that etcd may drop at any moment from its expiry on; an owner, peers, and newcomers
//! that are no members at first. Each process reaches etcd or does not, by itself. Questions, confirmations
//! and acquisitions take as long as they like; a process that is stopped takes no step. An owner stops its
//! commands in time, which the supervisors are for.

use stateright::{Model, Property};

/// What is always so.
pub const EXCLUSIVE: &str = "two processes never both run the plan's commands";

/// What happens: what the policy is for.
pub const BEYOND: &str = "an owner goes on though etcd has dropped its lease";

/// What happens: the plan is not lost to it.
pub const PASSED_ON: &str = "another process runs the commands";

/// What happens: a promise binds what was sent before it.
pub const WAITS: &str = "an acquisition is carried out under a promise, and its process waits";

/// The time to live of the lease, and the length of a promise, in seconds.
pub const TTL_S: u8 = 2;

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The owner waits for the confirmation of every member but one.
    OneNotAwaited,
    /// An acquisition does not compare that its process is a member.
    NewcomersAcquire,
    /// A confirmation says that its sender is cut off, and promises nothing.
    NoPromise,
    /// A promise does not bind an acquisition that was sent before it.
    UnderWayNotBound,
    /// The owner counts from the arrival of the last confirmation, not from its question.
    CountedFromTheAnswer,
    /// The key with the members hangs on the owner's lease.
    MembersLeased,
    /// The clock of a member that promises gains a second.
    FastClock,
    /// The owner admits a member while it relies on promises of the others.
    AdmittedTooEarly,
    /// An operator admits a member, and the owner does not know.
    OperatorAdmits,
}

/// The policy, or one with a flaw.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// What is wrong.
    pub flaw: Option<Flaw>,
    /// Members besides the owner.
    pub peers: usize,
    /// Processes that are no members at first.
    pub newcomers: usize,
    /// How long it is looked at, in seconds.
    pub seconds: u8,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The time, in seconds.
    pub now: u8,
    /// etcd.
    pub store: Store,
    /// The owner.
    pub owner: Owner,
    /// The peers, then the newcomers.
    pub others: Vec<Other>,
}

/// What etcd has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Whose key is there.
    pub holder: Holder,
    /// From when on the owner's lease may be dropped.
    pub expires: u8,
    /// Whether the key with the members is there: only they acquire.
    pub closed: bool,
}

/// Whose plan it is, to etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The owner's.
    Owner,
    /// No process's.
    None,
    /// Of the process with this number.
    Other(usize),
}

/// The owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Whether it reaches etcd.
    pub reaches: bool,
    /// Until when it runs commands; 0 once it has stopped.
    pub until: u8,
    /// When it sent its present question, if there is one.
    pub asked: Option<u8>,
}

/// A peer or a newcomer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Other {
    /// Whether it reaches etcd.
    pub reaches: bool,
    /// How far its acquisition has come.
    pub part: Part,
    /// Until when it has promised not to acquire and not to run commands; 0 without a promise.
    pub promised: u8,
    /// Its confirmation.
    pub word: Word,
    /// Whether it is a member, to etcd.
    pub member: bool,
    /// Whether the owner counts it as one.
    pub known: bool,
}

/// How far an acquisition has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Not sent.
    Idle,
    /// On its way.
    Sent,
    /// Carried out; the answer is on its way.
    Owns,
    /// The answer has arrived, and commands run.
    Runs,
}

/// How far a confirmation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// Not sent.
    None,
    /// On its way.
    Sent,
    /// With the owner.
    Received,
}

/// What can happen. The number is that of a peer or newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A second goes by.
    Tick,
    /// The owner's way to etcd breaks, or works again.
    OwnerSwitches,
    /// The owner renews its lease.
    Renew,
    /// The owner makes a newcomer a member.
    Admit(usize),
    /// An operator does so, and the owner does not know.
    OperatorAdmits(usize),
    /// The owner, cut off, asks all members.
    Ask,
    /// etcd drops the owner's lease.
    Expire,
    /// The way to etcd breaks, or works again.
    Switches(usize),
    /// An acquisition is sent.
    Acquire(usize),
    /// etcd handles it.
    Handle(usize),
    /// Its answer arrives, and commands begin.
    Start(usize),
    /// The question arrives, and is confirmed.
    Confirm(usize),
    /// The confirmation arrives.
    Receive(usize),
}

impl State {
    /// Whether the owner may run commands.
    #[must_use]
    pub fn owner_runs(&self) -> bool {
        self.now < self.owner.until
    }

    /// How many processes may run commands.
    #[must_use]
    pub fn running(&self) -> usize {
        let others = self.others.iter().filter(|other| other.part == Part::Runs).count();
        others + usize::from(self.owner_runs())
    }

    /// Forgets what can change nothing any more: so there are fewer states.
    fn forget(&mut self, keep_questions: bool) {
        let (now, runs) = (self.now, self.owner_runs());
        self.owner.asked = self.owner.asked.filter(|asked| runs && (keep_questions || asked + TTL_S > now));
        if !runs {
            self.owner.until = 0;
        }
        for other in &mut self.others {
            if other.promised <= now {
                other.promised = 0;
            }
            if self.owner.asked.is_none() {
                other.word = Word::None;
            }
        }
    }
}

impl Outage {
    fn has(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn actions_of_owner(self, state: &State, actions: &mut Vec<Action>) {
        if !state.owner_runs() {
            return;
        }
        let State { now, store, owner, others } = state;
        actions.push(Action::OwnerSwitches);
        if owner.reaches && store.holder == Holder::Owner {
            actions.push(Action::Renew);
            // What the others have promised does not bind a new member, so only the lease may be relied on.
            let leased = owner.until <= store.expires || self.has(Flaw::AdmittedTooEarly);
            for (index, other) in others.iter().enumerate() {
                if leased && !other.member {
                    actions.push(Action::Admit(index));
                }
            }
        }
        if !owner.reaches && owner.asked != Some(*now) {
            actions.push(Action::Ask);
        }
    }

    fn actions_of_other(self, index: usize, state: &State, actions: &mut Vec<Action>) {
        let other = &state.others[index];
        let bound = other.promised > state.now;
        if other.part != Part::Runs {
            actions.push(Action::Switches(index));
        }
        if self.has(Flaw::OperatorAdmits) && !other.member {
            actions.push(Action::OperatorAdmits(index));
        }
        match other.part {
            Part::Idle if other.reaches && !bound => actions.push(Action::Acquire(index)),
            Part::Sent => actions.push(Action::Handle(index)),
            Part::Owns if !bound || self.has(Flaw::UnderWayNotBound) => actions.push(Action::Start(index)),
            Part::Idle | Part::Owns | Part::Runs => {}
        }
        let asked = state.owner.asked.is_some() && other.known && other.word == Word::None;
        if asked && !other.reaches && other.part != Part::Runs {
            actions.push(Action::Confirm(index));
        }
        if other.word == Word::Sent && state.owner_runs() {
            actions.push(Action::Receive(index));
        }
    }

    /// etcd handles an acquisition: there is no owner, and its process is a member.
    fn handle(self, state: &mut State, index: usize) {
        let other = &mut state.others[index];
        let may = other.member || !state.store.closed || self.has(Flaw::NewcomersAcquire);
        if may && state.store.holder == Holder::None {
            state.store.holder = Holder::Other(index);
            other.part = Part::Owns;
        } else {
            other.part = Part::Idle;
        }
    }

    fn confirm(self, state: &mut State, index: usize) {
        let other = &mut state.others[index];
        other.word = Word::Sent;
        if !self.has(Flaw::NoPromise) {
            other.promised = state.now + TTL_S - u8::from(self.has(Flaw::FastClock));
        }
    }

    fn receive(self, state: &mut State, index: usize) {
        state.others[index].word = Word::Received;
        let skipped = usize::from(self.has(Flaw::OneNotAwaited));
        let mut awaited = state.others.iter().filter(|other| other.known).skip(skipped);
        let confirmed = awaited.all(|other| other.word == Word::Received);
        if let Some(asked) = state.owner.asked.filter(|_| confirmed) {
            let from = if self.has(Flaw::CountedFromTheAnswer) { state.now } else { asked };
            state.owner.until = state.owner.until.max(from + TTL_S);
            state.owner.asked = None;
        }
    }
}

impl Model for Outage {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let other = |index: usize| Other {
            reaches: true,
            part: Part::Idle,
            promised: 0,
            word: Word::None,
            member: index < self.peers,
            known: index < self.peers,
        };
        vec![State {
            now: 0,
            store: Store { holder: Holder::Owner, expires: TTL_S, closed: true },
            owner: Owner { reaches: true, until: TTL_S, asked: None },
            others: (0..self.peers + self.newcomers).map(other).collect(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.seconds {
            actions.push(Action::Tick);
        }
        self.actions_of_owner(state, actions);
        if state.store.holder == Holder::Owner && state.now >= state.store.expires {
            actions.push(Action::Expire);
        }
        for index in 0..state.others.len() {
            self.actions_of_other(index, state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::OwnerSwitches => state.owner.reaches = !state.owner.reaches,
            Action::Renew => {
                state.store.expires = state.now + TTL_S;
                state.owner.until = state.store.expires;
                state.owner.asked = None;
            }
            Action::Admit(index) => {
                state.others[index].member = true;
                state.others[index].known = true;
            }
            Action::OperatorAdmits(index) => state.others[index].member = true,
            Action::Ask => {
                state.owner.asked = Some(state.now);
                state.others.iter_mut().for_each(|other| other.word = Word::None);
            }
            Action::Expire => {
                state.store.holder = Holder::None;
                state.store.closed = !self.has(Flaw::MembersLeased);
            }
            Action::Switches(index) => state.others[index].reaches = !state.others[index].reaches,
            Action::Acquire(index) => state.others[index].part = Part::Sent,
            Action::Handle(index) => self.handle(&mut state, index),
            Action::Start(index) => state.others[index].part = Part::Runs,
            Action::Confirm(index) => self.confirm(&mut state, index),
            Action::Receive(index) => self.receive(&mut state, index),
        }
        state.forget(self.has(Flaw::CountedFromTheAnswer));
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EXCLUSIVE, |_, state: &State| state.running() <= 1),
            Property::sometimes(BEYOND, |_, state: &State| {
                state.owner_runs() && state.store.holder != Holder::Owner
            }),
            Property::sometimes(PASSED_ON, |_, state: &State| {
                state.others.iter().any(|other| other.part == Part::Runs)
            }),
            Property::sometimes(WAITS, |_, state: &State| {
                let waits = |other: &Other| other.part == Part::Owns && other.promised > state.now;
                state.owner_runs() && state.others.iter().any(waits)
            }),
        ]
    }
}
