//! etcd's error table: every refusal this server can give, its gRPC code and its exact text.
//!
//! Clients of etcd distinguish errors by the text, so the texts are part of the wire format and stand
//! nowhere else. What is *not* in etcd's table (a failed disk, a service we do not have) is a
//! [`tonic::Status`] made by the file that notices it.

use tonic::{Code, Status};

/// A request that was refused, and had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A key of zero bytes.
    EmptyKey,
    /// `ignore_value` or `ignore_lease` on a key that does not exist; also an empty operation in a
    /// transaction.
    KeyNotFound,
    /// A value together with `ignore_value`.
    ValueProvided,
    /// A lease together with `ignore_lease`.
    LeaseProvided,
    /// More compares or operations than [`Limits::ops_per_txn_max`](crate::Limits::ops_per_txn_max).
    TooManyOps,
    /// One transaction would write a key twice.
    DuplicateKey,
    /// A sort order or target that is not in the protocol.
    InvalidSortOption,
    /// The revision was compacted.
    Compacted,
    /// The revision has not happened yet.
    FutureRevision,
    /// No such lease.
    LeaseNotFound,
    /// The client chose the id of a lease that exists.
    LeaseExists,
    /// A TTL above etcd's maximum.
    LeaseTtlTooLarge,
    /// The request is larger than [`Limits::request_bytes_max`](crate::Limits::request_bytes_max).
    RequestTooLarge,
    /// There is no other member that could lead.
    BadLeaderTransferee,
    /// A user's name and password, where there are no users.
    AuthNotEnabled,
    /// The disk is nearly full: only what frees space is accepted.
    NoSpace,
    /// The server is stopping or has stopped.
    Stopped,
}

impl Refusal {
    /// The gRPC code and the text, as etcd has them.
    pub(crate) fn parts(self) -> (Code, &'static str) {
        use Code::{
            FailedPrecondition, InvalidArgument, NotFound, OutOfRange, ResourceExhausted, Unavailable,
        };
        match self {
            Self::EmptyKey => (InvalidArgument, "etcdserver: key is not provided"),
            Self::KeyNotFound => (InvalidArgument, "etcdserver: key not found"),
            Self::ValueProvided => (InvalidArgument, "etcdserver: value is provided"),
            Self::LeaseProvided => (InvalidArgument, "etcdserver: lease is provided"),
            Self::TooManyOps => (InvalidArgument, "etcdserver: too many operations in txn request"),
            Self::DuplicateKey => (InvalidArgument, "etcdserver: duplicate key given in txn request"),
            Self::InvalidSortOption => (InvalidArgument, "etcdserver: invalid sort option"),
            Self::Compacted => (OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            Self::FutureRevision => (OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
            Self::LeaseNotFound => (NotFound, "etcdserver: requested lease not found"),
            Self::LeaseExists => (FailedPrecondition, "etcdserver: lease already exists"),
            Self::LeaseTtlTooLarge => (OutOfRange, "etcdserver: too large lease TTL"),
            Self::RequestTooLarge => (InvalidArgument, "etcdserver: request is too large"),
            Self::BadLeaderTransferee => (FailedPrecondition, "etcdserver: bad leader transferee"),
            Self::AuthNotEnabled => (FailedPrecondition, "etcdserver: authentication is not enabled"),
            Self::NoSpace => (ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            Self::Stopped => (Unavailable, "etcdserver: server stopped"),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, text) = refusal.parts();
        Self::new(code, text)
    }
}
