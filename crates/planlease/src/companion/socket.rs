//! The socket by which supervisors report to a companion: an abstract name on Linux, so that nothing of it is
//! left when its process ends. Other systems have none, and no companions.

use std::{
    io,
    os::unix::net::{UnixListener, UnixStream},
};

/// Listens under this name.
///
/// # Errors
/// As the system says; on other systems than Linux always.
pub(super) fn listen(name: &str) -> io::Result<UnixListener> {
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = name;
        Err(io::Error::new(io::ErrorKind::Unsupported, "companions need Linux"))
    }
}

/// Connects to this name without waiting.
///
/// # Errors
/// [`io::ErrorKind::ConnectionRefused`] if no process listens; [`io::ErrorKind::WouldBlock`] if it does not
/// accept.
pub(super) fn connect(name: &str) -> io::Result<UnixStream> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
        use std::os::fd::AsRawFd as _;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        Ok(socket.into())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = name;
        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}

/// Whether the other side is a process of this user, or of the administrator. Others can reach the name, and
/// could delay a takeover until the TTL.
pub(super) fn is_ours(connection: &UnixStream) -> bool {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let peer = getsockopt(connection, PeerCredentials).map(|peer| peer.uid());
        peer.is_ok_and(|uid| uid == 0 || uid == nix::unistd::geteuid().as_raw())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = connection;
        false
    }
}
