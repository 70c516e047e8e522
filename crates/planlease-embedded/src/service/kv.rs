//! etcd's KV service.

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvService, PbPutRequest,
    PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse, PbTxnRequest, PbTxnResponse,
};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::engine::Engine;
use crate::service::base::{Reply, ResponseStream, Service};
use crate::status::Refusal;
use crate::txn;

#[tonic::async_trait]
impl PbKvService for Service {
    async fn range(&self, request: Request<PbRangeRequest>) -> Reply<PbRangeResponse> {
        self.check_message(request.get_ref())?;
        Ok(Response::new(self.range_now(&request.into_inner())?))
    }

    type RangeStreamStream = ResponseStream<PbRangeStreamResponse>;

    async fn range_stream(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        self.check_message(request.get_ref())?;
        let response = self.range_now(&request.into_inner())?;
        let parts = divide(response, self.shared.limits.range_stream_bytes);
        let parts = parts.into_iter().map(|part| Ok(PbRangeStreamResponse { range_response: Some(part) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Reply<PbPutResponse> {
        let request = request.into_inner();
        self.check_message(&request)?;
        txn::check_put(&request)?;
        self.check_size(&request)?;
        self.shared.check_space()?;
        let mut response = self.shared.call(|engine, now| engine.put(now, request)).await?;
        self.shared.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(&self, request: Request<PbDeleteRequest>) -> Reply<PbDeleteResponse> {
        let request = request.into_inner();
        self.check_message(&request)?;
        txn::check_delete(&request)?;
        self.check_size(&request)?;
        let mut response = self.shared.call(|engine, now| engine.delete(now, &request)).await?;
        self.shared.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Reply<PbTxnResponse> {
        let request = request.into_inner();
        self.check_message(&request)?;
        txn::check(&request, self.shared.limits.ops_per_txn_max)?;
        let mut response = if txn::is_read_only(&request) {
            self.shared.check_open()?;
            self.shared.read(|engine| engine.txn_read(&request))?
        } else {
            self.check_size(&request)?;
            if txn::may_put(&request) {
                self.shared.check_space()?;
            }
            self.shared.call(|engine, now| engine.txn(now, request)).await?
        };
        self.shared.fill(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(&self, request: Request<PbCompactionRequest>) -> Reply<PbCompactionResponse> {
        let PbCompactionRequest { revision, physical } = request.into_inner();
        let revision = self.shared.call(|engine, now| engine.compact(now, revision)).await?;
        if physical {
            self.shared.garbage(false).await;
            self.shared.call(|engine: &mut Engine, _| engine.barrier()).await?;
        }
        Ok(Response::new(PbCompactionResponse { header: Some(self.shared.header_at(revision)) }))
    }
}

impl Service {
    fn range_now(&self, request: &PbRangeRequest) -> Result<PbRangeResponse, Status> {
        self.shared.check_open()?;
        let mut response = self.shared.read(|engine| engine.range(request))?;
        self.shared.fill(&mut response.header);
        Ok(response)
    }

    /// What etcd's transport refuses before it has a look at the request.
    fn check_message(&self, request: &impl Message) -> Result<(), Status> {
        let (bytes, max) = (request.encoded_len(), self.shared.limits.message_bytes_max());
        if bytes <= max {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!("grpc: received message larger than max ({bytes} vs. {max})")))
    }

    /// What etcd refuses to write to its log.
    fn check_size(&self, request: &impl Message) -> Result<(), Refusal> {
        let fits = request.encoded_len() <= self.shared.limits.request_bytes_max;
        if fits { Ok(()) } else { Err(Refusal::RequestTooLarge) }
    }
}

/// Parts of about the given size; the last one has header, count and "more".
fn divide(mut response: PbRangeResponse, part_bytes: usize) -> Vec<PbRangeResponse> {
    let mut parts = vec![PbRangeResponse::default()];
    let mut bytes = 0;
    for kv in std::mem::take(&mut response.kvs) {
        if bytes >= part_bytes {
            parts.push(PbRangeResponse::default());
            bytes = 0;
        }
        bytes += kv.encoded_len();
        parts.last_mut().expect("begins with one").kvs.push(kv);
    }
    let last = parts.last_mut().expect("begins with one");
    *last = PbRangeResponse { kvs: std::mem::take(&mut last.kvs), ..response };
    parts
}
