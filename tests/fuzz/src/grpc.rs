//! gRPC below the level of messages: calls and answers of arbitrary bytes.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use etcd_client::Channel;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body as _, Frame};
use tonic::{Code, Status, body::Body};
use tower::ServiceExt as _;

/// A body of such frames, one after another; then its end, or nothing any more.
#[derive(Debug, Default)]
pub struct Frames {
    /// What is to come.
    pub data: VecDeque<Bytes>,
    /// What comes last.
    pub trailers: Option<HeaderMap>,
    /// Whether it stays open after that.
    pub stays_open: bool,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.stays_open {
            return Poll::Pending; // It is never woken: a caller has to have a deadline.
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

/// A message as it travels: a flag, its length, its bytes.
#[must_use]
pub fn framed(message: &[u8]) -> Bytes {
    framed_as(u32::try_from(message.len()).unwrap_or(u32::MAX), message)
}

/// A message that claims to have this length.
#[must_use]
pub fn framed_as(length: u32, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    frame.freeze()
}

/// The trailers of a call that went well.
#[must_use]
pub fn went_well() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))])
}

/// What came of a call: the bytes of the answers, and the status.
#[derive(Debug)]
pub struct Answer {
    /// The messages, in order.
    pub messages: Vec<Bytes>,
    /// How it ended.
    pub status: Status,
}

/// A request of these frames.
///
/// # Panics
/// If the method is no path.
#[must_use]
pub fn request(method: &str, frames: Frames) -> Request<Body> {
    Request::post(format!("http://localhost{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(frames))
        .expect("the headers are valid")
}

/// How long a stream may say nothing before its end is not waited for: a watch goes on until it is cancelled.
const SILENCE: Duration = Duration::from_secs(30);

/// Calls a method with these frames. Of a stream it reads `most` messages at most, and
/// until it is silent.
///
/// # Panics
/// If what answers is not even gRPC.
pub async fn call(channel: Channel, method: &str, frames: Frames, most: usize) -> Answer {
    let response = channel.oneshot(request(method, frames)).await.expect("the channel does not fail");
    assert_eq!(response.status(), 200, "a gRPC status, not one of HTTP");
    let (head, mut body) = response.into_parts();
    let mut status = Status::from_header_map(&head.headers);
    let (mut rest, mut messages) = (BytesMut::new(), Vec::new());
    while messages.len() < most {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let Ok(frame) = tokio::time::timeout(SILENCE, frame).await else { break };
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    rest.extend_from_slice(&data);
                    messages.extend(take_messages(&mut rest));
                }
                Err(frame) => {
                    status = frame.trailers_ref().and_then(Status::from_header_map).or(status);
                }
            },
            Some(Err(error)) => status = Some(error),
            None => break,
        }
    }
    let status = status.unwrap_or_else(|| Status::new(Code::Ok, "not said yet"));
    Answer { messages, status }
}

/// Takes the whole messages from the front.
///
/// # Panics
/// Never: four bytes are four bytes.
pub fn take_messages(bytes: &mut BytesMut) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some(length) = bytes.get(1..5) {
        let length = u32::from_be_bytes(length.try_into().expect("there are four")) as usize;
        if bytes.len() < 5 + length {
            break;
        }
        messages.push(bytes.split_to(5 + length).freeze().slice(5..));
    }
    messages
}
