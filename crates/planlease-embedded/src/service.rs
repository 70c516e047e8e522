//! The gRPC services: each file is one of etcd's, and only translates between the wire and the engine.

pub(crate) mod cluster;
pub(crate) mod kv;
pub(crate) mod lease;
pub(crate) mod maintenance;
pub(crate) mod watch;

use std::pin::Pin;
use std::sync::Arc;

use etcd_client::proto::{PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Response, Status};

use crate::shared::Shared;

/// Bytes of the largest message that is decoded at all; what is above a request's limit and below this is
/// refused with etcd's own text. No more, since decoding takes up to a hundred bytes for each byte.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The answers of a streaming call.
pub(crate) type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The result of a call that answers once.
pub(crate) type Reply<T> = Result<Response<T>, Status>;

/// What every service has: the server, and the sign for its streams to end.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: CancellationToken,
}

/// All services. Their streams end when `stop` is cancelled.
///
/// There is no Auth service, so tonic itself answers "unimplemented" to its calls.
pub(crate) fn routes(shared: &Arc<Shared>, stop: &CancellationToken) -> Routes {
    let service = Service { shared: Arc::clone(shared), stop: stop.clone() };
    let kv = PbKvServer::new(service.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Routes::new(kv)
        .add_service(PbWatchServer::new(service.clone()))
        .add_service(PbLeaseServer::new(service.clone()))
        .add_service(PbClusterServer::new(service.clone()))
        .add_service(PbMaintenanceServer::new(service))
        .prepare()
}
