//! The user's own local server: where it is, and how it comes to be running.
//!
//! The one place of the library that looks at the environment, since the state folder is a matter of the
//! user's (`XDG_STATE_HOME`, `HOME`). The server itself is a process of its own, `planlease dev serve`: the
//! process that needs it first starts it. It survives its starter and stops by itself after some time without
//! connections and sessions.

use std::{
    ffi::OsStr,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::unistd::{User, geteuid};

use tokio::{net::UnixStream, time::Instant};

use crate::{
    connect::{Connecting, Connection, Connector},
    endpoint::Endpoint,
    memory,
};

/// How long a first use waits for the server to come up. It takes some tens of milliseconds; a large history
/// longer.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How often the socket is tried meanwhile.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// After how long another start is tried: the first one may have met a server that was just stopping.
const START_AGAIN: Duration = Duration::from_secs(1);

/// The longest path of a unix socket, in bytes: Linux's `sun_path` without its end.
const SOCKET_PATH_MAX: usize = 107;

/// A server on this machine, for this user alone.
#[derive(Clone, Debug)]
pub struct LocalServer {
    folder: PathBuf,
    launch: Option<Launch>,
}

/// How the server is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program; `planlease`, wherever it is.
    pub program: PathBuf,
    /// Called with the server's folder when a server is started, to say so.
    pub announce: fn(&Path),
}

impl LocalServer {
    /// The server of this user: its folder is `planlease` below the XDG state folder (`~/.local/state`), and
    /// it is started by `planlease` from the path.
    #[must_use]
    pub fn of_user() -> Self {
        let launch = Launch {
            program: PathBuf::from("planlease"),
            announce: |folder| tracing::info!(folder = %folder.display(), "started a local server"),
        };
        Self { folder: state_folder(), launch: Some(launch) }
    }

    /// A server in this folder, which is not started by anybody here.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), launch: None }
    }

    /// Starts the server in this way if it is not running.
    #[must_use]
    pub fn launched_by(self, launch: Launch) -> Self {
        Self { launch: Some(launch), ..self }
    }

    /// Where its data and its socket are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its socket, which only the user can open.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("etcd.sock")
    }

    /// The file that says what the server did.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Refuses a folder or a socket that other users have, or may write to: they could put a server of theirs
    /// in its place, and plans have commands.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] with the reason.
    pub fn ensure_ours(&self) -> io::Result<()> {
        // Below the temporary folder others may have made the folder around it.
        if let Some(around) = self
            .folder
            .parent()
            .filter(|around| around.parent() == Some(&std::env::temp_dir()) && self.folder == state_folder())
        {
            ensure_owner(around)?;
        }
        ensure_owner(&self.folder)?;
        ensure_owner(&self.socket())
    }

    /// Connects to the server if it is one of this user, or of the administrator.
    async fn open(&self) -> io::Result<Box<dyn Connection>> {
        self.ensure_ours()?;
        let stream = UnixStream::connect(self.socket()).await?;
        let peer = stream.peer_cred()?.uid();
        if peer == 0 || peer == geteuid().as_raw() {
            return Ok(Box::new(stream));
        }
        let why = format!("the server at {} is run by user {peer}", self.socket().display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }

    /// Checks that the path of the socket is no longer than the system allows: else no server could ever be
    /// reached there.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] with the path, its length and what to do.
    pub fn ensure_short(&self) -> io::Result<()> {
        let path = self.socket();
        let bytes = path.as_os_str().len();
        if bytes <= SOCKET_PATH_MAX {
            return Ok(());
        }
        let path = path.display();
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the path of its socket, {path}, has {bytes} bytes, and the system allows {SOCKET_PATH_MAX}; name a \
                 shorter folder in XDG_STATE_HOME"
            ),
        ))
    }

    /// Starts a server process, detached. If one is running already, or being started by another process at
    /// this moment, the new one notices and ends at once: the data folder has one owner.
    fn start(&self, launch: &Launch) -> io::Result<()> {
        self.ensure_ours()?;
        create_private_folder(&self.folder)?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = std::process::Command::new(&launch.program);
        // A variable stands for a flag; those of the caller's command are none of the server's.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PLANLEASE_") {
                command.env_remove(name);
            }
        }
        command
            .args(["dev", "serve", "--folder"])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        std::os::unix::process::CommandExt::process_group(&mut command, 0); // A Ctrl-C here is not meant for it.
        let mut child = command.spawn().map_err(|error| {
            let program = launch.program.display();
            io::Error::new(
                error.kind(),
                format!("cannot start the local server with `{program}`: {error}; put planlease on the path"),
            )
        })?;
        // Waited for by a thread of its own, so that a server that ends first leaves no zombie behind.
        std::thread::spawn(move || drop(child.wait()));
        (launch.announce)(&self.folder);
        Ok(())
    }
}

impl Connector for LocalServer {
    fn is_by_sockets(&self) -> bool {
        true // Its endpoint is its socket.
    }

    fn connect_timeout(&self, configured: Duration) -> Duration {
        configured.max(START_TIMEOUT + START_AGAIN)
    }

    fn connect(&self, _endpoint: &Endpoint) -> Connecting {
        let server = self.clone();
        Box::pin(async move {
            let give_up = Instant::now() + START_TIMEOUT;
            let mut start_again = Instant::now();
            loop {
                let error = match server.open().await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => error,
                };
                let down = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
                let Some(launch) = server.launch.as_ref().filter(|_| down && Instant::now() < give_up) else {
                    return Err::<Box<dyn Connection>, _>(error);
                };
                if Instant::now() >= start_again {
                    server.start(launch)?;
                    start_again = Instant::now() + START_AGAIN;
                }
                tokio::time::sleep(TRY_EVERY).await;
            }
        })
    }
}

/// Makes a folder that only its owner can enter; one that is there is left as it is.
///
/// # Errors
/// If it cannot be made.
pub fn create_private_folder(folder: &Path) -> io::Result<()> {
    memory::create_private_folder(folder)
}

/// A folder of the XDG base directories: the one that is named, if its path is absolute; else one below the
/// home, which is `HOME` or, if that is not set or not absolute, the one that the system knows. `None` for a
/// user without a home.
#[must_use]
pub fn user_folder(named: Option<&OsStr>, home: Option<&OsStr>, below_home: &str) -> Option<PathBuf> {
    let absolute = |path: Option<&OsStr>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let known = || User::from_uid(geteuid()).ok().flatten().map(|user| user.dir);
    absolute(named).or_else(|| {
        let home = absolute(home).or_else(known).filter(|home| home.is_absolute())?;
        Some(home.join(below_home))
    })
}

/// `$XDG_STATE_HOME/planlease`, or `~/.local/state/planlease`; below the temporary folder for a user without
/// a home.
fn state_folder() -> PathBuf {
    let (named, home) = (std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"));
    user_folder(named.as_deref(), home.as_deref(), ".local/state")
        .unwrap_or_else(|| std::env::temp_dir().join(format!("planlease-{}", geteuid())))
        .join("planlease")
}

/// Refuses a folder or socket that is another user's, or that other users may write to. One that is not there
/// is fine.
fn ensure_owner(path: &Path) -> io::Result<()> {
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let refused = |why: String| {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} {why}", path.display())))
    };
    if about.uid() != geteuid().as_raw() {
        return refused(format!("belongs to user {}, and not to user {}", about.uid(), geteuid()));
    }
    match about.mode() & 0o777 {
        mode if mode & 0o022 != 0 => refused(format!("may be written to by other users (mode {mode:o})")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_home_for_state_and_configuration() {
        let os = |text: &'static str| Some(OsStr::new(text));
        assert_eq!(user_folder(os("/x"), os("/home/me"), "s"), Some("/x".into()));
        assert_eq!(user_folder(os("x"), os("/home/me"), "s"), Some("/home/me/s".into()));
        let known = User::from_uid(geteuid()).ok().flatten().map(|user| user.dir.join("s"));
        for home in [None, os(""), os("relative")] {
            assert_eq!(user_folder(None, home, "s"), known, "{home:?}");
        }
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        use std::{fs, os::unix::fs::PermissionsExt as _};
        let home = tempfile::tempdir().unwrap();
        let server = LocalServer::in_folder(home.path().join("planlease"));
        server.ensure_ours().unwrap();
        create_private_folder(server.folder()).unwrap();
        server.ensure_ours().unwrap();
        for mode in [0o777, 0o770, 0o702] {
            fs::set_permissions(server.folder(), fs::Permissions::from_mode(mode)).unwrap();
            let refused = server.ensure_ours().unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{mode:o}");
        }
    }
}
