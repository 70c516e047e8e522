//! Who listens on a unix socket: asked from the kernel, so that no file with a process id can be wrong about
//! it.

use std::{io, path::Path};

use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::Pid,
};
use planlease_socket::Found;

/// The process that listens on the socket; `None` if there is none.
pub(super) fn of(socket: &Path) -> io::Result<Option<Pid>> {
    let stream = match planlease_socket::probe(socket)? {
        Found::Live(stream) => stream,
        Found::Nothing | Found::Stale => return Ok(None),
        _ => {
            let why = "it takes no connections: as many wait as may wait";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
        }
    };
    Ok(Some(Pid::from_raw(getsockopt(&stream, PeerCredentials)?.pid())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_listener_is_found_and_a_leftover_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        assert_eq!(of(&path).unwrap(), None);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(of(&path).unwrap(), Some(Pid::this()));
        drop(listener);
        assert_eq!(of(&path).unwrap(), None);
    }
}
