//! The companion process: one thread that waits until its session's process is gone and its commands are
//! dead, and then revokes the lease over a connection that it opens at that moment.

use std::{
    fs,
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::SigSet,
    unistd,
};
use planlease_core::{
    BootTime,
    companion::{Companion, Event, Verdict},
};

use super::{assignment::Assignment, handle::FAREWELL, socket::is_ours};
use crate::{
    clock::{Clock as _, SystemClock},
    error::Error,
    etcd::Etcd,
};

/// Why a companion ended without having revoked a lease that it should have. The lease expires.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompanionError {
    /// The standard streams are not those that a session gives, or a system call failed.
    #[error("a companion is started by a session only, and needs what it gives")]
    System(#[from] io::Error),
    /// etcd could not be reached in time.
    #[error("cannot revoke the lease")]
    Etcd(#[from] Error),
}

impl From<nix::Error> for CompanionError {
    fn from(error: nix::Error) -> Self {
        Self::System(error.into())
    }
}

/// Is the companion of the session that started this process, until it is over.
///
/// To be called by the main thread of a process of its own, before there is any other thread and before
/// anything is read, printed or opened: the standard streams are its sockets. It leaves the process group and
/// the terminal, closes what it has inherited besides, and blocks all signals that can be blocked.
///
/// # Errors
/// [`CompanionError`]; the lease expires then.
#[expect(clippy::disallowed_methods, reason = "standard output is a socket here, and nothing is printed")]
pub fn run() -> Result<(), CompanionError> {
    SigSet::all().thread_block()?;
    unistd::setsid()?;
    close_inherited()?;
    let owner = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let supervisors = UnixListener::from(io::stdout().as_fd().try_clone_to_owned()?);
    for nonblocking in [owner.set_nonblocking(true), supervisors.set_nonblocking(true)] {
        nonblocking?;
    }
    let mut watch = Watch { owner, gone: false, supervisors, commands: Vec::new(), received: Vec::new() };
    let Some(assignment) = watch.assignment()? else { return Ok(()) };
    match watch.until_decided(assignment.ttl)? {
        Verdict::Revoke { until } => revoke(assignment, SystemClock.boot().until(until)),
        Verdict::End(_) | Verdict::Wait(_) => Ok(()),
    }
}

/// Revokes the lease, within this time.
fn revoke(assignment: Assignment, within: Duration) -> Result<(), CompanionError> {
    let lease = assignment.lease;
    let config = assignment.config(within)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let revoked = runtime.block_on(async {
        let etcd = Etcd::new(config);
        etcd.revoke(lease).await
    });
    Ok(revoked.map_err(Error::from)?)
}

/// Closes all descriptors but the standard streams. Those that planlease opens are closed at `execve`; the
/// process of the session may have inherited others, and a reader of one of them waits for its end.
fn close_inherited() -> io::Result<()> {
    let open = fs::read_dir("/proc/self/fd")?;
    let open: Vec<RawFd> = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        let _ = unistd::close(fd); // That of the folder is closed by now.
    }
    Ok(())
}

/// The connections of a companion.
struct Watch {
    owner: UnixStream,
    /// Whether the owner has hung up.
    gone: bool,
    supervisors: UnixListener,
    /// One for each command that has not ended.
    commands: Vec<UnixStream>,
    /// What the owner has sent and is not used yet.
    received: Vec<u8>,
}

impl Watch {
    /// Waits for the assignment; `None` if the owner is gone before it was there.
    fn assignment(&mut self) -> io::Result<Option<Assignment>> {
        loop {
            self.hear_owner()?;
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return Assignment::from_line(&line);
            }
            Assignment::from_line(&self.received)?;
            if self.gone {
                return Ok(None);
            }
            wait_for([PollFd::new(self.owner.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        }
    }

    /// Waits until something other than waiting is to be done.
    fn until_decided(&mut self, ttl: Duration) -> io::Result<Verdict> {
        let mut companion = Companion::new(ttl);
        loop {
            self.listen(&mut companion)?;
            match companion.verdict(SystemClock.boot()) {
                Verdict::Wait(until) => self.wait(until)?,
                decided => return Ok(decided),
            }
        }
    }

    /// Takes note of all that has happened: the owner's end first, as the machine asks for.
    fn listen(&mut self, companion: &mut Companion) -> io::Result<()> {
        let now = SystemClock.boot();
        self.hear_owner()?;
        if self.received.contains(&FAREWELL) {
            companion.note(now, Event::OwnerClosed);
        } else if self.gone {
            companion.note(now, Event::OwnerGone);
        }
        loop {
            match self.supervisors.accept() {
                Ok((supervisor, _)) if is_ours(&supervisor) => {
                    supervisor.set_nonblocking(true)?;
                    self.commands.push(supervisor);
                    companion.note(now, Event::CommandAnnounced);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error), // Short of descriptors, say: it could miss a command.
            }
        }
        self.commands.retain_mut(|supervisor| match read(supervisor, &mut [0]) {
            Ok(None) => true,
            Ok(Some(0)) | Err(_) => {
                companion.note(now, Event::CommandUnaccounted);
                false
            }
            Ok(Some(_)) => {
                companion.note(now, Event::CommandEnded);
                false
            }
        });
        Ok(())
    }

    /// Reads what the owner has sent, and whether it has hung up.
    fn hear_owner(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while !self.gone {
            match read(&mut self.owner, &mut bytes) {
                Ok(None) => break,
                Ok(Some(0)) => self.gone = true,
                Ok(Some(count)) => self.received.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.gone = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until something happens, or until then.
    fn wait(&self, until: Option<BootTime>) -> io::Result<()> {
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = SystemClock.boot().until(until) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let owner = (!self.gone).then(|| self.owner.as_fd()); // Its end would be there all the time.
        let commands = self.commands.iter().map(|command| command.as_fd());
        let all = owner.into_iter().chain([self.supervisors.as_fd()]).chain(commands);
        wait_for(all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), timeout)
    }
}

/// Reads what is there; `None` if nothing is, and 0 at the end.
fn read(stream: &mut UnixStream, bytes: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(bytes) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wait_for<'a>(fds: impl IntoIterator<Item = PollFd<'a>>, timeout: PollTimeout) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = fds.into_iter().collect();
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
