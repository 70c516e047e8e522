//! The systems that users would take instead, each on its own server that syncs every write to disk: updates of a task that are
//! conditional on its version and on who owns the plan, as each of them does it best.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use futures_util::future::join_all;
use nix::unistd::{Gid, Uid, chown};
use planlease_tests::{
    program::Process,
    room::background,
    wait::{SOON, until},
};
use redis::{Script, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls, Statement};

use crate::updates::ROUND;

/// Names the server's binary, if it is not on `PATH`.
const REDIS: &str = "PLANLEASE_BENCH_REDIS";
const POSTGRES: &str = "PLANLEASE_BENCH_POSTGRES";

/// More connections do not make PostgreSQL faster.
const MOST_CONNECTIONS: usize = 64;

/// Whoever must not be root is this one.
const NOBODY: u32 = 65_534;

const CHECK_AND_SET: &str = "
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
    if redis.call('HGET', KEYS[2], 'version') ~= ARGV[2] then return -2 end
    redis.call('HSET', KEYS[2], 'version', ARGV[2] + 1, 'value', ARGV[3])
    return ARGV[2] + 1
";

const CHECK_AND_UPDATE: &str = "UPDATE tasks SET version = version + 1, value = $1
    WHERE id = $2 AND version = $3 AND EXISTS (SELECT FROM plans WHERE name = 'plan' AND owner = $4)";

/// A server of another kind.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    kind: Kind,
    _process: Process,
    _data: TempDir,
}

enum Kind {
    Redis(redis::Client),
    Postgres(String),
}

/// All that can be run here; says which cannot.
pub(crate) async fn all() -> Vec<Peer> {
    let mut peers = Vec::new();
    match binary(REDIS, "redis-server") {
        Some(program) => peers.push(start_redis(&program).await),
        None => eprintln!("no Redis here: put redis-server on PATH, or its path into {REDIS}"),
    }
    match binary(POSTGRES, "postgres") {
        Some(program) => peers.push(start_postgres(&program).await),
        None => eprintln!("no PostgreSQL here: put postgres on PATH, or its path into {POSTGRES}"),
    }
    peers
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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn start_redis(program: &Path) -> Peer {
    let (data, port) = (TempDir::with_prefix("bench-redis-").unwrap(), free_port());
    let mut command = with_its_libraries(program);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(data.path());
    command.args(["--appendonly", "yes", "--appendfsync", "always"]);
    let process = Process::start(command, &data.path().join("log"));
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    until("an answer of Redis", SOON, async || match client.get_multiplexed_async_connection().await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}: {}", process.said())),
    })
    .await;
    Peer { name: "Redis", kind: Kind::Redis(client), _process: process, _data: data }
}

async fn start_postgres(program: &Path) -> Peer {
    let (data, port) = (TempDir::with_prefix("bench-postgres-").unwrap(), free_port());
    let folder = data.path().join("data");
    let command = |name: &str| {
        let mut command = with_its_libraries(&program.with_file_name(name));
        command.current_dir(data.path());
        if Uid::effective().is_root() {
            command.uid(NOBODY).gid(NOBODY); // It does not run as root.
        }
        command
    };
    if Uid::effective().is_root() {
        chown(data.path(), Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY))).unwrap();
    }
    let made =
        command("initdb").args(["--auth=trust", "--username=bench", "-D"]).arg(&folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut server = command("postgres");
    server.arg("-D").arg(&folder).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    server.args(["-c", "unix_socket_directories=", "-c", "max_connections=100"]);
    let process = Process::start(server, &data.path().join("log"));
    let address = format!("host=127.0.0.1 port={port} user=bench dbname=postgres");
    until("an answer of PostgreSQL", SOON, async || match tokio_postgres::connect(&address, NoTls).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}: {}", process.said())),
    })
    .await;
    Peer { name: "PostgreSQL", kind: Kind::Postgres(address), _process: process, _data: data }
}

impl Peer {
    /// As many updates at a time as are said, each of a task of its own; how many there were in all.
    pub(crate) async fn round(&self, in_flight: usize, value: &[u8]) -> Vec<usize> {
        match &self.kind {
            Kind::Redis(client) => redis_round(client, in_flight, value).await,
            Kind::Postgres(address) => postgres_round(address, in_flight, value).await,
        }
    }
}

async fn redis_round(client: &redis::Client, in_flight: usize, value: &[u8]) -> Vec<usize> {
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let script = Script::new(CHECK_AND_SET);
    let mut setup = connection.clone();
    redis::cmd("SET").arg("owner").arg("me").exec_async(&mut setup).await.unwrap();
    for n in 0..in_flight {
        redis::cmd("DEL").arg(task(n)).exec_async(&mut setup).await.unwrap();
        redis::cmd("HSET").arg(task(n)).arg("version").arg(1).exec_async(&mut setup).await.unwrap();
    }
    let began = Instant::now();
    let all = (0..in_flight).map(async |n| {
        let (mut version, mut connection): (i64, MultiplexedConnection) = (1, connection.clone());
        while began.elapsed() < ROUND {
            let mut call = script.key("owner");
            let next: i64 = call
                .key(task(n))
                .arg("me")
                .arg(version)
                .arg(value)
                .invoke_async(&mut connection)
                .await
                .unwrap();
            assert_eq!(next, version + 1);
            version = next;
        }
        usize::try_from(version - 1).unwrap()
    });
    join_all(all).await
}

fn task(n: usize) -> String {
    format!("plan/tasks/{n}")
}

async fn postgres_round(address: &str, in_flight: usize, value: &[u8]) -> Vec<usize> {
    let mut connections: Vec<(Client, Statement)> = Vec::new();
    let setup = connect(address).await;
    setup
        .batch_execute(
            "DROP TABLE IF EXISTS tasks, plans;
             CREATE TABLE plans (name text PRIMARY KEY, owner text); INSERT INTO plans VALUES ('plan', 'me');
             CREATE TABLE tasks (id text PRIMARY KEY, version bigint NOT NULL, value bytea)",
        )
        .await
        .unwrap();
    for n in 0..in_flight {
        setup.execute("INSERT INTO tasks VALUES ($1, 1, '')", &[&task(n)]).await.unwrap();
    }
    for _ in 0..in_flight.min(MOST_CONNECTIONS) {
        let client = connect(address).await;
        let update = client.prepare(CHECK_AND_UPDATE).await.unwrap();
        connections.push((client, update));
    }
    let began = Instant::now();
    let all = (0..in_flight).zip(connections.iter().cycle()).map(async |(n, (client, update))| {
        let (mut version, id) = (1_i64, task(n));
        while began.elapsed() < ROUND {
            let changed = client.execute(update, &[&value, &id, &version, &"me"]).await.unwrap();
            assert_eq!(changed, 1);
            version += 1;
        }
        usize::try_from(version - 1).unwrap()
    });
    join_all(all).await
}

async fn connect(address: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
    drop(background(connection)); // It ends with its client.
    client
}
