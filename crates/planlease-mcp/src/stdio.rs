//! Over standard streams: one agent, which is gone when its end of the pipe is.

use rmcp::{ServiceExt as _, service::ServerInitializeError, transport::io::stdio_pipes};

use crate::{caller::Callers, messages::Messages, server::Server};

/// Why a server on standard streams ended early.
#[derive(Debug, thiserror::Error)]
#[error("the client does not speak the Model Context Protocol: {0}")]
pub struct StdioError(String);

/// Serves on standard streams until the input ends, or `stop`. Standard output is the protocol's alone from
/// here on.
///
/// # Errors
/// [`StdioError`] if the first message is none of the protocol.
///
/// # Cancel safety
/// If the future is dropped, the server ends; answers under way are lost.
pub async fn serve_stdio<C: Callers>(
    server: Server<C>,
    stop: impl Future<Output = ()>,
) -> Result<(), StdioError> {
    let serving = async {
        let (input, output) = stdio_pipes();
        match server.serve(Messages::new(input, output)).await {
            Ok(running) => {
                drop(running.waiting().await); // However it ends, the client is gone.
                Ok(())
            }
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
            Err(error) => Err(StdioError(describe(&error).to_owned())),
        }
    };
    tokio::select! {
        biased; // A server that has ended needs no stop.
        ended = serving => ended,
        () = stop => Ok(()),
    }
}

/// What was wrong, without the names of types.
fn describe(error: &ServerInitializeError) -> &'static str {
    match error {
        ServerInitializeError::ExpectedInitializeRequest(_) => "its first message is no request",
        ServerInitializeError::InitializeFailed(_) => "it asks for a version that is not served here",
        ServerInitializeError::TransportError { .. } => "standard output cannot be written",
        _ => "it does not begin as the protocol says",
    }
}
