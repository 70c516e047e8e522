//! The session's side of its companion: starting it, and saying farewell.

use std::{
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use planlease_core::LeaseId;

use super::{assignment::Assignment, socket};
use crate::config::Config;

/// What is sent when the session was closed.
pub(super) const FAREWELL: u8 = b'.';

/// How much stack the thread needs that waits for the companion's end.
const STACK: usize = 64 * 1024;

/// The companion of a session. Dropping it without a farewell is what the end of the process is: the
/// companion revokes the lease.
#[derive(Debug)]
pub(crate) struct Companion {
    socket: UnixStream,
    address: String,
    /// Whether its end is no surprise any more.
    over: Arc<AtomicBool>,
}

impl Companion {
    /// Starts the companion of this lease, if the configuration names a program for it. It does not wait for
    /// the program: whatever happens to it from here on costs nothing but the TTL after a crash.
    pub(crate) fn start(config: &Config, lease: LeaseId, ttl: Duration) -> Option<Self> {
        let started = Self::spawn(config, lease, ttl);
        started.unwrap_or_else(|error| {
            tracing::warn!(
                %lease, %error,
                "no companion for the session: after a crash its plans are free when its TTL is over"
            );
            None
        })
    }

    fn spawn(config: &Config, lease: LeaseId, ttl: Duration) -> io::Result<Option<Self>> {
        let Some(entry) = &config.companion else { return Ok(None) };
        let assignment = Assignment::new(config, lease, ttl)?.to_line()?;
        // No other session has the lease's id.
        let address = format!("planlease-companion-{lease}");
        let listener = socket::listen(&address)?;
        let (mut socket, theirs) = UnixStream::pair()?;
        let mut companion = Command::new(&entry.program)
            .args(&entry.args)
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(listener))
            .stderr(Stdio::null())
            .spawn()?;
        let over = Arc::new(AtomicBool::new(false));
        let expected = Arc::clone(&over);
        // Waited for by a thread of its own, so that no zombie is left behind.
        thread::Builder::new().name("planlease-companion".into()).stack_size(STACK).spawn(move || {
            let ended = companion.wait();
            if !expected.load(Ordering::Relaxed) {
                tracing::warn!(
                    %lease, ?ended,
                    "the companion of the session has ended: after a crash its plans are free when its TTL is over"
                );
            }
        })?;
        socket.set_nonblocking(true)?; // It fits into the buffer.
        socket.write_all(&assignment)?;
        Ok(Some(Self { socket, address, over }))
    }

    /// The name of the socket at which supervisors report the ends of commands.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The session was closed: nothing is left to revoke.
    pub(crate) fn farewell(&self) {
        self.over.store(true, Ordering::Relaxed);
        // If it fails, the companion has ended.
        let _ = (&self.socket).write_all(&[FAREWELL]);
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
