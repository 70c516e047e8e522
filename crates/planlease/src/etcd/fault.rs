//! What went wrong with a request, and what is known about its outcome. The only place that reads etcd's
//! errors.
//!
//! A mutation whose answer is lost may have happened, or may still happen later. Only two things prove that
//! it did not and will not: the connection was never made, or etcd itself refused it. This file separates
//! those from everything else, by *where* it failed; the gRPC code alone says little (a timeout comes as
//! `Cancelled`).

use std::{error::Error as StdError, fmt, io, time::Duration};

use tonic::Code;

use crate::{
    config::{ConfigError, Endpoint},
    connect::Unusable,
};

/// What went wrong, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The endpoint cannot serve now (no leader, learner, stopping, overloaded): another one may.
    Unavailable,
    /// The server's certificate, or ours, is not accepted.
    Tls,
    /// The token expired, or user and password are missing.
    Unauthenticated,
    /// User and password are wrong: trying again does not help.
    BadCredentials,
    /// The user may not do that.
    PermissionDenied,
    /// The database is full. A refused write may have been applied all the same.
    NoSpace,
    /// The lease does not exist.
    LeaseNotFound,
    /// A lease of that id exists.
    LeaseExists,
    /// The revision asked for is compacted.
    Compacted,
    /// Too many operations, too large: a bug of ours, since limits are checked before sending.
    TooLarge,
    /// The settings cannot be used.
    Config,
    /// The server cannot be used, says the connector: the local one cannot be started.
    Unusable,
    /// The cluster was restored from an older state.
    Restored,
    /// Anything else.
    Other,
}

impl FaultKind {
    /// How much it says about why no endpoint can be used: what a member answered more than what a connection
    /// said, and that more than silence.
    fn weight(self) -> u8 {
        match self {
            Self::Unreachable => 0,
            Self::TimedOut => 1,
            Self::Unavailable => 2,
            Self::Tls | Self::Config | Self::Unusable => 3,
            _ => 4,
        }
    }
}

/// A request that was not answered as it should be.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Whether it is proven that the request had no effect and never will.
    pub(crate) not_executed: bool,
    pub(crate) message: String,
    /// The endpoint that was asked.
    pub(crate) endpoint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.endpoint.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.endpoint, self.message)
        }
    }
}

impl StdError for Fault {}

impl Fault {
    fn new(kind: FaultKind, not_executed: bool, message: impl Into<String>) -> Self {
        Self { kind, not_executed, message: message.into(), endpoint: String::new() }
    }

    /// From what `etcd-client` reports.
    pub(super) fn of(error: etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => Self::of_status(&status),
            etcd_client::Error::LeaseKeepAliveError(text) if text == "lease not found" => {
                Self::new(FaultKind::LeaseNotFound, true, text)
            }
            etcd_client::Error::TransportError(error) => {
                Self::new(FaultKind::Unreachable, never_connected(&error), chain(&error))
            }
            other => Self::new(FaultKind::Unreachable, false, chain(&other)),
        }
    }

    /// From a gRPC status: etcd's own texts first, then where it failed, then the code.
    fn of_status(status: &tonic::Status) -> Self {
        let text = status.message();
        let refused = |kind| Self::new(kind, true, text);
        if let Some(text) = text.strip_prefix("etcdserver: ") {
            return match text {
                "requested lease not found" => refused(FaultKind::LeaseNotFound),
                "lease already exists" => refused(FaultKind::LeaseExists),
                "mvcc: required revision has been compacted" => refused(FaultKind::Compacted),
                // May have been applied: see etcd's maintenance guide on the space quota.
                "mvcc: database space exceeded" => Self::new(FaultKind::NoSpace, false, status.message()),
                "permission denied" => refused(FaultKind::PermissionDenied),
                "too many operations in txn request" | "request is too large" => refused(FaultKind::TooLarge),
                "invalid auth token" | "user name is empty" | "revision of auth store is old" => {
                    refused(FaultKind::Unauthenticated)
                }
                "authentication failed, invalid user ID or password"
                | "authentication is not enabled"
                | "user name not found" => refused(FaultKind::BadCredentials),
                "too many requests" | "not capable" => refused(FaultKind::Unavailable),
                "rpc not supported for learner" => refused(FaultKind::Unavailable),
                // All of them come from a member that may have passed the request on.
                text if text.starts_with("no leader")
                    || text.starts_with("leader changed")
                    || text.starts_with("request timed out")
                    || text.starts_with("server stopped")
                    || text.starts_with("not leader") =>
                {
                    Self::new(FaultKind::Unavailable, false, status.message())
                }
                _ => Self::new(FaultKind::Other, is_refusal(status.code()), status.message()),
            };
        }
        let never_sent = status.source().is_some_and(never_connected);
        if text.contains("message length too large") {
            return Self::new(FaultKind::TooLarge, false, text); // The *answer* is: the request was carried out.
        }
        let message = status.source().map_or_else(|| text.to_owned(), chain);
        match status.code() {
            Code::Unauthenticated => refused(FaultKind::Unauthenticated),
            Code::PermissionDenied => refused(FaultKind::PermissionDenied),
            Code::Cancelled | Code::DeadlineExceeded => Self::new(FaultKind::TimedOut, never_sent, message),
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Aborted => {
                Self::new(FaultKind::Unreachable, never_sent, message)
            }
            // What has a cause on this side was not said by a server: the connection was ended in the middle,
            // with "enhance your calm", say.
            _ if status.source().is_some() => Self::new(FaultKind::Unreachable, never_sent, message),
            code => Self::new(FaultKind::Other, is_refusal(code), message),
        }
    }

    /// The connection could not be made; `encrypting`: it was there, and was about to be encrypted.
    pub(super) fn connect(error: &(dyn StdError + 'static), encrypting: bool) -> Self {
        use io::ErrorKind as K;
        let unusable = causes(error).find_map(|cause| Unusable::of(cause.downcast_ref()?));
        if let Some(Unusable(why)) = unusable {
            return Self::new(FaultKind::Unusable, true, why.clone());
        }
        let broken = |cause: &io::Error| matches!(cause.kind(), K::ConnectionReset | K::BrokenPipe);
        let broke = causes(error).any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken));
        let kind = if encrypting && !broke { FaultKind::Tls } else { FaultKind::Unreachable };
        Self::new(kind, true, chain(error))
    }

    /// It happened before anything was answered over a new connection. With TLS 1.3 a client learns only
    /// after its own handshake that its certificate is refused, or missing: by an alert or, if that is
    /// overtaken, by the connection's end.
    pub(super) fn before_any_answer(self, endpoint: &Endpoint) -> Self {
        if !endpoint.is_encrypted() || self.kind != FaultKind::Unreachable {
            return self;
        }
        let message = format!(
            "the server ended the encrypted connection without an answer; it may want a certificate, or not accept the \
             one it is shown: {}",
            self.message
        );
        Self { kind: FaultKind::Tls, message, ..self }
    }

    /// No connection in the time that there was.
    pub(super) fn unconnected() -> Self {
        Self::new(FaultKind::Unreachable, true, "no connection in time")
    }

    /// A connection, but no answer over it: a process that is stopped, or a member without a majority.
    pub(super) fn unanswered() -> Self {
        Self::new(
            FaultKind::TimedOut,
            true,
            "connected, but no answer in time: it may have lost its majority",
        )
    }

    /// None of the endpoints can be used: each with its fault, those with the same one together. The kind is
    /// that of the fault that says most.
    pub(super) fn of_all<'a>(faults: impl IntoIterator<Item = (&'a Endpoint, Self)>) -> Self {
        let mut worst: Option<Self> = None;
        let mut messages: Vec<(String, Vec<String>)> = Vec::new();
        let mut some_other = false;
        for (endpoint, fault) in faults {
            some_other |= fault.kind != FaultKind::Restored;
            match messages.iter_mut().find(|(message, _)| *message == fault.message) {
                Some((_, endpoints)) => endpoints.push(endpoint.to_string()),
                None => messages.push((fault.message.clone(), vec![endpoint.to_string()])),
            }
            if worst.as_ref().is_none_or(|worst| fault.kind.weight() > worst.kind.weight()) {
                worst = Some(fault);
            }
        }
        let mut fault = worst.unwrap_or_else(Self::unconnected);
        if fault.kind == FaultKind::Restored && some_other {
            fault.kind = FaultKind::Unavailable; // One endpoint leads to a copy, the others may come back.
        }
        if let [(_, endpoints)] = messages.as_slice() {
            return fault.at(endpoints.join(", "));
        }
        let each = messages.iter().map(|(message, endpoints)| format!("{}: {message}", endpoints.join(", ")));
        fault.message = each.collect::<Vec<_>>().join("; ");
        fault
    }

    /// No answer in time: it may have happened.
    pub(super) fn timeout(timeout: Duration) -> Self {
        Self::new(FaultKind::TimedOut, false, format!("no answer within {timeout:.1?}"))
    }

    /// Its time was up before it was sent.
    pub(super) fn no_time_left() -> Self {
        Self::new(FaultKind::TimedOut, true, "connected, but its time was up before it was sent")
    }

    /// It waited for others to be answered until its time was up: nothing was sent.
    pub(super) fn no_turn(patience: Duration) -> Self {
        Self::new(
            FaultKind::TimedOut,
            true,
            format!("what was to be written before it was not answered within {patience:?}"),
        )
    }

    /// The stream ended, or does not say anything any more.
    pub(super) fn stream(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Unreachable, false, message)
    }

    /// etcd knows of no such lease any more.
    pub(super) fn lease_gone() -> Self {
        Self::new(FaultKind::LeaseNotFound, true, "the lease does not exist")
    }

    /// There is no watch to open a stream for.
    pub(crate) fn nothing_to_watch() -> Self {
        Self::new(FaultKind::Other, true, "nothing to watch")
    }

    /// The endpoint does not belong here.
    pub(super) fn other_cluster(found: u64, expected: u64) -> Self {
        let message = format!("it belongs to another cluster ({found:x}, and not {expected:x})");
        Self::new(FaultKind::Unavailable, true, message)
    }

    /// The endpoint belongs to a cluster that was restored, or whose store was adopted, since this process
    /// connected.
    pub(super) fn restored(why: impl fmt::Display) -> Self {
        Self::new(FaultKind::Restored, true, why.to_string())
    }

    /// The endpoint answered from the past.
    pub(super) fn stale(answered: u64, known: u64) -> Self {
        let message = format!("it answered as of revision {answered}, although {known} was known before");
        Self::new(FaultKind::Unavailable, false, message)
    }

    pub(super) fn config(error: &ConfigError) -> Self {
        Self::new(FaultKind::Config, true, error.to_string())
    }

    /// The file with the password cannot be read.
    pub(super) fn password(error: &ConfigError) -> Self {
        Self::new(FaultKind::BadCredentials, true, error.to_string())
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(FaultKind::TooLarge, true, message)
    }

    /// An answer that makes no sense: a server that does not speak as etcd does.
    pub(super) fn nonsense(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Other, false, message)
    }

    /// The one before it, unless that says less.
    pub(super) fn or_before(self, before: Option<Self>) -> Self {
        match before {
            Some(other) if other.kind.weight() >= self.kind.weight() => {
                Self { not_executed: self.not_executed, ..other }
            }
            _ => self,
        }
    }

    pub(super) fn never_sent(self) -> Self {
        Self { not_executed: true, ..self }
    }

    pub(super) fn at(self, endpoint: impl fmt::Display) -> Self {
        Self { endpoint: endpoint.to_string(), ..self }
    }

    /// Whether another connection may do better: to another endpoint, or with what the user is known by read
    /// again.
    pub(super) fn is_connections(&self) -> bool {
        self.is_endpoints() || self.is_of_identity()
    }

    /// Whether sending the same again can help: the fault is one of the way or of the moment, not of the
    /// request. With `worked`: there was a connection before, so that what the user or the server is known by
    /// was right once, and may be again; else it has to be set right first.
    pub(super) fn is_worth_repeating(&self, worked: bool) -> bool {
        self.is_endpoints() || (worked && self.is_of_identity())
    }

    /// Whether another endpoint may do better.
    fn is_endpoints(&self) -> bool {
        matches!(
            self.kind,
            FaultKind::Unreachable | FaultKind::TimedOut | FaultKind::Unavailable | FaultKind::Restored
        )
    }

    /// Whether one side does not accept the certificate, the password or the token of the other, or cannot be
    /// used as it is set up: what was right once may be right again.
    fn is_of_identity(&self) -> bool {
        use FaultKind as K;
        matches!(self.kind, K::Tls | K::Config | K::Unusable | K::Unauthenticated | K::BadCredentials)
    }
}

/// The codes with which a server says that it did not do it.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
    )
}

/// Whether the connection was never made, so that nothing can have been sent.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<tonic::ConnectError>())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// An error with its causes in one line, each said once.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: tonic::Status, kind: FaultKind, not_executed: bool) {
        let fault = Fault::of_status(&status);
        assert_eq!((fault.kind, fault.not_executed), (kind, not_executed), "{status:?}");
    }

    #[test]
    fn what_the_connector_calls_unusable_is_not_tried_again() {
        let error = io::Error::from(Unusable("cannot make its folder".to_owned()));
        let fault = Fault::connect(&error, false);
        assert_eq!((fault.kind, fault.not_executed), (FaultKind::Unusable, true));
        assert_eq!(fault.message, "cannot make its folder");
        assert!(!fault.is_worth_repeating(false) && fault.is_worth_repeating(true));
        let refused = Fault::connect(&io::Error::from(io::ErrorKind::ConnectionRefused), false);
        assert!(refused.is_worth_repeating(false));
    }

    #[test]
    fn only_a_refusal_proves_that_nothing_happened() {
        use tonic::Status;
        check(Status::not_found("etcdserver: requested lease not found"), FaultKind::LeaseNotFound, true);
        check(Status::failed_precondition("etcdserver: lease already exists"), FaultKind::LeaseExists, true);
        check(
            Status::out_of_range("etcdserver: mvcc: required revision has been compacted"),
            FaultKind::Compacted,
            true,
        );
        check(
            Status::resource_exhausted("etcdserver: mvcc: database space exceeded"),
            FaultKind::NoSpace,
            false,
        );
        check(Status::unavailable("etcdserver: request timed out"), FaultKind::Unavailable, false);
        check(Status::unavailable("etcdserver: leader changed"), FaultKind::Unavailable, false);
        check(Status::unavailable("etcdserver: no leader"), FaultKind::Unavailable, false);
        check(Status::unavailable("etcdserver: rpc not supported for learner"), FaultKind::Unavailable, true);
        check(Status::cancelled("Timeout expired"), FaultKind::TimedOut, false);
        check(Status::unknown("h2 protocol error"), FaultKind::Unreachable, false);
        check(Status::unavailable("tcp connect error"), FaultKind::Unreachable, false);
        check(Status::permission_denied("etcdserver: permission denied"), FaultKind::PermissionDenied, true);
        check(Status::unauthenticated("etcdserver: invalid auth token"), FaultKind::Unauthenticated, true);
        check(Status::invalid_argument("etcdserver: something new"), FaultKind::Other, true);
        check(Status::internal("boom"), FaultKind::Unreachable, false);
    }
}
