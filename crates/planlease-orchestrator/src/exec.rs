//! The exec stage: a process that ties its life to its supervisor's, and then becomes the command.
//!
//! The tie (`PR_SET_PDEATHSIG`) is kept across `execve`, but not by a program that is set-uid or has
//! capabilities of its own. The kernel sends the signal when the *thread* that started us ends: the
//! supervisor has one thread only.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{fd::RawFd, unix::process::CommandExt as _},
    process::Command,
};

use nix::{
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigSet, Signal},
    },
    unistd::{self, Pid},
};

use crate::{
    control::{number, open_files, text},
    shortage::{SHORTAGE, is_shortage},
};

/// The argument by which the exec stage leads a session of its own, so that no command of it stops at a
/// terminal.
pub(crate) const SESSION: &str = "session";

/// The statuses that shells have for a program that is not there, and for one that cannot be executed.
pub(crate) const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Written when all is prepared; what follows it is why the command could not be run.
const READY: u8 = b'.';

/// Why the exec stage ended without becoming the command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The arguments are not those that a supervisor gives.
    #[error("the exec stage is started by a supervisor only: {0} is missing or wrong")]
    Usage(&'static str),
    /// The supervisor ended, or withdrew the command.
    #[error("the supervisor is gone; the command was not started")]
    NoSupervisor,
    /// A system call failed; the command was not started.
    #[error("cannot prepare the command")]
    System(#[from] io::Error),
    /// The program cannot be run; it was reported to the supervisor.
    #[error("cannot run `{}`", program.display())]
    Command {
        /// The program.
        program: OsString,
        /// What the system says.
        source: io::Error,
    },
}

impl From<nix::Error> for ExecError {
    fn from(error: nix::Error) -> Self {
        Self::System(error.into())
    }
}

/// Becomes the command; returns only if that failed. To be called by the main thread of a process that a
/// supervisor started, before there is any other thread; the process must then end with a status other than
/// 0.
///
/// # Errors
/// Whatever kept it from becoming the command.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<Infallible, ExecError> {
    let mut args = args.into_iter();
    let supervisor =
        number(args.next()).map(Pid::from_raw).ok_or(ExecError::Usage("the supervisor's process id"))?;
    let go: RawFd = number(args.next()).ok_or(ExecError::Usage("the pipe to wait for"))?;
    let fate: RawFd = number(args.next()).ok_or(ExecError::Usage("the pipe to report to"))?;
    let session = text(args.next()).ok_or(ExecError::Usage("the session"))? == SESSION;
    let open_files = open_files(args.next()).ok_or(ExecError::Usage("the limit of open files"))?;
    let program = args.next().ok_or(ExecError::Usage("the program"))?;

    // First the tie, then the look: a supervisor that died before the tie is not our parent any more.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if unistd::getppid() != supervisor {
        return Err(ExecError::NoSupervisor);
    }
    if session {
        unistd::setsid()?;
    }
    let mut go = adopt(go, OpenOptions::new().read(true))?;
    let mut fate = adopt(fate, OpenOptions::new().write(true))?;
    // The supervisor blocks signals for itself; the command shall not find them blocked.
    SigSet::empty().thread_set_mask()?;
    if go.read(&mut [0])? == 0 {
        return Err(ExecError::NoSupervisor);
    }
    if let Some(soft) = open_files {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)?;
    }
    fate.write_all(&[READY])?;
    let source = Command::new(&program).args(args).exec();
    // As shells do, distinguish a program that cannot be executed from one that is missing.
    let code = match source.kind() {
        _ if is_shortage(&source) => SHORTAGE,
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    };
    write!(fate, "{code} cannot run `{}`: {source}", program.display())?;
    Err(ExecError::Command { program, source })
}

/// Reads from the other end of the pipe whether the command was started; `Err` says why not. To be called
/// when the process has ended: what it became does not have the pipe, so there is an end to read to.
pub(crate) fn fate(mut pipe: impl io::Read) -> Result<(), (String, u8)> {
    let mut report = Vec::new();
    match pipe.read_to_end(&mut report).map(|_| report.split_first()) {
        Ok(Some((&READY, []))) => Ok(()),
        Ok(Some((&READY, failure))) => {
            let failure = String::from_utf8_lossy(failure);
            let (code, why) = failure.split_once(' ').unwrap_or(("", &failure));
            Err((why.to_owned(), code.parse().unwrap_or(NOT_FOUND)))
        }
        Ok(_) => Err(("the exec stage ended before it could run the command".to_owned(), NOT_FOUND)),
        Err(error) => Err((format!("the exec stage cannot be asked: {error}"), NOT_FOUND)),
    }
}

/// Takes over one end of a pipe that the supervisor left open for us, so that the command does not inherit
/// it.
///
/// `/proc` gives us a second, close-on-exec descriptor of the same pipe; the first one is closed.
fn adopt(fd: RawFd, mode: &OpenOptions) -> io::Result<File> {
    let file = mode.open(format!("/proc/self/fd/{fd}"))?;
    unistd::close(fd)?;
    Ok(file)
}
