//! The context of a trace, as W3C Trace Context writes it: what links the spans of different processes.
//!
//! It is stored beside what it is about (a term, a claim), is shown to programs, and decides nothing. So a
//! stored one that cannot be read counts as none.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// How long a `tracestate` may be, in bytes; a longer one is left out. The standard asks for 512 at least.
pub const MAX_TRACE_STATE: usize = 512;

/// Which span of which trace something belongs to: `traceparent` and `tracestate`.
///
/// ```
/// use planlease_core::trace::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = text.parse().expect("the standard's own example");
/// assert_eq!(context.to_string(), text);
/// assert!(context.is_sampled());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    state: Option<String>,
}

impl TraceContext {
    /// The context of a span; `None` if one of its ids is zero, which no span has.
    #[must_use]
    pub fn new(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        let valid = trace_id != 0 && span_id != 0;
        valid.then_some(Self { trace_id, span_id, flags: sampled.into(), state: None })
    }

    /// With what tracing systems say about it (`tracestate`). A text that is too long, or is not printable
    /// ASCII, is left out, as the standard demands.
    #[must_use]
    pub fn with_state(self, state: Option<&str>) -> Self {
        let state = state.map(str::trim).filter(|state| {
            let printable = state.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
            !state.is_empty() && state.len() <= MAX_TRACE_STATE && printable
        });
        Self { state: state.map(str::to_owned), ..self }
    }

    /// The trace.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// Whether its trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// What tracing systems say about it, if they say anything.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// As `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// Why a text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no traceparent of W3C Trace Context: 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
pub struct InvalidTraceParent;

impl FromStr for TraceContext {
    type Err = InvalidTraceParent;

    /// Reads a `traceparent`. Of a version that is not known yet, what version 00 has is read, as the
    /// standard demands.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.trim().split('-');
        let mut part = |digits: usize| {
            let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
            parts
                .next()
                .filter(|part| part.len() == digits && part.bytes().all(hex))
                .ok_or(InvalidTraceParent)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(InvalidTraceParent);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| InvalidTraceParent)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| InvalidTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceParent)?;
        let context = Self::new(trace, span, false).ok_or(InvalidTraceParent)?;
        Ok(Self { flags: flags & 1, ..context })
    }
}

/// As it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    parent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl From<TraceContext> for Stored {
    fn from(context: TraceContext) -> Self {
        Self { parent: context.to_string(), state: context.state }
    }
}

impl TryFrom<Stored> for TraceContext {
    type Error = InvalidTraceParent;

    fn try_from(stored: Stored) -> Result<Self, InvalidTraceParent> {
        Ok(stored.parent.parse::<Self>()?.with_state(stored.state.as_deref()))
    }
}

/// Reads a stored context. One that cannot be read is none: a record is never unreadable for its sake.
///
/// # Errors
/// If what stands there is no JSON.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<TraceContext>>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Claim;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_text_that_is_no_traceparent_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceParent), "{text}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more";
        assert_eq!(later.parse::<TraceContext>().unwrap().to_string(), PARENT, "of a later version");
    }

    #[test]
    fn a_state_that_is_not_allowed_is_left_out() {
        let with = |state: &str| PARENT.parse::<TraceContext>().unwrap().with_state(Some(state));
        assert_eq!(with("a=b,c=d").state(), Some("a=b,c=d"));
        assert_eq!(with("").state(), None);
        assert_eq!(with("a=\nb").state(), None);
        assert_eq!(with(&"x".repeat(MAX_TRACE_STATE + 1)).state(), None);
    }

    #[test]
    fn a_claim_with_a_broken_context_can_be_read() {
        let claim = |trace: &str| serde_json::from_str::<Claim>(&format!(r#"{{"by":"a","since":0{trace}}}"#));
        assert_eq!(claim("").unwrap().trace, None);
        for broken in [r#","trace":7"#, r#","trace":{"parent":"x"}"#, r#","trace":null"#] {
            assert_eq!(claim(broken).unwrap().trace, None, "{broken}");
        }
        let read = claim(&format!(r#","trace":{{"parent":"{PARENT}","state":"a=b"}}"#)).unwrap();
        let trace = read.trace.clone().unwrap();
        assert_eq!((trace.to_string().as_str(), trace.state()), (PARENT, Some("a=b")));
        assert!(read.extra.is_empty(), "{read:?}");
        let length = |claim: &Claim| serde_json::to_string(claim).unwrap().len();
        let bytes = length(&read) - length(&Claim { trace: None, ..read.clone() });
        assert!(bytes <= 100, "an update of an attempt is larger by {bytes} bytes");
        let again: Claim = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}
