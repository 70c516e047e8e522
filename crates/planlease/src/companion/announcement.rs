//! The supervisors' side of a companion: a command is announced before it starts, and reported when nothing
//! of it is left.

use std::{io, io::Write as _, os::unix::net::UnixStream};

use super::socket;

/// What is sent when nothing of the command is left.
const NOTHING_LEFT: u8 = b'.';

/// A command that is announced to the companion of its session. As long as this exists, the companion does
/// not revoke the lease; once it was dropped without [`Announcement::nothing_left`], it never does, and the
/// lease expires.
#[derive(Debug)]
#[must_use = "a dropped announcement leaves the plans of a crashed session to its TTL"]
pub struct Announcement {
    /// `None`: the companion has ended, and revokes nothing.
    companion: Option<UnixStream>,
}

impl Announcement {
    /// Announces a command at the address that [`Session::companion`](crate::Session::companion) has. It must
    /// not start before, and only by an order that the process of the session gives after that: so the
    /// companion knows of every command when it sees the end of that process. A companion that has ended
    /// needs none. Does not wait.
    ///
    /// # Errors
    /// If the companion does not accept: it is stopped, say, and thousands of commands were announced
    /// meanwhile. The command must not be started.
    pub fn to(address: &str) -> io::Result<Self> {
        match socket::connect(address) {
            Ok(companion) => Ok(Self { companion: Some(companion) }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Self { companion: None }),
            Err(error) => Err(error),
        }
    }

    /// Nothing of the command is left, and nothing of it can start any more.
    pub fn nothing_left(self) {
        // If it fails, the companion has ended.
        let _ = self.companion.map(|mut companion| companion.write_all(&[NOTHING_LEFT]));
    }
}
