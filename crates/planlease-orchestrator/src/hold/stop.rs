//! Requests to end, as signals: what each makes of the command.

use crate::{child::SupervisedChild, command::Attachment};

/// A signal that asks a process to end, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopSignal(u8);

impl StopSignal {
    /// `SIGHUP`: the terminal is gone.
    pub const HANGUP: Self = Self(1);
    /// `SIGINT`: Ctrl-C.
    pub const INTERRUPT: Self = Self(2);
    /// `SIGQUIT`: Ctrl-\\.
    pub const QUIT: Self = Self(3);
    /// `SIGUSR1`.
    pub const USER_1: Self = Self(10);
    /// `SIGUSR2`.
    pub const USER_2: Self = Self(12);
    /// `SIGALRM`.
    pub const ALARM: Self = Self(14);
    /// `SIGTERM`.
    pub const TERMINATE: Self = Self(15);
    /// `SIGSTKFLT`.
    pub const STACK_FAULT: Self = Self(16);
    /// `SIGXCPU`: the limit of CPU time is reached; the system kills the process a little later.
    pub const CPU_TIME: Self = Self(24);
    /// `SIGVTALRM`.
    pub const VIRTUAL_ALARM: Self = Self(26);
    /// `SIGPROF`.
    pub const PROFILER: Self = Self(27);
    /// `SIGIO`.
    pub const IO: Self = Self(29);
    /// `SIGPWR`: the power fails.
    pub const POWER: Self = Self(30);

    /// Each of them ends a process that does not handle it.
    pub const ALL: [Self; 13] = [
        Self::INTERRUPT,
        Self::TERMINATE,
        Self::HANGUP,
        Self::QUIT,
        Self::USER_1,
        Self::USER_2,
        Self::ALARM,
        Self::STACK_FAULT,
        Self::CPU_TIME,
        Self::VIRTUAL_ALARM,
        Self::PROFILER,
        Self::IO,
        Self::POWER,
    ];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The status of a process that the signal ends, as shells have it.
    #[must_use]
    pub const fn status(self) -> u8 {
        128 + self.0
    }
}

/// Where requests to end come from.
pub trait StopRequests {
    /// Waits for the next one. Cancel safe.
    fn next_request(&mut self) -> impl Future<Output = StopSignal> + Send;
}

/// Forwards signals to the command: the first one asks it to end, the second one kills it.
#[derive(Debug)]
pub(super) struct Forwarding {
    attachment: Attachment,
    asked: bool,
}

/// What a signal makes of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Terminate,
    Kill,
}

impl Forwarding {
    pub(super) fn new(attachment: Attachment) -> Self {
        Self { attachment, asked: false }
    }

    /// Forwards a signal; returns what was done.
    pub(super) fn forward(&mut self, signal: StopSignal, child: &SupervisedChild) -> Wish {
        let wish = self.wish(signal);
        match wish {
            Wish::Nothing => {}
            Wish::Terminate => child.terminate(),
            Wish::Kill => child.kill(),
        }
        wish
    }

    /// On a terminal Ctrl-C and Ctrl-\\ reach the command anyway, which may use it for something else than to
    /// end.
    fn wish(&mut self, signal: StopSignal) -> Wish {
        match (signal, self.attachment, self.asked) {
            (StopSignal::INTERRUPT | StopSignal::QUIT, Attachment::Terminal, _) => Wish::Nothing,
            (_, _, false) => {
                self.asked = true;
                Wish::Terminate
            }
            (_, _, true) => Wish::Kill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_kills_and_ctrl_c_goes_to_the_command() {
        let wishes = |attachment, signals: [StopSignal; 3]| {
            let mut forwarding = Forwarding::new(attachment);
            signals.map(|signal| forwarding.wish(signal))
        };
        let (int, term) = (StopSignal::INTERRUPT, StopSignal::TERMINATE);
        let inherited = wishes(Attachment::Inherited, [int, term, int]);
        assert_eq!(inherited, [Wish::Terminate, Wish::Kill, Wish::Kill]);
        let terminal = wishes(Attachment::Terminal, [int, term, term]);
        assert_eq!(terminal, [Wish::Nothing, Wish::Terminate, Wish::Kill]);
    }
}
