//! Server-sent events: how one looks, and answers that are streams of them.
//!
//! An event is made once and sent to any number of subscribers as the same bytes.

use std::{convert::Infallible, time::Duration};

use async_stream::stream;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, header};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    problem::{Kind, Problem},
    shape::Own,
};

/// The type of a stream of events.
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// A comment: keeps connections open, and finds those that are not.
const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");

/// The bytes of one event. JSON has no line breaks of its own, so that one line of data is enough.
pub(crate) fn event(name: &str, id: Option<i64>, json: &str) -> Bytes {
    debug_assert!(!json.contains('\n'), "data is one line");
    match id {
        Some(id) => format!("id: {id}\nevent: {name}\ndata: {json}\n\n"),
        None => format!("event: {name}\ndata: {json}\n\n"),
    }
    .into()
}

/// The bytes of one event about a document.
pub(crate) fn document<T: Own>(name: &str, value: &T) -> Bytes {
    let json = planlease_documents::marked(Some(T::SCHEMA), value);
    event(name, None, &json.unwrap_or_else(|_| "{}".to_owned()))
}

/// Whether the client takes a stream of events.
///
/// # Errors
/// [`Kind::NotAcceptable`].
pub(crate) fn accepted(headers: &HeaderMap) -> Result<(), Problem> {
    if wanted(headers) {
        return Ok(());
    }
    Err(Problem::new(Kind::NotAcceptable, "send Accept: text/event-stream, and read the answer as it comes"))
}

/// Whether the client asks for a stream of events by name.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == "text/event-stream")
}

/// An answer that is this stream of events, with heartbeats in between.
pub(crate) fn answer(events: impl Stream<Item = Bytes> + Send + 'static, heartbeat: Duration) -> Response {
    let beating = events.map(Some).timeout_repeating(tokio::time::interval(heartbeat));
    let frames = beating.map(|event| match event {
        Ok(Some(event)) => Ok::<Bytes, Infallible>(event),
        Ok(None) | Err(_) => Ok(HEARTBEAT),
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENTS);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would keep events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// How often a client is asked that may be gone.
const ASK: Duration = Duration::from_secs(1);

/// Waits until a client is to be asked that may be gone from this moment on.
async fn is_due(moment: &CancellationToken, asked: bool) {
    moment.cancelled().await;
    if asked {
        tokio::time::sleep(ASK).await;
    }
}

/// The answer. If it is a stream of events, it sends a heartbeat at this moment and every second from then
/// on, besides its own.
pub(crate) fn ask_when(response: Response, moment: CancellationToken) -> Response {
    let is_stream = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENTS);
    if !is_stream {
        return response;
    }
    response.map(|body| {
        let mut frames = body.into_data_stream();
        Body::from_stream(stream! {
            let mut asked = false;
            loop {
                let frame = tokio::select! {
                    biased; // An event asks as well.
                    frame = frames.next() => frame,
                    () = is_due(&moment, asked) => {
                        asked = true;
                        Some(Ok(HEARTBEAT))
                    }
                };
                let Some(frame) = frame else { break };
                yield frame;
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_with_an_empty_line() {
        assert_eq!(event("changes", Some(7), "{}"), "id: 7\nevent: changes\ndata: {}\n\n");
        assert_eq!(event("lost", None, "{}"), "event: lost\ndata: {}\n\n");
    }

    #[test]
    fn a_stream_is_asked_for_by_name() {
        let asks = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            wanted(&headers)
        };
        assert!(asks("text/event-stream") && asks("application/json, text/event-stream;q=0.9"));
        assert!(!asks("*/*") && !asks("application/json") && !wanted(&HeaderMap::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_beats() {
        let response = answer(futures_util::stream::pending(), Duration::from_secs(5));
        let mut frames = response.into_body().into_data_stream();
        for _ in 0..3 {
            assert_eq!(frames.next().await.unwrap().unwrap(), HEARTBEAT);
        }
    }
}
