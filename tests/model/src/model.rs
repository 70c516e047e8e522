//! Who owns and who writes: the actions of processes, operator and network, and the state that follows.
//!
//! Time is not in it. A lease can expire at any moment, so what holds here holds for every clock; what clocks
//! are needed for is checked by [`crate::time`].

use planlease_core::{FencingToken, transition::Change};
use stateright::{Model, Property};

use crate::{
    bounds::Bounds,
    bridge::{self, Authority, End},
    etcd::{Lease, OpId, Place, Store, Txn},
    flaws::{Flaw, Protocol},
    judge::{self, Broken, Rule},
    process::{self, Call, Chore, Phase, Process, Purpose, Reply},
    properties, protocol,
};

/// The protocol, or one with a flaw, within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Ownership {
    /// The protocol.
    pub protocol: Protocol,
    /// The bounds.
    pub bounds: Bounds,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// etcd.
    pub store: Store,
    /// The orchestrators.
    pub processes: Vec<Process>,
    /// The operator's request.
    pub operator: Option<Call>,
    /// Requests under way whose answers no process waits for, and who sent them.
    pub late: Vec<(Actor, Txn)>,
    /// What was reported of each write.
    pub reported: Vec<Reply>,
    /// What has been used up of the bounds.
    pub spent: Spent,
    /// The greatest token that any owner had.
    pub greatest: Option<FencingToken>,
    /// The rules that were broken. A run ends with the first.
    pub broken: Broken,
}

/// What has been used up of the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spent {
    writes: u8,
    crashes: u8,
    losses: u8,
    timeouts: u8,
    forces: u8,
    operator_writes: u8,
}

/// Who sends requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A process.
    Process(u8),
    /// The operator.
    Operator,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A process wants the plan and asks for it.
    Acquire(u8),
    /// It learns that its predecessor has left, and takes over.
    StepForward(u8),
    /// It looks for orphans: recovers the first, or is done.
    Recover(u8),
    /// It starts a task.
    Start(u8, u8),
    /// It completes a task.
    Complete(u8, u8),
    /// It lets go.
    Release(u8),
    /// It does what is to be done about requests for a place that may arrive late.
    Chore(u8),
    /// It is no more.
    Crash(u8),
    /// The operator ends the present ownership, or removes the first candidate.
    Force,
    /// The operator puts a task back to pending, or skips it.
    Decide(u8, Decision),
    /// etcd handles a request, and the answer arrives.
    Handle(Actor),
    /// A request is not waited for any longer.
    TimeOut(Actor),
    /// etcd handles a request whose answer no process waits for.
    HandleLate(u8),
    /// It is sent again.
    SendAgain(Actor),
    /// It is not sent again: its outcome is unknown.
    GiveUp(Actor),
    /// etcd drops a lease, and the keys on it.
    Expire(u8),
}

/// What an operator decides about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Back to pending.
    Retry,
    /// Left out.
    Skip,
}

impl Decision {
    fn change(self) -> Change {
        match self {
            Self::Retry => Change::Retry(String::new()),
            Self::Skip => Change::Skip(String::new()),
        }
    }
}

impl Model for Ownership {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            store: Store::new(self.bounds.processes, self.bounds.tasks),
            processes: (0..self.bounds.processes).map(|n| Process::new(Lease(n))).collect(),
            operator: None,
            late: Vec::new(),
            reported: Vec::new(),
            spent: Spent::default(),
            greatest: None,
            broken: Broken::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.any() {
            return;
        }
        for n in 0..self.bounds.processes {
            self.actions_of(n, state, actions);
        }
        self.actions_of_operator(state, actions);
        self.actions_of_network(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Acquire(n) => {
                let process = &mut state.processes[usize::from(n)];
                process.acquisitions += 1;
                process.ask(self.protocol, &state.store);
            }
            Action::StepForward(n) => state.processes[usize::from(n)].step_forward(self.protocol),
            Action::Recover(n) => self.recover(&mut state, n),
            Action::Start(n, task) => self.write_as_owner(&mut state, n, task, &Change::Start),
            Action::Complete(n, task) => self.write_as_owner(&mut state, n, task, &Change::Complete(None)),
            Action::Release(n) => self.release(&mut state, n),
            Action::Chore(n) => self.do_chore(&mut state, n),
            Action::Crash(n) => {
                state.spent.crashes += 1;
                state.abandon(Actor::Process(n));
                state.processes[usize::from(n)].end(Phase::Crashed);
            }
            Action::Force => {
                state.spent.forces += 1;
                let first = *state.store.line.first()?;
                self.dismiss(&mut state, Actor::Operator, first, End::Forced);
            }
            Action::Decide(task, decision) => {
                state.spent.operator_writes += 1;
                let authority = operator_authority(&state.store)?;
                self.send_write(&mut state, Actor::Operator, task, &decision.change(), authority);
            }
            Action::Handle(actor) => self.handle(&mut state, actor)?,
            Action::HandleLate(index) => {
                let (_, txn) = state.late.remove(usize::from(index));
                let before = state.store.clone();
                state.store.handle(&txn);
                state.judge(&before);
            }
            Action::TimeOut(actor) => {
                state.spent.timeouts += 1;
                state.time_out(actor);
            }
            Action::SendAgain(actor) => self.send_again(&mut state, actor),
            Action::GiveUp(actor) => self.give_up(&mut state, actor),
            Action::Expire(n) => {
                if state.processes[usize::from(n)].phase != Phase::Crashed {
                    state.spent.losses += 1;
                }
                state.store.expire(Lease(n), !self.protocol.has(Flaw::KeyUnleased));
            }
        }
        state.settle();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of_ownership()
    }
}

impl Ownership {
    fn actions_of(&self, n: u8, state: &State, actions: &mut Vec<Action>) {
        let process = &state.processes[usize::from(n)];
        let place = state.store.place(process.lease);
        let lives = !matches!(process.phase, Phase::Crashed | Phase::Lost);
        if process.call.is_none() {
            match &process.phase {
                Phase::Idle => {
                    // Those who have not begun are alike, so they begin in their order.
                    let turn = n == 0 || state.processes[usize::from(n) - 1].acquisitions > 0;
                    if turn && process.acquisitions < self.bounds.acquisitions {
                        actions.push(Action::Acquire(n));
                    }
                }
                Phase::Behind(waiting) => {
                    if waiting.left_at.is_some() {
                        actions.push(Action::StepForward(n));
                    }
                    if self.protocol.has(Flaw::RecoveryTooEarly)
                        && protocol::orphan(&state.store, waiting.own).is_some()
                    {
                        actions.push(Action::Recover(n));
                    }
                }
                Phase::Owner(tenure) => {
                    actions.push(Action::Release(n));
                    if !tenure.recovered {
                        actions.push(Action::Recover(n));
                    } else if state.spent.writes < self.bounds.writes {
                        let authority = Authority::Owner(tenure.own, tenure.term.number);
                        for task in 0..self.bounds.tasks {
                            for (change, action) in [
                                (Change::Start, Action::Start(n, task)),
                                (Change::Complete(None), Action::Complete(n, task)),
                            ] {
                                if self.is_possible(state, task, &change, authority) {
                                    actions.push(action);
                                }
                            }
                        }
                    }
                }
                Phase::Seeking | Phase::Crashed | Phase::Lost => {}
            }
        }
        // While the session holds the plan, or wants it, a place of its own need not be one that it does not
        // know of.
        let may_look = process.phase == Phase::Idle || self.protocol.has(Flaw::LookTooEarly);
        if process.chore == Some(Chore::Outdate)
            || (process.chore == Some(Chore::Look) && process.call.is_none() && may_look)
        {
            actions.push(Action::Chore(n));
        }
        if lives
            && (process.call.is_some() || process.phase != Phase::Idle)
            && state.spent.crashes < self.bounds.crashes
        {
            actions.push(Action::Crash(n));
        }
        let may_expire = if lives {
            state.spent.losses < self.bounds.losses && (place.is_some() || process.call.is_some())
        } else {
            true
        };
        if state.store.lives(process.lease) && may_expire {
            actions.push(Action::Expire(n));
        }
    }

    fn actions_of_operator(&self, state: &State, actions: &mut Vec<Action>) {
        if state.operator.is_some() {
            return;
        }
        if state.spent.forces < self.bounds.forces && !state.store.line.is_empty() {
            actions.push(Action::Force);
        }
        if state.spent.operator_writes < self.bounds.operator_writes
            && let Some(authority) = operator_authority(&state.store)
        {
            for task in 0..self.bounds.tasks {
                for decision in [Decision::Retry, Decision::Skip] {
                    if self.is_possible(state, task, &decision.change(), authority) {
                        actions.push(Action::Decide(task, decision));
                    }
                }
            }
        }
    }

    fn actions_of_network(&self, state: &State, actions: &mut Vec<Action>) {
        for (actor, call) in state.calls() {
            if call.awaited {
                actions.push(Action::Handle(actor));
                if state.spent.timeouts < self.bounds.timeouts {
                    actions.push(Action::TimeOut(actor));
                }
            } else {
                actions.push(Action::SendAgain(actor));
                // A session goes on asking for a place, or giving one up, as long as it lives.
                if matches!(call.purpose, Purpose::Write(..)) || actor == Actor::Operator {
                    actions.push(Action::GiveUp(actor));
                }
            }
        }
        for index in 0..state.late.len() {
            // Of several that are the same, the first stands for all.
            if index == 0 || state.late[index] != state.late[index - 1] {
                actions.push(Action::HandleLate(u8::try_from(index).unwrap_or(u8::MAX)));
            }
        }
    }

    fn is_possible(&self, state: &State, task: u8, change: &Change, authority: Authority) -> bool {
        let seen = state.store.tasks[usize::from(task)];
        protocol::write(self.protocol, (task, seen), change, authority, seen.value.op).is_some()
    }

    fn recover(&self, state: &mut State, n: u8) {
        let process = &mut state.processes[usize::from(n)];
        let (own, term) = match &mut process.phase {
            Phase::Owner(tenure) => (tenure.own, tenure.term.number),
            Phase::Behind(waiting) => (waiting.own, waiting.term.map_or(0, |term| term.value.number)),
            _ => return,
        };
        match (protocol::orphan(&state.store, own), &mut process.phase) {
            (Some((task, change)), _) => {
                self.send_write(state, Actor::Process(n), task, &change, Authority::Owner(own, term));
            }
            (None, Phase::Owner(tenure)) => tenure.recovered = true,
            (None, _) => {}
        }
    }

    fn write_as_owner(&self, state: &mut State, n: u8, task: u8, change: &Change) {
        if let Some(tenure) = state.processes[usize::from(n)].tenure() {
            state.spent.writes += 1;
            let authority = Authority::Owner(tenure.own, tenure.term.number);
            self.send_write(state, Actor::Process(n), task, change, authority);
        }
    }

    /// Reads a task and sends the change of it.
    fn send_write(&self, state: &mut State, actor: Actor, task: u8, change: &Change, authority: Authority) {
        let seen = state.store.tasks[usize::from(task)];
        let op = OpId { write: u8::try_from(state.reported.len()).unwrap_or(u8::MAX), renewed: false };
        if let Some(txn) = protocol::write(self.protocol, (task, seen), change, authority, op) {
            state.reported.push(Reply::Nothing);
            *state.call(actor) = Some(Call::send(Purpose::Write(task, seen.modified, op), txn));
        }
    }

    fn do_chore(&self, state: &mut State, n: u8) {
        let process = &mut state.processes[usize::from(n)];
        match process.chore.take() {
            Some(Chore::Outdate) => {
                state.store.register_again(process.lease);
                process.registered = state.store.registered[usize::from(n)];
                process.chore = Some(Chore::Look);
            }
            Some(Chore::Look) if process.phase == Phase::Idle => {
                if let Some(place) = state.store.place(Lease(n)) {
                    self.dismiss(state, Actor::Process(n), place, End::Clean);
                }
            }
            Some(Chore::Look) | None => {}
        }
    }

    fn release(&self, state: &mut State, n: u8) {
        if let Some(tenure) = state.processes[usize::from(n)].tenure() {
            let txn = protocol::end_term(self.protocol, tenure.own, tenure.term, End::Clean);
            *state.call(Actor::Process(n)) =
                Some(Call::send(Purpose::End(protocol::end(tenure.term, End::Clean)), txn));
        }
    }

    /// Removes a key from the queue, and ends the term if it is the owner's.
    fn dismiss(&self, state: &mut State, actor: Actor, place: Place, how: End) {
        let owner = bridge::owner(&state.store);
        let term = state.store.term.map(|term| term.value).filter(|_| owner == Some(place));
        *state.call(actor) = Some(match term {
            Some(term) => {
                let txn = protocol::end_term(self.protocol, place, term, how);
                Call::send(Purpose::End(protocol::end(term, how)), txn)
            }
            None => Call::send(Purpose::Leave, protocol::leave(self.protocol, place, state.store.term)),
        });
    }

    /// etcd handles a request that a process waits for, and the answer arrives. An answer that arrives later
    /// is the same as one whose receiver goes on later; one that gets lost, the same as a request that no
    /// process waits for any longer.
    fn handle(&self, state: &mut State, actor: Actor) -> Option<()> {
        let call = state.call(actor).take()?;
        let before = state.store.clone();
        let answer = state.store.handle(&call.txn);
        state.judge(&before);
        match call.purpose {
            Purpose::Write(task, seen, op) => {
                let reported = process::outcome(self.protocol, &call, (task, seen, op), answer, &state.store);
                state.reported[usize::from(op.write)] = reported;
            }
            Purpose::End(ended) if process::has_ended(&call, ended, answer, &state.store) => {
                let truth = state.store.past.contains(&ended);
                state.broken.unless(truth, Rule::Released);
            }
            Purpose::End(_) | Purpose::Leave | Purpose::Acquire | Purpose::TakeOver => {}
        }
        if let Actor::Process(n) = actor {
            state.processes[usize::from(n)].hear(self.protocol, &call, answer, &state.store);
        }
        Some(())
    }

    fn send_again(&self, state: &mut State, actor: Actor) {
        if let Some(call) = state.call(actor) {
            call.awaited = true;
            if self.protocol.has(Flaw::NewOpId)
                && let Purpose::Write(task, seen, op) = call.purpose
            {
                call.purpose = Purpose::Write(task, seen, OpId { renewed: true, ..op });
                call.txn = protocol::renewed(&call.txn);
            }
        }
    }

    fn give_up(&self, state: &mut State, actor: Actor) {
        let Some(call) = state.call(actor).take() else { return };
        if let Purpose::Write(_, _, op) = call.purpose {
            let refused = self.protocol.has(Flaw::UnknownReportedAsRefused);
            state.reported[usize::from(op.write)] = if refused { Reply::Refused } else { Reply::Unknown };
        }
    }
}

impl State {
    /// Every request whose answer is waited for, or was until lately.
    pub fn calls(&self) -> impl Iterator<Item = (Actor, &Call)> {
        let of_processes = (0u8..)
            .zip(&self.processes)
            .filter_map(|(n, process)| Some((Actor::Process(n), process.call.as_ref()?)));
        of_processes.chain(self.operator.iter().map(|call| (Actor::Operator, call)))
    }

    fn call(&mut self, actor: Actor) -> &mut Option<Call> {
        match actor {
            Actor::Process(n) => &mut self.processes[usize::from(n)].call,
            Actor::Operator => &mut self.operator,
        }
    }

    /// What is under way stays under way, but no process waits for it.
    fn time_out(&mut self, actor: Actor) {
        let Some(call) = self.call(actor).as_mut().filter(|call| call.awaited) else { return };
        call.awaited = false;
        call.uncertain = true;
        let txn = call.txn.clone();
        self.late.push((actor, txn));
        self.late.sort_unstable();
    }

    fn abandon(&mut self, actor: Actor) {
        self.time_out(actor);
        *self.call(actor) = None;
    }

    fn judge(&mut self, before: &Store) {
        if self.store.revision != before.revision {
            self.broken = judge::judge(before, &self.store, &mut self.greatest);
        }
    }

    /// What follows from a change at once: the watches report keys that are gone, and what can do nothing
    /// any more is forgotten.
    fn settle(&mut self) {
        let Self { store, processes, late, .. } = self;
        for process in processes {
            process.see_leave(store);
        }
        late.retain(|(_, txn)| !store.is_spent(txn));
    }
}

fn operator_authority(store: &Store) -> Option<Authority> {
    let line = bridge::line(store);
    let guard = line.guard()?;
    let owner = line.owner().map(|(candidate, _)| bridge::place(candidate));
    Some(Authority::Operator(owner.filter(|_| guard != planlease_core::record::Guard::Unowned)))
}
