//! Unix sockets with a name in the file system.
//!
//! A name outlives its socket, so a server finds names that a killed one has left behind. [`bind`] replaces
//! such a name and no other: only a refused connection proves that no process listens. [`Name`] removes the
//! name at the end, unless another process has it by then. One folder lock makes looking and taking one step
//! for all who use this crate.

use std::{
    fs::{File, Metadata, Permissions, TryLockError},
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        socket::{
            AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind as bind_to, connect, listen, socket,
        },
        stat::{Mode, fchmod},
    },
};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// How long to wait for a process that takes another name in the same folder, in steps.
const LOCKED: (u32, Duration) = (200, Duration::from_millis(10));

/// What stands behind a name.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// There is no such name.
    Nothing,
    /// A socket that no process listens on: its server has ended without removing it.
    Stale,
    /// A process listens; this is a connection to it.
    Live(UnixStream),
    /// A process listens, and as many connections wait as may wait.
    Busy,
}

/// Why a name cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A process listens there.
    #[error("another process is listening on {}", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The name of a socket of this process. Dropping it removes the name, unless it is another socket's by then.
#[derive(Debug)]
#[must_use = "dropping it removes the name"]
pub struct Name {
    path: PathBuf,
    /// The inode of the name. As long as it is open, no other file gets its number.
    inode: File,
}

/// Looks what stands behind a name. Never waits for the process that listens.
///
/// # Errors
/// If a file stands there that is no socket, and if the connection fails for another reason than that no
/// process listens: the socket may be another user's, or of another type.
pub fn probe(path: &Path) -> io::Result<Found> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
        Ok(about) if !about.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is there that is no socket"));
        }
        Ok(_) => {}
    }
    let stream = new_socket(SockFlag::SOCK_NONBLOCK)?;
    match connect(stream.as_raw_fd(), &UnixAddr::new(path)?) {
        Ok(()) => {
            let stream = UnixStream::from(stream);
            stream.set_nonblocking(false)?;
            Ok(Found::Live(stream))
        }
        Err(Errno::EAGAIN) => Ok(Found::Busy),
        Err(Errno::ECONNREFUSED) => Ok(Found::Stale),
        Err(Errno::ENOENT) => Ok(Found::Nothing), // Removed since.
        Err(error) => Err(error.into()),
    }
}

/// Takes a name and listens there, with this mode from the first moment on. A stale socket is replaced. The
/// listener does not block.
///
/// # Errors
/// [`BindError`]. Nothing of another process is changed.
pub fn bind(path: &Path, mode: u32) -> Result<(UnixListener, Name), BindError> {
    let _locked = lock_folder(path)?;
    match probe(path)? {
        Found::Nothing => {}
        Found::Stale => std::fs::remove_file(path)?,
        Found::Live(_) | Found::Busy => return Err(BindError::InUse(path.to_owned())),
    }
    let socket = new_socket(SockFlag::SOCK_NONBLOCK)?;
    // The name gets the mode of its socket, less what the umask takes: so it is never more open than it is to
    // be.
    fchmod(&socket, Mode::from_bits_truncate(mode)).map_err(io::Error::from)?;
    match bind_to(socket.as_raw_fd(), &UnixAddr::new(path).map_err(io::Error::from)?) {
        Err(Errno::EADDRINUSE) => return Err(BindError::InUse(path.to_owned())), // By a process that takes no lock.
        bound => bound.map_err(io::Error::from)?,
    }
    // By the inode, so that nothing else can be put in its place meanwhile.
    let inode =
        File::options().read(true).custom_flags((OFlag::O_PATH | OFlag::O_NOFOLLOW).bits()).open(path)?;
    let name = Name { path: path.to_owned(), inode };
    if name.inode.metadata()?.permissions().mode() & 0o777 != mode {
        let file = format!("/proc/self/fd/{}", name.inode.as_raw_fd());
        std::fs::set_permissions(file, Permissions::from_mode(mode))?;
    }
    listen(&socket, Backlog::new(BACKLOG).map_err(io::Error::from)?).map_err(io::Error::from)?;
    Ok((UnixListener::from(socket), name))
}

impl Name {
    /// Whether the name is still this socket's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let number = |about: Metadata| (about.dev(), about.ino());
        let found = std::fs::symlink_metadata(&self.path).map(number);
        found.ok().is_some_and(|found| self.inode.metadata().map(number).is_ok_and(|ours| ours == found))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _locked = lock_folder(&self.path);
        if self.is_ours() {
            drop(std::fs::remove_file(&self.path)); // Gone already is as good.
        }
    }
}

fn new_socket(more: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | more, None)?)
}

/// Locks the folder of a name, as long as the returned file is open. A file system without locks goes
/// without.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = File::open(folder)?;
    let (times, pause) = LOCKED;
    for _ in 0..times {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => pause_for(pause),
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(folder),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps the folder of the socket locked"))
}

#[expect(clippy::disallowed_methods, reason = "some milliseconds, once, before anything is served")]
fn pause_for(pause: Duration) {
    std::thread::sleep(pause);
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_a_stale_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        assert!(matches!(probe(&path).unwrap(), Found::Nothing));
        let (listener, name) = bind(&path, 0o660).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert!(matches!(probe(&path).unwrap(), Found::Live(_)));
        assert!(matches!(bind(&path, 0o660), Err(BindError::InUse(_))));
        drop(listener);
        assert!(matches!(probe(&path).unwrap(), Found::Stale));
        let (_next, next_name) = bind(&path, 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(name);
        assert!(next_name.is_ours() && path.exists(), "the name is the next one's");
        drop(next_name);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_whose_queue_is_full_is_alive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket = new_socket(SockFlag::empty()).unwrap();
        bind_to(socket.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&socket, Backlog::new(1).unwrap()).unwrap();
        let mut waiting = Vec::new();
        let found = loop {
            match probe(&path).unwrap() {
                Found::Live(stream) => waiting.push(stream),
                other => break other,
            }
        };
        assert!(matches!(found, Found::Busy), "{found:?}");
        assert!(matches!(bind(&path, 0o660), Err(BindError::InUse(_))));
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_socket_of_this_kind_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("link")).unwrap();
        let _datagram = UnixDatagram::bind(path("datagram")).unwrap();
        for name in ["file", "folder", "link", "datagram", "missing/s"] {
            assert!(matches!(bind(&path(name), 0o660), Err(BindError::Io(_))), "{name}");
        }
        assert_eq!(std::fs::read_to_string(path("file")).unwrap(), "text");
        for name in ["folder", "link", "datagram"] {
            assert!(std::fs::symlink_metadata(path(name)).is_ok(), "{name}");
        }
    }

    #[test]
    fn of_many_at_once_one_takes_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for _ in 0..20 {
            drop(UnixListener::bind(&path).unwrap()); // Stale.
            let taken: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| bind(&path, 0o600))).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
            });
            assert_eq!(taken.len(), 1);
            assert!(taken[0].1.is_ours());
        }
    }
}
