//! Every change, as server-sent events: one event per change set, whose id is the revision.
//!
//! However many subscribe, there is one watch on etcd, and an event is made once: subscribers who want the same are sent the
//! same bytes.

use std::collections::BTreeSet;

use axum::{extract::State, response::Response, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, Method};
use planlease_core::{PlanName, Revision};
use planlease_watcher::{Delivery, Error, Filter, Subscription, Why};
use serde::Deserialize;

use crate::{
    encoded::Wish,
    parts::Asked,
    problem::{Kind, Problem},
    routes::{Gives, Parameter, Route},
    shared::{App, Shared},
    sse,
};

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
            .problems(&[Kind::NotAcceptable, Kind::Draining]),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    plan: Option<String>,
    after: Option<Revision>,
}

async fn events(
    State(app): State<App>,
    Asked(asked): Asked<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    sse::accepted(&headers)?;
    let after = match headers.get(LAST_EVENT_ID) {
        None => asked.after,
        Some(id) => {
            let revision = id.to_str().ok().and_then(|id| id.trim().parse().ok());
            let bad = || {
                Problem::new(Kind::BadRequest, "Last-Event-ID has to be the id of an event of this stream")
            };
            Some(revision.ok_or_else(bad)?)
        }
    };
    let mut filter = Filter::default();
    if let Some(plans) = &asked.plan {
        let names = plans.split(',').map(PlanName::new).collect::<Result<BTreeSet<_>, _>>();
        let names = names.map_err(|error| Problem::new(Kind::BadRequest, format!("plan: {error}")))?;
        filter = Filter { plans: Some(names), plans_only: true };
    }
    let plans = filter.plans.clone();
    let subscription = app.watcher.subscribe(filter, after).await.map_err(|error| match &error {
        Error::Future { .. } => Problem::new(Kind::BadRequest, error.to_string()),
        _ => Problem::new(Kind::Unavailable, error.to_string()),
    })?;
    Ok(sse::answer(told(app.clone(), plans, subscription), app.options.heartbeat))
}

/// What a subscriber is sent. What is there already is sent together.
fn told(app: App, plans: Wish, subscription: Subscription) -> impl Stream<Item = Bytes> + Send + 'static {
    let ended = app.drain.ended.clone();
    let deliveries = subscription.take_until(ended.cancelled_owned());
    deliveries.map(move |delivery| encode(&app, &plans, &delivery))
}

fn encode(app: &Shared, plans: &Wish, delivery: &Delivery) -> Bytes {
    let layout = app.coordinator.layout();
    match delivery {
        Delivery::Changes(set) => app.encoded.of(set, layout),
        Delivery::Snapshot(snapshot, why) => {
            let name = match why {
                Why::Beginning => "snapshot",
                Why::NotKept | Why::Lagged => "resync",
            };
            app.encoded.snapshot(name, plans, snapshot)
        }
    }
}
