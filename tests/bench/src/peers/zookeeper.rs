//! ZooKeeper, which checks the version of a node of the owner and sets a task's in one transaction.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use futures_util::future::join_all;
use tokio::time::Instant;
use zookeeper_client::{Acls, Client, CreateMode, Error, MultiWriteResult};

use super::{Server, task};
use crate::updates::ROUND;

/// Names its `zookeeper.jar`, which has what it needs beside it.
pub(super) const JAR: &str = "PLANLEASE_BENCH_ZOOKEEPER";

/// Where Debian has it.
const INSTALLED: &str = "/usr/share/java/zookeeper.jar";

/// What it needs.
const JARS: [&str; 6] =
    ["zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop", "metrics-core", "snappy-java"];

const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

/// Every owner changes it; so an owner that was replaced knows an old version.
const TERM: &str = "/term";

/// A ZooKeeper server.
pub(crate) struct ZooKeeper {
    address: String,
    _server: Server,
}

/// Where it is, if it and Java are here.
pub(super) fn jar() -> Option<PathBuf> {
    let jar = PathBuf::from(std::env::var_os(JAR).unwrap_or_else(|| INSTALLED.into()));
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    (jar.is_file() && java.is_ok_and(|status| status.success())).then_some(jar)
}

impl ZooKeeper {
    pub(super) async fn start(jar: &Path) -> Self {
        let server = Server::start("zookeeper", |data, port| {
            let settings = data.join("zoo.cfg");
            let text = format!(
                "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n",
                data.display()
            );
            std::fs::write(&settings, text).unwrap();
            let classes = JARS.map(|name| jar.with_file_name(name).with_extension("jar"));
            let mut command = Command::new("java");
            command.arg("-cp").arg(std::env::join_paths(classes).unwrap()).arg(MAIN).arg(settings);
            command
        });
        let address = format!("127.0.0.1:{}", server.port);
        server.until_it_answers(async || Client::connect(&address).await.map(drop)).await;
        let client = Client::connect(&address).await.unwrap();
        made(&client, TERM).await;
        made(&client, "/plan").await;
        made(&client, "/plan/tasks").await;
        Self { address, _server: server }
    }

    pub(super) async fn round(&self, in_flight: usize, value: &[u8]) -> Vec<usize> {
        let client = Client::connect(&self.address).await.unwrap();
        let term = made(&client, TERM).await;
        let tasks = (0..in_flight).map(async |n| {
            let path = format!("/{}", task(n));
            let version = made(&client, &path).await;
            (path, version)
        });
        let tasks = join_all(tasks).await;
        let began = Instant::now();
        let all = tasks.into_iter().map(async |(path, first)| {
            let mut version = first;
            while began.elapsed() < ROUND {
                let mut update = client.new_multi_writer();
                update.add_check_version(TERM, term).unwrap();
                update.add_set_data(&path, value, Some(version)).unwrap();
                let done = update.commit().await.unwrap();
                let Some(MultiWriteResult::SetData { stat }) = done.last() else { panic!("{done:?}") };
                assert_eq!(stat.version, version + 1);
                version = stat.version;
            }
            usize::try_from(version - first).unwrap()
        });
        join_all(all).await
    }
}

/// The version of a node that is made if it is not there.
async fn made(client: &Client, path: &str) -> i32 {
    match client.create(path, b"", &CreateMode::Persistent.with_acls(Acls::anyone_all())).await {
        Ok((stat, _)) => stat.version,
        Err(Error::NodeExists) => client.check_stat(path).await.unwrap().expect("a node").version,
        Err(error) => panic!("{path}: {error}"),
    }
}
