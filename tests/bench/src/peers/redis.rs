//! Redis, which runs a script that checks and sets.

use std::path::Path;

use futures_util::future::join_all;
use redis::{Client, Script, aio::MultiplexedConnection};
use tokio::time::Instant;

use super::{Server, task, with_its_libraries};
use crate::updates::ROUND;

/// Names its binary, if it is not on `PATH`.
pub(super) const BINARY: &str = "PLANLEASE_BENCH_REDIS";

const CHECK_AND_SET: &str = "
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
    if redis.call('HGET', KEYS[2], 'version') ~= ARGV[2] then return -2 end
    redis.call('HSET', KEYS[2], 'version', ARGV[2] + 1, 'value', ARGV[3])
    return ARGV[2] + 1
";

/// A Redis server and its client.
pub(crate) struct Redis {
    client: Client,
    _server: Server,
}

impl Redis {
    pub(super) async fn start(program: &Path) -> Self {
        let server = Server::start("redis", |data, port| {
            let mut command = with_its_libraries(program);
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
                .arg(data);
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
            command
        });
        let client = Client::open(format!("redis://127.0.0.1:{}/", server.port)).unwrap();
        server.until_it_answers(async || client.get_multiplexed_async_connection().await.map(drop)).await;
        Self { client, _server: server }
    }

    pub(super) async fn round(&self, in_flight: usize, value: &[u8]) -> Vec<usize> {
        let connection = self.client.get_multiplexed_async_connection().await.unwrap();
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
                call.key(task(n)).arg("me").arg(version).arg(value);
                let next: i64 = call.invoke_async(&mut connection).await.unwrap();
                assert_eq!(next, version + 1);
                version = next;
            }
            usize::try_from(version - 1).unwrap()
        });
        join_all(all).await
    }
}
