//! The gRPC services: each file is one of etcd's, and only translates between the wire and the engine.

pub(crate) mod auth;
pub(crate) mod base;
pub(crate) mod cluster;
pub(crate) mod election;
pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod maintenance;
pub(crate) mod method;
pub(crate) mod queue;
pub(crate) mod watch;
pub(crate) mod words;

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use etcd_client::proto::{PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer};
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic::service::Routes;

use crate::service::base::{MESSAGE_BYTES_MAX, Service};
use crate::service::words::{Words, in_the_words_of_etcd};
use crate::shared::Shared;

/// All services. Their streams end when `stop` is cancelled.
pub(crate) fn routes(shared: &Arc<Shared>, stop: &CancellationToken) -> Routes {
    let service = Service { shared: Arc::clone(shared), stop: stop.clone() };
    /// A server that decodes and compresses as etcd's does.
    macro_rules! served {
        ($server:ident) => {
            $server::new(service.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
        };
    }
    // As in etcd, the status of the server as a whole is "serving" for as long as it can be asked.
    let (_, health) = tonic_health::server::health_reporter();
    let grpc = Routes::new(served!(PbKvServer))
        .add_service(served!(PbWatchServer))
        .add_service(served!(PbLeaseServer))
        .add_service(served!(PbClusterServer))
        .add_service(served!(PbMaintenanceServer))
        .add_service(health);
    let words = Words {
        services: vec![
            PbKvServer::<Service>::NAME,
            PbWatchServer::<Service>::NAME,
            PbLeaseServer::<Service>::NAME,
            PbClusterServer::<Service>::NAME,
            PbMaintenanceServer::<Service>::NAME,
            auth::NAME,
            lock::NAME,
            election::NAME,
            "grpc.health.v1.Health",
        ],
        message_bytes_max: shared.limits.message_bytes_max(),
    };
    let router = grpc
        .into_axum_router()
        .merge(auth::routes(&service))
        .merge(lock::routes(&service))
        .merge(election::routes(&service))
        .layer(from_fn_with_state(Arc::new(words), in_the_words_of_etcd))
        .merge(http::routes(shared));
    Routes::from(router).prepare()
}
