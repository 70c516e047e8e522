//! The supervisor: a small process that runs one command and kills it when it must not run any longer.
//!
//! It has no runtime, one thread, and one duty. Its deadline is a timer of the kernel that counts suspend, so
//! it fires whatever happens to the orchestrator, and right after a laptop wakes up. It is in a process group
//! of its own, so that neither Ctrl-C nor a stop of the orchestrator's job reaches it, and it blocks the
//! signals by which processes are usually asked to end: whether the command ends is decided by the
//! orchestrator and the deadline.
//!
//! When the command must die, the supervisor kills its process group and all that descends from it, including
//! what has left the group: being their "subreaper", it inherits every process whose parent has died, and
//! goes on until there is none. When the command ends by itself, what is left in its group is killed; a
//! daemon that has deliberately left the group may stay, since its ownership was not lost.
//!
//! Out of reach are processes of other users (started by `sudo`, say) and those stuck in the kernel; after
//! `PATIENCE` they are reported as survivors.

use std::{
    ffi::OsString,
    io::{self, PipeReader, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::{
            net::UnixStream,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    process::{Child, Command},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal, kill, killpg},
        signalfd::{SfdFlags, SignalFd},
        socket::{getsockopt, sockopt::PeerCredentials},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

use planlease::{EntryPoint, companion::Announcement};

use crate::{
    clock::now,
    control::{Assignment, Group, Lines, MAX_LINE, Order, Report, address, open_files_arg},
    ending::{Cause, Status},
    exec,
    kill_policy::KillPolicy,
    processes,
    shortage::{SHORTAGE, is_shortage},
};

/// How long the supervisor waits for killed processes to disappear.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two looks at processes that were killed but are still there.
const LOOK_EVERY: u16 = 10; // ms

/// The signals that end a process unless it sees to them.
const ENDING: [Signal; 14] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGSTKFLT,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// Why a supervisor gave up. No command is left running then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// The arguments are not those that an orchestrator gives.
    #[error("a supervisor is started by an orchestrator only: {0} is missing or wrong")]
    Usage(&'static str),
    /// The orchestrator that started this supervisor is gone already. The command was not started.
    #[error("the orchestrator is gone; the command was not started")]
    NoOrchestrator(#[source] io::Error),
    /// A system call failed.
    #[error("the supervisor cannot {0}")]
    System(&'static str, #[source] io::Error),
}

/// Names what was tried when a system call failed.
trait Trying<T> {
    fn trying(self, what: &'static str) -> Result<T, SupervisorError>;
}

impl<T, E: Into<io::Error>> Trying<T> for Result<T, E> {
    fn trying(self, what: &'static str) -> Result<T, SupervisorError> {
        self.map_err(|error| SupervisorError::System(what, error.into()))
    }
}

/// Runs the command in the arguments until it ends or must end. `exec` leads to [`exec::run`].
///
/// To be called by the main thread of a process of its own, before there is any other thread. The result is
/// the exit status for that process: the command's, or 128 + the signal that ended it. The orchestrator does
/// not rely on it.
///
/// # Errors
/// [`SupervisorError`], if there is no orchestrator to work for or the system refuses what a supervisor
/// needs.
pub fn run(args: impl IntoIterator<Item = OsString>, exec: &EntryPoint) -> Result<u8, SupervisorError> {
    let assignment = Assignment::from_args(args).map_err(SupervisorError::Usage)?;
    // Before there is an orchestrator that could let the command start.
    let announced = assignment.companion.as_deref().map(Announcement::to);
    let announced = announced.transpose().trying("announce its command to the companion of the session")?;
    let supervised = supervise(assignment, exec);
    if let (Some(announced), Ok((_, Left::Nothing)) | Err(SupervisorError::NoOrchestrator(_))) =
        (announced, &supervised)
    {
        announced.nothing_left();
    }
    supervised.map(|(code, _)| code)
}

/// What is left of a command when its supervisor ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Processes that could not be killed.
    Survivors,
}

/// Runs the command until it ends or must end; the exit status, and what is left.
fn supervise(assignment: Assignment, exec: &EntryPoint) -> Result<(u8, Left), SupervisorError> {
    let mut supervisor = Supervisor::new(assignment)?;
    while !supervisor.policy.may_start(now()) {
        if supervisor.policy.is_ending() || supervisor.policy.verdict(now()).is_some() {
            return Ok(supervisor.refuse("it had to stop before it began".to_owned(), exec::NOT_FOUND));
        }
        supervisor.wait(None)?;
    }
    match supervisor.start(exec) {
        Ok(running) => supervisor.see_through(running),
        Err(error) => {
            let code = if is_shortage(&error) { SHORTAGE } else { exec::NOT_FOUND };
            Ok(supervisor.refuse(format!("the exec stage cannot be started: {error}"), code))
        }
    }
}

struct Supervisor {
    assignment: Assignment,
    control: UnixStream,
    lines: Lines,
    policy: KillPolicy,
    timer: TimerFd,
    /// Readable when a child has ended.
    children: SignalFd,
}

/// The command, or the exec stage that is about to become it.
struct Running {
    child: Child,
    pid: Pid,
    fate: PipeReader,
}

/// What is to be killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What is left in the command's process group.
    Group,
    /// All that descends from the command.
    Everything,
}

impl Supervisor {
    fn new(assignment: Assignment) -> Result<Self, SupervisorError> {
        let child_ended = SigSet::from(Signal::SIGCHLD);
        let mut blocked = child_ended;
        for signal in ENDING {
            blocked.add(signal);
        }
        blocked.thread_block().trying("block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let children = SignalFd::with_flags(&child_ended, flags).trying("watch its children")?;
        prctl::set_child_subreaper(true).trying("adopt orphans")?;
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags).trying("get a timer")?;
        let control = connect(&assignment).map_err(SupervisorError::NoOrchestrator)?;
        Ok(Self {
            assignment,
            control,
            lines: Lines::default(),
            policy: KillPolicy::default(),
            timer,
            children,
        })
    }

    /// Reports a command that never ran.
    fn refuse(&mut self, why: String, code: u8) -> (u8, Left) {
        let cause = self.policy.verdict(now()).unwrap_or(Cause::Itself);
        let status = Status::NotStarted { why, code };
        self.report(&Report::Ended { cause, status, survivors: false });
        (code, Left::Nothing)
    }

    /// Reports to the orchestrator, if it is still there; if not, that is noticed elsewhere.
    fn report(&mut self, report: &Report) {
        let _ = self.control.write_all(report.to_string().as_bytes());
    }

    /// Starts the exec stage, reports its process id to the orchestrator, and only then lets it become the
    /// command: so the orchestrator knows what to kill if we are killed, whatever the command does first.
    fn start(&mut self, exec: &EntryPoint) -> io::Result<Running> {
        let (go_read, mut go) = io::pipe()?;
        let (fate, fate_write) = io::pipe()?;
        let (go_read, fate_write) = (OwnedFd::from(go_read), OwnedFd::from(fate_write));
        inherit(&go_read)?;
        inherit(&fate_write)?;
        let mut command = Command::new(&exec.program);
        command
            .args(&exec.args)
            .args([Pid::this().as_raw(), go_read.as_raw_fd(), fate_write.as_raw_fd()].map(|n| n.to_string()))
            .arg(if self.assignment.session { exec::SESSION } else { "-" })
            .arg(open_files_arg(self.assignment.open_files))
            .arg(&self.assignment.program)
            .args(&self.assignment.args);
        match self.assignment.group {
            Group::Own if self.assignment.session => {} // The leader of a group cannot begin a session.
            Group::Own => drop(command.process_group(0)),
            Group::Of(group) => drop(command.process_group(group.as_raw())),
        }
        let child = command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("Linux's process ids fit"));
        self.report(&Report::Started(pid));
        let running = Running { child, pid, fate };
        // If it fails, the exec stage has ended, which is noticed as for any command.
        let _ = go.write_all(b".");
        Ok(running)
    }

    /// Waits until the command ends or must end, kills what is left, and reports.
    fn see_through(&mut self, mut running: Running) -> Result<(u8, Left), SupervisorError> {
        let watched = self.watch(&running);
        // Whatever went wrong with watching, nothing is left running.
        let cause = *watched.as_ref().unwrap_or(&Cause::Deadline);
        let scope = if cause == Cause::Itself { Scope::Group } else { Scope::Everything };
        let all_gone = self.kill(&running, scope);
        // The command's number is free for others from here on.
        let status = match running.child.try_wait() {
            Ok(Some(status)) => status,
            Ok(None) | Err(_) => {
                self.report(&Report::Ended { cause, status: Status::Unknown, survivors: true });
                return watched.map(|_| (exec::NOT_FOUND, Left::Survivors));
            }
        };
        let (status, exit) = match (exec::fate(running.fate), status.code(), status.signal()) {
            // An exec stage that was short of something before it could say why.
            (Err((why, _)), Some(code), _) if cause == Cause::Itself && code == i32::from(SHORTAGE) => {
                (Status::NotStarted { why, code: SHORTAGE }, SHORTAGE)
            }
            (Err((why, code)), ..) if cause == Cause::Itself => (Status::NotStarted { why, code }, code),
            (_, Some(code), _) => (Status::Exited(code), u8::try_from(code).unwrap_or(u8::MAX)),
            (_, None, Some(signal)) => {
                (Status::Signalled(signal), u8::try_from(128 + signal).unwrap_or(u8::MAX))
            }
            (_, None, None) => (Status::Unknown, u8::MAX),
        };
        self.report(&Report::Ended { cause, status, survivors: !all_gone });
        watched.map(|_| (exit, if all_gone { Left::Nothing } else { Left::Survivors }))
    }

    /// Waits until the command has ended or must be killed, and says why.
    fn watch(&mut self, running: &Running) -> Result<Cause, SupervisorError> {
        loop {
            if let Some(cause) = self.policy.verdict(now()) {
                return Ok(cause);
            }
            reap_adopted(running.pid);
            if has_ended(running.pid) {
                // Asked kindly, the rest of the group has the grace as well: a shell dies at once, its child
                // may tidy up.
                if !self.policy.is_ending() {
                    return Ok(Cause::Itself);
                }
                if self.left(running, Scope::Group).next().is_none() {
                    return Ok(Cause::Asked);
                }
            }
            self.wait(Some(running.pid))?;
        }
    }

    /// Waits for an order, the end of a child, or the next moment that matters; obeys the orders, unless the
    /// command has ended before any of them was read: it has ended by itself then.
    fn wait(&mut self, command: Option<Pid>) -> Result<(), SupervisorError> {
        if let Some(moment) = self.policy.next_moment() {
            // A moment of zero would disarm the timer.
            let moment = TimeSpec::from(moment.as_duration().max(Duration::from_nanos(1)));
            let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
            self.timer.set(Expiration::OneShot(moment), flags).trying("set its timer")?;
        }
        let watched = [self.control.as_fd(), self.timer.as_fd(), self.children.as_fd()];
        wait_for(&watched, PollTimeout::NONE).trying("wait")?;
        drain(&self.children).trying("see which child ended")?;
        if command.is_some_and(has_ended) && !self.policy.is_ending() {
            return Ok(());
        }
        self.listen(command)
    }

    /// Reads and obeys what the orchestrator has sent, without waiting for more.
    fn listen(&mut self, command: Option<Pid>) -> Result<(), SupervisorError> {
        let mut bytes = [0; MAX_LINE];
        match self.control.read(&mut bytes) {
            Ok(0) => self.policy.orphan(),
            Ok(count) => self.lines.push(&bytes[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.policy.orphan(),
        }
        loop {
            match self.lines.next::<Order>() {
                Ok(Some(order)) => {
                    let terminate = self.policy.obey(order, now(), self.assignment.grace);
                    if let Some(command) = command.filter(|_| terminate) {
                        self.terminate(command);
                    }
                }
                Ok(None) => return Ok(()),
                // A malformed message does not come from our orchestrator.
                Err(_) => {
                    self.policy.orphan();
                    return Ok(());
                }
            }
        }
    }

    /// Asks the command to end. SIGCONT lets a stopped one hear it.
    fn terminate(&self, command: Pid) {
        for signal in [Signal::SIGTERM, Signal::SIGCONT] {
            let _ = match self.assignment.group {
                // Until it leads a group of its own.
                Group::Own => killpg(command, signal).or_else(|_| kill(command, signal)),
                Group::Of(_) => kill(command, signal),
            };
        }
    }

    /// Kills until nothing is left, or for [`PATIENCE`]; true if nothing is left.
    ///
    /// The command itself, if it has ended, stays a zombie: so the number of its group cannot become
    /// another's while we still send signals to it.
    fn kill(&self, running: &Running, scope: Scope) -> bool {
        let until = now().plus(PATIENCE);
        loop {
            if self.assignment.group == Group::Own {
                let _ = killpg(running.pid, Signal::SIGKILL);
            }
            if scope == Scope::Everything {
                let _ = kill(running.pid, Signal::SIGKILL);
            }
            reap_adopted(running.pid);
            let mut all_gone = has_ended(running.pid);
            for process in self.left(running, scope) {
                all_gone = false;
                // Only our own children: a number that is not held by us may be another's by now.
                if process.parent == Pid::this() {
                    let _ = kill(process.pid, Signal::SIGKILL);
                }
            }
            if all_gone || now() >= until {
                return all_gone;
            }
            let _ = wait_for(&[self.children.as_fd()], PollTimeout::from(LOOK_EVERY));
            let _ = drain(&self.children);
        }
    }

    /// The processes besides the command itself that are to be killed. A child of ours counts until it was
    /// waited for: its own children become ours when it ends, and one look at `/proc` may have come too early
    /// for them.
    fn left(&self, running: &Running, scope: Scope) -> impl Iterator<Item = processes::Process> {
        let (command, this) = (running.pid, Pid::this());
        let wanted = move |group: Group, process: &processes::Process| {
            let (ours, number) = (process.parent == this, process.group);
            match (group, scope) {
                (Group::Own, Scope::Group) => number == command,
                (Group::Own, Scope::Everything) => ours || number == command,
                (Group::Of(group), Scope::Group) => ours && number == group,
                (Group::Of(_), Scope::Everything) => ours,
            }
        };
        let group = self.assignment.group;
        let all = processes::all().into_iter().flatten();
        all.filter(move |process| {
            process.pid != command && (!process.zombie || process.parent == this) && wanted(group, process)
        })
    }
}

/// Connects to the orchestrator, and makes sure that it is the one that started us.
fn connect(assignment: &Assignment) -> io::Result<UnixStream> {
    let control = UnixStream::connect_addr(&address(&assignment.socket)?)?;
    let listener = getsockopt(&control, PeerCredentials)?;
    if Pid::from_raw(listener.pid()) != assignment.orchestrator {
        return Err(io::Error::other("another process listens in its place"));
    }
    control.set_nonblocking(true)?;
    Ok(control)
}

/// Leaves a descriptor open for the next process that is started. There is one only, and no other thread.
fn inherit(fd: &OwnedFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Waits until one of the descriptors is readable.
fn wait_for(fds: &[BorrowedFd<'_>], timeout: PollTimeout) -> nix::Result<()> {
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

fn drain(children: &SignalFd) -> nix::Result<()> {
    while children.read_signal()?.is_some() {}
    Ok(())
}

/// Whether the command has ended; it is not waited for, so its number stays its own.
fn has_ended(command: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // An error means that it ended by a signal that has no name.
    !matches!(waitid(Id::Pid(command), flags), Ok(WaitStatus::StillAlive))
}

/// Waits for those of our children that have ended, except the command.
fn reap_adopted(command: Pid) {
    let ended = processes::all().into_iter().flatten();
    for process in ended.filter(|process| process.zombie && process.parent == Pid::this()) {
        if process.pid != command {
            let _ = waitpid(process.pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}
