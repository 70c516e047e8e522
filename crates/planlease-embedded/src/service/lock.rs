//! etcd's `v3lock` service: the mutex recipe of etcd's Go client, run within the server.
//!
//! A lock is the key with the lowest create revision below its name, held for as long as its lease lives.
//! Source: `client/v3/concurrency/mutex.go` of etcd.

use axum::Router;
use etcd_client::proto::{PbLockResponse, PbUnlockResponse};
use tonic::Response;

use crate::service::base::Service;
use crate::service::method::unary;
use crate::service::queue::{Place, Queue};

pub(crate) const NAME: &str = "v3lockpb.Lock";

#[derive(Clone, PartialEq, prost::Message)]
struct LockRequest {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    /// 0 lets the server grant one of its own.
    #[prost(int64, tag = "2")]
    lease: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct UnlockRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

/// The methods that are served.
pub(crate) fn routes(service: &Service) -> Router {
    let queue = Queue::new(service);
    let lock = unary(move |LockRequest { name, lease }: LockRequest| {
        let queue = queue.clone();
        async move {
            let Place { key, .. } = queue.enter(&name, lease, Vec::new()).await?;
            Ok(Response::new(PbLockResponse { header: Some(queue.header()), key }))
        }
    });
    let queue = Queue::new(service);
    let unlock = unary(move |UnlockRequest { key }: UnlockRequest| {
        let queue = queue.clone();
        async move {
            queue.delete(key).await?;
            Ok(Response::new(PbUnlockResponse { header: Some(queue.header()) }))
        }
    });
    Router::new().route("/v3lockpb.Lock/Lock", lock).route("/v3lockpb.Lock/Unlock", unlock)
}
