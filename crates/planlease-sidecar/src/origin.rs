//! Where a request comes from: the peer of its connection, and the client that the sidecar recognises,
//! and whether that one may change anything.

use std::{fmt, net::SocketAddr};

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A client that could connect to the port.
    Tcp(SocketAddr),
    /// A process that may open the socket, as the kernel reports it.
    Unix {
        /// Its process, if it is in this pid namespace.
        pid: Option<i32>,
        /// Its user.
        uid: u32,
    },
}

impl Peer {
    /// Its user, as the kernel reports it.
    pub(crate) fn uid(&self) -> Option<u32> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix { uid, .. } => Some(*uid),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix { pid: Some(pid), uid } => write!(f, "process {pid} of user {uid}"),
            Self::Unix { pid: None, uid } => write!(f, "a process of user {uid}"),
        }
    }
}

/// Which client a request comes from, as far as the sidecar knows by itself: not what the client calls
/// itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A process, as the kernel reports it.
    Process {
        /// Its process, if it is in this pid namespace.
        pid: Option<i32>,
        /// Its user.
        uid: u32,
    },
    /// A client that bears the token of this name.
    Token(String),
    /// A client that a gate of this name has let in.
    Gate(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid: Some(pid), uid } => write!(f, "uid:{uid},pid:{pid}"),
            Self::Process { pid: None, uid } => write!(f, "uid:{uid}"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Gate(name) => f.write_str(name),
        }
    }
}

/// A client whose request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// Which one.
    pub(crate) origin: Origin,
    /// Why it may change nothing; `None` for one that may.
    pub(crate) read_only: Option<String>,
}
