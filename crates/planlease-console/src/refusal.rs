//! The answer to a request that does not pass the gate: a problem (RFC 9457), as the interface has them.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It bears no cookie of a browser that was let in.
    NoCookie,
    /// It may come from a page of another site.
    CrossSite(&'static str),
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NoCookie => StatusCode::UNAUTHORIZED,
            Self::CrossSite(_) => StatusCode::FORBIDDEN,
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::NoCookie => "open the one-time URL that the console has printed",
            Self::CrossSite(why) => why,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (kind, title) = match self {
            Self::NoCookie => ("unauthorized", "The browser is not signed in"),
            Self::CrossSite(_) => ("cross-site", "The request may come from a page of another site"),
        };
        let (status, kind) = (self.status(), format!("urn:planlease:problem:{kind}"));
        let problem =
            json!({ "type": kind, "title": title, "status": status.as_u16(), "detail": self.detail() });
        let mut response = Response::new(Body::from(problem.to_string()));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
