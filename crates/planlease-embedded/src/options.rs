//! What can be set about a server.

use std::path::PathBuf;
use std::time::Duration;

use crate::limits::Limits;

/// How to open a [`Server`](crate::Server).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Folder that keeps the data; `None` keeps them in memory only. It is created with mode 0700.
    pub data_dir: Option<PathBuf>,
    /// Where cluster, member and lease ids come from. A data folder keeps the seed it was made with.
    ///
    /// Two servers in memory with the same seed call themselves the same cluster.
    pub seed: u64,
    /// Name of the only member.
    pub name: String,
    /// Addresses for the member list, in addition to those that are bound.
    pub client_urls: Vec<String>,
    /// Shortest TTL of a lease, in seconds; a shorter wish is raised to it. etcd's is 2 with its defaults.
    pub ttl_min_secs: i64,
    /// Which history the server drops by itself; `None` leaves compaction to its clients, as etcd does by
    /// default.
    pub compaction: Option<KeptHistory>,
    /// The bounds.
    pub limits: Limits,
}

/// How much history a server keeps that compacts itself. Whichever bound is reached first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptHistory {
    /// How old what is kept may be; looked at every tenth of it, so it can be a tenth older.
    pub age: Duration,
    /// How many revisions are kept; a tenth more before they are dropped.
    pub revisions: u32,
}

impl Default for KeptHistory {
    /// An hour, or 100,000 revisions.
    fn default() -> Self {
        Self { age: Duration::from_secs(3_600), revisions: 100_000 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            seed: 0,
            name: "embedded".to_owned(),
            client_urls: Vec::new(),
            ttl_min_secs: 2,
            compaction: None,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// In memory, with the given seed.
    #[must_use]
    pub fn in_memory(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Durable in a folder, with the given seed.
    #[must_use]
    pub fn in_folder(data_dir: impl Into<PathBuf>, seed: u64) -> Self {
        Self { data_dir: Some(data_dir.into()), seed, ..Self::default() }
    }
}
