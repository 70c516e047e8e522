//! The task behind one supervised command: passes deadlines and wishes on to the supervisor, reads its
//! reports and the command's output, and does the supervisor's work if the supervisor cannot.

use std::{io, ops::ControlFlow, time::Duration};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use planlease_core::BootTime;
use tokio::{
    net::UnixStream,
    process::Child,
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    clock::now,
    control::{Garbled, Group, Lines, MAX_LINE, Order, Report},
    ending::{Cause, Finished, Status},
    output::Output,
    processes::{self, Process},
    supervisor::PATIENCE,
};

/// How often the task looks whether its supervisor should have acted by now.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How late a supervisor may be before its work is done for it.
const LATE: Duration = Duration::from_millis(250);

/// How late a supervisor may be before it is given up. By then it has reported survivors, if it is able to.
const TOO_LATE: Duration = Duration::from_secs(PATIENCE.as_secs() + 1);

/// The number of the signal that kills.
const SIGKILL: i32 = Signal::SIGKILL as i32;

/// What the owner of the handle wants. It only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    Nothing,
    Terminate,
    Kill,
}

impl Ask {
    /// True if that is more than before.
    pub(crate) fn raise(&mut self, to: Self) -> bool {
        let more = *self < to;
        *self = to.max(*self);
        more
    }
}

/// The state of the task.
#[derive(Debug)]
pub(crate) struct Driver {
    supervisor: Child,
    control: UnixStream,
    lines: Lines,
    deadline: watch::Receiver<Option<BootTime>>,
    ask: watch::Receiver<Ask>,
    output: Output,
    group: Group,
    grace: Duration,
    command: Option<Pid>,
    ended: Option<(Cause, Status, bool)>,
    /// When the supervisor must have killed, because it was asked to.
    asked_until: Option<BootTime>,
    /// The last deadline that was passed on.
    passed_on: Option<BootTime>,
    /// Whether the command was killed in place of its supervisor process, which may not know.
    stood_in: bool,
}

impl Driver {
    pub(crate) fn new(
        supervisor: Child,
        control: UnixStream,
        mut deadline: watch::Receiver<Option<BootTime>>,
        ask: watch::Receiver<Ask>,
        output: Output,
        group: Group,
        grace: Duration,
    ) -> Self {
        // The first one counts as a change.
        deadline.mark_changed();
        Self {
            supervisor,
            control,
            lines: Lines::default(),
            deadline,
            ask,
            output,
            group,
            grace,
            command: None,
            ended: None,
            asked_until: None,
            passed_on: None,
            stood_in: false,
        }
    }

    /// Drives until the supervisor is gone, and returns what became of the command.
    pub(crate) async fn run(mut self) -> Finished {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What has happened comes before what is wanted; the output last, since there may be no end
                // of it.
                biased;
                readable = self.control.readable() => {
                    if readable.is_err() || self.listen().is_break() {
                        break;
                    }
                }
                Ok(()) = self.ask.changed() => self.pass_on_wish(),
                Ok(()) = self.deadline.changed() => self.pass_on_deadline(),
                _ = look.tick() => self.stand_in(),
                () = self.output.read() => {}
            }
        }
        self.finish().await
    }

    /// Reads the supervisor's reports, without waiting for more.
    fn listen(&mut self) -> ControlFlow<()> {
        let mut bytes = [0; MAX_LINE];
        match self.control.try_read(&mut bytes) {
            Ok(0) => return ControlFlow::Break(()),
            Ok(count) => self.lines.push(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return ControlFlow::Break(()),
        }
        loop {
            match self.lines.next::<Report>() {
                Ok(Some(Report::Started(command))) => self.command = Some(command),
                Ok(Some(Report::Ended { cause, status, survivors })) => {
                    self.command = None;
                    self.ended = Some((cause, status, survivors));
                }
                Ok(None) => return ControlFlow::Continue(()),
                Err(Garbled) => {
                    tracing::error!(
                        supervisor = self.supervisor.id(),
                        "malformed message from the supervisor process"
                    );
                    return ControlFlow::Break(());
                }
            }
        }
    }

    fn pass_on_wish(&mut self) {
        let ask = *self.ask.borrow_and_update();
        let (order, within) = match ask {
            Ask::Nothing => return,
            Ask::Terminate => (Order::Terminate, self.grace),
            Ask::Kill => (Order::Kill, Duration::ZERO),
        };
        self.asked_until = Some(now().plus(within));
        self.send(order);
    }

    fn pass_on_deadline(&mut self) {
        let deadline = *self.deadline.borrow_and_update();
        if let Some(deadline) = deadline {
            self.passed_on = Some(deadline);
            self.send(Order::Deadline(deadline));
        }
    }

    /// Sends a line. A supervisor that does not read its lines cannot be trusted with a command.
    fn send(&mut self, order: Order) {
        let line = order.to_string();
        let sent = self.control.try_write(line.as_bytes());
        // A connection that has ended is noticed by reading, after the last report.
        let stuck = matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        if stuck || sent.is_ok_and(|sent| sent < line.len()) {
            tracing::error!(
                supervisor = self.supervisor.id(),
                "a supervisor does not read; it and its command are killed"
            );
            self.give_up();
        }
    }

    /// Kills in place of a supervisor that is late: it is paused, say.
    fn stand_in(&mut self) {
        let now = now();
        let Some(moment) = self.passed_on.into_iter().chain(self.asked_until).min() else { return };
        if moment.plus(TOO_LATE) <= now {
            tracing::error!(
                supervisor = self.supervisor.id(),
                "a supervisor does not end; it and its command are killed"
            );
            self.give_up();
        } else if moment.plus(LATE) <= now {
            self.kill_command();
        }
    }

    fn give_up(&mut self) {
        self.kill_command();
        // It may have ended already; then there is nothing to kill.
        let _ = self.supervisor.start_kill();
    }

    /// Kills the command's group, or as much of it as is not our own. The supervisor has not waited for the
    /// command unless it said that it ended, so the number is still the command's.
    fn kill_command(&mut self) {
        if let Some(command) = self.command {
            self.stood_in = true;
            let _ = match self.group {
                Group::Own => killpg(command, Signal::SIGKILL).or_else(|_| kill(command, Signal::SIGKILL)),
                Group::Of(_) => kill(command, Signal::SIGKILL),
            };
        }
    }

    /// The supervisor has hung up: it has ended, or is about to.
    async fn finish(mut self) -> Finished {
        let (cause, status, survivors) = match self.ended.take() {
            // Our signal, of which the supervisor process did not know.
            Some((Cause::Itself, status @ Status::Signalled(SIGKILL), survivors)) if self.stood_in => {
                let asked = self.asked_until.is_some();
                (if asked { Cause::Asked } else { Cause::Deadline }, status, survivors)
            }
            Some(ended) => ended,
            None => {
                // The kernel has killed the command with its supervisor, but not what the command had
                // started.
                self.give_up();
                let survivors = !self.group_is_gone().await;
                tracing::warn!(
                    supervisor = self.supervisor.id(),
                    survivors,
                    "a supervisor died; its command was killed"
                );
                (Cause::Deadline, Status::Unknown, survivors)
            }
        };
        if survivors {
            tracing::error!(supervisor = self.supervisor.id(), "processes of a command could not be killed");
        }
        if let Err(error) = self.supervisor.wait().await {
            tracing::warn!(%error, "a supervisor cannot be waited for");
        }
        self.output.drain().await;
        self.output.end_record(|| status.with_cause(cause)).await;
        Finished { cause, status, survivors, output: self.output.into_text() }
    }

    /// Waits until no process of the command's group is left; false if some are after [`PATIENCE`].
    async fn group_is_gone(&self) -> bool {
        let (Some(command), Group::Own) = (self.command, self.group) else { return true };
        let until = now().plus(PATIENCE);
        let is_left = |process: Process| process.group == command && !process.zombie;
        while processes::all().is_ok_and(|mut all| all.any(is_left)) {
            if now() >= until {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }
}
