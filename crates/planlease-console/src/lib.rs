//! The console: a page that shows a fleet as it is now, and the gate before it.
//!
//! ```text
//!   a browser ── cookie ──► the gate ──► the page's files, embedded
//!                              └───────► the sidecar's interface (JSON and events)
//! ```
//!
//! The page is an application in TypeScript (`web/`). Its built files are committed (`dist/`) and part of the
//! program, so that building planlease takes no Node; `cargo xtask console` builds them again and compares.
//! The page uses the interface that every client of the sidecar uses, and nothing else.
//!
//! A browser is let in by a one-time URL, which becomes a cookie that no script can read and that other sites
//! cannot make a browser send. Every answer forbids inline code, and requests to other hosts.

mod assets;
mod console;
mod cookie;
mod gate;
mod headers;
mod refusal;
mod site;

pub use console::{Console, Options};
