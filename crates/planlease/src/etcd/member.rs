//! What members say about themselves, and what only one member can answer.

use std::time::Duration;

use etcd_client::Client;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    channel,
    client::Etcd,
    fault::{Fault, FaultKind},
    look::{Seen, look},
    send::{Admission, Pending},
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

    /// Reads one key, and how far the cluster has come: see [`look()`].
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
