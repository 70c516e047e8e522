//! Leases: granting, ending and looking at them, and the stream of renewals of one lease.
//!
//! Only an *answer* counts as a renewal: sending succeeds with a dead server too. The server reports a lease
//! that is gone by a TTL of 0 on a live stream, and by an error at the start of a new one.

use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use planlease_core::LeaseId;
use tokio::task::JoinHandle;

use super::{
    client::Etcd,
    connection::{Connected, EndpointConnection},
    fault::{Fault, FaultKind},
    send::{Admission, Pending},
};

/// How a lease stands, to the second, as etcd says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// The time to live that was granted: from each renewal on.
    pub ttl: Duration,
    /// How much of it is left.
    pub left: Duration,
}

impl Etcd {
    /// Asks for a lease of this id and TTL; returns the TTL that the server granted. The id is chosen by the
    /// caller, so that a grant whose answer was lost is recognised when it is asked for again.
    pub(crate) fn grant(&self, id: LeaseId, ttl: Duration) -> Pending<'_, Duration> {
        Box::pin(async move {
            let whole = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
            let seconds = i64::try_from(whole).unwrap_or(i64::MAX);
            let granted = self
                .call(Admission::TURN, |client| async move {
                    let options = etcd_client::LeaseGrantOptions::new().with_id(id.to_wire());
                    let mut leases = client.lease_client();
                    match leases.grant(seconds, Some(options)).await.map_err(Fault::of) {
                        Ok(answer) => Ok(answer.ttl()),
                        Err(fault) if fault.kind == FaultKind::LeaseExists => {
                            let answer = leases.time_to_live(id.to_wire(), None).await.map_err(Fault::of)?;
                            // It may have expired, or been revoked, since: then it says -1 and 0.
                            if answer.ttl() > 0 { Ok(answer.granted_ttl()) } else { Err(Fault::lease_gone()) }
                        }
                        Err(fault) => Err(fault),
                    }
                })
                .await?;
            Ok(Duration::from_secs(u64::try_from(granted).unwrap_or(0)))
        })
    }

    /// Ends a lease; one that is gone already is fine.
    pub(crate) fn revoke(&self, id: LeaseId) -> Pending<'_, ()> {
        Box::pin(async move {
            let revoked = self
                .call(Admission::TURN, |client| async move {
                    client.lease_client().revoke(id.to_wire()).await.map_err(Fault::of).map(drop)
                })
                .await;
            match revoked {
                Err(fault) if fault.kind != FaultKind::LeaseNotFound => Err(fault),
                _ => Ok(()),
            }
        })
    }

    /// How long a lease has left, to the second; `None` if it is gone. One that was granted and has run out
    /// exists until etcd revokes it, and has nothing left.
    pub(crate) fn lease_left(&self, id: LeaseId) -> Pending<'_, Option<Duration>> {
        Box::pin(async move { Ok(self.lease_times(id).await?.map(|times| times.left)) })
    }

    /// How a lease stands; `None` if it is gone.
    pub(crate) fn lease_times(&self, id: LeaseId) -> Pending<'_, Option<LeaseTimes>> {
        Box::pin(async move {
            let answer = self
                .call(Admission::TURN, |client| async move {
                    client.lease_client().time_to_live(id.to_wire(), None).await.map_err(Fault::of)
                })
                .await?;
            let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            let times = LeaseTimes { ttl: seconds(answer.granted_ttl()), left: seconds(answer.ttl()) };
            Ok((!times.ttl.is_zero()).then_some(times))
        })
    }

    /// Runs a task that renews a session: see [`Renewals`](crate::renewal_runtime::Renewals).
    pub(crate) fn spawn_renewal(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.inner.renewal_tasks.spawn(task)
    }

    /// Opens a stream of renewals with its first renewal, on the connection for renewals. That connection is
    /// driven by the runtime on which it is made: to be called by tasks of [`Etcd::spawn_renewal`] only.
    pub(crate) async fn keep_alive(&self, id: LeaseId) -> Result<KeepAlive, Fault> {
        KeepAlive::open(&self.inner.renewals, id).await
    }

    /// Renews a lease once, for callers that do it seldom.
    pub(crate) fn renew_once(&self, id: LeaseId) -> Pending<'_, ()> {
        Box::pin(async move { KeepAlive::open(&self.inner.unary, id).await.map(drop) })
    }
}

/// An open stream.
pub(crate) struct KeepAlive {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
    connected: Connected,
}

impl KeepAlive {
    /// Opens the stream, which renews the lease once. Bounded by the request timeout.
    pub(super) async fn open(connection: &EndpointConnection, id: LeaseId) -> Result<Self, Fault> {
        let connected = connection.connected().await?;
        let timeout = connection.config().request_timeout;
        let mut client = connected.client.lease_client();
        let opened = match tokio::time::timeout(timeout, client.keep_alive(id.to_wire())).await {
            Ok(opened) => opened.map_err(Fault::of),
            Err(_) => Err(Fault::timeout(timeout)),
        };
        match opened {
            Ok((keeper, answers)) => Ok(Self { keeper, answers, connected }),
            Err(fault) => {
                if fault.is_connections() {
                    connection.give_up(&connected);
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
    pub(crate) fn give_up(self, etcd: &Etcd) {
        etcd.inner.renewals.give_up(&self.connected);
    }
}
