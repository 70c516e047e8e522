//! A single-node server of etcd's v3 API in one process; knows nothing of plans.
//!
//! It is a small etcd, not a mock of one: what passes here must pass on etcd. It serves KV, Watch, Lease,
//! Maintenance and Cluster, with etcd's own error codes and texts, to any client of etcd and to stock
//! `etcdctl`, over sockets or within the process. There is no Auth service and no raft.
//!
//! # Durability
//!
//! With a data folder, a write is answered when it is on the disk. Writes are applied one after another, and
//! while one batch is being written the next one gathers (group commit). Nothing can be read or watched
//! before it is durable, so a crash takes back nothing that a client has seen. Leases survive, with a fresh
//! TTL.
//!
//! # Memory
//!
//! Everything is in memory, with the whole history since the last compaction: about the bytes of all keys and
//! values plus 200 bytes per version. As in etcd, it is for its users to compact, unless
//! [`Options::compaction`] says how much history to keep. A compaction removes history in steps, so that no
//! write waits for all of it.
//!
//! # Time, connections, randomness
//!
//! All three come from outside: time is tokio's, so it can be paused or simulated; [`Server::serve`] takes
//! any stream of connections; ids come from the seed in [`Options`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use planlease_embedded::{Options, Server};
//!
//! let server = Server::open(Options::in_memory(1)).await?;
//! let mut client = server.client().await;
//! client.put("greeting", "hello", None).await?;
//! let got = client.get("greeting", None).await?;
//! assert_eq!(got.kvs()[0].value(), b"hello");
//! server.close().await;
//! # Ok(())
//! # }
//! ```

mod authority;
mod background;
mod bolt;
mod bolt_reader;
mod compaction;
mod engine;
mod hash;
mod ids;
mod key_range;
mod lessor;
mod limits;
mod listen;
mod mvcc;
mod options;
mod range;
mod reserve;
mod restore;
mod serve;
mod server;
mod service;
mod shared;
mod snapshot;
mod snapshot_file;
mod status;
mod storage;
mod txn;
mod version;
mod watch_hub;
mod watch_spec;
mod watch_stream;

pub use crate::limits::Limits;
pub use crate::listen::{Bound, Connection, Listen, ListenError, is_loopback};
pub use crate::options::{KeptHistory, Options};
pub use crate::restore::{RestoreError, Restored, restore, restore_from};
pub use crate::serve::ServeError;
pub use crate::server::Server;
pub use crate::shared::Activity;
pub use crate::storage::OpenError;
pub use crate::version::VERSION;
pub use redb::StorageBackend;
