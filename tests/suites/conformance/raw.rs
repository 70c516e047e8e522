//! Sends etcd's own messages as a client in any language may: any method, any stream, compressed or not.

use std::pin::Pin;

use http::uri::PathAndQuery;
use planlease_tests::backend::Server;
use prost::Message;
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// A connection to a server.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    channel: Channel,
    gzip: bool,
}

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        let endpoint = Endpoint::from_shared(server.endpoints()[0].clone()).expect("the address of a server");
        Self { channel: endpoint.connect().await.expect("a server that runs"), gzip: false }
    }

    /// The same connection, with every message compressed.
    pub(crate) fn with_gzip(&self) -> Self {
        Self { gzip: true, ..self.clone() }
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone());
        if self.gzip {
            let encoding = CompressionEncoding::Gzip;
            grpc = grpc.send_compressed(encoding).accept_compressed(encoding);
        }
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(grpc)
    }

    /// Calls a method that answers once.
    pub(crate) async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let method = PathAndQuery::from_static(method);
        let answer = self.grpc().await?.unary(Request::new(request), method, codec).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Calls a method with a stream of requests. The sending half is closed when the stream ends.
    pub(crate) async fn stream<Q, A>(
        &self,
        method: &'static str,
        requests: impl Stream<Item = Q> + Send + 'static,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let method = PathAndQuery::from_static(method);
        let requests: Pin<Box<dyn Stream<Item = Q> + Send>> = Box::pin(requests);
        let answers = self.grpc().await?.streaming(Request::new(requests), method, codec).await;
        answers.map(tonic::Response::into_inner)
    }
}
