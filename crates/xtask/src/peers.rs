//! Gets the servers and the tools that the benchmarks run planlease against, where they can be had. Nothing
//! is installed outside of `target/peers`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::apt;
use crate::run::{output, root, step};

/// The suite that they come from.
const SUITE: &str = "bookworm";

/// A server of another kind.
struct Peer {
    name: &'static str,
    /// Names its binary to the benchmarks.
    variable: &'static str,
    binary: &'static str,
    packages: &'static [&'static str],
    /// Where the packages put it.
    path: &'static str,
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "Redis",
        variable: "PLANLEASE_BENCH_REDIS",
        binary: "redis-server",
        packages: &["redis-server", "redis-tools", "libjemalloc2", "liblzf1"],
        path: "usr/bin/redis-server",
    },
    Peer {
        name: "PostgreSQL",
        variable: "PLANLEASE_BENCH_POSTGRES",
        binary: "postgres",
        packages: &["postgresql-15", "postgresql-client-15", "libpq5"],
        path: "usr/lib/postgresql/15/bin/postgres",
    },
    // It needs a Java that is installed.
    Peer {
        name: "ZooKeeper",
        variable: "PLANLEASE_BENCH_ZOOKEEPER",
        binary: "zookeeper.jar",
        packages: &["libzookeeper-java", "libslf4j-java", "libdropwizard-metrics-java", "libsnappy-java"],
        path: "usr/share/java/zookeeper.jar",
    },
];

/// A tool of the race, from npm.
struct Racer {
    name: &'static str,
    /// Names its program to the benchmarks.
    variable: &'static str,
    /// The package, with its version.
    package: &'static str,
    binary: &'static str,
    /// Whether the package downloads its program by a script of its own.
    has_script: bool,
}

const RACERS: [Racer; 3] = [
    Racer {
        name: "Backlog.md",
        variable: "PLANLEASE_BENCH_BACKLOG",
        package: "backlog.md@1.52.0",
        binary: "backlog",
        has_script: false,
    },
    Racer {
        name: "Taskmaster",
        variable: "PLANLEASE_BENCH_TASKMASTER",
        package: "task-master-ai@0.43.1",
        binary: "task-master",
        has_script: false,
    },
    Racer {
        name: "beads",
        variable: "PLANLEASE_BENCH_BEADS",
        package: "@beads/bd@1.3.0",
        binary: "bd",
        has_script: true,
    },
];

/// The variables by which the race finds the tools that are not named yet. One that cannot be had is named,
/// and left out.
pub(crate) fn racers() -> Vec<(&'static str, PathBuf)> {
    let missing = RACERS.iter().filter(|racer| env::var_os(racer.variable).is_none());
    missing.filter_map(|racer| Some((racer.variable, racer.get()?))).collect()
}

/// The variables that tell the benchmarks where the servers are that are not on `PATH`. One that cannot be
/// had is named, and left out.
pub(crate) fn variables() -> Vec<(&'static str, PathBuf)> {
    let on_path = |name: &str| {
        let folders = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&folders).any(|folder| folder.join(name).is_file())
    };
    let missing = PEERS.iter().filter(|peer| env::var_os(peer.variable).is_none() && !on_path(peer.binary));
    missing.filter_map(|peer| Some((peer.variable, peer.get()?))).collect()
}

impl Peer {
    fn get(&self) -> Option<PathBuf> {
        let folder = root().join("target/peers").join(self.binary);
        let path = folder.join(self.path);
        if !path.is_file() {
            step(format_args!("downloading {} from Debian {SUITE} into {}", self.name, folder.display()));
            let work = folder.with_extension("download");
            let unpacked =
                apt::mirror().and_then(|from| apt::unpack(&from, SUITE, self.packages, &work, &folder));
            if let Err(failure) = unpacked {
                step(format_args!("no {} here: {}", self.name, failure.message().unwrap_or_default()));
                return None;
            }
        }
        Some(path)
    }
}

impl Racer {
    fn get(&self) -> Option<PathBuf> {
        let folder = root().join("target/peers").join(self.binary);
        let path = folder.join("node_modules/.bin").join(self.binary);
        if !path.is_file() {
            step(format_args!("installing {} from npm into {}", self.package, folder.display()));
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"]);
            npm.args((!self.has_script).then_some("--ignore-scripts"));
            if let Err(failure) = output(npm.arg("--prefix").arg(&folder).arg(self.package)) {
                step(format_args!("no {} here: {}", self.name, failure.message().unwrap_or_default()));
                return None;
            }
        }
        Some(path)
    }
}
