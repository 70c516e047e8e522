//! Revisions and lease ids relative to where a sequence began, so that two servers can be compared.
//!
//! 0 keeps its meaning ("now", "none"). Revision `n > 0` stands for the revision at the beginning plus
//! `n - 1`, lease `n > 0` for an id that belongs to this sequence only.

use etcd_client::proto::{
    PbCompare, PbDeleteResponse, PbEvent, PbKeyValue, PbPutRequest, PbPutResponse, PbRangeRequest,
    PbRangeResponse, PbResponseHeader, PbTargetUnion, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest,
    PbTxnResponse,
};

/// Where a sequence began on one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) revision: i64,
    pub(super) lease: i64,
}

impl Origin {
    pub(super) fn absolute_revision(self, relative: i64) -> i64 {
        if relative > 0 { self.revision + relative - 1 } else { relative }
    }

    pub(super) fn absolute_lease(self, relative: i64) -> i64 {
        if relative > 0 { self.lease + relative } else { relative }
    }

    pub(super) fn relative_revision(self, absolute: i64) -> i64 {
        if absolute > 0 { absolute - self.revision + 1 } else { absolute }
    }

    pub(super) fn relative_lease(self, absolute: i64) -> i64 {
        if absolute > 0 { absolute - self.lease } else { absolute }
    }

    pub(super) fn range(self, mut request: PbRangeRequest) -> PbRangeRequest {
        for revision in [
            &mut request.revision,
            &mut request.min_mod_revision,
            &mut request.max_mod_revision,
            &mut request.min_create_revision,
            &mut request.max_create_revision,
        ] {
            *revision = self.absolute_revision(*revision);
        }
        request
    }

    pub(super) fn put(self, mut request: PbPutRequest) -> PbPutRequest {
        request.lease = self.absolute_lease(request.lease);
        request
    }

    fn compare(self, mut compare: PbCompare) -> PbCompare {
        compare.target_union = compare.target_union.map(|target| match target {
            PbTargetUnion::CreateRevision(revision) => {
                PbTargetUnion::CreateRevision(self.absolute_revision(revision))
            }
            PbTargetUnion::ModRevision(revision) => {
                PbTargetUnion::ModRevision(self.absolute_revision(revision))
            }
            PbTargetUnion::Lease(lease) => PbTargetUnion::Lease(self.absolute_lease(lease)),
            same @ (PbTargetUnion::Version(_) | PbTargetUnion::Value(_)) => same,
        });
        compare
    }

    pub(super) fn txn(self, mut request: PbTxnRequest) -> PbTxnRequest {
        request.compare = request.compare.into_iter().map(|compare| self.compare(compare)).collect();
        for operation in request.success.iter_mut().chain(&mut request.failure) {
            operation.request = operation.request.take().map(|request| match request {
                PbTxnOpRequest::RequestRange(range) => PbTxnOpRequest::RequestRange(self.range(range)),
                PbTxnOpRequest::RequestPut(put) => PbTxnOpRequest::RequestPut(self.put(put)),
                PbTxnOpRequest::RequestTxn(txn) => PbTxnOpRequest::RequestTxn(self.txn(txn)),
                same @ PbTxnOpRequest::RequestDeleteRange(_) => same,
            });
        }
        request
    }

    /// What is left of a header: the revision. Cluster, member and term differ by their nature.
    pub(super) fn header(self, header: Option<PbResponseHeader>) -> Option<PbResponseHeader> {
        header.map(|header| PbResponseHeader {
            revision: self.relative_revision(header.revision),
            ..PbResponseHeader::default()
        })
    }

    pub(super) fn key_value(self, mut kv: PbKeyValue) -> PbKeyValue {
        kv.create_revision = self.relative_revision(kv.create_revision);
        kv.mod_revision = self.relative_revision(kv.mod_revision);
        kv.lease = self.relative_lease(kv.lease);
        kv
    }

    fn key_values(self, kvs: Vec<PbKeyValue>) -> Vec<PbKeyValue> {
        kvs.into_iter().map(|kv| self.key_value(kv)).collect()
    }

    pub(super) fn event(self, mut event: PbEvent) -> PbEvent {
        event.kv = event.kv.map(|kv| self.key_value(kv));
        event.prev_kv = event.prev_kv.map(|kv| self.key_value(kv));
        event
    }

    pub(super) fn range_answer(self, mut answer: PbRangeResponse) -> PbRangeResponse {
        answer.header = self.header(answer.header);
        answer.kvs = self.key_values(answer.kvs);
        answer
    }

    pub(super) fn put_answer(self, mut answer: PbPutResponse) -> PbPutResponse {
        answer.header = self.header(answer.header);
        answer.prev_kv = answer.prev_kv.map(|kv| self.key_value(kv));
        answer
    }

    pub(super) fn delete_answer(self, mut answer: PbDeleteResponse) -> PbDeleteResponse {
        answer.header = self.header(answer.header);
        answer.prev_kvs = self.key_values(answer.prev_kvs);
        answer
    }

    pub(super) fn txn_answer(self, mut answer: PbTxnResponse) -> PbTxnResponse {
        answer.header = self.header(answer.header);
        for operation in &mut answer.responses {
            operation.response = operation.response.take().map(|response| match response {
                PbTxnOpResponse::ResponseRange(range) => {
                    PbTxnOpResponse::ResponseRange(self.range_answer(range))
                }
                PbTxnOpResponse::ResponsePut(put) => PbTxnOpResponse::ResponsePut(self.put_answer(put)),
                PbTxnOpResponse::ResponseDeleteRange(delete) => {
                    PbTxnOpResponse::ResponseDeleteRange(self.delete_answer(delete))
                }
                PbTxnOpResponse::ResponseTxn(txn) => PbTxnOpResponse::ResponseTxn(self.txn_answer(txn)),
            });
        }
        answer
    }
}
