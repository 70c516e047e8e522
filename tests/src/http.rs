//! A client of the sidecar: one request a connection or several, answers read whole, streams read event by
//! event.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, task::JoinHandle, time::timeout};

use crate::program::Process;

/// How long an answer may take that does not wait for anything.
const LIMIT: Duration = Duration::from_secs(30);

/// The variable by which a process of a test's binary learns that it is a program behind a sidecar.
pub const PROGRAM: &str = "SIDECAR_PROGRAM";

/// A sidecar, by its socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as JSON; null if it is none.
    pub json: Value,
    /// Its body.
    pub text: String,
}

impl Answer {
    /// The last part of the type of a problem.
    ///
    /// # Panics
    /// If it is no problem.
    #[must_use]
    pub fn problem(&self) -> &str {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], self.status.as_u16(), "{self:?}");
        self.json["type"].as_str().expect("a type").rsplit(':').next().unwrap_or_default()
    }

    /// The answer, which has to have this status.
    ///
    /// # Panics
    /// If it has not.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "the status is what is asked for")]
    #[expect(clippy::return_self_not_must_use, reason = "the status is what is asked for")]
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// The `ETag`.
    ///
    /// # Panics
    /// Without one.
    #[must_use]
    pub fn etag(&self) -> String {
        self.headers["etag"].to_str().expect("a tag").to_owned()
    }
}

/// An event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: Option<i64>,
    /// What kind it is.
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// A connection to a sidecar. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A stream of events. Dropping it closes the connection.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    read: Vec<u8>,
    _connection: Connection,
}

impl Client {
    /// Of the sidecar with this socket.
    #[must_use]
    pub fn of(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, with these headers and this body.
    ///
    /// # Panics
    /// If no answer comes.
    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let asked = format!("{method} {path}");
        let answer = async { self.connect().await.ask(method, path, headers, body).await };
        timeout(LIMIT, answer).await.unwrap_or_else(|_| panic!("{asked}: no answer within {LIMIT:?}"))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    /// Makes a request under the authority of a session; an empty one is none.
    pub async fn post(&self, path: &str, session: &str, body: &Value) -> Answer {
        let headers: &[_] = if session.is_empty() { &[] } else { &[("planlease-session", session)] };
        self.ask(Method::POST, path, headers, &body.to_string()).await
    }

    /// Changes a task that is known by this tag.
    pub async fn change(&self, path: &str, session: &str, tag: &str, body: &Value) -> Answer {
        let mut headers = vec![("if-match", tag)];
        if !session.is_empty() {
            headers.push(("planlease-session", session));
        }
        self.ask(Method::PATCH, path, &headers, &body.to_string()).await
    }

    /// Opens a stream.
    ///
    /// # Panics
    /// If the answer is none.
    pub async fn stream(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Events {
        let headers: Vec<_> = headers.iter().copied().chain([("accept", "text/event-stream")]).collect();
        let mut connection = self.connect().await;
        let answer = connection.send(method, path, &headers, body).await;
        assert_eq!(answer.status(), 200, "{path}");
        Events { body: answer.into_body(), read: Vec::new(), _connection: connection }
    }

    /// A connection that is kept, for one request after the other.
    ///
    /// # Panics
    /// If there is no listener.
    #[expect(
        clippy::disallowed_methods,
        reason = "the connection belongs to what is returned, which aborts it"
    )]
    pub async fn connect(&self) -> Connection {
        let stream = UnixStream::connect(&self.socket).await.expect("a sidecar");
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        Connection { sender, driver: tokio::spawn(async move { drop(connection.await) }) }
    }
}

impl Connection {
    /// Asks, with these headers and this body.
    ///
    /// # Panics
    /// If no answer comes.
    pub async fn ask(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (parts, body) = self.send(method, path, headers, body).await.into_parts();
        let bytes = body.collect().await.expect("a whole answer").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, json, text }
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if headers.iter().all(|(name, _)| *name != "planlease-request") {
            request = request.header("planlease-request", "true");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).expect("a request");
        self.sender.send_request(request).await.expect("an answer")
    }
}

impl Events {
    /// The next event; `None` at the end of the stream. Heartbeats are passed over.
    ///
    /// # Panics
    /// If none comes within this time.
    pub async fn next(&mut self, within: Duration) -> Option<Event> {
        timeout(within, self.read()).await.unwrap_or_else(|_| panic!("no event within {within:?}"))
    }

    /// Reads until an event of this name comes, and returns it.
    ///
    /// # Panics
    /// If none comes within this time, or the stream ends before.
    pub async fn until(&mut self, name: &str, within: Duration) -> Event {
        let reading = async {
            loop {
                match self.read().await {
                    Some(event) if event.name == name => return event,
                    Some(_) => {}
                    None => panic!("the stream ended before {name}"),
                }
            }
        };
        timeout(within, reading).await.unwrap_or_else(|_| panic!("no {name} within {within:?}"))
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.read.drain(..end + 2).collect();
                if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                    return Some(event);
                }
                continue;
            }
            let frame = self.body.frame().await?.ok()?;
            self.read.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        }
    }
}

/// An event; `None` if it is a comment.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some(Event {
        id: field("id").map(|id| id.parse().expect("a number")),
        name: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).expect("JSON"),
    })
}

/// Starts a program behind a sidecar: a process that owns a plan for as long as it lives. It says what its
/// stream says.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn start_owner(socket: &Path, plan: &str, output: &Path) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.env(PROGRAM, format!("{}\n{plan}", socket.display()));
    Process::start(command, output)
}

/// Is such a program, until it is killed or its stream ends.
///
/// # Panics
/// If it cannot reach the sidecar.
#[must_use]
pub fn run(orders: &std::ffi::OsStr) -> ExitCode {
    let orders = orders.to_str().expect("text");
    let (socket, plan) = orders.split_once('\n').expect("two lines");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("a sidecar");
    let request = format!(
        "POST /v1/plans/{plan}/ownership HTTP/1.1\r\nhost: localhost\r\nplanlease-request: true\r\naccept: \
         text/event-stream\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return ExitCode::SUCCESS,
            Ok(read) => {
                let said = String::from_utf8_lossy(&bytes[..read]).into_owned();
                println!("{said}");
            }
        }
    }
}
