//! Serves the output that is kept on this host to readers on others. Each reader reads the files at its own
//! pace: one that is slow misses what is removed meanwhile, and is shown how much; no command waits for it.

use std::{
    borrow::Cow,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use percent_encoding::percent_decode_str;
use planlease_core::{PlanName, TaskId, TermNumber, logs::LogsRecord};
use subtle::ConstantTimeEq as _;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{
    frame::encode,
    http::{self as listener, Body, ListenError, Places, Taken, said},
    output::{From, Outputs, Piece, Reader},
};

/// How often it is looked whether there is more.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// After how many looks without output a reader is shown that the stream lives: two seconds.
const SHOW_LIFE: u32 = 20;

/// How long the end of a process waits for its readers.
const AT_THE_END: Duration = Duration::from_secs(1);

/// A listener that serves what is kept, until it is dropped.
#[derive(Debug)]
pub struct LogServer {
    address: String,
    token: Arc<RwLock<String>>,
    places: Places,
    task: JoinHandle<Infallible>,
}

impl LogServer {
    /// Listens on an address. `host` is shown to readers if the address is that of no interface in
    /// particular.
    ///
    /// # Errors
    /// [`ListenError::NotLoopback`] unless `allow_remote`, and what the system refuses.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was bound.
    pub async fn bind(
        at: SocketAddr,
        allow_remote: bool,
        host: &str,
        outputs: Outputs,
    ) -> Result<Self, ListenError> {
        let socket = listener::bind(at, allow_remote).await?;
        let bound = socket.local_addr().map_err(|source| ListenError::Io { at, source })?;
        let address =
            if bound.ip().is_unspecified() { format!("{host}:{}", bound.port()) } else { bound.to_string() };
        let (token, places) = (Arc::new(RwLock::new(new_token())), Places::default());
        let shared = (Arc::new(outputs), Arc::clone(&token));
        let answer = move |request, taken| {
            let (outputs, token) = shared.clone();
            async move { answer(request, taken, &outputs, &token).await }
        };
        #[expect(clippy::disallowed_methods, reason = "the handle owns the task, and stops it")]
        let task = tokio::spawn(listener::serve(socket, places.clone(), answer));
        Ok(Self { address, token, places, task })
    }

    /// Where readers find it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What a new session shows to readers. Makes a new token; the one before is not accepted any more, and
    /// streams that have begun go on.
    #[must_use]
    pub fn for_session(&self) -> LogsRecord {
        let token = new_token();
        self.token.write().unwrap_or_else(PoisonError::into_inner).clone_from(&token);
        LogsRecord::new(self.address.clone(), token)
    }

    /// Takes no further readers, and gives those that there are a second to read to the end of what they
    /// follow: for a process that is about to end.
    ///
    /// # Cancel safety
    /// Cancel safe: the waiting ends.
    pub async fn finish(&self) {
        self.places.empty(AT_THE_END).await;
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// 244 random bits.
fn new_token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// What is asked for.
#[derive(Debug, Default)]
struct Query {
    plan: Option<PlanName>,
    task: Option<TaskId>,
    attempt: u32,
    term: Option<TermNumber>,
    from: From,
    follow: bool,
}

impl Query {
    /// `None` if it cannot be understood.
    fn read(text: &str) -> Option<Self> {
        let mut query = Self::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=')?;
            let value: Cow<'_, str> = percent_decode_str(value).decode_utf8().ok()?;
            match name {
                "plan" => query.plan = Some(PlanName::new(&value).ok()?),
                "task" => query.task = Some(TaskId::new(&value).ok()?),
                "attempt" => query.attempt = value.parse().ok()?,
                "term" => query.term = Some(TermNumber(value.parse().ok()?)),
                "tail" => query.from.tail = Some(value.parse().ok()?),
                "since" => query.from.since = Some(value.parse().ok()?),
                "offset" => query.from.offset = value.parse().ok()?,
                "follow" => query.follow = &*value == "true",
                _ => return None,
            }
        }
        Some(query)
    }
}

async fn answer(
    request: Request<Incoming>,
    taken: Taken,
    outputs: &Outputs,
    token: &RwLock<String>,
) -> Response<Body> {
    let given = request.headers().get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    let known = token.read().unwrap_or_else(PoisonError::into_inner).clone();
    if !bool::from(known.as_bytes().ct_eq(given)) {
        return said(StatusCode::UNAUTHORIZED, "show the token that is stored beside the registration\n");
    }
    if request.method() != Method::GET || request.uri().path() != "/v1/output" {
        return said(StatusCode::NOT_FOUND, "there is GET /v1/output\n");
    }
    let query = request.uri().query().and_then(Query::read);
    let Some((Some(plan), Some(task), query)) = query.map(|mut q| (q.plan.take(), q.task.take(), q)) else {
        return said(StatusCode::BAD_REQUEST, "name a plan, a task and an attempt\n");
    };
    let (outputs, from, follow) = (outputs.clone(), query.from, query.follow);
    let open = move || {
        let folder = outputs.find(&plan, &task, query.attempt, query.term)?;
        folder.map(|folder| Reader::open(&folder, from)).transpose()
    };
    match tokio::task::spawn_blocking(open).await {
        Ok(Ok(Some(reader))) => {
            let mut response = Response::new(StreamBody::new(stream(reader, follow, taken)).boxed_unsync());
            let kind = http::HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            // With the end of the stream its connection ends: see `LogServer::finish`.
            response.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
            response
        }
        Ok(Ok(None)) => said(StatusCode::NOT_FOUND, "the output of that attempt is not kept here\n"),
        Ok(Err(_)) | Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read\n"),
    }
}

/// The pieces of an attempt, as they come. Nothing is read before the client has taken the piece before.
fn stream(
    reader: Reader,
    follow: bool,
    taken: Taken,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    async_stream::stream! {
        let (mut reader, mut silent) = (reader, 0);
        loop {
            taken.note();
            let read = tokio::task::spawn_blocking(move || {
                let piece = reader.read_next();
                (reader, piece)
            });
            let Ok((back, Ok(piece))) = read.await else { return };
            reader = back;
            match &piece {
                Piece::Nothing if !follow => return yield Ok(Frame::data(encode(&Piece::Nothing))),
                Piece::Nothing => {
                    silent += 1;
                    if silent % SHOW_LIFE == 0 {
                        yield Ok(Frame::data(encode(&piece)));
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Piece::End(_) => return yield Ok(Frame::data(encode(&piece))),
                Piece::Bytes { .. } | Piece::Gap(_) => {
                    silent = 0;
                    yield Ok(Frame::data(encode(&piece)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        output::{AttemptId, Recorder},
        remote::{Ask, Remote, RemoteError},
    };

    fn ask(id: &AttemptId, attempt: u32) -> Ask<'_> {
        let from = From::default();
        Ask { plan: &id.plan, task: &id.task, attempt, term: None, from, follow: true }
    }

    #[tokio::test]
    async fn output_is_served_to_readers_with_the_token_of_the_session() {
        let home = tempfile::tempdir().unwrap();
        let outputs = Outputs::new(home.path(), "store");
        let (plan, task) = (PlanName::new("p & q=1").unwrap(), TaskId::new("1.1").unwrap());
        let id = AttemptId { plan, task, attempt: 1, token: "1.1".parse().unwrap() };
        let mut recorder = Recorder::start(&outputs.place(&id));
        recorder.add(b"heard\n");
        let at = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = LogServer::bind(at, false, "host", outputs.clone()).await.unwrap();
        let (former, present) = (server.for_session(), server.for_session());
        let forged = LogsRecord::new(present.address.clone(), "0".repeat(64));
        let none = LogsRecord::new(present.address.clone(), String::new());
        for refused in [&former, &forged, &none] {
            let error = Remote::open(refused, &ask(&id, 1)).await.unwrap_err().to_string();
            assert!(error.contains("401"), "{error}");
        }
        let error = Remote::open(&present, &ask(&id, 2)).await.unwrap_err();
        assert!(matches!(error, RemoteError::NotKept), "{error}");
        let mut remote = Remote::open(&present, &ask(&id, 1)).await.unwrap();
        let Piece::Bytes { bytes, .. } = remote.next().await.unwrap() else { panic!("output comes first") };
        assert_eq!(bytes, b"heard\n");
        // A stream that was begun outlives its token.
        let _later = server.for_session();
        recorder.finish("exited with code 0".into()).await;
        let end = loop {
            match remote.next().await.unwrap() {
                Piece::Nothing => {}
                piece => break piece,
            }
        };
        assert!(matches!(end, Piece::End(Some(ref end)) if end.total == 6), "{end:?}");
        let remote =
            LogServer::bind(SocketAddr::from(([0, 0, 0, 0], 0)), false, "host", outputs.clone()).await;
        assert!(matches!(remote, Err(ListenError::NotLoopback(_))));
        let remote =
            LogServer::bind(SocketAddr::from(([0, 0, 0, 0], 0)), true, "host", outputs).await.unwrap();
        assert!(remote.address().starts_with("host:"), "{}", remote.address());
    }
}
