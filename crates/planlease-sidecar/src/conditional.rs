//! Requests under conditions, as HTTP has them (RFC 9110, 13): a task's `ETag` is the revision that wrote it.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use planlease_core::Revision;
use uuid::Uuid;

use crate::problem::{Kind, Problem};

/// What names an update, so that it can be asked for again (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What `If-Match` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// `*`: whatever is there.
    Any,
    /// This very revision.
    Exactly(Revision),
}

/// The header of a revision.
pub(crate) fn etag(revision: Revision) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// What the update is about.
///
/// # Errors
/// [`Kind::NoPrecondition`] without `If-Match`; [`Kind::BadRequest`] if it is no revision.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Match, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        let how = "send If-Match with the ETag of the task as you know it, or with * for whatever it is";
        return Err(Problem::new(Kind::NoPrecondition, how));
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(Match::Any);
    }
    let bad = || Problem::new(Kind::BadRequest, "If-Match has to be one ETag of this task, as \"41\", or *");
    tag(text).map(Match::Exactly).ok_or_else(bad)
}

/// Whether the client has this revision already.
pub(crate) fn has_already(headers: &HeaderMap, revision: Revision) -> bool {
    let given = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given
        .split(',')
        .any(|one| one.trim() == "*" || tag(one.trim().trim_start_matches("W/")) == Some(revision))
}

/// The id that the client has chosen for the update, if it has.
///
/// # Errors
/// [`Kind::BadRequest`] if it is no UUID.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
    let bad =
        || Problem::new(Kind::BadRequest, "Idempotency-Key has to be a UUID, a new one for each update");
    Uuid::parse_str(text).map(Some).map_err(|_| bad())
}

fn tag(text: &str) -> Option<Revision> {
    text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn an_update_names_what_it_is_about() {
        let asks = |value| if_match(&headers(header::IF_MATCH, value)).map_err(|problem| problem.kind());
        assert_eq!(asks("\"41\""), Ok(Match::Exactly("41".parse().unwrap())));
        assert_eq!(asks("*"), Ok(Match::Any));
        for bad in ["41", "W/\"41\"", "\"x\"", "\"-1\"", "\"1\", \"2\"", ""] {
            assert_eq!(asks(bad), Err(Kind::BadRequest), "{bad}");
        }
        assert_eq!(if_match(&HeaderMap::new()).map_err(|problem| problem.kind()), Err(Kind::NoPrecondition));
    }

    #[test]
    fn a_current_copy_is_not_sent_again() {
        let has = |value| has_already(&headers(header::IF_NONE_MATCH, value), "41".parse().unwrap());
        assert!(has("\"41\"") && has("W/\"41\"") && has("\"40\", \"41\"") && has("*"));
        assert!(!has("\"40\"") && !has("41"));
    }

    #[test]
    fn an_idempotency_key_is_a_uuid() {
        let id = Uuid::from_u128(7);
        let text: &'static str = "00000000-0000-0000-0000-000000000007";
        assert_eq!(idempotency_key(&headers(IDEMPOTENCY_KEY, text)).unwrap(), Some(id));
        assert!(idempotency_key(&headers(IDEMPOTENCY_KEY, "once")).is_err());
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
    }
}
