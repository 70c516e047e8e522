//! Every bound of the server, with its default and with what happens there.

use std::time::Duration;

/// The bounds of a server. [`Limits::default`] is etcd's where etcd has one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one writing request; a larger one is refused with "request is too large".
    pub request_bytes_max: usize,
    /// Compares, or operations in one branch, of a transaction; what nested ones have counts too.
    pub ops_per_txn_max: usize,
    /// Watches on one stream; a further one is cancelled at once.
    pub watches_per_stream_max: usize,
    /// Revisions that a compaction leaves in the event log for a watcher that is behind. One that is further
    /// behind is cancelled with the compact revision.
    pub watch_backlog_max: u64,
    /// HTTP/2 streams on one connection; further ones wait at the client.
    pub streams_per_connection_max: u32,
    /// Connections to all sockets together; further ones are closed as soon as they are accepted.
    pub connections_max: usize,
    /// Writes that are made durable together; the rest goes into the next batch.
    pub commit_batch_max: usize,
    /// Writes that wait to be made durable; at the limit further requests wait before they are applied.
    pub commit_queue_max: usize,
    /// Bytes of one message of a range stream, roughly.
    pub range_stream_bytes: usize,
    /// How long a socket's shutdown waits for requests under way before it cuts the connections.
    pub drain_max: Duration,
    /// Silence after which a watch that asked for progress notifications gets one.
    pub progress_interval: Duration,
    /// Silence on a connection after which the peer is asked whether it is alive.
    pub ping_interval: Duration,
    /// How long the peer has to answer.
    pub ping_timeout: Duration,
}

/// Bytes by which a message may be larger than a request, as in etcd.
const MESSAGE_OVERHEAD_BYTES: usize = 512 * 1024;

impl Limits {
    /// Bytes of one message; the transport refuses a larger one.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.request_bytes_max.saturating_add(MESSAGE_OVERHEAD_BYTES)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 1536 * 1024,
            ops_per_txn_max: 128,
            watches_per_stream_max: 10_000,
            watch_backlog_max: 1_024,
            streams_per_connection_max: 1_024,
            connections_max: 1_024,
            commit_batch_max: 1_024,
            commit_queue_max: 16_384,
            range_stream_bytes: 512 * 1024,
            drain_max: Duration::from_secs(5),
            progress_interval: Duration::from_secs(600),
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
        }
    }
}
