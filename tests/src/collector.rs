//! A collector of OpenTelemetry's spans, over gRPC and over HTTP, in the process of the test.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message as _;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_stream::wrappers::TcpListenerStream;

use crate::{
    test_env::background,
    wait::{SOON, until},
};

/// A span as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenSpan {
    /// `service.name` of the process that sent it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The trace, in hex.
    pub trace: String,
    /// Its id, in hex.
    pub id: String,
    /// Its parent's, in hex; empty for a root.
    pub parent: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The traces and spans that it is linked to.
    pub links: Vec<(String, String)>,
}

impl SeenSpan {
    /// An attribute; empty without it.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Its context as W3C Trace Context has it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}

#[derive(Clone, Debug, Default)]
struct Received(Arc<Mutex<Vec<SeenSpan>>>);

/// A collector, until it is dropped.
#[derive(Debug)]
pub struct Collector {
    received: Received,
    task: JoinHandle<()>,
    port: u16,
    protocol: &'static str,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collector {
    /// One that speaks gRPC.
    ///
    /// # Panics
    /// If the system gives it no port.
    pub async fn grpc() -> Self {
        let (listener, port) = listen().await;
        let received = Received::default();
        let service = TraceServiceServer::new(received.clone());
        let task = background(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("the collector serves");
        });
        Self { received, task, port, protocol: "grpc" }
    }

    /// One that speaks HTTP.
    ///
    /// # Panics
    /// If the system gives it no port.
    pub async fn http() -> Self {
        let (listener, port) = listen().await;
        let received = Received::default();
        let to = received.clone();
        let task = background(async move {
            while let Ok((stream, _)) = listener.accept().await {
                background(serve(stream, to.clone()));
            }
        });
        Self { received, task, port, protocol: "http/protobuf" }
    }

    /// One that takes connections and never answers.
    ///
    /// # Panics
    /// If the system gives it no port.
    pub async fn silent(protocol: &'static str) -> Self {
        let (listener, port) = listen().await;
        let task = background(async move {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.push(stream);
            }
        });
        Self { received: Received::default(), task, port, protocol }
    }

    /// The variables that send spans here.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", self.protocol.to_owned()),
        ]
    }

    /// What has arrived.
    #[must_use]
    pub fn spans(&self) -> Vec<SeenSpan> {
        self.received.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what has arrived is as wanted.
    ///
    /// # Panics
    /// If it is not in time.
    pub async fn until<T>(&self, what: &str, wanted: impl Fn(&[SeenSpan]) -> Option<T>) -> T {
        until(what, SOON, async || {
            let spans = self.spans();
            wanted(&spans).ok_or(spans)
        })
        .await
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

async fn serve(stream: TcpStream, received: Received) {
    let answer = |request: Request<Incoming>| {
        let received = received.clone();
        async move {
            let wanted = request.method() == Method::POST && request.uri().path() == "/v1/traces";
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let status = match ExportTraceServiceRequest::decode(body) {
                Ok(spans) if wanted => {
                    received.take(spans);
                    StatusCode::OK
                }
                _ => StatusCode::BAD_REQUEST,
            };
            let response = Response::builder().status(status).body(Full::new(Bytes::new()));
            Ok::<_, Infallible>(response.expect("a status alone is an answer"))
        }
    };
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await);
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.take(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Received {
    fn take(&self, request: ExportTraceServiceRequest) {
        let mut seen = Vec::new();
        for of_process in request.resource_spans {
            let resource = attributes(of_process.resource.map(|one| one.attributes).unwrap_or_default());
            let service = resource.get("service.name").cloned().unwrap_or_default();
            for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let links = span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id)));
                seen.push(SeenSpan {
                    service: service.clone(),
                    links: links.collect(),
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes: attributes(span.attributes),
                });
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(seen);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    };
    list.into_iter().map(|one| (one.key, text(one.value.and_then(|value| value.value)))).collect()
}
