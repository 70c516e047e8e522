//! What OpenTelemetry's variables say about traces. Pure. What is not read here (headers, timeouts, the
//! sampler, attributes of the resource) is read by OpenTelemetry's own libraries.

/// The name of this program where the environment gives it none.
const SERVICE: &str = "planlease";

/// How spans travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// OTLP over gRPC (`grpc`).
    Grpc,
    /// OTLP over HTTP, as protobuf (`http/protobuf`), the default of OpenTelemetry.
    Http,
}

/// Where spans are sent to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceSettings {
    /// The endpoint as it was configured, for messages.
    pub endpoint: String,
    /// How spans travel.
    pub protocol: Protocol,
    /// `service.name` of the resource.
    pub service: String,
}

/// Why traces cannot be exported as they are configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableTraces {
    /// A protocol that planlease does not speak.
    #[error("OTEL_EXPORTER_OTLP_PROTOCOL is {0:?}; planlease speaks grpc and http/protobuf")]
    Protocol(String),
    /// What OpenTelemetry's libraries do not take.
    #[error("spans cannot be exported to {endpoint}: {why}")]
    Exporter {
        /// The endpoint.
        endpoint: String,
        /// Why.
        why: String,
    },
    /// The system gives no thread.
    #[error("no thread can be started that exports spans: {0}")]
    Thread(String),
}

impl TraceSettings {
    /// Reads the variables; `None` if no endpoint is configured, or traces are switched off.
    ///
    /// # Errors
    /// [`UnusableTraces::Protocol`].
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, UnusableTraces> {
        let is = |name: &str, value: &str| {
            variable(name).is_some_and(|set| set.trim().eq_ignore_ascii_case(value))
        };
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let either = |traces: &str, all: &str| variable(traces).or_else(|| variable(all));
        let endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        let Some(endpoint) = endpoint else { return Ok(None) };
        let protocol = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        let protocol = match protocol.as_deref().map(str::trim) {
            Some("grpc") => Protocol::Grpc,
            None | Some("http/protobuf") => Protocol::Http,
            Some(other) => return Err(UnusableTraces::Protocol(other.to_owned())),
        };
        let named = || {
            let attributes = variable("OTEL_RESOURCE_ATTRIBUTES")?;
            let mut pairs = attributes.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| name.trim() == "service.name").map(|(_, value)| value.trim().to_owned())
        };
        let service = variable("OTEL_SERVICE_NAME").or_else(named).unwrap_or_else(|| SERVICE.to_owned());
        Ok(Some(Self { endpoint, protocol, service }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, UnusableTraces> {
        TraceSettings::of(|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_configured() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), Ok(None));
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(of(&[ENDPOINT, off]), Ok(None), "{off:?}");
        }
        assert_eq!(of(&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")]).unwrap().unwrap().service, "planlease");
    }

    #[test]
    fn the_variable_for_traces_wins() {
        let settings = of(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=named"),
        ]);
        let expected = TraceSettings {
            endpoint: "http://traces:4317".to_owned(),
            protocol: Protocol::Grpc,
            service: "named".to_owned(),
        };
        assert_eq!(settings, Ok(Some(expected)));
        assert_eq!(of(&[ENDPOINT]).unwrap().unwrap().protocol, Protocol::Http);
        let json = of(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]);
        assert_eq!(json, Err(UnusableTraces::Protocol("http/json".to_owned())));
    }
}
