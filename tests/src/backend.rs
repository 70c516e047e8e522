//! A server to test on, whichever it is: a test that knows only etcd's API must not see the difference.

use std::fmt;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};

use crate::dev::Dev;
use crate::embedded::Embedded;
use crate::etcd::{Etcd, Line};

/// What a test can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// The embedded server, in memory, on a loopback port.
    Embedded,
    /// The embedded server, durable in a folder, on a loopback port.
    EmbeddedInFolder,
    /// The embedded server, durable in a folder, as a process of its own: `planlease dev`. Needs the program
    /// to be built.
    Dev,
    /// One etcd process.
    Etcd,
    /// Three etcd processes that form a cluster.
    ThreeMembers,
    /// One etcd process behind `etcd grpc-proxy`.
    Proxied,
    /// One process of etcd 3.4, where there is one.
    Etcd34,
}

impl Backend {
    /// All that need no other program of ours; etcd 3.4 only where it can be had.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Embedded, Self::EmbeddedInFolder, Self::Etcd, Self::ThreeMembers];
        if Line::V3_4.binary().is_some() {
            all.push(Self::Etcd34);
        }
        all
    }

    /// The first part of the names of the tests on it, by which they can be chosen or left out.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            // A suite runs on one of the two.
            Self::Embedded | Self::Dev => "on_embedded",
            Self::EmbeddedInFolder => "on_embedded_in_folder",
            Self::Etcd => "on_etcd",
            Self::ThreeMembers => "on_three_members",
            Self::Proxied => "on_grpc_proxy",
            Self::Etcd34 => "on_etcd_3_4",
        }
    }

    /// Starts one, empty.
    pub async fn start(self) -> Server {
        let running = match self {
            Self::Embedded => Running::Embedded(Embedded::in_memory().await),
            Self::EmbeddedInFolder => Running::Embedded(Embedded::in_folder().await),
            Self::Dev => Running::Dev(Dev::start().await),
            Self::Etcd => Running::Etcd(Etcd::builder().start().await),
            Self::ThreeMembers => Running::Etcd(Etcd::builder().members(3).start().await),
            Self::Proxied => Running::Etcd(Etcd::builder().behind_grpc_proxy().start().await),
            Self::Etcd34 => Running::Etcd(Etcd::of(Line::V3_4).start().await),
        };
        Server { backend: self, running }
    }
}

impl From<Etcd> for Server {
    /// One that was started with options of its own.
    fn from(etcd: Etcd) -> Self {
        let backend = if etcd.members().len() == 1 { Backend::Etcd } else { Backend::ThreeMembers };
        Self { backend, running: Running::Etcd(etcd) }
    }
}

impl From<Dev> for Server {
    fn from(dev: Dev) -> Self {
        Self { backend: Backend::Dev, running: Running::Dev(dev) }
    }
}

/// A running server; dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Server {
    backend: Backend,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Embedded(Embedded),
    Dev(Dev),
    Etcd(Etcd),
}

impl Server {
    /// Which kind it is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Its client URLs.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        match &self.running {
            Running::Embedded(embedded) => vec![embedded.endpoint().to_owned()],
            Running::Dev(dev) => vec![dev.endpoint().to_owned()],
            Running::Etcd(etcd) => etcd.endpoints(),
        }
    }

    /// The processes behind it, if it is a real etcd.
    #[must_use]
    pub fn etcd(&self) -> Option<&Etcd> {
        match &self.running {
            Running::Embedded(_) | Running::Dev(_) => None,
            Running::Etcd(etcd) => Some(etcd),
        }
    }

    /// Kills the server's process (the first member's), as a power cut would.
    ///
    /// # Panics
    ///
    /// If the server is no process of its own.
    pub fn kill(&self) {
        match &self.running {
            Running::Embedded(_) => panic!("the embedded server runs in the test's own process"),
            Running::Dev(dev) => dev.kill(),
            Running::Etcd(etcd) => etcd.members()[0].kill(),
        }
    }

    /// Starts it again after [`Server::kill`], and waits until it answers.
    ///
    /// # Panics
    ///
    /// If the server is no process of its own, or does not come up.
    pub async fn restart(&self) {
        match &self.running {
            Running::Embedded(_) => panic!("the embedded server runs in the test's own process"),
            Running::Dev(dev) => dev.restart().await,
            Running::Etcd(etcd) => etcd.members()[0].restart().await,
        }
    }

    /// A new client with a connection of its own to the first member.
    ///
    /// One endpoint only: with several the client balances calls, and a test could not see which one
    /// answered.
    ///
    /// # Panics
    ///
    /// If the address is not one, which it is.
    pub async fn client(&self) -> Client {
        let limit = Duration::from_secs(20);
        let options = ConnectOptions::new().with_timeout(limit).with_connect_timeout(limit);
        Client::connect(&self.endpoints()[..1], Some(options))
            .await
            .expect("the address of a server that runs")
    }

    /// Keeps its data beyond the end: a test on it failed.
    pub fn keep_data(&self) {
        match &self.running {
            Running::Embedded(embedded) => embedded.keep_data(),
            Running::Dev(dev) => dev.keep_data(),
            Running::Etcd(etcd) => etcd.keep_data(),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.running {
            Running::Embedded(_) if self.backend == Backend::Embedded => {
                write!(f, "planlease-embedded {}", planlease_embedded::VERSION)
            }
            Running::Embedded(_) => {
                write!(f, "planlease-embedded {} (in a folder)", planlease_embedded::VERSION)
            }
            Running::Dev(_) => write!(f, "planlease-embedded {} (a process)", planlease_embedded::VERSION),
            Running::Etcd(etcd) if etcd.members().len() == 1 => write!(f, "etcd {}", etcd.version()),
            Running::Etcd(etcd) => write!(f, "etcd {} ({} members)", etcd.version(), etcd.members().len()),
        }
    }
}
