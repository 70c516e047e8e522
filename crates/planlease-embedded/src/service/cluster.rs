//! etcd's Cluster service, for a cluster that is one member and stays so.

use etcd_client::proto::{
    PbClusterService, PbMember, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest,
    PbMemberListResponse, PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest,
    PbMemberRemoveResponse, PbMemberUpdateRequest, PbMemberUpdateResponse,
};
use tonic::{Request, Response, Status};

use crate::service::base::{Reply, Service};

fn refuse<T>() -> Reply<T> {
    Err(Status::unimplemented("this server is a cluster of one member, which cannot change"))
}

#[tonic::async_trait]
impl PbClusterService for Service {
    async fn member_list(&self, _: Request<PbMemberListRequest>) -> Reply<PbMemberListResponse> {
        self.shared.check_open()?;
        let member = PbMember {
            id: self.shared.identity.member_id,
            name: self.shared.identity.name.clone(),
            peer_ur_ls: Vec::new(),
            client_ur_ls: self.shared.client_urls(),
            is_learner: false,
        };
        let header = Some(self.shared.header());
        Ok(Response::new(PbMemberListResponse { header, members: vec![member] }))
    }

    async fn member_add(&self, _: Request<PbMemberAddRequest>) -> Reply<PbMemberAddResponse> {
        refuse()
    }

    async fn member_remove(&self, _: Request<PbMemberRemoveRequest>) -> Reply<PbMemberRemoveResponse> {
        refuse()
    }

    async fn member_update(&self, _: Request<PbMemberUpdateRequest>) -> Reply<PbMemberUpdateResponse> {
        refuse()
    }

    async fn member_promote(&self, _: Request<PbMemberPromoteRequest>) -> Reply<PbMemberPromoteResponse> {
        refuse()
    }
}
