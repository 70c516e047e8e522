//! Sessions: what a program owns and claims hangs on one, and ends with it.

use std::{sync::Arc, time::Duration};

use async_stream::stream;
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Method, StatusCode};
use planlease::core::session::Status;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::{
    cancelled::Reported,
    client_session::{Bond, ClientSession},
    drain::Phase,
    options::MAX_HEARTBEAT,
    origin::Origin,
    parts::{Json, Names, own, session_name},
    problem::{Kind, Problem},
    routes::{Gives, Route},
    sessions::{Sessions, seconds},
    shape::{Own, Shape},
    shared::App,
    sse,
    view::SessionView,
};

/// How often a session without a stream has to be heard of, in seconds, if it does not say.
const HEARTBEAT: f64 = 30.0;

/// The shortest interval at which a program must report that it lives.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/v1/sessions", "openSession", "Opens a session. With Accept: text/event-stream it stands as long as the connection does, and the answer tells what happens to it; else it has to be heard of every heartbeat_s.", || post(open))
            .reads::<Open>()
            .gives(Gives::EventsOr(Shape::own::<SessionView>()))
            .also(201, Some(Shape::own::<SessionView>()))
            .problems(&[Kind::Exists, Kind::Draining]),
        Route::new(Method::GET, "/v1/sessions", "listSessions", "The sessions of this sidecar, without their ids.", || get(list)).returns::<All>(),
        Route::new(Method::GET, "/v1/sessions/{session}", "showSession", "What a session owns, and until when that is certain.", || get(show))
            .returns::<SessionView>()
            .problems(&[Kind::NoSuchSession]),
        Route::new(Method::POST, "/v1/sessions/{session}/heartbeat", "heartbeat", "Says that the program lives.", || post(heartbeat))
            .returns::<SessionView>()
            .problems(&[Kind::NoSuchSession]),
        Route::new(Method::DELETE, "/v1/sessions/{session}", "closeSession", "Releases what it owns, and ends it.", || delete(close))
            .gives(Gives::Nothing)
            .problems(&[Kind::NoSuchSession]),
    ]
}

/// How a session is opened.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "OpenRequest")]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    /// What others see it as. It names one incarnation of the program. By default it is made up.
    id: Option<String>,
    /// How often it has to be heard of, in seconds; 30 by default. Only without a stream.
    #[schemars(range(min = 0.1, max = 3600))]
    heartbeat_s: Option<f64>,
}

async fn open(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    Json(body): Json<Open>,
) -> Result<Response, Problem> {
    app.drain.allows_new()?;
    let id = session_name(&app, body.id.as_deref())?;
    if sse::wanted(&headers) {
        if body.heartbeat_s.is_some() {
            return Err(Problem::new(Kind::BadRequest, "heartbeat_s: a session with a stream needs none"));
        }
        let (client, news) = app.sessions.open(&app.coordinator, id, origin, Bond::Connection).await?;
        return Ok(sse::answer(follow(&app, client, news), app.options.heartbeat));
    }
    let every = seconds("heartbeat_s", body.heartbeat_s.unwrap_or(HEARTBEAT), MAX_HEARTBEAT)?;
    if every < MIN_HEARTBEAT {
        return Err(Problem::new(Kind::BadRequest, "heartbeat_s has to be 0.1 or more"));
    }
    let (client, _news) = app.sessions.open(&app.coordinator, id, origin, Bond::Heartbeat(every)).await?;
    Ok(own(StatusCode::CREATED, &client.view(true)))
}

/// Ends the session when the stream is dropped: the program has closed the connection, or died.
struct WhileConnected {
    sessions: Arc<Sessions>,
    id: Uuid,
}

impl Drop for WhileConnected {
    fn drop(&mut self) {
        drop(self.sessions.end(self.id, false));
    }
}

/// Why a session ended.
#[derive(Debug, Serialize, JsonSchema)]
struct Over {
    why: String,
}

impl Own for Over {
    const SCHEMA: &'static str = "planlease.over.v1";
}

/// The last event of a session.
pub(super) fn over(why: String) -> Bytes {
    sse::document("over", &Over { why })
}

/// What comes next on the stream of a session.
enum Next {
    Send(Bytes),
    Over(String),
}

/// Waits until the sidecar drains, or not any more.
async fn phase_of(drain: &mut watch::Receiver<Phase>, draining: bool) -> Result<(), watch::error::RecvError> {
    drain.wait_for(|phase| (*phase > Phase::Open) != draining).await.map(drop)
}

/// The stream of a session that is bound to it.
pub(super) fn follow(
    app: &App,
    client: Arc<ClientSession>,
    mut news: mpsc::Receiver<Bytes>,
) -> impl Stream<Item = Bytes> + Send + use<> {
    let bound = WhileConnected { sessions: Arc::clone(&app.sessions), id: client.id };
    let (app, mut reported) = (Arc::clone(app), Reported::default());
    let mut drain = app.drain.watch();
    stream! {
        let _bound = bound;
        yield sse::document("session", &client.view(true));
        let mut status = client.session.watch_status();
        let mut draining = false; // As the client knows it.
        loop {
            let next = tokio::select! {
                biased; // Events from before the end are sent before it.
                Some(event) = news.recv() => Next::Send(event),
                () = client.over.cancelled() => Next::Over("the session was ended".to_owned()),
                changed = status.changed() => match (changed, client.session.status()) {
                    (Ok(()), Status::Live { .. }) => Next::Send(client.trusted()),
                    (_, Status::Lost(reason)) => Next::Over(reason.to_string()),
                    (Err(_), Status::Live { .. }) => Next::Over("the session was ended".to_owned()),
                },
                Ok(()) = phase_of(&mut drain, draining) => {
                    draining = !draining;
                    Next::Send(sse::event(if draining { "draining" } else { "undrained" }, None, "{}"))
                }
            };
            // At the latest with the next renewal.
            for event in reported.news(client.cancelled(&app.watchers)) {
                yield event;
            }
            match next {
                Next::Send(event) => yield event,
                Next::Over(why) => {
                    yield over(why);
                    break;
                }
            }
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SessionList")]
struct All {
    sessions: Vec<SessionView>,
}

impl Own for All {
    const SCHEMA: &'static str = "planlease.sessions.v1";
}

async fn list(State(app): State<App>) -> Response {
    let sessions = app.sessions.all().iter().map(|client| client.view(false)).collect();
    own(StatusCode::OK, &All { sessions })
}

async fn show(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let client = app.sessions.get(names.session()?)?;
    Ok(own(StatusCode::OK, &client.view_with_cancelled(&app.watchers)))
}

async fn heartbeat(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let client = app.sessions.get(names.session()?)?;
    client.note();
    Ok(own(StatusCode::OK, &client.view_with_cancelled(&app.watchers)))
}

async fn close(State(app): State<App>, names: Names) -> Result<Response, Problem> {
    let client = app.sessions.get(names.session()?)?;
    app.sessions.end(client.id, true).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
