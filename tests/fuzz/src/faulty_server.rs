//! A faulty server: a real one, with a proxy in front that changes its answers.
//!
//! Connections are in memory and time is tokio's, so that a test can wait for hours of it. What was said to
//! the client is kept, for tests that have to know what the client may conclude.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
};

use bolero::TypeGenerator;
use bytes::{Bytes, BytesMut};
use etcd_client::{
    Channel,
    proto::{PbPutRequest, PbTxnResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body as _, Frame};
use planlease::{
    config::Endpoint,
    connect::{Connecting, Connection, Connector},
};
use prost::Message;
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, body::Body, server::NamedService, transport::Server};
use tower::{Service, ServiceExt as _};
use uuid::Uuid;

use crate::{
    edit::{self, Edit},
    grpc::{self, Frames, framed, framed_as, take_messages, went_well},
    protobuf::{self, Change},
};

/// How many requests one test may make of the server. Beyond it the client goes in circles without a pause,
/// and receives nothing any more.
pub const MOST_REQUESTS: u64 = 3_000;

/// What becomes of one message on its way to the client.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Lie {
    /// It is changed, and still a message.
    Changed(Vec<Change>),
    /// Its bytes are changed.
    Edited(Vec<Edit>),
    /// It is something else.
    Else(Vec<u8>),
    /// It comes twice.
    Twice,
    /// What was said before is said again instead.
    Before(u8),
    /// It claims to have another length.
    Claims(u32),
    /// It does not come.
    Lost,
    /// An error comes instead.
    Status(u8, u8),
    /// Nothing comes any more.
    Silence,
}

/// What is said when.
#[derive(Clone, Debug, TypeGenerator)]
pub struct Lies {
    /// After so many true messages, this.
    pub lies: Vec<(u8, Lie)>,
    /// Whether the last one is delivered again and again.
    pub insists: bool,
}

/// What a server may say instead of an answer.
const COMPLAINTS: &[&str] = &[
    "etcdserver: requested lease not found",
    "etcdserver: mvcc: required revision has been compacted",
    "etcdserver: mvcc: database space exceeded",
    "etcdserver: permission denied",
    "etcdserver: invalid auth token",
    "etcdserver: lease already exists",
    "etcdserver: leader changed",
    "etcdserver: too many requests",
    "boom",
    "",
];

/// Where a test sees both sides.
#[derive(Clone, Debug)]
pub struct FaultyServer {
    connections: mpsc::UnboundedSender<io::Result<DuplexStream>>,
    honest: Channel,
    said: Arc<Mutex<Said>>,
}

/// What was said, and what is to be said.
#[derive(Debug, Default)]
struct Said {
    lies: Vec<(u8, Lie)>,
    insists: bool,
    true_ones: u8,
    requests: u64,
    /// The messages that reached the client.
    messages: Vec<Bytes>,
    /// The transactions that were reported to the client as succeeded.
    granted: Vec<Bytes>,
}

impl FaultyServer {
    /// A proxy that changes nothing until [`FaultyServer::begin`], with the future that has to run
    /// meanwhile.
    pub fn before(honest: Channel) -> (Self, impl Future<Output = Result<(), tonic::transport::Error>>) {
        let (connections, incoming) = mpsc::unbounded_channel();
        let said = Arc::new(Mutex::new(Said::default()));
        let middle = Middle { honest: honest.clone(), said: Arc::clone(&said) };
        let serving = Server::builder()
            .add_service(Kv(middle.clone()))
            .add_service(Watch(middle.clone()))
            .add_service(Lease(middle.clone()))
            .add_service(Maintenance(middle))
            .serve_with_incoming(UnboundedReceiverStream::new(incoming));
        (Self { connections, honest, said }, serving)
    }

    /// Puts a key, as any client of etcd can.
    ///
    /// # Panics
    /// If the server does not take it.
    pub async fn put(&self, key: Vec<u8>) {
        let message = PbPutRequest { key, ..PbPutRequest::default() }.encode_to_vec();
        let frames = Frames { data: [framed(&message)].into(), ..Frames::default() };
        let answer = grpc::call(self.honest.clone(), "/etcdserverpb.KV/Put", frames, 1).await;
        assert_eq!(answer.messages.len(), 1, "{:?}", answer.status);
    }

    /// From now on, these lies.
    pub fn begin(&self, lies: &Lies) {
        let mut reported = lies.lies.clone();
        reported.truncate(12);
        *self.said() =
            Said { lies: reported.into_iter().rev().collect(), insists: lies.insists, ..Said::default() };
    }

    /// How many requests were made since then.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.said().requests
    }

    /// Whether the write of this id was reported to the client as done: by the success of a transaction
    /// with it, or by something that was read.
    #[must_use]
    pub fn has_stated(&self, op_id: Uuid) -> bool {
        let text = op_id.to_string();
        let has = |bytes: &Bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let said = self.said();
        said.granted.iter().any(has) || said.messages.iter().any(has)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        lock(&self.said)
    }
}

fn lock(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    said.lock().expect("nothing panics that holds it")
}

impl Connector for FaultyServer {
    fn connect(&self, _: &Endpoint) -> Connecting {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let sent = self.connections.send(Ok(theirs));
        Box::pin(async move {
            let ours: Box<dyn Connection> = Box::new(ours);
            sent.map(|()| ours).map_err(|_| io::ErrorKind::ConnectionRefused.into())
        })
    }
}

/// What comes instead of one message.
enum Instead {
    Frames(Vec<Bytes>),
    Error(Status),
    Nothing,
}

impl Said {
    /// Decides what becomes of a message. `request`: what it is the answer to, if it answers one.
    fn say(&mut self, message: &Bytes, request: Option<&Bytes>) -> Instead {
        if self.requests > MOST_REQUESTS {
            return Instead::Nothing;
        }
        let lie = match self.lies.last() {
            Some((after, _)) if self.true_ones < after % 8 => None,
            Some(_) if self.insists && self.lies.len() == 1 => self.lies.last().map(|(_, lie)| lie.clone()),
            Some(_) => self.lies.pop().map(|(_, lie)| lie),
            None => None,
        };
        let Some(lie) = lie else {
            self.true_ones = self.true_ones.saturating_add(1);
            return Instead::Frames(vec![self.report(message.clone(), request)]);
        };
        self.true_ones = 0;
        match lie {
            Lie::Changed(changes) => {
                let change = |bytes: Vec<u8>, change| protobuf::changed(&bytes, change);
                let changed = changes.iter().take(4).fold(message.to_vec(), change);
                Instead::Frames(vec![self.report(changed.into(), request)])
            }
            Lie::Edited(edits) => {
                let mut bytes = message.to_vec();
                edit::make(&mut bytes, &edits, &[]);
                Instead::Frames(vec![self.report(bytes.into(), request)])
            }
            Lie::Else(bytes) => Instead::Frames(vec![self.report(bytes.into(), request)]),
            Lie::Twice => {
                let frame = self.report(message.clone(), request);
                Instead::Frames(vec![frame.clone(), frame])
            }
            Lie::Before(n) => {
                let earlier = self.messages.len().checked_sub(1 + usize::from(n));
                let earlier = earlier.map_or(message, |at| &self.messages[at]).clone();
                Instead::Frames(vec![self.report(earlier, request)])
            }
            Lie::Claims(length) => {
                self.report(message.clone(), request);
                Instead::Frames(vec![framed_as(length, message)])
            }
            Lie::Lost => Instead::Frames(Vec::new()),
            Lie::Status(code, text) => {
                let text = COMPLAINTS[usize::from(text) % COMPLAINTS.len()];
                Instead::Error(Status::new(i32::from(code % 16 + 1).into(), text))
            }
            Lie::Silence => Instead::Nothing,
        }
    }

    fn report(&mut self, message: Bytes, request: Option<&Bytes>) -> Bytes {
        let succeeded = || PbTxnResponse::decode(message.clone()).is_ok_and(|answer| answer.succeeded);
        if let Some(request) = request.filter(|_| succeeded()) {
            self.granted.push(request.clone());
        }
        let frame = framed(&message);
        self.messages.push(message);
        frame
    }
}

/// The one in the middle.
#[derive(Clone)]
struct Middle {
    honest: Channel,
    said: Arc<Mutex<Said>>,
}

impl Middle {
    async fn answer(self, request: Request<Body>) -> Response<Body> {
        lock(&self.said).requests += 1;
        let method = request.uri().path().to_owned();
        let is_stream = matches!(method.rsplit('/').next(), Some("Watch" | "LeaseKeepAlive"));
        if is_stream {
            let response = self.honest.oneshot(request).await.expect("the server is in memory");
            let (head, inner) = response.into_parts();
            let reported = Delivered {
                inner,
                said: self.said,
                rest: BytesMut::new(),
                ready: Frames::default(),
                ended: false,
            };
            return Response::from_parts(head, Body::new(reported));
        }
        let request = whole(request.into_body()).await;
        let frames = Frames { data: [framed(&request)].into(), ..Frames::default() };
        let answer = grpc::call(self.honest, &method, frames, 1).await;
        let Some(message) = answer.messages.first() else { return answer.status.into_http() };
        match lock(&self.said).say(message, Some(&request)) {
            Instead::Frames(data) => {
                respond(Frames { data: data.into(), trailers: Some(went_well()), stays_open: false })
            }
            Instead::Error(status) => status.into_http(),
            Instead::Nothing => respond(Frames { stays_open: true, ..Frames::default() }),
        }
    }
}

fn respond(frames: Frames) -> Response<Body> {
    let mut response = Response::new(Body::new(frames));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// The first message of a request.
async fn whole(mut body: Body) -> Bytes {
    let mut bytes = BytesMut::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    take_messages(&mut bytes).into_iter().next().unwrap_or_default()
}

/// The answers of a stream, as they are delivered.
struct Delivered {
    inner: Body,
    said: Arc<Mutex<Said>>,
    rest: BytesMut,
    ready: Frames,
    ended: bool,
}

impl http_body::Body for Delivered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let reported = &mut *self;
        loop {
            if let Some(data) = reported.ready.data.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if reported.ready.stays_open {
                return Poll::Pending;
            }
            if let Some(trailers) = reported.ready.trailers.take() {
                reported.ended = true;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            if reported.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut reported.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => reported.rest.extend_from_slice(&data),
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
            for message in take_messages(&mut reported.rest) {
                match lock(&reported.said).say(&message, None) {
                    Instead::Frames(data) => reported.ready.data.extend(data),
                    Instead::Error(status) => reported.ready.trailers = Some(trailers(&status)),
                    Instead::Nothing => reported.ready.stays_open = true,
                }
            }
        }
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(i32::from(status.code())));
    if let Ok(text) = HeaderValue::from_str(status.message()) {
        trailers.insert("grpc-message", text);
    }
    trailers
}

macro_rules! service {
    ($type:ident, $name:literal) => {
        #[derive(Clone)]
        struct $type(Middle);

        impl NamedService for $type {
            const NAME: &'static str = $name;
        }

        impl Service<Request<Body>> for $type {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                let answer = self.0.clone().answer(request);
                Box::pin(async move { Ok(answer.await) })
            }
        }
    };
}

service!(Kv, "etcdserverpb.KV");
service!(Watch, "etcdserverpb.Watch");
service!(Lease, "etcdserverpb.Lease");
service!(Maintenance, "etcdserverpb.Maintenance");
