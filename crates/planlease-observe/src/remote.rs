//! Reads the output of an attempt from the host that keeps it.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use planlease_core::{PlanName, TaskId, TermNumber, logs::LogsRecord};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::{
    frame::Decoder,
    output::{From, Piece},
};

/// How long a connection and an answer may take.
const CONTACT: Duration = Duration::from_secs(3);

/// How long a stream may be silent: it shows every two seconds that it lives.
const SILENT: Duration = Duration::from_secs(10);

/// Which output, and from where on.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) plan: &'a PlanName,
    pub(crate) task: &'a TaskId,
    pub(crate) attempt: u32,
    pub(crate) term: Option<TermNumber>,
    pub(crate) from: From,
    pub(crate) follow: bool,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// That host does not keep it.
    #[error("it is not kept there")]
    NotKept,
    /// It does not answer, or not as it should.
    #[error("{0}")]
    Unreachable(String),
}

fn unreachable(why: impl ToString) -> RemoteError {
    RemoteError::Unreachable(why.to_string())
}

/// A stream of output.
#[derive(Debug)]
pub(crate) struct Remote {
    body: Incoming,
    decoder: Decoder,
    connection: JoinHandle<()>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Remote {
    /// Asks a host for it.
    pub(crate) async fn open(at: &LogsRecord, ask: &Ask<'_>) -> Result<Self, RemoteError> {
        timeout(CONTACT, Self::ask(at, ask)).await.unwrap_or_else(|_| Err(unreachable("no answer in time")))
    }

    async fn ask(at: &LogsRecord, ask: &Ask<'_>) -> Result<Self, RemoteError> {
        let stream = TcpStream::connect(&at.address).await.map_err(unreachable)?;
        let _ = stream.set_nodelay(true);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
        #[expect(clippy::disallowed_methods, reason = "the stream owns the task, and stops it")]
        let connection = tokio::spawn(async move { drop(connection.await) });
        let request = Request::get(format!("/v1/output?{}", query(ask)))
            .header(header::HOST, &at.address)
            .header(header::AUTHORIZATION, format!("Bearer {}", at.token))
            .body(Empty::<Bytes>::new())
            .map_err(unreachable)?;
        let answer = sender.send_request(request).await;
        let (status, body) = match answer {
            Ok(answer) => (answer.status(), answer.into_body()),
            Err(error) => {
                connection.abort();
                return Err(unreachable(error));
            }
        };
        let remote = Self { body, decoder: Decoder::default(), connection };
        match status {
            StatusCode::OK => Ok(remote),
            StatusCode::NOT_FOUND => Err(RemoteError::NotKept),
            status => Err(unreachable(format!("it answers {status}"))),
        }
    }

    /// What comes next. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Piece, RemoteError> {
        loop {
            if let Some(piece) = self.decoder.next().map_err(unreachable)? {
                return Ok(piece);
            }
            match timeout(SILENT, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        self.decoder.push(data);
                    }
                }
                Ok(Some(Err(error))) => return Err(unreachable(error)),
                Ok(None) => return Err(unreachable("the connection ended")),
                Err(_) => return Err(unreachable(format!("nothing was heard for {}s", SILENT.as_secs()))),
            }
        }
    }
}

fn query(ask: &Ask<'_>) -> String {
    let text = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut query =
        format!("plan={}&task={}&attempt={}", text(ask.plan.as_str()), text(ask.task.as_str()), ask.attempt);
    let numbers = [
        ("term", ask.term.map(|term| term.0)),
        ("tail", ask.from.tail),
        ("since", ask.from.since),
        ("offset", Some(ask.from.offset)),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            write!(query, "&{name}={value}").expect("a text can always be written to");
        }
    }
    query + if ask.follow { "&follow=true" } else { "" }
}
