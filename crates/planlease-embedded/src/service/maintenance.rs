//! etcd's Maintenance service, as far as it makes sense for one member without raft.

use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse,
    PbDowngradeRequest, PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest,
    PbHashResponse, PbMaintenanceService, PbMoveLeaderRequest, PbMoveLeaderResponse, PbSnapshotRequest,
    PbSnapshotResponse, PbStatusRequest, PbStatusResponse,
};
use etcd_client::{AlarmAction, AlarmType};
use tonic::{Request, Response, Status};

use crate::VERSION;
use crate::hash::hash_kv;
use crate::service::{Reply, ResponseStream, Service};
use crate::status::Refusal;

#[tonic::async_trait]
impl PbMaintenanceService for Service {
    /// The one alarm here is NOSPACE, for as long as the disk is nearly full; it ends by itself.
    async fn alarm(&self, request: Request<PbAlarmRequest>) -> Reply<PbAlarmResponse> {
        self.shared.check_open()?;
        if request.into_inner().action == AlarmAction::Activate as i32 {
            return Err(Status::unimplemented("this server has no alarms to activate"));
        }
        let no_space =
            PbAlarmMember { member_id: self.shared.identity.member_id, alarm: AlarmType::Nospace.into() };
        let alarms = self.shared.check_space().err().map(|_| no_space).into_iter().collect();
        Ok(Response::new(PbAlarmResponse { header: Some(self.shared.header()), alarms }))
    }

    async fn status(&self, _: Request<PbStatusRequest>) -> Reply<PbStatusResponse> {
        self.shared.check_open()?;
        let (bytes, mark) = self.shared.read(|engine| (engine.bytes(), engine.published()));
        let db_size = i64::try_from(bytes).unwrap_or(i64::MAX);
        Ok(Response::new(PbStatusResponse {
            header: Some(self.shared.header_at(mark.revision)),
            version: VERSION.to_owned(),
            db_size,
            db_size_in_use: db_size,
            leader: self.shared.identity.member_id,
            raft_index: mark.index,
            raft_applied_index: mark.index,
            raft_term: self.shared.identity.term,
            ..Default::default()
        }))
    }

    /// Space is reused as it is; there is nothing to do.
    async fn defragment(&self, _: Request<PbDefragmentRequest>) -> Reply<PbDefragmentResponse> {
        self.shared.check_open()?;
        Ok(Response::new(PbDefragmentResponse { header: Some(self.shared.header()) }))
    }

    async fn hash(&self, _: Request<PbHashRequest>) -> Reply<PbHashResponse> {
        self.shared.check_open()?;
        let (hash, revision) = self
            .shared
            .read(|engine| hash_kv(engine.store(), 0).map(|hash| (hash, engine.store().visible())))?;
        Ok(Response::new(PbHashResponse { header: Some(self.shared.header_at(revision)), hash }))
    }

    async fn hash_kv(&self, request: Request<PbHashKvRequest>) -> Reply<PbHashKvResponse> {
        self.shared.check_open()?;
        let asked = request.into_inner().revision;
        self.shared.read(|engine| {
            let store = engine.store();
            let hash = hash_kv(store, asked)?;
            Ok(Response::new(PbHashKvResponse {
                header: Some(self.shared.header_at(store.visible())),
                hash,
                compact_revision: store.visible_compaction(),
                hash_revision: if asked == 0 { store.visible() } else { asked },
            }))
        })
    }

    type SnapshotStream = ResponseStream<PbSnapshotResponse>;

    async fn snapshot(
        &self,
        _: Request<PbSnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(Status::unimplemented("this server makes no snapshots; stop it and copy its data folder"))
    }

    async fn move_leader(&self, _: Request<PbMoveLeaderRequest>) -> Reply<PbMoveLeaderResponse> {
        Err(Refusal::BadLeaderTransferee.into())
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Reply<PbDowngradeResponse> {
        Err(Status::unimplemented("this server has no cluster version to change"))
    }
}
