//! The queue behind etcd's `v3lock` and `v3election`: keys below a name, of which the oldest one holds.

use std::sync::Arc;

use etcd_client::proto::{
    PbCompare, PbCompareTarget, PbDeleteRequest, PbKeyValue, PbPutRequest, PbRangeRequest, PbResponseHeader,
    PbTargetUnion, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp,
};
use etcd_client::{CompareOp, SortOrder, SortTarget};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::service::base::Service;
use crate::shared::Shared;
use crate::status::Refusal;

/// The TTL of a lease that the server grants for a request without one, in seconds: that of etcd's sessions.
const SESSION_TTL_SECS: i64 = 60;

/// All queues of a server.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
    stop: CancellationToken,
}

/// A key in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) key: Vec<u8>,
    pub(crate) created: i64,
    pub(crate) lease: i64,
}

impl Queue {
    pub(crate) fn new(service: &Service) -> Self {
        Self { shared: Arc::clone(&service.shared), stop: service.stop.clone() }
    }

    pub(crate) fn header(&self) -> PbResponseHeader {
        self.shared.header()
    }

    /// Puts a key below `name` at the end of the queue, or finds the one that this lease has there, and waits
    /// until every older one is gone.
    ///
    /// # Errors
    /// `LeaseNotFound`; "session expired" if the key is gone before it holds.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the key in the queue for as long as its lease lives, as in etcd.
    pub(crate) async fn enter(&self, name: &[u8], lease: i64, value: Vec<u8>) -> Result<Place, Status> {
        let lease = if lease == 0 { self.grant().await? } else { lease };
        let prefix = [name, b"/"].concat();
        let key = [&prefix[..], format!("{lease:x}").as_bytes()].concat();
        let created = self.join(&key, lease, value).await?;
        loop {
            // Taken before the look, so that no change between the two is missed.
            let mut published = self.shared.subscribe();
            published.mark_unchanged();
            if self.oldest(&prefix)?.is_some_and(|oldest| oldest.create_revision >= created) {
                break;
            }
            if self.get(&key)?.is_none_or(|kv| kv.create_revision != created) {
                return Err(expired());
            }
            tokio::select! {
                biased; // A stopping server gives nothing out.
                () = self.stop.cancelled() => return Err(Refusal::Stopped.into()),
                changed = published.changed() => changed.map_err(|_| Status::from(Refusal::Stopped))?,
            }
            self.shared.check_open()?;
        }
        match self.get(&key)? {
            Some(kv) if kv.create_revision == created => Ok(Place { key, created, lease }),
            _ => Err(expired()),
        }
    }

    async fn grant(&self) -> Result<i64, Status> {
        self.shared.call(|engine, now| engine.grant(now, 0, SESSION_TTL_SECS)).await.map(|(id, _)| id)
    }

    /// Makes the key unless it is there; its create revision.
    async fn join(&self, key: &[u8], lease: i64, value: Vec<u8>) -> Result<i64, Status> {
        let absent = created(key, 0);
        let put = PbPutRequest { key: key.to_vec(), value, lease, ..Default::default() };
        let get = PbRangeRequest { key: key.to_vec(), ..Default::default() };
        let request = PbTxnRequest {
            compare: vec![absent],
            success: vec![op(PbTxnOpRequest::RequestPut(put))],
            failure: vec![op(PbTxnOpRequest::RequestRange(get))],
        };
        let answer = self.shared.call(|engine, now| engine.txn(now, request)).await?;
        let there = answer.responses.into_iter().find_map(|response| match response.response? {
            PbTxnOpResponse::ResponseRange(range) => range.kvs.into_iter().next(),
            _ => None,
        });
        let now = answer.header.map_or(0, |header| header.revision);
        Ok(there.map_or(now, |kv| kv.create_revision))
    }

    /// The oldest key below a prefix.
    pub(crate) fn oldest(&self, prefix: &[u8]) -> Result<Option<PbKeyValue>, Status> {
        let request = PbRangeRequest {
            key: prefix.to_vec(),
            range_end: end_of(prefix),
            limit: 1,
            sort_order: SortOrder::Ascend.into(),
            sort_target: SortTarget::Create.into(),
            ..Default::default()
        };
        self.first(&request)
    }

    /// One key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<PbKeyValue>, Status> {
        self.first(&PbRangeRequest { key: key.to_vec(), ..Default::default() })
    }

    fn first(&self, request: &PbRangeRequest) -> Result<Option<PbKeyValue>, Status> {
        self.shared.check_open()?;
        Ok(self.shared.read(|engine| engine.range(request))?.kvs.into_iter().next())
    }

    /// Deletes a key.
    ///
    /// # Cancel safety
    /// The key is deleted at the first poll.
    pub(crate) async fn delete(&self, key: Vec<u8>) -> Result<(), Status> {
        let request = PbDeleteRequest { key, ..Default::default() };
        self.shared.call(|engine, now| engine.delete(now, &request)).await.map(drop)
    }

    /// Carries out an operation on a key if it is still the one that was made at `created`. Returns whether
    /// it was.
    ///
    /// # Cancel safety
    /// The operation is done at the first poll.
    pub(crate) async fn if_held(&self, key: &[u8], at: i64, then: PbTxnOpRequest) -> Result<bool, Status> {
        let request =
            PbTxnRequest { compare: vec![created(key, at)], success: vec![op(then)], failure: Vec::new() };
        self.shared.call(|engine, now| engine.txn(now, request)).await.map(|answer| answer.succeeded)
    }

    /// Waits until something was written, or the server stops.
    ///
    /// # Errors
    /// Why there will be nothing more.
    pub(crate) fn changes(&self) -> tokio::sync::watch::Receiver<crate::shared::Published> {
        self.shared.subscribe()
    }
}

fn op(request: PbTxnOpRequest) -> PbTxnRequestOp {
    PbTxnRequestOp { request: Some(request) }
}

fn created(key: &[u8], at: i64) -> PbCompare {
    PbCompare {
        result: CompareOp::Equal.into(),
        target: PbCompareTarget::Create.into(),
        key: key.to_vec(),
        target_union: Some(PbTargetUnion::CreateRevision(at)),
        ..Default::default()
    }
}

/// The end of the range of all keys with a prefix that ends with `/`.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// As etcd: without a code, and in the words of its Go client.
fn expired() -> Status {
    Status::unknown("mutex: session is expired")
}
