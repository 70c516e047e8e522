//! The stream of renewals of one lease.
//!
//! Only an *answer* counts as a renewal: sending succeeds with a dead server too. The server reports a lease
//! that is gone by a TTL of 0 on a live stream, and by an error at the start of a new one.

use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use planlease_core::LeaseId;

use super::{
    fault::Fault,
    lane::{Connected, Lane},
};

/// An open stream.
pub(crate) struct KeepAlive {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
    connected: Connected,
}

impl KeepAlive {
    /// Opens the stream, which renews the lease once. Bounded by the request timeout.
    pub(super) async fn open(lane: &Lane, id: LeaseId) -> Result<Self, Fault> {
        let connected = lane.connected().await?;
        let timeout = lane.config().request_timeout;
        let mut client = connected.client.lease_client();
        let opened = match tokio::time::timeout(timeout, client.keep_alive(id.to_wire())).await {
            Ok(opened) => opened.map_err(Fault::of),
            Err(_) => Err(Fault::timeout(timeout)),
        };
        match opened {
            Ok((keeper, answers)) => Ok(Self { keeper, answers, connected }),
            Err(fault) => {
                if fault.is_connections() {
                    lane.give_up(&connected);
                }
                Err(fault.at(&connected.endpoint))
            }
        }
    }

    /// Asks for the next renewal. The caller bounds it.
    pub(crate) async fn renew(&mut self) -> Result<(), Fault> {
        self.keeper.keep_alive().await.map_err(|error| Fault::of(error).at(&self.connected.endpoint))
    }

    /// Waits for the next answer: the TTL from the moment at which the server handled the renewal. Cancel
    /// safe.
    pub(crate) async fn answer(&mut self) -> Result<Duration, Fault> {
        let answer =
            self.answers.message().await.map_err(|error| Fault::of(error).at(&self.connected.endpoint))?;
        let ttl = answer.ok_or_else(|| Fault::stream("the stream of renewals ended"))?.ttl();
        match u64::try_from(ttl) {
            Ok(ttl) if ttl > 0 => Ok(Duration::from_secs(ttl)),
            _ => Err(Fault::lease_gone()),
        }
    }

    /// Gives up the connection, so that the next stream goes to another endpoint.
    pub(crate) fn give_up(self, etcd: &super::Etcd) {
        etcd.inner.renewals.give_up(&self.connected);
    }
}
