//! etcd's Lease service.

use async_stream::try_stream;
use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse,
    PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseService,
    PbLeaseStatus, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use tonic::{Request, Response, Status, Streaming};

use crate::service::base::{Reply, ResponseStream, Service};
use crate::service::words::size_in_words;
use crate::status::Refusal;

/// The TTL of a lease that does not exist, in an answer about its time to live.
const NO_LEASE_TTL: i64 = -1;

#[tonic::async_trait]
impl PbLeaseService for Service {
    async fn lease_grant(&self, request: Request<PbLeaseGrantRequest>) -> Reply<PbLeaseGrantResponse> {
        let request = request.into_inner();
        self.shared.check_space()?;
        let (id, ttl) = self.shared.call(|engine, now| engine.grant(now, request.id, request.ttl)).await?;
        let header = Some(self.shared.header());
        Ok(Response::new(PbLeaseGrantResponse { header, id, ttl, error: String::new() }))
    }

    async fn lease_revoke(&self, request: Request<PbLeaseRevokeRequest>) -> Reply<PbLeaseRevokeResponse> {
        let id = request.into_inner().id;
        self.shared.call(|engine, now| engine.revoke(now, id)).await?;
        Ok(Response::new(PbLeaseRevokeResponse { header: Some(self.shared.header()) }))
    }

    type LeaseKeepAliveStream = ResponseStream<PbLeaseKeepAliveResponse>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let mut requests = request.into_inner();
        let Self { shared, stop } = self.clone();
        Ok(Response::new(Box::pin(try_stream! {
            loop {
                let request = tokio::select! {
                    biased; // A stopping server renews nothing any more.
                    () = stop.cancelled() => Err(Status::from(Refusal::Stopped)),
                    request = requests.message() => request.map_err(|status| size_in_words(&shared, status)),
                };
                let Some(PbLeaseKeepAliveRequest { id }) = request? else { break };
                let ttl = shared.call_at_once(|engine, now| engine.keep_alive(now, id)).await?;
                yield PbLeaseKeepAliveResponse { header: Some(shared.header()), id, ttl };
            }
        })))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Reply<PbLeaseTimeToLiveResponse> {
        let PbLeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let info = self.shared.call(|engine, now| engine.lease_info(now, id)).await?;
        let header = Some(self.shared.header());
        let Some(info) = info else {
            let absent = PbLeaseTimeToLiveResponse { header, id, ttl: NO_LEASE_TTL, ..Default::default() };
            return Ok(Response::new(absent));
        };
        Ok(Response::new(PbLeaseTimeToLiveResponse {
            header,
            id,
            ttl: info.remaining_secs,
            granted_ttl: info.granted_ttl_secs,
            keys: if keys { info.keys.iter().map(|key| key.to_vec()).collect() } else { Vec::new() },
        }))
    }

    async fn lease_leases(&self, _: Request<PbLeaseLeasesRequest>) -> Reply<PbLeaseLeasesResponse> {
        let ids = self.shared.call(|engine, now| engine.lease_ids(now)).await?;
        let leases = ids.into_iter().map(|id| PbLeaseStatus { id }).collect();
        Ok(Response::new(PbLeaseLeasesResponse { header: Some(self.shared.header()), leases }))
    }
}
