//! What members say about themselves, and what only one member can answer.

use std::time::Duration;

use etcd_client::Client;
use futures_util::future::join_all;
use planlease_core::{change::Entry, life::Marks};
use tokio::time::timeout;

use super::{
    Etcd, channel,
    execute::{Admission, Pending},
    fault::{Fault, FaultKind},
    txn::{Op, Reply, Transaction},
};
use crate::config::Config;

/// What a member says about itself.
#[derive(Clone, Debug)]
pub(crate) struct MemberStatus {
    pub(crate) version: String,
    pub(crate) db_size: i64,
    pub(crate) is_learner: bool,
    pub(crate) has_leader: bool,
    pub(crate) alarms: Vec<String>,
    pub(crate) revision: i64,
    pub(crate) cluster_id: u64,
}

/// A key, and how far the cluster has come.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) cluster_id: u64,
    pub(crate) marks: Marks,
    pub(crate) entry: Option<Entry>,
}

impl Etcd {
    /// Everything that the server has, as the file that `etcdutl snapshot restore` reads.
    pub(crate) fn save(&self) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            self.call(Admission::TURN, |client| async move {
                let mut parts = client.maintenance_client().snapshot().await.map_err(Fault::of)?;
                let mut file = Vec::new();
                while let Some(part) = parts.message().await.map_err(Fault::of)? {
                    file.extend_from_slice(part.blob());
                }
                Ok(file)
            })
            .await
        })
    }

    /// Reads one key, and how far the cluster has come, from one member: a linearizable read, then its
    /// status.
    pub(crate) fn look<'a>(&'a self, key: &'a [u8]) -> Pending<'a, Seen> {
        Box::pin(
            async move { self.call(Admission::TURN, |client| async move { look(&client, key).await }).await },
        )
    }

    /// What the present member says about itself. The first request of a coordinator. Where no server accepts
    /// a connection it is tried for the time of a connection only; one that does, and does not answer, may be
    /// about to elect a leader, and has the time of an operation.
    pub(crate) fn status(&self) -> Pending<'_, MemberStatus> {
        Box::pin(async move {
            let Config { connect_timeout, operation_timeout, connector, .. } = self.config();
            let brief = connector.connect_timeout((*connect_timeout).min(*operation_timeout));
            let status = |budget| {
                let admission = Admission::AT_ONCE.within(budget);
                self.call(admission, |client| async move { member_status(&client).await })
            };
            match status(brief).await {
                Err(fault) if fault.is_worth_repeating(false) && fault.kind != FaultKind::Unreachable => {
                    status(operation_timeout.saturating_sub(brief)).await
                }
                other => other,
            }
        })
    }

    /// Reads the key that every user may read, trying for so long.
    pub(crate) fn ping(&self, within: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            let endpoints = &self.inner.endpoints;
            self.call(Admission::AT_ONCE.within(within), async |client| endpoints.ping(&client).await).await
        })
    }

    /// What each configured endpoint says about itself; all are asked at once.
    pub(crate) async fn status_of_each(&self) -> Vec<(String, Result<MemberStatus, Fault>)> {
        let config = self.config();
        let status = async |endpoint| {
            let client =
                channel::connect(config, endpoint, false, self.inner.endpoints.traffic.clone()).await?;
            match timeout(config.request_timeout, member_status(&client)).await {
                Ok(status) => status.map_err(|fault| fault.before_any_answer(endpoint)),
                Err(_) => Err(Fault::timeout(config.request_timeout)),
            }
        };
        let each = config.endpoints.iter();
        join_all(each.map(async |endpoint| (endpoint.to_string(), status(endpoint).await))).await
    }
}

/// See [`Etcd::look`].
pub(super) async fn look(client: &Client, key: &[u8]) -> Result<Seen, Fault> {
    let read = Transaction::default().then([Op::Get(key.to_vec())]);
    let answer = client.kv_client().txn(read.to_wire()).await.map_err(Fault::of)?.0;
    let (member, raft_term) =
        answer.header.as_ref().map_or((0, 0), |header| (header.member_id, header.raft_term));
    let mut reply = Reply::from_wire(answer)?;
    // After the read, this member has seen all that any other one had committed before. Behind a proxy it may
    // be another one that answers now; and some versions show their status to root only.
    let raft_index = match client.maintenance_client().status().await.map_err(Fault::of) {
        Ok(status) if status.header().is_some_and(|header| header.member_id() == member) => {
            Some(status.raft_index().max(status.raft_applied_index())).filter(|index| *index > 0)
        }
        Ok(_) => None,
        Err(fault) if fault.is_connections() => return Err(fault),
        Err(_) => None,
    };
    let marks = Marks { raft_term, raft_index, revision: reply.revision };
    Ok(Seen { cluster_id: reply.cluster_id, marks, entry: reply.row() })
}

async fn member_status(client: &Client) -> Result<MemberStatus, Fault> {
    let status = client.maintenance_client().status().await.map_err(Fault::of)?;
    Ok(MemberStatus {
        version: status.version().to_owned(),
        db_size: status.db_size(),
        is_learner: status.is_learner(),
        has_leader: status.leader() != 0,
        alarms: status.errors().to_vec(),
        revision: status.header().map_or(0, etcd_client::ResponseHeader::revision),
        cluster_id: status.header().map_or(0, etcd_client::ResponseHeader::cluster_id),
    })
}
