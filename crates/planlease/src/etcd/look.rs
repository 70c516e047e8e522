//! A look at a member: one key, and how far its cluster has come.

use etcd_client::Client;
use planlease_core::{change::Entry, life::Marks};

use super::{
    fault::Fault,
    txn::{Op, Reply, Transaction},
};

/// A key, and how far the cluster has come.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) cluster_id: u64,
    pub(crate) marks: Marks,
    pub(crate) entry: Option<Entry>,
}

/// Reads one key, and how far the cluster has come, from one member: a linearizable read, then its status.
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
