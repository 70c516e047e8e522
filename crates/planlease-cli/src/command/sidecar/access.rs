//! How a sidecar is reached: its address, the tokens, and why it is not.

use std::path::{Path, PathBuf};

use clap::Args;
use planlease_sidecar::{Address, AskError, ListenError, Tokens};

use crate::{exit::Exit, failure::Failure, secrets};

/// Where a sidecar is that runs already.
#[derive(Debug, Args)]
pub(super) struct AtArgs {
    /// Its unix socket
    #[arg(long, value_name = "PATH", required_unless_present = "listen", conflicts_with = "listen")]
    socket: Option<PathBuf>,
    /// Its TCP address
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The file with the token that it wants over TCP
    #[arg(long, value_name = "FILE", env = "PLANLEASE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl AtArgs {
    pub(super) fn address(&self) -> Result<Address, Failure> {
        match (&self.socket, &self.listen) {
            (Some(socket), _) => Ok(Address::Unix(socket.clone())),
            (None, Some(at)) => {
                let tokens = read_tokens(self.token_file.as_deref(), None)?;
                Ok(Address::Tcp(at.clone(), tokens.first().map(str::to_owned)))
            }
            (None, None) => Err(Failure::usage("say where the sidecar is: --socket or --listen")),
        }
    }
}

/// The tokens in the file of clients and in that of viewers.
pub(super) fn read_tokens(clients: Option<&Path>, viewers: Option<&Path>) -> Result<Tokens, Failure> {
    let read = |file: &Path| {
        let bytes = secrets::read(file).map_err(|error| unusable(file, &error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| unusable(file, "it is no text (UTF-8)"))?;
        let read = Tokens::read(&text, "").map_err(|why| unusable(file, &why).remedy(MAKE_A_TOKEN))?;
        if read.is_empty() {
            return Err(unusable(file, "there is none in it").remedy(MAKE_A_TOKEN));
        }
        Ok(text)
    };
    let clients_text = clients.map(read).transpose()?.unwrap_or_default();
    let viewers_text = viewers.map(read).transpose()?.unwrap_or_default();
    // Each by itself can be used; together they may name the same token.
    let both = Tokens::read(&clients_text, &viewers_text);
    both.map_err(|why| unusable(viewers.or(clients).unwrap_or(Path::new("")), &why))
}

const MAKE_A_TOKEN: &str = "Make one: head -c 32 /dev/urandom | base64";

fn unusable(file: &Path, why: &str) -> Failure {
    Failure::new(Exit::UnreadableFile, format!("cannot use the token in {}: {why}", file.display()))
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        let failure = Self::new(Exit::CannotServe, error.to_string());
        match error {
            ListenError::NotLoopback { .. } => failure.remedy(
                "`planlease sidecar` serves other hosts with --allow-remote; else `ssh -L` brings them to loopback.",
            ),
            ListenError::InUse { .. } => failure.remedy("Stop that one, or choose another address."),
            _ => failure,
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::new(Exit::Unreachable, error.to_string())
    }
}
