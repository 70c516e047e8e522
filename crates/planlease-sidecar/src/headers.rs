//! The headers of planlease's own.

use http::HeaderName;

/// Names the session under whose authority a request is made.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("planlease-session");

/// Names the person who makes a request without a session.
pub(crate) const OPERATOR: HeaderName = HeaderName::from_static("planlease-operator");

/// Required in every request: a page of another site cannot send it without asking first.
pub(crate) const REQUEST: HeaderName = HeaderName::from_static("planlease-request");
