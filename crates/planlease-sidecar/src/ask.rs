//! Asking a sidecar something from another process of the host: for hooks and probes, where there is no other
//! client.

use std::{path::PathBuf, time::Duration};

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use crate::{headers::REQUEST, options::MAX_BODY};

/// Where a sidecar is, and what it has to be shown.
#[derive(Clone, Debug)]
pub enum Address {
    /// Its unix socket.
    Unix(PathBuf),
    /// Its port, as `127.0.0.1:7420`, and the token.
    Tcp(String, Option<String>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// No process listens there.
    #[error("no sidecar can be reached at {at}: {source}")]
    Unreachable {
        /// Where.
        at: String,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke, or what came was no answer.
    #[error("the sidecar at {at} does not answer: {reason}")]
    NoAnswer {
        /// Where.
        at: String,
        /// Why.
        reason: String,
    },
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(at, _) => f.write_str(at),
        }
    }
}

impl Address {
    /// Asks, and returns status and body of the answer.
    ///
    /// # Errors
    /// [`AskError`].
    ///
    /// # Cancel safety
    /// A dropped future leaves open whether the sidecar has heard it.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        within: Duration,
    ) -> Result<(StatusCode, String), AskError> {
        let no_answer = |reason: String| AskError::NoAnswer { at: self.to_string(), reason };
        let asking = async {
            let unreachable = |source| AskError::Unreachable { at: self.to_string(), source };
            match self {
                Self::Unix(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
                    self.converse(stream, method, path).await
                }
                Self::Tcp(at, _) => {
                    let stream = TcpStream::connect(at).await.map_err(unreachable)?;
                    self.converse(stream, method, path).await
                }
            }
        };
        let late = || no_answer(format!("nothing came within {} s", within.as_secs()));
        tokio::time::timeout(within, asking).await.unwrap_or_else(|_| Err(late()))
    }

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, String), AskError> {
        let broken = |error: &dyn std::fmt::Display| AskError::NoAnswer {
            at: self.to_string(),
            reason: error.to_string(),
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(REQUEST, HeaderValue::from_static("true"));
        if let Self::Tcp(_, Some(token)) = self {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|error| broken(&error))?;
        let answering = async {
            let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
            let body = body.map_err(|error| broken(&error))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::select! {
            biased; // The answer counts, not how the connection ends.
            answer = answering => answer,
            ended = connection => Err(broken(&ended.err().map_or_else(|| "it closed".to_owned(), |error| error.to_string()))),
        }
    }
}
