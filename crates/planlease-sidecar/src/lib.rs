//! planlease over HTTP, for programs in any language on the same host or in the same pod.
//!
//! ```text
//!   your program ── HTTP, server-sent events ──► the sidecar ── gRPC ──► etcd
//! ```
//!
//! A program that owns plans opens a *session*, usually by a request whose answer does not end: the session
//! stands as long as that connection does. What it owns and what it has claimed hang on the session's own
//! lease in etcd. When the program dies the kernel closes the connection, the sidecar revokes the lease, and
//! the next one in the queue owns the plan some milliseconds later; when the sidecar dies, the lease expires.
//!
//! The sidecar decides nothing. It finds the authority of a request, asks the library, and returns
//! the outcome in HTTP's terms: a task's `ETag` is the revision that wrote it, an update needs `If-Match`, a
//! refusal is `application/problem+json`. What it serves is one table ([`Sidecar::openapi`] is made from it).

mod admission;
mod api;
mod ask;
mod bodies;
mod cancelled;
mod client_session;
mod conditional;
mod drain;
mod encoded;
mod fleet;
mod headers;
mod listen;
mod maintain;
mod metrics;
mod openapi;
mod options;
mod origin;
mod parts;
mod problem;
mod pulse;
mod recent;
mod repeated;
mod router;
mod routes;
mod scrape;
mod serve;
mod sessions;
mod shape;
mod shared;
mod sidecar;
mod sse;
mod standing;
mod stream;
mod timers;
mod token;
mod trace;
mod view;
mod watchers;

pub use ask::{Address, AskError};
pub use listen::{Bound, Listen, ListenError};
pub use options::Options;
pub use sidecar::{Ended, Sidecar};
pub use token::{Token, Tokens};
