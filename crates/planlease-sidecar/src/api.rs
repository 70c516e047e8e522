//! What is served, a file per thing. Each gives its rows of the table of routes, with the handlers beside
//! them.
//!
//! A handler reads names and right from the request, asks the library, and shows a document of the command
//! line, or a problem.

mod batch;
mod claims;
mod drain;
pub(crate) mod events;
pub(crate) mod health;
mod locks;
mod logs;
pub(crate) mod mcp;
mod others;
mod ownership;
mod plans;
mod sessions;
mod steering;
mod tasks;

use crate::routes::Route;

/// Everything that is served.
pub(crate) fn table() -> Vec<Route> {
    let parts = [
        plans::routes(),
        tasks::routes(),
        logs::routes(),
        batch::routes(),
        claims::routes(),
        ownership::routes(),
        locks::routes(),
        sessions::routes(),
        others::routes(),
        steering::routes(),
        events::routes(),
        drain::routes(),
    ];
    parts.into_iter().flatten().collect()
}
