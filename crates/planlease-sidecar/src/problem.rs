//! The answer to a request that cannot be served: `application/problem+json` (RFC 9457), with types that
//! stay.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use planlease::{Error, Refused, TaskView, error_chain};
use planlease_core::{
    PlanName, TaskId,
    transition::{Change, Refusal},
    view::MissingTask,
};
use planlease_documents::{RefusalView, TaskUpdate};
use serde_json::{Map, Value, json};

/// The beginning of every type.
const TYPES: &str = "urn:planlease:problem:";

/// Every kind of problem: its type, its status, its title.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $status:ident $slug:literal $title:literal,)*) => {
        /// What kind of problem it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The end of its type.
            pub(crate) const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The status of the answer.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The same for each problem of this kind.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    /// The request is not what the interface says.
    BadRequest BAD_REQUEST "bad-request" "The request cannot be understood",
    /// The plan in the body is not sound.
    BadPlan UNPROCESSABLE_ENTITY "bad-plan" "The plan is not sound",
    /// No token, or another one.
    Unauthorized UNAUTHORIZED "unauthorized" "The request bears no token that is known here",
    /// A header that pages of other sites cannot send is missing, or one is there that they send.
    CrossSite FORBIDDEN "cross-site" "The request may come from a page of another site",
    /// The program asks by a right that it does not have.
    NotAllowed FORBIDDEN "not-allowed" "Another role is needed for that",
    /// There is no such plan.
    NoSuchPlan NOT_FOUND "no-such-plan" "There is no such plan",
    /// There is no such task.
    NoSuchTask NOT_FOUND "no-such-task" "The plan has no such task",
    /// There is no such session, or not any more.
    NoSuchSession NOT_FOUND "no-such-session" "There is no such session, or not any more",
    /// There is nothing of that name.
    NotFound NOT_FOUND "not-found" "There is nothing there",
    /// That is not done there.
    NoSuchMethod METHOD_NOT_ALLOWED "no-such-method" "That cannot be done there",
    /// The answer would be of a kind that is not wanted.
    NotAcceptable NOT_ACCEPTABLE "not-acceptable" "The answer is a stream of events, and the request does not accept one",
    /// The body is of a kind that is not read.
    UnsupportedType UNSUPPORTED_MEDIA_TYPE "unsupported-type" "The body is of a type that is not read here",
    /// The body is too large.
    TooLarge PAYLOAD_TOO_LARGE "too-large" "The body is too large",
    /// The body did not come in time.
    TooSlow REQUEST_TIMEOUT "too-slow" "The request did not come in time",
    /// An update says of no revision that it is about it.
    NoPrecondition PRECONDITION_REQUIRED "precondition-required" "An update has to name the revision that it is about",
    /// The record was changed since.
    Stale PRECONDITION_FAILED "stale-revision" "The record was changed since",
    /// The state of the task does not allow it.
    WrongState CONFLICT "wrong-state" "The state of the task does not allow it",
    /// The result is of an attempt that is over.
    StaleAttempt CONFLICT "stale-attempt" "The attempt is over",
    /// The task waits for others.
    Blocked CONFLICT "blocked" "The task waits for others, or as many are in progress as may be",
    /// The plan is paused, cancelled or archived.
    Halted CONFLICT "halted" "The plan is paused, cancelled or archived",
    /// The right is over.
    AuthorityLost CONFLICT "right-gone" "The right to do that is over",
    /// Another process owns it.
    Held CONFLICT "held" "Another process has it",
    /// There is one of this name.
    Exists CONFLICT "exists" "There is one of this name already",
    /// There are as many as there may be.
    TooMany TOO_MANY_REQUESTS "too-many" "There are as many as there may be, or requests come too fast",
    /// No session of this sidecar is sure to own the plan: for load balancers.
    NotOwnedHere SERVICE_UNAVAILABLE "not-owned-here" "No session of this sidecar is sure to own the plan",
    /// Nothing new is begun.
    Draining SERVICE_UNAVAILABLE "draining" "The sidecar is draining and accepts no new work",
    /// etcd cannot be asked; nothing was changed.
    Unavailable SERVICE_UNAVAILABLE "unavailable" "etcd cannot be asked; nothing was changed",
    /// It is not known what became of it.
    OutcomeUnknown GATEWAY_TIMEOUT "outcome-unknown" "It is not known whether it was done",
    /// The time to wait is up.
    TimedOut GATEWAY_TIMEOUT "timed-out" "The time to wait is up",
    /// A stored record that is needed is damaged, or of a newer version.
    Unreadable INTERNAL_SERVER_ERROR "unreadable" "A stored record cannot be read",
    /// Something that should not happen.
    Unexpected INTERNAL_SERVER_ERROR "unexpected" "Something went wrong here",
}

/// One problem.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    /// What it says besides.
    more: Map<String, Value>,
}

impl Problem {
    /// A problem of this kind. `detail`: what happened, and what can be done about it.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), more: Map::new() }
    }

    /// With one more member.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Of which kind it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What happened.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The document.
    pub(crate) fn json(&self) -> Value {
        let mut document = json!({
            "type": format!("{TYPES}{}", self.kind.slug()),
            "title": self.kind.title(),
            "status": self.kind.status().as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut document {
            members.extend(self.more.clone());
        }
        document
    }

    /// What a refused update means. `present`: the record as it was seen last.
    pub(crate) fn refused(plan: &PlanName, task: &TaskId, change: &Change, refused: &Refused) -> Self {
        let RefusalView { why, present, .. } = RefusalView::of(refused);
        let kind = match refused {
            Refused::Conflict(_) => Kind::Stale,
            Refused::NotAllowed(Refusal::StaleAttempt { .. }, _) => Kind::StaleAttempt,
            Refused::NotAllowed(Refusal::NotAllowed { .. }, _) => Kind::NotAllowed,
            Refused::NotAllowed(..) => Kind::WrongState,
            Refused::AuthorityLost(_) => Kind::AuthorityLost,
            Refused::Dependency | Refused::Full(_) | Refused::Pool(_) => Kind::Blocked,
            Refused::Halted(_) | Refused::FleetPaused(_) | Refused::Cordoned(_) => Kind::Halted,
            Refused::NoSuchTask => Kind::NoSuchTask,
            _ => Kind::Unexpected,
        };
        let detail = format!("cannot {} task {task} of {plan}: {why}; nothing was changed", change.verb());
        Self::new(kind, detail).about(plan, task, change, &why, present)
    }

    /// With the record that is in the way.
    fn about(
        self,
        plan: &PlanName,
        task: &TaskId,
        change: &Change,
        why: &str,
        present: Option<&TaskView>,
    ) -> Self {
        let Some(present) = present else { return self };
        let update =
            TaskUpdate::refused(plan.clone(), task.clone(), change.verb(), why.to_owned(), Some(present));
        let value = serde_json::to_value(&update).unwrap_or_default();
        let record = value.get("record").cloned().unwrap_or_default();
        self.with("revision", present.revision.get()).with("present", record)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.json().to_string()));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let more = match self.kind {
            Kind::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"planlease\"")),
            Kind::TooMany | Kind::Draining | Kind::Unavailable => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = more {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // For the metrics: which kind it was.
        response.extensions_mut().insert(self.kind);
        response
    }
}

impl From<MissingTask> for Problem {
    fn from(missing: MissingTask) -> Self {
        Error::from(missing).into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::StoreMoved { .. } | Error::StoreRestored(_) => Kind::Unavailable,
            Error::Compacted => Kind::Unavailable, // A read of many records was overtaken by a compaction.
            Error::OutcomeUnknown(_) => Kind::OutcomeUnknown,
            error if error.is_transient() => Kind::Unavailable,
            Error::PlanNotFound(_) => Kind::NoSuchPlan,
            Error::TaskNotFound { .. } => Kind::NoSuchTask,
            Error::PlanClosed { .. } | Error::Cordoned { .. } => Kind::Halted,
            Error::PlanExists(_) | Error::ImportUnderWay { .. } | Error::IdentityTaken(_) => Kind::Exists,
            Error::PlanOwned { .. } | Error::OtherOwner { .. } | Error::LockPermits { .. } => Kind::Held,
            Error::HeldLocally(_) | Error::LockedLocally { .. } => Kind::Exists,
            Error::CannotMove { .. } => Kind::WrongState,
            Error::NotOwned(_) | Error::PlanFinished(_) | Error::NothingLeft { .. } | Error::HandOver(_) => {
                Kind::WrongState
            }
            Error::AuthorityLost(_) | Error::LockLost { .. } => Kind::AuthorityLost,
            Error::TooManyHeld { .. } | Error::EditTooLarge { .. } | Error::EditTooWide { .. } => {
                Kind::TooMany
            }
            Error::TimedOut(_) => Kind::TimedOut,
            Error::BatchTooLarge { .. } => Kind::TooLarge,
            Error::Name(_) | Error::BatchNotPossible(_) => Kind::BadRequest,
            Error::Unsound(_) | Error::Codec(_) => Kind::BadPlan,
            Error::Unreadable(_) => Kind::Unreadable,
            _ => Kind::Unexpected,
        };
        Self::new(kind, error_chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use planlease_core::LockName;

    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own() {
        let slugs: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
    }

    #[test]
    fn what_others_do_to_a_request_is_expected() {
        let permits = Error::LockPermits {
            lock: LockName::new("git").unwrap(),
            by: "other".to_owned(),
            theirs: "2 permits".to_owned(),
            ours: "1 permit".to_owned(),
        };
        assert_eq!(Problem::from(permits).kind(), Kind::Held);
        assert_eq!(Problem::from(Error::Compacted).kind(), Kind::Unavailable);
    }

    #[test]
    fn a_problem_says_what_it_is() {
        let problem = Problem::new(Kind::Stale, "too late").with("revision", 7);
        assert_eq!(
            problem.json(),
            json!({
                "type": "urn:planlease:problem:stale-revision",
                "title": "The record was changed since",
                "status": 412,
                "detail": "too late",
                "revision": 7,
            })
        );
    }
}
