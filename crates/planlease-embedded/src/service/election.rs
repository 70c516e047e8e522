//! etcd's `v3election` service: the election recipe of etcd's Go client, run within the server.
//!
//! The leader is the key with the lowest create revision below the election's name; its value is what the
//! leader proclaims. Source: `client/v3/concurrency/election.go` of etcd.

use async_stream::try_stream;
use axum::Router;
use etcd_client::proto::{
    PbCampaignResponse, PbDeleteRequest, PbLeaderKey, PbLeaderResponse, PbProclaimResponse, PbPutRequest,
    PbResignResponse, PbTxnOpRequest,
};
use tonic::{Response, Status};

use crate::service::base::{Reply, ResponseStream, Service};
use crate::service::method::{streaming, unary};
use crate::service::queue::{Place, Queue};
use crate::status::Refusal;

pub(crate) const NAME: &str = "v3electionpb.Election";

#[derive(Clone, PartialEq, prost::Message)]
struct CampaignRequest {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(int64, tag = "2")]
    lease: i64,
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LeaderRequest {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProclaimRequest {
    #[prost(message, optional, tag = "1")]
    leader: Option<PbLeaderKey>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResignRequest {
    #[prost(message, optional, tag = "1")]
    leader: Option<PbLeaderKey>,
}

/// The methods that are served.
pub(crate) fn routes(service: &Service) -> Router {
    let elections = Elections(Queue::new(service));
    let (campaign, proclaim, leader) = (elections.clone(), elections.clone(), elections.clone());
    let (observe, resign) = (elections.clone(), elections);
    Router::new()
        .route(
            "/v3electionpb.Election/Campaign",
            unary(move |request: CampaignRequest| campaign.clone().campaign(request)),
        )
        .route(
            "/v3electionpb.Election/Proclaim",
            unary(move |request: ProclaimRequest| proclaim.clone().proclaim(request)),
        )
        .route(
            "/v3electionpb.Election/Leader",
            unary(move |request: LeaderRequest| std::future::ready(leader.leader(&request.name))),
        )
        .route(
            "/v3electionpb.Election/Observe",
            streaming(move |request: LeaderRequest| std::future::ready(observe.observe(request))),
        )
        .route(
            "/v3electionpb.Election/Resign",
            unary(move |request: ResignRequest| resign.clone().resign(request)),
        )
}

#[derive(Clone, Debug)]
struct Elections(Queue);

impl Elections {
    async fn campaign(self, request: CampaignRequest) -> Reply<PbCampaignResponse> {
        let CampaignRequest { name, lease, value } = request;
        let Place { key, created, lease } = self.0.enter(&name, lease, value.clone()).await?;
        // A campaign that this lease began before may have put another value.
        let put = PbPutRequest { key: key.clone(), value, lease, ..Default::default() };
        if !self.0.if_held(&key, created, PbTxnOpRequest::RequestPut(put)).await? {
            return Err(not_leader());
        }
        let leader = Some(PbLeaderKey { name, key, rev: created, lease });
        Ok(Response::new(PbCampaignResponse { header: Some(self.0.header()), leader }))
    }

    async fn proclaim(self, ProclaimRequest { leader, value }: ProclaimRequest) -> Reply<PbProclaimResponse> {
        let leader = leader.ok_or_else(missing_key)?;
        let put = PbPutRequest { key: leader.key.clone(), value, lease: leader.lease, ..Default::default() };
        if !self.0.if_held(&leader.key, leader.rev, PbTxnOpRequest::RequestPut(put)).await? {
            return Err(not_leader());
        }
        Ok(Response::new(PbProclaimResponse { header: Some(self.0.header()) }))
    }

    fn leader(&self, name: &[u8]) -> Reply<PbLeaderResponse> {
        let kv = self.0.oldest(&[name, b"/"].concat())?;
        let kv = kv.ok_or_else(|| Status::unknown("election: no leader"))?;
        Ok(Response::new(PbLeaderResponse { header: Some(self.0.header()), kv: Some(kv) }))
    }

    /// Every proclamation from now on, the present one first.
    #[expect(clippy::unnecessary_wraps, reason = "a streaming method may refuse")]
    fn observe(&self, LeaderRequest { name }: LeaderRequest) -> Reply<ResponseStream<PbLeaderResponse>> {
        let (queue, prefix) = (self.0.clone(), [&name[..], b"/"].concat());
        Ok(Response::new(Box::pin(try_stream! {
            let mut changes = queue.changes();
            let mut last = 0;
            loop {
                changes.mark_unchanged();
                if let Some(kv) = queue.oldest(&prefix)?.filter(|kv| kv.mod_revision != last) {
                    last = kv.mod_revision;
                    yield PbLeaderResponse { header: Some(queue.header()), kv: Some(kv) };
                }
                changes.changed().await.map_err(|_| Status::from(Refusal::Stopped))?;
            }
        })))
    }

    async fn resign(self, ResignRequest { leader }: ResignRequest) -> Reply<PbResignResponse> {
        let leader = leader.ok_or_else(missing_key)?;
        let delete = PbDeleteRequest { key: leader.key.clone(), ..Default::default() };
        // One that leads no more has nothing to resign from, as in etcd.
        self.0.if_held(&leader.key, leader.rev, PbTxnOpRequest::RequestDeleteRange(delete)).await?;
        Ok(Response::new(PbResignResponse { header: Some(self.0.header()) }))
    }
}

fn missing_key() -> Status {
    Status::invalid_argument("\"leader\" field must be provided")
}

fn not_leader() -> Status {
    Status::unknown("election: not leader")
}
