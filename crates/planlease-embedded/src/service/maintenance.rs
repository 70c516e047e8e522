//! etcd's Maintenance service, as far as it makes sense for one member without raft.

use std::sync::Arc;

use bytes::Bytes;
use etcd_client::proto::{
    PbAlarmMember, PbAlarmRequest, PbAlarmResponse, PbDefragmentRequest, PbDefragmentResponse,
    PbDowngradeRequest, PbDowngradeResponse, PbHashKvRequest, PbHashKvResponse, PbHashRequest,
    PbHashResponse, PbMaintenanceService, PbMoveLeaderRequest, PbMoveLeaderResponse, PbSnapshotRequest,
    PbSnapshotResponse, PbStatusRequest, PbStatusResponse,
};
use etcd_client::{AlarmAction, AlarmType};
use tonic::{Request, Response, Status};

use crate::engine::Engine;
use crate::hash::hash_kv;
use crate::service::base::{Reply, ResponseStream, Service};
use crate::snapshot_file::file;
use crate::status::Refusal;
use crate::version::VERSION;

/// The bytes of a snapshot in one message.
const SNAPSHOT_PART: usize = 32 * 1024;

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

    /// A file that `etcdutl snapshot restore` makes a store of etcd's of.
    async fn snapshot(
        &self,
        _: Request<PbSnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let contents = self.shared.call(Engine::snapshot).await?;
        let shared = Arc::clone(&self.shared);
        let made = tokio::task::spawn_blocking(move || Bytes::from(file(contents, &shared.identity)));
        let mut left = made.await.map_err(|error| Status::internal(error.to_string()))?;
        let (stop, shared) = (self.stop.clone(), Arc::clone(&self.shared));
        let parts = std::iter::from_fn(move || {
            // A stream that ends early is no snapshot: its readers miss the hash at the end, and the error.
            if stop.is_cancelled() && !left.is_empty() {
                left.clear();
                return Some(Err(Refusal::Stopped.into()));
            }
            let part = left.split_to(left.len().min(SNAPSHOT_PART));
            (!part.is_empty()).then(|| {
                Ok(PbSnapshotResponse {
                    header: Some(shared.header()),
                    remaining_bytes: left.len() as u64,
                    blob: part.to_vec(),
                    ..Default::default()
                })
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn move_leader(&self, _: Request<PbMoveLeaderRequest>) -> Reply<PbMoveLeaderResponse> {
        Err(Refusal::BadLeaderTransferee.into())
    }

    async fn downgrade(&self, _: Request<PbDowngradeRequest>) -> Reply<PbDowngradeResponse> {
        Err(Status::unimplemented("this server has no cluster version to change"))
    }
}
