//! One gRPC method at a time: for those of etcd's services for which etcd-client generates no server.

use std::future::Future;

use axum::body::Body as AxumBody;
use axum::routing::{MethodRouter, post};
use prost::Message;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::Request as HttpRequest;
use tonic::server::Grpc;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::service::base::{MESSAGE_BYTES_MAX, Reply, ResponseStream};

fn grpc<Q, A>() -> Grpc<ProstCodec<A, Q>>
where
    Q: Message + Default + Send + 'static,
    A: Message + Default + Send + 'static,
{
    Grpc::new(ProstCodec::default())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
}

/// A method that answers once.
pub(crate) fn unary<Q, A, R>(answer: impl Fn(Q) -> R + Clone + Send + Sync + 'static) -> MethodRouter
where
    Q: Message + Default + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
    R: Future<Output = Reply<A>> + Send + 'static,
{
    post(async move |request: HttpRequest<AxumBody>| {
        let service = tower::service_fn(move |request: Request<Q>| answer(request.into_inner()));
        grpc::<Q, A>().unary(service, request.map(Body::new)).await
    })
}

/// A method that answers with a stream.
pub(crate) fn streaming<Q, A, R>(answer: impl Fn(Q) -> R + Clone + Send + Sync + 'static) -> MethodRouter
where
    Q: Message + Default + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
    R: Future<Output = Reply<ResponseStream<A>>> + Send + 'static,
{
    post(async move |request: HttpRequest<AxumBody>| {
        let service = tower::service_fn(move |request: Request<Q>| answer(request.into_inner()));
        grpc::<Q, A>().server_streaming(service, request.map(Body::new)).await
    })
}

/// The status of a method that this server does not have, in the words of gRPC for Go, which etcd is built
/// on.
pub(crate) fn unknown(path: &str, services: &[&str]) -> Status {
    match path.trim_start_matches('/').split_once('/') {
        Some((service, method)) if services.contains(&service) => {
            Status::unimplemented(format!("unknown method {method} for service {service}"))
        }
        Some((service, _)) => Status::unimplemented(format!("unknown service {service}")),
        None => Status::unimplemented(format!("malformed method name: {path:?}")),
    }
}
