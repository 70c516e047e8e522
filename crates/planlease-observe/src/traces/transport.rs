//! The exporter for a protocol. Each request is tried once: what waits behind it must not wait longer.

use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol as Otlp, RetryPolicy, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _, WithTonicConfig as _,
};
use tonic::transport::ClientTlsConfig;

use super::{
    bounds::REQUEST,
    settings::{Protocol, TraceSettings, UnusableTraces},
};

/// The exporter for these settings. Needs a runtime, and connects to nothing yet.
///
/// # Errors
/// [`UnusableTraces::Exporter`].
pub(super) fn exporter(settings: &TraceSettings) -> Result<SpanExporter, UnusableTraces> {
    let unusable = |why: String| UnusableTraces::Exporter { endpoint: settings.endpoint.clone(), why };
    let built = |built: Result<SpanExporter, ExporterBuildError>| {
        built.map_err(|error| unusable(planlease::error_chain(&error)))
    };
    let retries = RetryPolicy::disabled();
    match settings.protocol {
        Protocol::Grpc => {
            let builder = SpanExporter::builder().with_tonic().with_retry_policy(retries);
            built(if settings.endpoint.starts_with("https:") {
                builder.with_tls_config(ClientTlsConfig::new().with_native_roots()).build()
            } else {
                builder.build()
            })
        }
        Protocol::Http => {
            let builder = SpanExporter::builder().with_http().with_protocol(Otlp::HttpBinary);
            let builder = builder.with_retry_policy(retries);
            built(if settings.endpoint.starts_with("https:") {
                let tls = HttpsConnectorBuilder::new().with_native_roots();
                let tls = tls.map_err(|error| unusable(error.to_string()))?.https_or_http().enable_http1();
                builder.with_http_client(HyperClient::new(tls.build(), REQUEST, None)).build()
            } else {
                builder.with_http_client(HyperClient::with_default_connector(REQUEST, None)).build()
            })
        }
    }
}
