//! Every change, as server-sent events: one event per change set, whose id is the revision.
//!
//! However many want the same plans, there is one watch on etcd for them, and an event is made once: they are
//! sent the same bytes.

use std::{collections::BTreeSet, time::Duration};

use axum::{extract::State, response::Response, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, Method};
use planlease_core::{PlanName, Revision};
use planlease_watcher::{Delivery, Error, Filter, Scope, Subscription, Why};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    encoded::Wish,
    parts::Query,
    problem::{Kind, Problem},
    routes::{Gives, Parameter, Route},
    shared::{App, Shared},
    sse,
    watchers::InUse,
};

/// How long the beginning of a subscription is waited for, and a revision that is not reached yet. etcd says
/// after 4 s of silence how far it is.
const AHEAD: Duration = Duration::from_secs(6);

/// Where a subscriber goes on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn routes() -> Vec<Route> {
    let what = "Every change as server-sent events, one per change set, with its revision as id; a snapshot first, and again for a subscriber that fell behind.";
    vec![
        Route::new(Method::GET, "/v1/events", "events", what, || get(events))
            .query(&[
                Parameter::new("plan", "string", "Only these plans, separated by commas."),
                Parameter::new("after", "integer", "Only what came after this revision; as Last-Event-ID."),
            ])
            .headers(&[Parameter::new(
                "Last-Event-ID",
                "integer",
                "The revision of the last event that is known.",
            )])
            .gives(Gives::Events)
            .problems(&[Kind::NotAcceptable, Kind::Draining, Kind::Unavailable]),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    plan: Option<String>,
    after: Option<String>,
}

async fn events(
    State(app): State<App>,
    Query(query): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    sse::accepted(&headers)?;
    let known = |text: &str, what: &str| {
        let text = text.trim();
        let bad =
            || Problem::new(Kind::BadRequest, format!("{what} has to be the id of an event of this stream"));
        // An empty one stands for none: so the standard has clients forget theirs.
        if text.is_empty() { Ok(None) } else { text.parse::<Revision>().map(Some).map_err(|_| bad()) }
    };
    let id = headers.get(LAST_EVENT_ID).map(|id| known(id.to_str().unwrap_or("?"), "Last-Event-ID"));
    let after = match id.transpose()?.flatten() {
        Some(id) => Some(id),
        None => known(query.after.as_deref().unwrap_or_default(), "after")?,
    };
    let mut filter = Filter::default();
    if let Some(plans) = &query.plan {
        let names = plans.split(',').map(PlanName::new).collect::<Result<BTreeSet<_>, _>>();
        let names = names.map_err(|error| Problem::new(Kind::BadRequest, format!("plan: {error}")))?;
        filter = Filter { plans: Some(names), plans_only: true };
    }
    let plans = filter.plans.clone();
    let scope = plans.clone().map_or_else(Scope::namespace, Scope::plans);
    let watcher = app.watchers.of(scope);
    let subscription = subscribe(&watcher, filter, after).await?;
    Ok(sse::answer(event_stream(app.clone(), plans, watcher, subscription), app.options.heartbeat))
}

/// Subscribes. A revision that is not reached yet is waited for: it may have been read at another sidecar,
/// whose watch is ahead.
async fn subscribe(
    watcher: &InUse,
    filter: Filter,
    after: Option<Revision>,
) -> Result<Subscription, Problem> {
    let unavailable = |error: Error| Problem::new(Kind::Unavailable, error.to_string());
    match subscribe_in_time(watcher, filter.clone(), after).await? {
        Err(Error::Future { from, .. }) => {
            watcher.wait_for(from, AHEAD).await.map_err(unavailable)?;
            subscribe_in_time(watcher, filter, after).await?.map_err(unavailable)
        }
        subscribed => subscribed.map_err(unavailable),
    }
}

/// Subscribes, if what it begins with can be had in time: while etcd is away, the watcher waits for it.
///
/// # Errors
/// [`Kind::Unavailable`] if it cannot.
async fn subscribe_in_time(
    watcher: &InUse,
    filter: Filter,
    after: Option<Revision>,
) -> Result<Result<Subscription, Error>, Problem> {
    timeout(AHEAD, watcher.subscribe(filter, after)).await.map_err(|_| {
        let why = watcher.trouble().map_or_else(String::new, |why| format!(": {why}"));
        let detail = format!("the plans could not be read from etcd within {} s{why}", AHEAD.as_secs());
        Problem::new(Kind::Unavailable, detail)
    })
}

/// What a subscriber is sent. What is there already is sent together. The watcher is in use until its end.
fn event_stream(
    app: App,
    plans: Wish,
    watcher: InUse,
    subscription: Subscription,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let ended = app.drain.ended.clone();
    let deliveries = subscription.take_until(ended.cancelled_owned());
    deliveries.map(move |delivery| encode(&app, &plans, &watcher, &delivery))
}

fn encode(app: &Shared, plans: &Wish, watcher: &InUse, delivery: &Delivery) -> Bytes {
    let layout = app.coordinator.layout();
    match delivery {
        Delivery::Changes(set) => app.encoded.of(set, layout, watcher.snapshot().as_ref()),
        Delivery::Snapshot(snapshot, why) => {
            let name = match why {
                Why::Beginning => "snapshot",
                Why::NotKept | Why::Lagged => "resync",
            };
            app.encoded.snapshot(name, plans, snapshot)
        }
    }
}
