//! The store itself: a member that answers from the past, a store that was restored, a copy of it.

use std::time::Duration;

use planlease::{Config, Coordinator, Error, Loss, Outcome, Refused};
use planlease_core::{Generation, session::LossReason, transition::Change};
use planlease_tests::{
    etcd::{Etcd, Restore},
    suite::PlainCase,
    wait::{SOON, until},
};

use crate::fleet::{acquired, audit, committed, config, connected, ends, id, observer, plan, session, spec};

pub(crate) fn cases() -> Vec<PlainCase> {
    crate::scenarios![
        "on_etcd::store": [
            f38_an_endpoint_that_answers_from_the_past_is_not_believed,
            f39_a_restored_store_stops_everybody_until_it_is_adopted,
            f39_a_restored_store_whose_revisions_were_raised_stops_everybody_until_it_is_adopted,
            f39_a_store_that_went_back_in_time_under_its_owner_is_not_written_to,
        ],
        "on_etcd_3_4::store": [
            f39_a_restored_store_of_an_older_server_stops_everybody_until_it_is_adopted,
        ],
    ]
}

/// What an older etcd does after a pause of a member, here done by a copy with the same id: it answers correctly, as of
/// then. Whoever has seen more knows better.
async fn f38_an_endpoint_that_answers_from_the_past_is_not_believed() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let past = Etcd::builder().start().await;
    let before = observer(&etcd).await;
    before.import(&plan(), &spec(1), |_| {}).await.unwrap();
    let snapshot = etcd.save_snapshot().await;
    past.restore(&snapshot, Restore { posing_as: Some(&etcd), ..Restore::default() }).await;

    let endpoints = [etcd.proxied_endpoints(), past.endpoints()].concat();
    let settings = Config { operation_timeout: Duration::from_secs(3), ..config(&endpoints) };
    let both = connected(settings).await;
    let owner = acquired(&session(&both, "owner").await).await;
    let view = both.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    etcd.members()[0].proxy().cut();
    let read = both.plan(&plan()).await;
    assert!(matches!(read, Err(Error::OutcomeUnknown(_) | Error::Unreachable(_))), "{read:?}");
    let task = both.task(&plan(), &id("1")).await;
    assert!(matches!(task, Err(Error::OutcomeUnknown(_) | Error::Unreachable(_))), "{task:?}");
    let list = both.snapshot(&both.layout().everything()).await;
    assert!(list.is_err(), "{list:?}");
    etcd.heal();
    let now = until("answer of the present", SOON, async || {
        both.task(&plan(), &id("1")).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(now, Some(started));
    drop(owner);
    audit(&etcd).await;
}

async fn f39_a_restored_store_stops_everybody_until_it_is_adopted() {
    restored(Etcd::builder().start().await, None).await;
}

async fn f39_a_restored_store_whose_revisions_were_raised_stops_everybody_until_it_is_adopted() {
    restored(Etcd::builder().start().await, Some(1_000_000_000)).await;
}

/// Its tool cannot raise revisions.
async fn f39_a_restored_store_of_an_older_server_stops_everybody_until_it_is_adopted() {
    restored(Etcd::of(planlease_tests::etcd::Line::V3_4).start().await, None).await;
}

/// After the snapshot a term begins and ends whose token somebody outside may have seen.
async fn restored(etcd: Etcd, bump_revision: Option<u64>) {
    let live = observer(&etcd).await;
    live.import(&plan(), &spec(1), |_| {}).await.unwrap();
    let first = acquired(&session(&live, "first").await).await;
    first.release().await.unwrap();
    let snapshot = etcd.save_snapshot().await;
    let forgotten = acquired(&session(&live, "forgotten").await).await;
    let view = live.plan(&plan()).await.unwrap();
    let started = committed(forgotten.authority().start(&view, &id("1")).await.unwrap());
    let (token, authority) = (forgotten.token(), forgotten.authority());
    let ending = ends(forgotten);

    etcd.restore(&snapshot, Restore { bump_revision, token: Some("another"), ..Restore::default() }).await;
    let settings = config(&etcd.endpoints());
    let refused = Coordinator::connect(settings.clone()).await;
    assert!(matches!(refused, Err(Error::StoreMoved { .. })), "{refused:?}");
    let (loss, ..) = ending.await.unwrap();
    assert!(matches!(loss, Loss::Session(_)), "{loss:?}");
    let talks = live.plan(&plan()).await;
    assert!(talks.is_err(), "who ran before talks to another cluster: {talks:?}");
    let late = authority.update(&started, Some(1), &Change::Complete(None)).await;
    assert!(late.is_err(), "{late:?}");

    assert_eq!(Coordinator::adopt_store(settings.clone()).await.unwrap(), Generation(2));
    let adopted = connected(settings).await;
    let owner = acquired(&session(&adopted, "after").await).await;
    assert!(owner.token() > token, "{} after {token}", owner.token());
    let view = adopted.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    committed(owner.authority().update(&started, Some(1), &Change::Complete(None)).await.unwrap());
    owner.release().await.unwrap();
    let audited = audit(&etcd).await;
    assert_eq!(audited.complete, bump_revision.is_none());
}

/// The same addresses and the same token make the same id: the store looks the same, only younger. An owner that lives
/// through this must not take its answers for what they seem.
async fn f39_a_store_that_went_back_in_time_under_its_owner_is_not_written_to() {
    let etcd = Etcd::builder().start().await;
    let settings = Config { operation_timeout: Duration::from_secs(2), ..config(&etcd.endpoints()) };
    let live = connected(settings).await;
    live.import(&plan(), &spec(1), |_| {}).await.unwrap();
    let snapshot = etcd.save_snapshot().await;
    let owner = acquired(&session(&live, "owner").await).await;
    let view = live.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    let delegation = owner.delegate();
    let ending = ends(owner);
    etcd.restore(&snapshot, Restore::default()).await;
    let (loss, ..) = ending.await.unwrap();
    let Loss::Session(LossReason::LeaseGone | LossReason::DeadlinePassed) = loss else { panic!("{loss:?}") };
    let read = live.task(&plan(), &id("1")).await;
    assert!(read.is_err(), "from the past: {read:?}");
    let fresh = observer(&etcd).await;
    let outcome =
        fresh.delegated(&delegation).update(&started, Some(1), &Change::Complete(None)).await.unwrap();
    assert!(matches!(outcome, Outcome::Refused(Refused::RightGone | Refused::Conflict(_))), "{outcome:?}");
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.terms, 0, "that term has never been");
}
