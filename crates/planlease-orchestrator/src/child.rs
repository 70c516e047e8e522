//! The orchestrator's side of supervised commands: starting them, prolonging their deadline, hearing how they
//! ended.

use std::{
    io,
    os::unix::net::UnixListener as StdListener,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nix::unistd::{self, Pid};
use planlease::{EntryPoint, Session};
use planlease_core::{BootTime, codec::MAX_FINDINGS};
use tokio::{
    net::{UnixListener, UnixStream, unix::pipe},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    command::{Attachment, CommandSpec},
    control::{Assignment, Group, address},
    driver::{Ask, Driver},
    ending::Finished,
    output::Output,
    shortage::{SHORTAGE, is_shortage},
};

/// How long a supervisor may take to connect: milliseconds usually, but the machine may be busy.
const CONTACT: Duration = Duration::from_secs(20);

/// Distinguishes the sockets of one process.
static NEXT_SOCKET: AtomicU64 = AtomicU64::new(0);

/// Why a command could not be given to a supervisor. It was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A socket or a pipe could not be made.
    #[error("cannot prepare a supervisor")]
    Prepare(#[source] io::Error),
    /// The program of the supervisor, or the command's working directory, cannot be used.
    #[error("cannot start the supervisor `{}`{}", program.display(), in_dir(dir.as_ref()))]
    Start {
        /// The program.
        program: PathBuf,
        /// The working directory that was asked for.
        dir: Option<PathBuf>,
        /// What the system says.
        source: io::Error,
    },
    /// The supervisor was started but did not connect; it has ended, or will when it finds no orchestrator.
    #[error("the supervisor `{}` did not report: {why}", program.display())]
    NoContact {
        /// The program.
        program: PathBuf,
        /// What is known.
        why: String,
        /// Whether the host is short of something.
        short: bool,
    },
}

impl SpawnError {
    /// Whether the host, or the limit of this process, is short of file descriptors, memory or processes: the
    /// same command may start later.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        match self {
            Self::Prepare(source) | Self::Start { source, .. } => is_shortage(source),
            Self::NoContact { short, .. } => *short,
        }
    }
}

fn in_dir(dir: Option<&PathBuf>) -> String {
    dir.map_or_else(String::new, |dir| format!(" in `{}`", dir.display()))
}

/// Starts supervised commands, and sends all supervisors the deadline of their commands.
///
/// Clones share the deadline. There is one set of supervisors per session: its deadline is the moment up to
/// which the session is trusted, less what killing may take.
#[derive(Clone, Debug)]
pub struct Supervisors {
    entry: EntryPoint,
    companion: Option<String>,
    deadline: watch::Sender<Option<BootTime>>,
}

impl Supervisors {
    /// Supervisors that are started by the given entry point, which leads to [`crate::supervisor::run`].
    ///
    /// No command runs before [`Supervisors::extend`] was called for the first time.
    #[must_use]
    pub fn new(entry: EntryPoint) -> Self {
        Self { entry, companion: None, deadline: watch::Sender::new(None) }
    }

    /// Supervisors of the commands of a session: they announce them to its companion, if it has one, which
    /// frees nothing before they are dead.
    #[must_use]
    pub fn of_session(entry: EntryPoint, session: &Session) -> Self {
        Self { companion: session.companion().map(ToOwned::to_owned), ..Self::new(entry) }
    }

    /// Lets all commands, those that run and those to come, live until `deadline`, on the clock that counts
    /// suspend (`CLOCK_BOOTTIME`). An earlier deadline than the last one changes nothing: what was promised
    /// was promised by the server. To stop a command early, kill it.
    pub fn extend(&self, deadline: BootTime) {
        self.deadline.send_if_modified(|known| {
            let later = known.is_none_or(|known| known < deadline);
            if later {
                *known = Some(deadline);
            }
            later
        });
    }

    /// Starts a supervisor and gives it the command, which begins as soon as there is a deadline to come.
    ///
    /// That the command cannot be run is returned by [`SupervisedChild::wait`], not here.
    ///
    /// # Errors
    /// [`SpawnError`], if there is no supervisor; the command was not started.
    ///
    /// # Cancel safety
    /// If the future is dropped, the supervisor finds no orchestrator and ends without having started the
    /// command.
    pub async fn spawn(&self, spec: &CommandSpec) -> Result<SupervisedChild, SpawnError> {
        let (listener, socket) = listen().map_err(SpawnError::Prepare)?;
        let assignment = Assignment {
            socket,
            orchestrator: Pid::this(),
            companion: self.companion.clone(),
            group: match spec.attachment {
                Attachment::Captured | Attachment::Inherited => Group::Own,
                Attachment::Terminal => Group::Of(unistd::getpgrp()),
            },
            session: spec.attachment == Attachment::Captured,
            grace: spec.grace,
            open_files: spec.open_files,
            program: spec.program.clone(),
            args: spec.args.clone(),
        };
        let group = assignment.group;
        let (mut supervisor, mut output) = self.start(spec, assignment)?;
        let control = match accept(&listener, &mut supervisor).await {
            Ok(control) => control,
            Err(Silent { mut why, short }) => {
                let _ = supervisor.start_kill();
                output.drain().await;
                let said = output.into_text();
                if !said.is_empty() {
                    why = format!("{why}; it said: {}", said.trim_end());
                }
                return Err(SpawnError::NoContact { program: self.entry.program.clone(), why, short });
            }
        };
        let id = supervisor.id();
        let (ask, asked) = watch::channel(Ask::Nothing);
        let driver =
            Driver::new(supervisor, control, self.deadline.subscribe(), asked, output, group, spec.grace);
        #[expect(
            clippy::disallowed_methods,
            reason = "the handle owns the task: it stops it and waits for it"
        )]
        let task = tokio::spawn(driver.run());
        Ok(SupervisedChild { supervisor: id, ask, task, finished: None })
    }

    /// Starts the process. The ends of the pipe that are the command's are closed here when this returns.
    fn start(&self, spec: &CommandSpec, assignment: Assignment) -> Result<(Child, Output), SpawnError> {
        let mut command = Command::new(&self.entry.program);
        command.args(&self.entry.args).args(assignment.into_args()).process_group(0);
        for (name, value) in &spec.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        let output = if spec.attachment == Attachment::Captured {
            // One pipe for both, so that what is read is in the order in which it was written.
            let pipe = || {
                let (reader, writer) = io::pipe()?;
                Ok((pipe::Receiver::from_owned_fd(reader.into())?, writer.try_clone()?, writer))
            };
            let (reader, stdout, stderr) = pipe().map_err(SpawnError::Prepare)?;
            command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
            Output::captured(reader, MAX_FINDINGS, spec.pulse.clone(), spec.record.as_ref())
        } else {
            Output::not_captured()
        };
        let supervisor = command.spawn().map_err(|source| SpawnError::Start {
            program: self.entry.program.clone(),
            dir: spec.dir.clone(),
            source,
        })?;
        Ok((supervisor, output))
    }
}

/// A command under its supervisor.
///
/// Dropping it kills the command and all that it started, at once, without waiting for it. To know that they
/// are gone, [`SupervisedChild::kill`] it and [`SupervisedChild::wait`].
#[derive(Debug)]
#[must_use = "a command that is dropped is killed"]
pub struct SupervisedChild {
    supervisor: Option<u32>,
    ask: watch::Sender<Ask>,
    task: JoinHandle<Finished>,
    finished: Option<Finished>,
}

impl SupervisedChild {
    /// The supervisor's process id, for logs.
    #[must_use]
    pub fn supervisor_id(&self) -> Option<u32> {
        self.supervisor
    }

    /// Asks the command to end: SIGTERM to its process group, and SIGKILL after the grace.
    pub fn terminate(&self) {
        self.ask.send_if_modified(|ask| ask.raise(Ask::Terminate));
    }

    /// Kills the command and all that it started.
    pub fn kill(&self) {
        self.ask.send_if_modified(|ask| ask.raise(Ask::Kill));
    }

    /// Waits until the command has ended and what it left behind was killed. Later calls return the same.
    ///
    /// # Panics
    /// If the task that watches over the supervisor panicked.
    ///
    /// # Cancel safety
    /// Cancel safe: the command goes on, and can be waited for again.
    pub async fn wait(&mut self) -> &Finished {
        if self.finished.is_none() {
            let finished = match (&mut self.task).await {
                Ok(finished) => finished,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            self.finished = Some(finished);
        }
        self.finished.as_ref().expect("it was filled above")
    }
}

impl Drop for SupervisedChild {
    fn drop(&mut self) {
        // Closes the connection; its end makes the supervisor kill.
        self.task.abort();
    }
}

/// A listener with a name that no other process uses.
fn listen() -> io::Result<(UnixListener, String)> {
    loop {
        let number = NEXT_SOCKET.fetch_add(1, Ordering::Relaxed);
        let name = format!("planlease-supervisor-{}-{number}", Pid::this());
        match StdListener::bind_addr(&address(&name)?) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok((UnixListener::from_std(listener)?, name));
            }
            // Another container in the same network has our process id.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}

/// Why there is no connection from a supervisor.
struct Silent {
    why: String,
    short: bool,
}

impl Silent {
    fn because(error: &io::Error) -> Self {
        Self { why: error.to_string(), short: is_shortage(error) }
    }
}

/// Waits for the supervisor's connection, or says why there is none.
async fn accept(listener: &UnixListener, supervisor: &mut Child) -> Result<UnixStream, Silent> {
    let id = supervisor.id().and_then(|id| i32::try_from(id).ok());
    let contact = timeout(CONTACT, async {
        tokio::select! {
            biased; // A supervisor that has connected is one, whatever happens to it afterwards.
            control = accept_from(listener, id) => control.map_err(|error| Silent::because(&error)),
            status = supervisor.wait() => Err(match status {
                Ok(status) => Silent {
                    why: format!("it ended early ({status})"),
                    short: status.code() == Some(i32::from(SHORTAGE)),
                },
                Err(error) => Silent::because(&error),
            }),
        }
    });
    let unheard = || Silent { why: format!("nothing was heard of it for {CONTACT:?}"), short: false };
    contact.await.unwrap_or_else(|_| Err(unheard()))
}

/// Accepts the connection of this process, and hangs up on all others.
async fn accept_from(listener: &UnixListener, process: Option<i32>) -> io::Result<UnixStream> {
    loop {
        let (control, _) = listener.accept().await?;
        if process.is_some() && control.peer_cred()?.pid() == process {
            return Ok(control);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_process_is_not_taken_for_the_supervisor() {
        let (listener, name) = listen().unwrap();
        let connect = || std::os::unix::net::UnixStream::connect_addr(&address(&name).unwrap()).unwrap();
        let mut other = connect();
        let short = Duration::from_millis(100);
        assert!(timeout(short, accept_from(&listener, Some(1))).await.is_err());
        assert!(timeout(short, accept_from(&listener, None)).await.is_err());
        // Hung up on: a read ends.
        assert_eq!(io::Read::read(&mut other, &mut [0]).unwrap(), 0);
        let _supervisor = connect();
        accept_from(&listener, Some(Pid::this().as_raw())).await.unwrap();
    }

    #[tokio::test]
    async fn a_failed_supervisor_is_reported() {
        let supervisors =
            |program: &str| Supervisors::new(EntryPoint { program: program.into(), args: Vec::new() });
        let missing = supervisors("/no/such/supervisor").spawn(&CommandSpec::new("true")).await.unwrap_err();
        assert!(matches!(missing, SpawnError::Start { .. }), "{missing}");
        let error = supervisors("ls").spawn(&CommandSpec::new("true")).await.unwrap_err().to_string();
        assert!(error.contains("ended early") && error.contains("it said: ls: "), "{error}");
    }

    #[tokio::test]
    async fn a_deadline_only_grows() {
        let supervisors = Supervisors::new(EntryPoint::of_this_program("supervisor"));
        let at = |seconds| BootTime::since_boot(Duration::from_secs(seconds));
        for (deadline, known) in [(5, 5), (7, 7), (6, 7)] {
            supervisors.extend(at(deadline));
            assert_eq!(*supervisors.deadline.borrow(), Some(at(known)));
        }
    }
}
