//! The user's own local server: where it is, and how it comes to be running.
//!
//! The one place of the library that looks at the environment, since the state folder is a matter of the
//! user's (`XDG_STATE_HOME`, `HOME`). The server itself is a process of its own, `planlease dev serve`: the
//! process that needs it first starts it. It survives its starter and stops by itself after some time without
//! connections and sessions.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    errno::Errno,
    unistd::{User, geteuid},
};

use tokio::{net::UnixStream, time::Instant};

use crate::{
    connect::{Connecting, Connection, Connector, Unusable},
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

/// What stands in the log before the reason why a server cannot start: its program writes it, and the process
/// that has started the server reads it.
pub const CANNOT_START: &str = "the local server cannot start: ";

/// How much of the log is searched for it, in bytes.
const LOG_READ: u64 = 64 * 1024;

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
    /// [`io::ErrorKind::PermissionDenied`] with the reason; [`Unusable`] if it cannot be looked at.
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
        self.ensure_ours().map_err(|error| match Unusable::of(&error) {
            Some(_) => error,
            None => Unusable(error.to_string()).into(), // Another user's, and stays so.
        })?;
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
    /// this moment, the new one notices and ends at once: the data folder has one owner. Returns how long its
    /// log was before.
    fn start(&self, launch: &Launch) -> io::Result<u64> {
        self.ensure_ours()?;
        create_private_folder(&self.folder).map_err(|error| {
            lasting(&format!("cannot make its folder {}: {error}", self.folder.display()), &error)
        })?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log());
        let log = log.map_err(|error| {
            lasting(&format!("cannot write its log {}: {error}", self.log().display()), &error)
        })?;
        let logged = log.metadata()?.len();
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
            lasting(&format!("cannot run `{program}`: {error}; put planlease on the path"), &error)
        })?;
        // Waited for by a thread of its own, so that a server that ends first leaves no zombie behind.
        std::thread::spawn(move || drop(child.wait()));
        (launch.announce)(&self.folder);
        Ok(logged)
    }

    /// Why a server that was started since the log was this long has ended; `None` if the log does not say
    /// it.
    fn failure_to_start(&self, since: u64) -> Option<String> {
        let mut log = File::open(self.log()).ok()?;
        let length = log.metadata().ok()?.len();
        if length == since {
            return None;
        }
        // One that was emptied meanwhile is read from its beginning.
        log.seek(SeekFrom::Start(if length < since { 0 } else { since })).ok()?;
        let mut text = Vec::new();
        log.take(LOG_READ).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text);
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.filter_map(|line| line.split_once(CANNOT_START)).next_back().map(|(_, why)| why.to_owned())
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
            let (mut start_again, mut since) = (Instant::now(), None);
            loop {
                let error = match server.open().await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => error,
                };
                let down = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
                let Some(launch) = server.launch.as_ref().filter(|_| down && Instant::now() < give_up) else {
                    return Err::<Box<dyn Connection>, _>(error);
                };
                if let Some(why) = since.and_then(|since| server.failure_to_start(since)) {
                    return Err(Unusable(why).into());
                }
                if Instant::now() >= start_again {
                    let logged = server.start(launch)?;
                    since.get_or_insert(logged);
                    start_again = Instant::now() + START_AGAIN;
                }
                tokio::time::sleep(TRY_EVERY).await;
            }
        })
    }
}

/// Why the server cannot be started: for good, unless the host is short of something that it may have again
/// in a moment.
fn lasting(what: &str, error: &io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN | Errno::ENOMEM | Errno::EINTR) => {
            io::Error::new(error.kind(), what)
        }
        _ => Unusable(what.to_owned()).into(),
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
        Err(error) => {
            let what = format!("cannot look at {}: {error}", path.display());
            return Err(lasting(&what, &error));
        }
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

    fn launched(folder: PathBuf, program: &str) -> LocalServer {
        let launch = Launch { program: PathBuf::from(program), announce: |_| {} };
        LocalServer::in_folder(folder).launched_by(launch)
    }

    async fn refused(server: &LocalServer) -> String {
        let connecting = server.connect(&Endpoint::Unix(server.socket())).await;
        let error = connecting.err().expect("nothing listens there");
        Unusable::of(&error).expect("no other try would help").to_string()
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_tried_once() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        let why = refused(&launched(file.join("planlease"), "true")).await;
        assert!(why.contains(&format!("{}: Not a directory", file.join("planlease").display())), "{why}");
        let why = refused(&launched(PathBuf::from("/proc/nowhere/planlease"), "true")).await;
        assert!(why.starts_with("cannot make its folder /proc/nowhere/planlease: "), "{why}");
        let why = refused(&launched(home.path().join("planlease"), "/no/such/program")).await;
        assert!(why.starts_with("cannot run `/no/such/program`: "), "{why}");
    }

    /// A program in the place of the server's, which says something and ends.
    fn program_that_says(home: &Path, text: &str) -> PathBuf {
        let program = home.join("server");
        // This process never has it open for writing: another test that starts a process would keep it open.
        let mut write = std::process::Command::new("sh");
        write.args(["-c", "printf '%s' \"$2\" > \"$1\" && chmod 700 \"$1\"", "sh"]).arg(&program);
        write.arg(format!("#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\n"));
        assert!(write.status().unwrap().success());
        program
    }

    #[tokio::test]
    async fn a_server_that_ends_with_an_error_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("planlease");
        create_private_folder(&folder).unwrap();
        std::fs::write(folder.join("server.log"), format!("error: {CANNOT_START}an older reason\n")).unwrap();
        let said = format!("error: {CANNOT_START}the disk is full\n  Make room.");
        let program = program_that_says(home.path(), &said);
        let why = refused(&launched(folder, program.to_str().unwrap())).await;
        assert_eq!(why, "the disk is full");
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
