//! The room on etcd's disk: used up, and free again.

use std::time::Duration;

use etcd_client::DeleteOptions;
use planlease::{Error, Outcome};
use planlease_core::{PlanName, session::Status, transition::Change};
use planlease_tests::{etcd::Etcd, suite::PlainCase};
use tokio::time::Instant;

use crate::fleet::{Pair, TTL, acquired, audit, committed, finishes, id, plan, spec};

pub(crate) fn cases() -> Vec<PlainCase> {
    crate::scenarios![
        "on_etcd::space": [
            f35_a_full_disk_refuses_writes_and_nothing_else_and_all_goes_on_when_there_is_room,
            f35_with_a_full_disk_a_plan_can_be_let_go_and_is_taken_over_when_there_is_room,
        ],
    ]
}

/// What an operator does then.
async fn make_room(etcd: &Etcd) {
    let options = DeleteOptions::new().with_prefix();
    etcd.client(0).await.delete("filler/", Some(options)).await.unwrap();
    etcd.compact().await;
    etcd.defragment().await;
    etcd.disarm().await;
}

async fn f35_a_full_disk_refuses_writes_and_nothing_else_and_all_goes_on_when_there_is_room() {
    let etcd = Etcd::builder().proxied(true).quota(8 * 1024 * 1024).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    etcd.fill().await;
    let authority = pair.owner.authority();
    let outcome = authority.update(&pair.started, Some(1), &Change::Progress("more".into())).await;
    // Refused or not, it may have been applied: etcd itself says so of this error.
    let op_id = match outcome {
        Ok(Outcome::Unknown { op_id, ref reason }) if reason.contains("space exceeded") => op_id,
        other => panic!("{other:?}"),
    };
    let imported = pair.observer.import(&PlanName::new("other").unwrap(), &spec(1), |_| {}).await;
    assert!(matches!(imported, Err(Error::NoSpace(_))), "{imported:?}");
    // Reading and renewing go on, for longer than the TTL.
    let began = Instant::now();
    while began.elapsed() < TTL * 2 {
        let view = pair.exposed.plan(&plan()).await.unwrap();
        assert_eq!(view.tasks[&id("1")], pair.started, "not applied this time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(pair.owner.session().status(), Status::Live { .. }));
    make_room(&etcd).await;
    let task =
        committed(authority.update(&pair.started, Some(1), &Change::Progress("late".into())).await.unwrap());
    pair.owner.release().await.unwrap();
    finishes(pair.waiting.await.unwrap().unwrap().0).await;
    let audited = audit(&etcd).await;
    assert_eq!(audited.audit.find_write(op_id), None);
    assert!(task.revision > pair.started.revision);
}

/// Letting go needs no room, and hands nothing over: taking over does. So nobody is stuck behind somebody who is done.
async fn f35_with_a_full_disk_a_plan_can_be_let_go_and_is_taken_over_when_there_is_room() {
    let etcd = Etcd::builder().proxied(true).quota(8 * 1024 * 1024).start().await;
    let pair = Pair::on(&etcd, TTL).await;
    etcd.fill().await;
    let owners_session = pair.owner.session().clone();
    pair.owner.release().await.expect("a release needs no room");
    let waited = pair.waiting.await.unwrap();
    assert!(matches!(waited, Err(Error::NoSpace(_))), "{:?}", waited.map(|(ownership, _)| ownership));
    owners_session.close().await.unwrap();
    make_room(&etcd).await;
    finishes(*acquired(&pair.next).await).await;
    audit(&etcd).await;
}
