//! The spans of tracing: which there are, and which fields they have (docs/operations.md).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock, Mutex},
};

use planlease::{AcquireOptions, Identity};
use planlease_core::transition::Change;
use planlease_tests::{TestEnv, case};
use tracing::{
    Dispatch, Subscriber,
    field::{Field, Visit},
    instrument::WithSubscriber as _,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry::LookupSpan};

use crate::helpers::{committed, id, imported, plan};

/// The fields of each span, in the order in which the spans began.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<Captured>>>);

#[derive(Clone, Debug)]
struct Captured {
    id: Id,
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        if !span.metadata().target().starts_with("planlease") {
            return;
        }
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        let parent = span.parent().map(|parent| parent.name());
        self.0.lock().unwrap().push(Captured { id: id.clone(), name: span.name(), parent, fields });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let mut all = self.0.lock().unwrap();
        if let Some(span) = all.iter_mut().rev().find(|span| span.id == *id) {
            record.record(&mut Fields(&mut span.fields));
        }
    }
}

impl Spans {
    /// The last span of this name.
    #[track_caller]
    fn last(&self, name: &str) -> Captured {
        let all = self.0.lock().unwrap();
        all.iter().rev().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {all:?}")).clone()
    }
}

/// Keeps the test from depending on others that run beside it. While a process has one subscriber, `tracing`
/// asks whether a span is wanted in the thread that comes to it first, and remembers the answer for all
/// threads; the other tests have no subscriber.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

#[case]
async fn spans_name_session_plan_task_term_and_write(env: TestEnv) {
    LazyLock::force(&SECOND);
    imported(&env).await;
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    let work = async {
        let session = env.coordinator().await.open_session(Identity::of_process()).await.unwrap();
        let owner = session.acquire(&plan(), AcquireOptions::default()).await.unwrap();
        let view = session.coordinator().plan(&plan()).await.unwrap();
        let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
        let secret = Change::Complete(Some("what the user wrote".to_owned()));
        let done = committed(owner.authority().update_attempt(&started, 1, &secret).await.unwrap());
        let (lease, name) = (session.lease().to_string(), session.id().to_string());
        owner.release().await.unwrap();
        session.close().await.unwrap();
        (lease, name, done)
    };
    let (lease, name, done) = work.with_subscriber(subscriber).await;
    let fields = |span: &Captured| {
        span.fields.iter().map(|(field, value)| (*field, value.clone())).collect::<Vec<_>>()
    };
    let of = |all: &[(&'static str, &str)]| {
        all.iter().map(|(field, value)| (*field, (*value).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(fields(&spans.last("session")), of(&[("orchestrator", &name), ("session", &lease)]));
    let plan = plan().to_string();
    let ownership = spans.last("ownership");
    assert_eq!(ownership.parent, Some("session"));
    for (field, value) in [("plan", plan.as_str()), ("session", &lease), ("term", "1"), ("token", "1.1")] {
        assert_eq!(ownership.fields.get(field).map(String::as_str), Some(value), "{ownership:?}");
    }
    assert!(ownership.fields.contains_key("revision"), "{ownership:?}");
    let (op_id, revision) = (done.record.op_id.to_string(), done.revision.to_string());
    let update = [
        ("attempt", "1"),
        ("op_id", op_id.as_str()),
        ("plan", &plan),
        ("revision", &revision),
        ("session", &lease),
        ("status", "\"completed\""),
        ("task", "1"),
        ("term", "1"),
    ];
    assert_eq!(fields(&spans.last("update")), of(&update));
    let in_term = [("plan", plan.as_str()), ("session", &lease), ("term", "1")];
    assert_eq!(fields(&spans.last("acquire")), of(&in_term));
    assert_eq!(fields(&spans.last("release")), of(&in_term));
    let all = format!("{:?}", spans.0.lock().unwrap());
    assert!(!all.contains("what the user wrote"), "{all}");
}
