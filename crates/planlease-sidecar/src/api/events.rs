//! Every change, as server-sent events: one event per change set, whose id is the revision.
//!
//! However many subscribe, there is one watch on etcd, and an event is made once: subscribers who want the same are sent the
//! same bytes.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{extract::State, response::Response, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, Method};
use planlease_core::{PlanName, Revision, keys::Layout};
use planlease_documents::{ChangesShown, SnapshotShown};
use planlease_watcher::{ChangeSet, Delivery, Error, Filter, Snapshot, Subscription, Why};
use serde::Deserialize;

use crate::{
    parts::Asked,
    problem::{Kind, Problem},
    routes::{Gives, Parameter, Route},
    shared::{App, Shared},
    sse,
};

/// Where a subscriber goes on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How many events are kept as they are sent. Subscribers that are further behind cost the making of theirs.
const KEPT: usize = 256;

/// How many snapshots are kept as they are sent.
const SNAPSHOTS_KEPT: usize = 4;

/// How large one of them may be, in bytes: a larger one is made for each subscriber rather than kept for nobody.
const SNAPSHOT_KEPT: usize = 2 * 1024 * 1024;

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

/// Which plans a subscriber wants; `None` for all.
type Wish = Option<BTreeSet<PlanName>>;

/// The last events as they are sent, by the change sets that they are made of; and the last snapshots: subscribers come in crowds
/// when a sidecar or a connection has come back.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    kept: Mutex<VecDeque<(Arc<ChangeSet>, Bytes)>>,
    snapshots: Mutex<VecDeque<Encoding>>,
}

/// A snapshot as it is sent: its name, the plans in it, its revision.
#[derive(Debug)]
struct Encoding {
    name: &'static str,
    plans: Wish,
    revision: Revision,
    bytes: Bytes,
}

impl Encoded {
    fn snapshot(&self, name: &'static str, plans: &Wish, snapshot: &Snapshot) -> Bytes {
        let revision = snapshot.revision();
        let mut kept = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &&Encoding| one.revision == revision && one.name == name && one.plans == *plans;
        if let Some(known) = kept.iter().find(same) {
            return known.bytes.clone();
        }
        let shown = SnapshotShown::new(revision, snapshot.plans().map(|plan| &**plan));
        let json = planlease_documents::json(&shown).unwrap_or_else(|_| "{}".to_owned());
        let bytes = sse::event(name, Some(revision.to_wire()), &json);
        if bytes.len() <= SNAPSHOT_KEPT {
            kept.push_back(Encoding { name, plans: plans.clone(), revision, bytes: bytes.clone() });
        }
        if kept.len() > SNAPSHOTS_KEPT {
            kept.pop_front();
        }
        bytes
    }

    fn of(&self, set: &Arc<ChangeSet>, layout: &Layout) -> Bytes {
        let known = |kept: &VecDeque<(Arc<ChangeSet>, Bytes)>| {
            kept.iter().rev().find(|(known, _)| Arc::ptr_eq(known, set)).map(|(_, bytes)| bytes.clone())
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known(&kept) {
            return bytes;
        }
        let json =
            planlease_documents::json(&ChangesShown::new(set, layout)).unwrap_or_else(|_| "{}".to_owned());
        let bytes = sse::event("changes", Some(set.revision.to_wire()), &json);
        // A filter's own set is one subscriber's alone: nobody else comes to ask for it.
        if Arc::strong_count(set) > 1 {
            kept.push_back((Arc::clone(set), bytes.clone()));
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
        bytes
    }
}
