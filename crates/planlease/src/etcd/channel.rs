//! One connection to one endpoint as a channel, and the count of what goes over it.
//!
//! The channel is planlease's own, not `etcd-client`'s: that one balances between endpoints, and with one of
//! two dead about half of the calls fail. Here a channel has one endpoint, and [`super::connection`] moves on
//! when it fails.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use etcd_client::{Channel, Client, ConnectOptions};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper_util::rt::TokioIo;
use tonic::{
    body::Body,
    transport::{Certificate, ClientTlsConfig, Endpoint as Address, Identity, Uri},
};
use tower::{ServiceExt as _, service_fn, util::BoxCloneSyncService};

use super::fault::Fault;
use crate::config::{Config, ConfigError, Endpoint, InvalidEndpoint, KeyPair, Tls};

/// How often an idle connection is tested. etcd's servers cut those that do it more often than every 5 s.
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long the answer to such a test may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Counts requests by their method, and the messages of request streams: what a user's etcd has to bear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic(Arc<Mutex<BTreeMap<String, u64>>>);

impl Traffic {
    fn count(&self, what: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Connects to one endpoint, authenticates if there are credentials, and hands out a client on that
/// connection.
pub(super) async fn connect(
    config: &Config,
    endpoint: &Endpoint,
    require_leader: bool,
    traffic: Traffic,
) -> Result<Client, Fault> {
    let reading = read(config, endpoint);
    let Ok(read) = tokio::time::timeout(config.connect_timeout, reading).await else {
        return Err(Fault::unconnected());
    };
    let (address, user) = read?;
    let connector = Arc::clone(&config.connector);
    let to = endpoint.clone();
    // A channel reconnects by itself when its connection breaks, without a check that the same cluster
    // answers. So it may do it once; then the endpoint connection makes the next channel, and looks.
    let spent = Arc::new(AtomicBool::new(false));
    let reached = Arc::new(AtomicBool::new(false));
    let reaching = Arc::clone(&reached);
    let connect = address.connect_with_connector(service_fn(move |_: Uri| {
        let connecting = (!spent.swap(true, Ordering::Relaxed)).then(|| connector.connect(&to));
        let reaching = Arc::clone(&reaching);
        async move {
            match connecting {
                Some(connecting) => {
                    let connection = connecting.await?;
                    reaching.store(true, Ordering::Relaxed);
                    Ok(TokioIo::new(connection))
                }
                None => Err(io::Error::new(io::ErrorKind::NotConnected, "the connection broke")),
            }
        }
    }));
    let timeout = config.connector.connect_timeout(config.connect_timeout);
    let channel = match tokio::time::timeout(timeout, connect).await {
        Ok(connected) => connected.map_err(|error| {
            let encrypting = endpoint.is_encrypted() && reached.load(Ordering::Relaxed);
            Fault::connect(&error, encrypting)
        })?,
        Err(_) => return Err(Fault::unconnected()),
    };
    let counted = channel.map_request(move |request: http::Request<Body>| {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        traffic.count(&method);
        let traffic = traffic.clone();
        request.map(|body| Body::new(Counted { body, traffic, method, messages: 0 }))
    });
    let channel = BoxCloneSyncService::new(counted.map_err(Into::into));
    let mut options = ConnectOptions::new().with_require_leader(require_leader);
    if let Some((user, password)) = user {
        // Tokens expire; etcd refuses a request with an old one before it does anything, so sending it again
        // is safe.
        options = options.with_user(user, password).with_auto_token_refresh(true);
    }
    let authenticate = Client::from_channel(Channel::Custom(channel), Some(options));
    match tokio::time::timeout(config.request_timeout, authenticate).await {
        Ok(client) => client.map_err(|error| Fault::of(error).never_sent().before_any_answer(endpoint)),
        Err(_) => Err(Fault::timeout(config.request_timeout).never_sent()),
    }
}

/// Reads what this connection needs: the address with the certificates, the user with the password.
async fn read(config: &Config, endpoint: &Endpoint) -> Result<(Address, Option<(String, String)>), Fault> {
    let address = address(config, endpoint).await.map_err(|error| Fault::config(&error))?;
    let Some(credentials) = &config.credentials else { return Ok((address, None)) };
    let password = credentials.password.read().await.map_err(|error| Fault::password(&error))?;
    let password = String::from_utf8_lossy(&password).trim_end_matches(['\r', '\n']).to_owned();
    Ok((address, Some((credentials.user.clone(), password))))
}

/// Where the endpoint is, how the connection is kept, and whether it is encrypted.
async fn address(config: &Config, endpoint: &Endpoint) -> Result<Address, ConfigError> {
    let uri = match endpoint {
        Endpoint::Unix(_) => "http://localhost".to_owned(),
        other => other.to_string(),
    };
    let invalid = |error: tonic::transport::Error| InvalidEndpoint {
        text: endpoint.to_string(),
        reason: error.to_string(),
    };
    let address = Address::from_shared(uri)
        .map_err(invalid)?
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    if !endpoint.is_encrypted() {
        return Ok(address);
    }
    let tls = tls(config.tls.as_ref()).await?;
    address.tls_config(tls).map_err(|error| ConfigError::Tls { reason: super::fault::chain(&error) })
}

async fn tls(tls: Option<&Tls>) -> Result<ClientTlsConfig, ConfigError> {
    let mut config = ClientTlsConfig::new();
    let Some(tls) = tls else { return Ok(config.with_enabled_roots()) };
    config = match &tls.ca {
        Some(ca) => config.ca_certificate(Certificate::from_pem(ca.read().await?)),
        None => config.with_enabled_roots(),
    };
    if let Some(KeyPair { certificate, key }) = &tls.identity {
        config = config.identity(Identity::from_pem(certificate.read().await?, key.read().await?));
    }
    if let Some(name) = &tls.server_name {
        config = config.domain_name(name);
    }
    Ok(config)
}

/// A request body that counts its messages. The first one is the request itself; further ones are those of a
/// stream.
struct Counted {
    body: Body,
    traffic: Traffic,
    method: String,
    messages: u64,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            self.messages += 1;
            if self.messages > 1 {
                self.traffic.count(&format!("{} message", self.method));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
