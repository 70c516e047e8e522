//! The systems that users would take instead, each on its own server that syncs every write to disk: updates
//! of a task that are conditional on its version and on who owns the plan, as each of them does it best.

mod postgres;
mod redis;
mod zookeeper;

use std::{
    error::Error,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use planlease_tests::{
    program::Process,
    wait::{SOON, until},
};
use tempfile::TempDir;

use self::{postgres::Postgres, redis::Redis, zookeeper::ZooKeeper};

/// A system of another kind.
pub(crate) enum Peer {
    Redis(Redis),
    Postgres(Postgres),
    ZooKeeper(ZooKeeper),
}

/// All that can be run here; says which cannot.
pub(crate) async fn all() -> Vec<Peer> {
    let mut peers = Vec::new();
    match binary(redis::BINARY, "redis-server") {
        Some(program) => peers.push(Peer::Redis(Redis::start(&program).await)),
        None => eprintln!("no Redis here: put redis-server on PATH, or its path into {}", redis::BINARY),
    }
    match binary(postgres::BINARY, "postgres") {
        Some(program) => peers.push(Peer::Postgres(Postgres::start(&program).await)),
        None => eprintln!("no PostgreSQL here: put postgres on PATH, or its path into {}", postgres::BINARY),
    }
    match zookeeper::jar() {
        Some(jar) => peers.push(Peer::ZooKeeper(ZooKeeper::start(&jar).await)),
        None => eprintln!(
            "no ZooKeeper here: put java on PATH, and the path of zookeeper.jar into {}",
            zookeeper::JAR
        ),
    }
    peers
}

impl Peer {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Redis(_) => "Redis",
            Self::Postgres(_) => "PostgreSQL",
            Self::ZooKeeper(_) => "ZooKeeper",
        }
    }

    /// As many updates at a time as are said, each of a task of its own; how many there were in all.
    pub(crate) async fn round(&self, in_flight: usize, value: &[u8]) -> Vec<usize> {
        match self {
            Self::Redis(redis) => redis.round(in_flight, value).await,
            Self::Postgres(postgres) => postgres.round(in_flight, value).await,
            Self::ZooKeeper(zookeeper) => zookeeper.round(in_flight, value).await,
        }
    }
}

/// A server that runs in a folder of its own, at a port of its own, until it is dropped.
struct Server {
    port: u16,
    process: Process,
    _data: TempDir,
}

impl Server {
    /// `command` receives the folder and the port.
    fn start(name: &str, command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let data = TempDir::with_prefix(format!("bench-{name}-")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Process::start(command(data.path(), port), &data.path().join("log"));
        Self { port, process, _data: data }
    }

    async fn until_it_answers<E: Error>(&self, ask: impl AsyncFn() -> Result<(), E>) {
        until("an answer of a server", SOON, async || match ask().await {
            Ok(()) => Ok(()),
            Err(error) => Err(format!("{error}: {}", self.process.said())),
        })
        .await;
    }
}

/// Where a program is, if it runs.
fn binary(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut found = named.into_iter().chain(std::env::split_paths(&folders).map(|folder| folder.join(name)));
    let path = found.find_map(|path| path.canonicalize().ok())?;
    // Redis is one binary by several names.
    let path = path.with_file_name(name);
    let runs = with_its_libraries(&path).arg("--version").stdout(Stdio::null()).status();
    runs.is_ok_and(|status| status.success()).then_some(path)
}

/// A program that was unpacked somewhere has its libraries in the same tree.
fn with_its_libraries(program: &Path) -> Command {
    let mut command = Command::new(program);
    let libraries = Path::new("lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let beside = program.ancestors().map(|folder| folder.join(&libraries)).find(|folder| folder.is_dir());
    command.envs(beside.map(|folder| ("LD_LIBRARY_PATH", folder)));
    command
}

fn task(n: usize) -> String {
    format!("plan/tasks/{n}")
}
