//! One session with a companion, and the session after it: whether the companion frees nothing too early, and
//! nothing of the other.
//!
//! There is no clock: the lease expires whenever the checker likes, once its process is dead or stopped and
//! its commands are dead, which the supervisors' deadlines are for. The companion decides by the code's own
//! machine, `planlease_core::companion`; it looks at one thing after the other, and anything can happen in
//! between: it may be stopped, lose etcd, or die.

use std::time::Duration;

use planlease_core::{
    BootTime,
    companion::{Companion, Event, Verdict},
};
use stateright::{Model, Property};

/// What is always so: no command runs when the companion revokes.
pub const DEAD_FIRST: &str = "a companion revokes nothing while a command of its session runs";

/// What is always so: the next session's lease is not the companion's.
pub const OWN_LEASE: &str = "a companion takes nothing from the next session";

/// What happens: a revocation, which is what it is for.
pub const FREED: &str = "a companion frees what a dead process had";

/// What happens: a revocation that comes when the next session is there.
pub const LATE: &str = "a revocation arrives when the lease has expired";

/// How many commands the session may start.
const COMMANDS: usize = 2;

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The companion does not wait for commands.
    CommandsNotAwaited,
    /// It looks for new commands before it looks whether the process is there.
    CommandsBeforeOwner,
    /// A supervisor that hung up counts as one that reported the end of its command.
    HangUpTrusted,
    /// A command starts without a word to the companion.
    NotAnnounced,
    /// It revokes the lease of whichever session has the plan.
    LeaseNotNamed,
}

/// A session and its companion, or ones with a flaw.
#[derive(Clone, Copy, Debug)]
pub struct Takeover {
    /// What is wrong.
    pub flaw: Option<Flaw>,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Process {
    /// It runs.
    Runs,
    /// It is there and does nothing.
    Stopped,
    /// It is gone.
    Dead,
}

/// A command with its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Not asked for.
    None,
    /// Its supervisor has connected to the companion, if it does so at all.
    Announced,
    /// It runs.
    Running,
    /// It runs, and its supervisor is dead.
    Unsupervised,
    /// Nothing of it is left; its supervisor reported so.
    Dead,
}

/// What the companion has seen of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Nothing.
    Nothing,
    /// That it was announced.
    Announced,
    /// How it ended.
    End,
}

/// Whose lease holds the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The session with the companion.
    Ours,
    /// No session.
    None,
    /// The next one.
    Next,
}

/// What the companion looks at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// Whether its owner is there.
    Owner,
    /// Which commands were announced.
    New,
    /// Which of them have ended.
    Ends,
    /// What follows.
    Verdict,
    /// The revocation is under way.
    Revoking,
    /// It has ended.
    Over,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The session's process.
    pub owner: Process,
    /// Its commands.
    pub commands: [(Command, Seen); COMMANDS],
    /// The companion's machine.
    pub machine: Companion,
    /// What the companion does next.
    pub look: Look,
    /// Whether it runs.
    pub companion: Process,
    /// Whose plan it is.
    pub holder: Holder,
    /// Whether a revocation was carried out while a command ran.
    pub too_early: bool,
    /// Whether the next session lost its plan to the companion.
    pub took: bool,
    /// Whether the companion freed the plan, and whether it came too late to.
    pub freed: (bool, bool),
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The owner dies.
    Die,
    /// The owner is stopped.
    Stop,
    /// A supervisor is started and announces its command.
    Announce(usize),
    /// The owner lets the command start.
    Start(usize),
    /// Its supervisor kills it, or sees its end, and reports that.
    End(usize),
    /// Its supervisor dies; processes of the command go on.
    LoseSupervisor(usize),
    /// They end by themselves.
    EndUnseen(usize),
    /// The companion does the next thing.
    Look,
    /// The companion is stopped, or goes on.
    Halt(Process),
    /// etcd carries out the revocation, or the companion gives it up.
    Revoke(bool),
    /// The lease expires.
    Expire,
    /// The next session acquires the plan.
    Acquire,
}

impl Takeover {
    fn has(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The order in which the companion looks.
    fn next(self, look: Look) -> Look {
        let early = self.has(Flaw::CommandsBeforeOwner);
        match look {
            Look::Owner => {
                if early {
                    Look::Ends
                } else {
                    Look::New
                }
            }
            Look::New => {
                if early {
                    Look::Owner
                } else {
                    Look::Ends
                }
            }
            Look::Ends => Look::Verdict,
            other => other,
        }
    }

    fn first(self) -> Look {
        if self.has(Flaw::CommandsBeforeOwner) { Look::New } else { Look::Owner }
    }

    fn look(self, state: &mut State) {
        let now = BootTime::since_boot(Duration::ZERO);
        match state.look {
            Look::Owner if state.owner == Process::Dead => state.machine.note(now, Event::OwnerGone),
            Look::New => {
                for (command, seen) in &mut state.commands {
                    if *seen == Seen::Nothing && *command != Command::None && !self.has(Flaw::NotAnnounced) {
                        state.machine.note(now, Event::CommandAnnounced);
                        *seen = Seen::Announced;
                    }
                }
            }
            Look::Ends => {
                for (command, seen) in state.commands.iter_mut().filter(|(_, seen)| *seen == Seen::Announced)
                {
                    let event = match command {
                        Command::Dead => Event::CommandEnded,
                        Command::Unsupervised if self.has(Flaw::HangUpTrusted) => Event::CommandEnded,
                        Command::Unsupervised => Event::CommandUnaccounted,
                        _ if self.has(Flaw::CommandsNotAwaited) => Event::CommandEnded,
                        _ => continue,
                    };
                    state.machine.note(now, event);
                    *seen = Seen::End;
                }
            }
            Look::Verdict => {
                state.look = match state.machine.verdict(now) {
                    Verdict::Wait(_) => self.first(),
                    Verdict::Revoke { .. } => Look::Revoking,
                    Verdict::End(_) => Look::Over,
                };
                return;
            }
            Look::Owner | Look::Revoking | Look::Over => {}
        }
        state.look = self.next(state.look);
    }

    fn revoke(self, state: &mut State) {
        match state.holder {
            Holder::Ours => {
                state.too_early |= state.commands.iter().any(|(command, _)| command.runs());
                state.freed.0 = true;
                state.holder = Holder::None;
            }
            Holder::Next if self.has(Flaw::LeaseNotNamed) => {
                state.took = true;
                state.holder = Holder::None;
            }
            Holder::None | Holder::Next => state.freed.1 |= state.holder == Holder::Next,
        }
    }
}

impl Command {
    fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Unsupervised)
    }
}

impl Model for Takeover {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            owner: Process::Runs,
            commands: [(Command::None, Seen::Nothing); COMMANDS],
            machine: Companion::new(Duration::from_secs(10)),
            look: self.first(),
            companion: Process::Runs,
            holder: Holder::Ours,
            too_early: false,
            took: false,
            freed: (false, false),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.owner != Process::Dead {
            actions.push(Action::Die);
        }
        if state.owner == Process::Runs {
            actions.push(Action::Stop);
        }
        for (index, (command, _)) in state.commands.iter().enumerate() {
            match command {
                // A supervisor that was started before its owner died connects after that.
                Command::None => actions.push(Action::Announce(index)),
                Command::Announced if state.owner == Process::Runs => actions.push(Action::Start(index)),
                Command::Announced => actions.push(Action::End(index)),
                Command::Running => actions.extend([Action::End(index), Action::LoseSupervisor(index)]),
                Command::Unsupervised => actions.push(Action::EndUnseen(index)),
                Command::Dead => {}
            }
        }
        match (state.companion, state.look) {
            (Process::Dead, _) | (_, Look::Over) => {}
            (Process::Stopped, _) => actions.push(Action::Halt(Process::Runs)),
            (Process::Runs, Look::Revoking) => actions.extend([Action::Revoke(true), Action::Revoke(false)]),
            (Process::Runs, _) => {
                actions.extend([Action::Look, Action::Halt(Process::Stopped), Action::Halt(Process::Dead)]);
            }
        }
        // Whatever is supervised is dead by then; what is not is out of every process's reach.
        let quiet = !state.commands.iter().any(|(command, _)| *command == Command::Running);
        match state.holder {
            Holder::Ours if state.owner != Process::Runs && quiet => actions.push(Action::Expire),
            Holder::None => actions.push(Action::Acquire),
            Holder::Ours | Holder::Next => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Die => state.owner = Process::Dead,
            Action::Stop => state.owner = Process::Stopped,
            Action::Announce(index) => state.commands[index].0 = Command::Announced,
            Action::Start(index) => state.commands[index].0 = Command::Running,
            Action::End(index) | Action::EndUnseen(index) => state.commands[index].0 = Command::Dead,
            Action::LoseSupervisor(index) => state.commands[index].0 = Command::Unsupervised,
            Action::Look => self.look(&mut state),
            Action::Halt(process) => state.companion = process,
            Action::Revoke(true) => {
                self.revoke(&mut state);
                state.look = Look::Over;
            }
            Action::Revoke(false) => state.look = Look::Over,
            Action::Expire => state.holder = Holder::None,
            Action::Acquire => state.holder = Holder::Next,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(DEAD_FIRST, |_, state: &State| !state.too_early),
            Property::always(OWN_LEASE, |_, state: &State| !state.took),
            Property::sometimes(FREED, |_, state: &State| state.freed.0),
            Property::sometimes(LATE, |_, state: &State| state.freed.1),
        ]
    }
}
