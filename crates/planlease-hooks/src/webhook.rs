//! Delivering an event to a server, signed.

use std::{fmt, fmt::Write as _};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use sha2::Sha256;

use crate::{event::Event, not_delivered::NotDelivered, secret::Secret};

/// The signature of the body, as `sha256=` and the HMAC in hex: as GitHub's `X-Hub-Signature-256`.
const SIGNATURE: &str = "planlease-signature-256";

/// The type of the event.
const EVENT: &str = "planlease-event";

/// The id of the event: the same when it is delivered again.
const DELIVERY: &str = "planlease-delivery";

/// A server that receives events.
pub struct Webhook {
    url: Uri,
    secret: Option<Secret>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").finish_non_exhaustive() // A URL may have a token in it.
    }
}

impl Webhook {
    pub(crate) fn new(url: Uri, secret: Option<Secret>) -> std::io::Result<Self> {
        let connector =
            HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        Ok(Self { url, secret, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Sends the event once.
    pub(crate) async fn post(&self, event: &Event, body: &[u8]) -> Result<(), NotDelivered> {
        let unreachable = |error: &dyn fmt::Display| NotDelivered::Unreachable(error.to_string());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("planlease/", env!("CARGO_PKG_VERSION")))
            .header(EVENT, event.kind.as_str())
            .header(DELIVERY, header_value(&event.id));
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE, signature(secret, body));
        }
        let request =
            request.body(Full::new(Bytes::copy_from_slice(body))).map_err(|error| unreachable(&error))?;
        let answer = self.client.request(request).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            unreachable(&cause.unwrap_or_else(|| error.to_string()))
        })?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(NotDelivered::Status(status.as_u16())) }
    }
}

/// The id as a header can have it: names may hold any character.
fn header_value(id: &str) -> HeaderValue {
    let plain: String = id.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
    HeaderValue::from_str(&plain).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// `sha256=` and the HMAC of the body in hex.
fn signature(secret: &Secret, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let mut text = String::from("sha256=");
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").expect("a text can always be written to");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's documentation of `X-Hub-Signature-256`.
    #[test]
    fn a_signature_is_that_of_github() {
        let secret = Secret::new("It's a Secret to Everybody");
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature(&secret, b"Hello, World!"), expected);
    }
}
