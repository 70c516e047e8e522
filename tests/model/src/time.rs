//! One session in time: whether the holder stops believing in its lease before etcd can drop it.
//!
//! There are two clocks. etcd's is the true one here; the holder's may lose one second in a time to live,
//! which is what the margin is for. A clock that gains makes the holder stop earlier, which does no harm, and
//! is left out. The holder decides by the code's own machine, `planlease_core::session`; it wakes up on time,
//! or later, or never.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use planlease_core::{
    BootTime,
    session::{Command, Event, Machine, Status, Timing},
};
use stateright::{Model, Property};

use crate::flaws::{Flaw, Protocol};

/// The time to live of the lease, in seconds.
pub const TTL_S: u8 = 6;

/// The margin, in seconds: what the holder's clock may lose in a time to live.
pub const MARGIN_S: u8 = 1;

/// How long the answer to the grant may take, and so how far the first deadline may be from a server's that
/// counts later.
const SLOWEST_GRANT_S: u8 = 2;

/// What is always so.
pub const IN_TIME: &str = "a holder that believes in its lease has it";

/// A session of the protocol, or of one with a flaw, for so many seconds.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The protocol.
    pub protocol: Protocol,
    /// How long, in seconds.
    pub seconds: u8,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// etcd's clock, in seconds.
    pub now: u8,
    /// How much the holder's clock is behind.
    pub lost: u8,
    /// For how long it has lost nothing.
    pub steady: u8,
    /// The holder.
    pub holder: Holder,
    /// Renewals under way.
    pub renewals: Vec<Renewal>,
    /// From when on etcd may drop the lease.
    pub expires: u8,
    /// Whether it has not.
    pub lives: bool,
}

/// The code's machine, compared by all that it holds.
#[derive(Clone, Debug)]
pub struct Holder {
    machine: Machine,
    /// It keeps its fields to itself and has no use for being compared, but what it shows is all of them.
    shown: Arc<str>,
}

/// A renewal under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Renewal {
    /// Whether the holder waits for its answer; else its stream was given up.
    pub awaited: bool,
    /// How far it has come.
    pub stage: Stage,
}

/// How far a renewal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// On its way to etcd.
    Sent,
    /// Handled: the lease lives on; the answer is on its way.
    Renewed,
    /// Handled: there is no such lease; the answer is on its way.
    Refused,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A second goes by on both clocks.
    Tick,
    /// A second goes by that the holder's clock misses.
    TickMissed,
    /// The holder wakes up and does what is due.
    Wake,
    /// etcd handles a renewal.
    Handle(u8),
    /// Its answer arrives.
    Answer(u8),
    /// The stream of renewals breaks.
    Break,
    /// etcd drops the lease.
    Expire,
}

impl PartialEq for Holder {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for Holder {}

impl Hash for Holder {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shown.hash(state);
    }
}

impl Holder {
    fn new(machine: Machine) -> Self {
        let shown = format!("{machine:?}").into();
        Self { machine, shown }
    }

    /// Whether to rely on the session, as it was decided last.
    #[must_use]
    pub fn status(&self) -> Status {
        self.machine.status()
    }

    /// What follows from an event.
    fn handle(&mut self, clock: BootTime, event: Event) -> Vec<Command> {
        let commands = self.machine.handle(clock, event);
        *self = Self::new(self.machine.clone());
        commands
    }
}

impl State {
    /// What the holder's clock shows.
    #[must_use]
    pub fn clock(&self) -> u8 {
        self.now - self.lost
    }

    /// Until when the holder believes in its lease, on its clock; `None` once it does not.
    #[must_use]
    pub fn deadline(&self) -> Option<u8> {
        match self.holder.status() {
            Status::Live { deadline } => Some(seconds(deadline)).filter(|deadline| self.clock() < *deadline),
            Status::Lost(_) => None,
        }
    }
}

impl Model for Session {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        // The grant is asked for at 0 s, and the answer arrives when it is the last moment.
        let holder = if self.protocol.has(Flaw::DeadlineFromAnswer) {
            self.open(SLOWEST_GRANT_S)
        } else {
            self.open(0)
        };
        let granted = |at: u8| State {
            now: SLOWEST_GRANT_S,
            lost: 0,
            steady: TTL_S,
            holder: holder.clone(),
            renewals: Vec::new(),
            expires: at + TTL_S,
            lives: true,
        };
        (0..=SLOWEST_GRANT_S).map(granted).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.seconds {
            if state.steady >= TTL_S {
                actions.push(Action::TickMissed);
            }
            actions.push(Action::Tick);
        }
        let live = matches!(state.holder.status(), Status::Live { .. });
        if live && seconds(state.holder.machine.wake_at()) <= state.clock() {
            actions.push(Action::Wake);
        }
        for (index, renewal) in (0u8..).zip(&state.renewals) {
            // etcd handles and answers the renewals of a stream in their order.
            let before = &state.renewals[..usize::from(index)];
            let mut ahead = before.iter().filter(|other| other.awaited == renewal.awaited);
            match renewal.stage {
                Stage::Sent if ahead.all(|other| other.stage != Stage::Sent) => {
                    actions.push(Action::Handle(index));
                }
                Stage::Renewed | Stage::Refused if ahead.next().is_none() => {
                    actions.push(Action::Answer(index));
                }
                _ => {}
            }
        }
        if live && state.renewals.iter().any(|renewal| renewal.awaited) {
            actions.push(Action::Break);
        }
        if state.lives && state.expires <= state.now {
            actions.push(Action::Expire);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => {
                state.now += 1;
                state.steady = (state.steady + 1).min(TTL_S);
            }
            Action::TickMissed => {
                state.now += 1;
                state.lost += 1;
                state.steady = 0;
            }
            Action::Wake => self.report(&mut state, Event::Woke),
            Action::Handle(index) => {
                let renewal = &mut state.renewals[usize::from(index)];
                renewal.stage = if state.lives { Stage::Renewed } else { Stage::Refused };
                if state.lives {
                    state.expires = state.now + TTL_S;
                }
            }
            Action::Answer(index) => match state.renewals.remove(usize::from(index)).stage {
                Stage::Renewed if self.protocol.has(Flaw::DeadlineFromAnswer) => {
                    state.holder = self.open(state.clock());
                }
                Stage::Renewed => self.report(&mut state, Event::Renewed { ttl: span(TTL_S) }),
                Stage::Refused => self.report(&mut state, Event::LeaseGone),
                Stage::Sent => return None,
            },
            Action::Break => {
                give_up(&mut state.renewals);
                self.report(&mut state, Event::StreamFailed { retry_after: span(1) });
            }
            Action::Expire => state.lives = false,
        }
        // The answer to a renewal that was given up goes nowhere.
        if !self.protocol.has(Flaw::AnswerMistaken) {
            state.renewals.retain(|renewal| renewal.awaited || renewal.stage == Stage::Sent);
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(IN_TIME, |_, state: &State| state.lives || state.deadline().is_none()),
            Property::sometimes("a session outlives its first time to live", |_, state: &State| {
                state.now > SLOWEST_GRANT_S + TTL_S && state.deadline().is_some()
            }),
            Property::sometimes(
                "a holder stops, and etcd keeps the lease for a while",
                |_, state: &State| state.lives && state.deadline().is_none(),
            ),
            Property::sometimes("a lease expires while its holder sleeps", |_, state: &State| {
                !state.lives && matches!(state.holder.status(), Status::Live { .. })
            }),
            Property::sometimes(
                "a holder believes in its lease until the very last second",
                |_, state: &State| {
                    state.lives && state.now + 1 == state.expires && state.deadline().is_some()
                },
            ),
        ]
    }
}

impl Session {
    /// A lease that counts from this moment on the holder's clock.
    fn open(&self, clock: u8) -> Holder {
        let margin = if self.protocol.has(Flaw::NoMargin) { 0 } else { MARGIN_S };
        let timing = Timing { ttl: span(TTL_S), margin: span(margin) };
        Holder::new(Machine::open(timing, BootTime::since_boot(span(clock))))
    }

    /// Advances the machine, and does what it decides.
    fn report(&self, state: &mut State, event: Event) {
        let clock = BootTime::since_boot(span(state.clock()));
        for command in state.holder.handle(clock, event) {
            if let Command::Renew { reconnect } = command {
                if reconnect {
                    give_up(&mut state.renewals);
                }
                state.renewals.push(Renewal { awaited: true, stage: Stage::Sent });
            }
        }
    }
}

/// The stream is closed. What is under way on it may still arrive: the last of them, since an earlier one
/// changes less.
fn give_up(renewals: &mut Vec<Renewal>) {
    renewals.drain(..renewals.len().saturating_sub(1));
    for renewal in renewals {
        renewal.awaited = false;
    }
}

fn span(seconds: u8) -> Duration {
    Duration::from_secs(seconds.into())
}

fn seconds(moment: BootTime) -> u8 {
    u8::try_from(moment.as_duration().as_secs()).unwrap_or(u8::MAX)
}
