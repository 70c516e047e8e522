//! Extractors and responders of the handlers: names from the path, the query, the body, the caller with its
//! authority; and documents as responses.

use std::{collections::BTreeMap, fmt::Display, str::FromStr, sync::Arc};

use axum::{
    body::Body,
    extract::{self, FromRequest, FromRequestParts, Path, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request};
use planlease::{Authority, PlanView};
use planlease_core::{LockName, OrchestratorId, PlanName, TaskId};
use planlease_documents::Document;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    bodies::Room,
    client_session::ClientSession,
    headers::{OPERATOR, SESSION},
    origin::Origin,
    problem::{Kind, Problem},
    shape::Own,
    shared::{App, Shared},
};

/// The longest name of a person, in bytes.
const MAX_OPERATOR: usize = 200;

/// The names in a path.
#[derive(Debug)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    fn of<T: FromStr<Err: Display>>(&self, what: &str) -> Result<T, Problem> {
        let text = self.0.get(what).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|error| Problem::new(Kind::BadRequest, format!("{what}: {error}")))
    }

    /// The plan.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] if no plan can be called so; likewise below.
    pub(crate) fn plan(&self) -> Result<PlanName, Problem> {
        self.of("plan")
    }

    /// The task.
    pub(crate) fn task(&self) -> Result<TaskId, Problem> {
        self.of("task")
    }

    /// The lock.
    pub(crate) fn lock(&self) -> Result<LockName, Problem> {
        self.of("lock")
    }

    /// The orchestrator.
    pub(crate) fn orchestrator(&self) -> Result<OrchestratorId, Problem> {
        self.of("orchestrator")
    }

    /// The session.
    pub(crate) fn session(&self) -> Result<Uuid, Problem> {
        self.of("session")
    }
}

impl FromRequestParts<App> for Names {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        let names = Path::from_request_parts(parts, app).await;
        let Path(names) = names.map_err(|rejection| Problem::new(Kind::BadRequest, rejection.body_text()))?;
        Ok(Self(names))
    }
}

/// The query of the URL.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _app: &App) -> Result<Self, Problem> {
        let query = extract::Query::try_from_uri(&parts.uri);
        let extract::Query(query) =
            query.map_err(|rejection| Problem::new(Kind::BadRequest, rejection.body_text()))?;
        Ok(Self(query))
    }
}

/// The bytes of a body, bounded in size and time, and the memory that they take.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) bytes::Bytes, pub(crate) Room);

impl FromRequest<App> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (bytes, room) = app.bodies.read(request.into_body(), app.options.patience).await?;
        Ok(Self(bytes, room))
    }
}

/// A body of JSON. An empty one stands for `{}`.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let kind = content_type(request.headers());
        let RawBody(bytes, _room) = RawBody::from_request(request, app).await?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        if !kind.is_empty() && kind != "application/json" {
            let detail = format!("the body is {kind:?}; send Content-Type: application/json");
            return Err(Problem::new(Kind::UnsupportedType, detail));
        }
        // A list would be taken for the fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::new(Kind::BadRequest, "the body has to be an object of JSON"));
        }
        let body = serde_json::from_slice(bytes);
        body.map(Self).map_err(|error| Problem::new(Kind::BadRequest, format!("the body: {error}")))
    }
}

/// The type of a body, without its parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// By whose right a request is made.
#[derive(Debug)]
pub(crate) enum Caller {
    /// A program with a session.
    Program(Arc<ClientSession>),
    /// A person, or a program that acts for one: what it calls itself, and what it is.
    Person(String, Origin),
}

impl Caller {
    /// The session.
    ///
    /// # Errors
    /// [`Kind::NotAllowed`] without one.
    pub(crate) fn session(&self) -> Result<&Arc<ClientSession>, Problem> {
        match self {
            Self::Program(client) => Ok(client),
            Self::Person(..) => Err(Problem::new(
                Kind::NotAllowed,
                "that takes a session: open one at /v1/sessions and send its id as Planlease-Session",
            )),
        }
    }

    /// The authority to update tasks of a plan, under the owner that it has at that moment.
    ///
    /// # Errors
    /// [`Kind::AuthorityLost`] if the session is over.
    pub(crate) fn authority_over(&self, app: &Shared, plan: &PlanName) -> Result<Authority, Problem> {
        match self {
            Self::Program(held) => held.authority(plan),
            Self::Person(..) => Ok(app.coordinator.as_operator(plan, &self.name())),
        }
    }

    /// The right to a plan's tasks. A person's is good for the plan as it was seen.
    ///
    /// # Errors
    /// [`Kind::Held`] while another process takes the plan over; [`Kind::AuthorityLost`] if the session is over.
    pub(crate) fn authority(&self, app: &Shared, view: &PlanView) -> Result<Authority, Problem> {
        match self {
            Self::Program(client) => client.authority(view.name()),
            Self::Person(..) => Ok(app.coordinator.operator(view, &self.name())?),
        }
    }

    /// The name that is written into records. What a person calls itself proves nothing, so what it is stands
    /// beside it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Program(client) => client.session.id().to_string(),
            Self::Person(who, origin) => format!("{who} ({origin})"),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, app: &App) -> Result<Self, Problem> {
        if let Some(value) = parts.headers.get(SESSION) {
            let id = value.to_str().ok().and_then(|text| Uuid::parse_str(text.trim()).ok());
            let bad = || Problem::new(Kind::BadRequest, "Planlease-Session has to be the id of a session");
            return Ok(Self::Program(app.sessions.get(id.ok_or_else(bad)?)?));
        }
        let origin = parts.extensions.get::<Origin>().cloned();
        let unknown = || Problem::new(Kind::Unauthorized, "the peer of the connection is unknown");
        let origin = origin.ok_or_else(unknown)?;
        let who = match parts.headers.get(OPERATOR) {
            None => app.options.name.clone(),
            Some(value) => {
                let who = value.to_str().ok().map(str::trim);
                let who = who.filter(|who| {
                    !who.is_empty()
                        && who.len() <= MAX_OPERATOR
                        && who.bytes().all(|byte| byte.is_ascii_graphic())
                });
                let bad = || {
                    Problem::new(
                        Kind::BadRequest,
                        "Planlease-Operator has to be a name in ASCII, without spaces",
                    )
                };
                who.ok_or_else(bad)?.to_owned()
            }
        };
        Ok(Self::Person(who, origin))
    }
}

/// The name of a new session: the program's own, or one with a random part.
///
/// # Errors
/// [`Kind::BadRequest`] if it is no valid name.
pub(crate) fn session_name(app: &Shared, wanted: Option<&str>) -> Result<OrchestratorId, Problem> {
    let made_up = || format!("{}-{}", app.options.name, &Uuid::new_v4().simple().to_string()[..8]);
    let name = wanted.map_or_else(made_up, str::to_owned);
    OrchestratorId::new(name).map_err(|error| Problem::new(Kind::BadRequest, format!("id: {error}")))
}

/// A document as an answer.
pub(crate) struct JsonView<D>(pub(crate) D);

impl<D: Document> IntoResponse for JsonView<D> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, planlease_documents::json(&self.0))
    }
}

/// A document of the sidecar's own, with the name of its schema.
pub(crate) fn own<T: Own>(status: StatusCode, value: &T) -> Response {
    json(status, planlease_documents::marked(Some(T::SCHEMA), value))
}

fn json(status: StatusCode, text: Result<String, serde_json::Error>) -> Response {
    let text = match text {
        Ok(text) => text,
        Err(error) => return Problem::new(Kind::Unexpected, error.to_string()).into_response(),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
