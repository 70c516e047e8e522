//! PostgreSQL, which updates a row if its version and the owner are the expected ones.

use std::{os::unix::process::CommandExt as _, path::Path};

use futures_util::future::join_all;
use nix::unistd::{Gid, Uid, chown};
use planlease_tests::test_env::background;
use tokio::time::Instant;
use tokio_postgres::{Client, Error, NoTls, Statement};

use super::{Server, task, with_its_libraries};
use crate::updates::ROUND;

/// Names its binary, if it is not on `PATH`.
pub(super) const BINARY: &str = "PLANLEASE_BENCH_POSTGRES";

/// More connections do not make it faster.
const MOST_CONNECTIONS: usize = 64;

/// It does not run as root; root runs it as this user.
const UNPRIVILEGED: u32 = 65_534;

const CHECK_AND_UPDATE: &str = "UPDATE tasks SET version = version + 1, value = $1
    WHERE id = $2 AND version = $3 AND EXISTS (SELECT FROM plans WHERE name = 'plan' AND owner = $4)";

/// A PostgreSQL server.
pub(crate) struct Postgres {
    address: String,
    _server: Server,
}

impl Postgres {
    pub(super) async fn start(program: &Path) -> Self {
        let server = Server::start("postgres", |data, port| {
            let folder = data.join("data");
            let command = |name: &str| {
                let mut command = with_its_libraries(&program.with_file_name(name));
                command.current_dir(data);
                if Uid::effective().is_root() {
                    command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
                }
                command
            };
            if Uid::effective().is_root() {
                chown(data, Some(Uid::from_raw(UNPRIVILEGED)), Some(Gid::from_raw(UNPRIVILEGED))).unwrap();
            }
            let mut make = command("initdb");
            let made = make.args(["--auth=trust", "--username=bench", "-D"]).arg(&folder).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let mut run = command("postgres");
            run.arg("-D").arg(&folder).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            run.args(["-c", "unix_socket_directories=", "-c", "max_connections=100"]);
            run
        });
        let address = format!("host=127.0.0.1 port={} user=bench dbname=postgres", server.port);
        server.until_it_answers(async || connect(&address).await.map(drop)).await;
        Self { address, _server: server }
    }

    pub(super) async fn round(&self, in_flight: usize, value: &[u8]) -> Vec<usize> {
        let setup = connect(&self.address).await.unwrap();
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
        let mut connections: Vec<(Client, Statement)> = Vec::new();
        for _ in 0..in_flight.min(MOST_CONNECTIONS) {
            let client = connect(&self.address).await.unwrap();
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
}

async fn connect(address: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
    drop(background(connection)); // It ends with its client.
    Ok(client)
}
