//! `/mcp`: the tools for agents, over streamable HTTP. A call names the session by which it is made;
//! `claim` opens one where none is named. A client that is read-only gets the tools that read.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{FromRequest as _, Request, State},
    response::Response,
};
use planlease::{Authority, PlanName, Session};
use planlease_mcp::{Access, Caller, Callers, Handle, Refusal, Server, serve_http};
use uuid::Uuid;

use crate::{
    client_session::{Bond, ClientSession},
    origin::{Admitted, Origin},
    parts::{RawBody, session_name},
    problem::Problem,
    shared::App,
};

/// How often a session that `claim` opened has to be heard of: agents think for minutes between two calls.
/// A program that wants another interval opens its session at `/v1/sessions`.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// Answers one message of the protocol.
pub(crate) async fn serve(
    State(app): State<App>,
    Extension(Admitted { origin, read_only }): Extension<Admitted>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let RawBody(bytes, _room) = RawBody::from_request(Request::from_parts(head.clone(), body), &app).await?;
    let callers = Agents { app: Arc::clone(&app), origin: origin.clone() };
    let operator = format!("{} ({origin})", app.options.name);
    let access = if read_only.is_some() { Access::Read } else { Access::Work };
    let server = Server::new(app.coordinator.clone(), callers, access, &operator);
    let server = server.remembering(Arc::clone(&app.claims)).limited_because(read_only);
    Ok(serve_http(server, Request::from_parts(head, bytes)).await.map(Body::new))
}

/// The sessions of agents, which are those of any program.
#[derive(Clone, Debug)]
struct Agents {
    app: App,
    origin: Origin,
}

/// A session that an agent has named.
#[derive(Debug)]
struct Agent(Arc<ClientSession>);

impl Callers for Agents {
    type Caller = Agent;

    const NAMED: bool = true;

    async fn caller(&self, named: Option<Uuid>, begins: bool) -> Result<Arc<Agent>, Refusal> {
        let refused = |problem: Problem| Refusal::new(problem.detail());
        if begins {
            self.app.drain.allows_new().map_err(refused)?;
        }
        let client = match named {
            Some(id) => self.app.sessions.get(id).map_err(refused)?,
            None if begins => {
                let name = session_name(&self.app, None).map_err(refused)?;
                let bond = Bond::Heartbeat(HEARTBEAT);
                let opening = self.app.sessions.open(&self.app.coordinator, name, self.origin.clone(), bond);
                opening.await.map_err(refused)?.0
            }
            None => return Err(Refusal::new("`session` is missing: it is in the answer of `claim`.")),
        };
        client.note();
        Ok(Arc::new(Agent(client)))
    }

    async fn end_unused(&self, agent: &Agent) {
        self.app.sessions.end(agent.0.id, true).await;
    }

    fn note_update(&self, outcome: &'static str) {
        self.app.metrics.update(outcome);
    }
}

impl Caller for Agent {
    fn session(&self) -> &Session {
        &self.0.session
    }

    fn handle(&self) -> Option<Handle> {
        let heartbeat = match self.0.bond {
            Bond::Connection => None,
            Bond::Heartbeat(every) => Some(every),
        };
        Some(Handle { id: self.0.id, heartbeat })
    }

    fn authority(&self, plan: &PlanName) -> Result<Authority, Refusal> {
        self.0.authority(plan).map_err(|problem| Refusal::new(problem.detail()))
    }
}
