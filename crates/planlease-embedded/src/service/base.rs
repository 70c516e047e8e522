//! What every gRPC service has: the server, its bounds, the forms of its answers.

use std::pin::Pin;
use std::sync::Arc;

use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::shared::Shared;

/// Bytes of the largest message that is decoded at all; what is above a request's limit and below this is
/// refused with etcd's own text. No more, since decoding takes up to a hundred bytes for each byte.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

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
