//! planlease over the Model Context Protocol: agents claim tasks, report on them and end them by eight tools.
//!
//! The tools are here once; a transport is a few lines beside them. Over standard streams ([`serve_stdio`])
//! the process is the session ([`ProcessSession`]): when the agent ends, its claims end. Over HTTP
//! ([`serve_http`]) a call names the session that the program behind [`Callers`] keeps.
//!
//! Nothing is decided here: a tool finds the authority of its call, asks the library, and returns the
//! documents that the command line and the sidecar show. The protocol itself (versions 2026-07-28,
//! 2025-11-25 and older) is `rmcp`'s, which changes its major version often; only this crate uses it.

mod access;
mod arguments;
mod caller;
mod http;
mod messages;
mod operate;
mod process;
mod prompt;
mod read;
mod repeated;
mod reply;
mod resources;
mod schema;
mod server;
mod stdio;
mod tools;
mod work;

pub use self::{
    access::Access,
    caller::{Caller, Callers, Handle},
    http::{Body, serve_http},
    process::ProcessSession,
    repeated::Repeated,
    reply::Refusal,
    server::Server,
    stdio::{StdioError, serve_stdio},
};
