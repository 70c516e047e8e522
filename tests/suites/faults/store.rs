//! The store itself: a member that answers from the past, a store that was restored, a copy of it.

use std::time::Duration;

use planlease::{Coordinator, Error, Feed, Loss, Outcome, Refused};
use planlease_core::{Generation, session::LossReason, transition::Change};
use planlease_tests::{
    etcd::{Etcd, Restore},
    http::Client,
    plain,
    program::{Process, Program},
    wait::{SOON, until},
};

use crate::helpers::{
    acquired, audit, committed, config, connected, ends, id, observer, plan, session, spec,
};

/// What an older etcd does after a pause of a member, here done by a copy with the same id: it answers
/// correctly, as of then. A client that has seen more knows better.
#[plain(on_etcd)]
async fn f38_an_endpoint_that_answers_from_the_past_is_not_believed() {
    let etcd = Etcd::builder().proxied(true).start().await;
    let past = Etcd::builder().start().await;
    let before = observer(&etcd).await;
    before.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let snapshot = etcd.save_snapshot().await;
    past.restore(&snapshot, Restore { posing_as: Some(&etcd), ..Restore::default() }).await;

    let endpoints = [etcd.proxied_endpoints(), past.endpoints()].concat();
    let settings = config(&endpoints).operation_timeout(Duration::from_secs(3));
    let both = connected(settings).await;
    let owner = acquired(&session(&both, "owner").await).await;
    let view = both.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    etcd.members()[0].proxy().cut();
    let read = both.plan(&plan()).await;
    assert!(is_no_answer(&read), "{read:?}");
    let task = both.task(&plan(), &id("1")).await;
    assert!(is_no_answer(&task), "{task:?}");
    let list = both.raw().snapshot(&both.layout().everything()).await;
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

fn is_no_answer<T>(read: &Result<T, Error>) -> bool {
    matches!(read, Err(Error::OutcomeUnknown(_) | Error::Unreachable(_) | Error::StoreRestored(_)))
}

#[plain(on_etcd)]
async fn f39_a_restored_store_must_be_adopted() {
    restored(Etcd::builder().start().await, NEW_TOKEN).await;
}

#[plain(on_etcd)]
async fn f39_a_restored_store_with_raised_revisions_must_be_adopted() {
    restored(Etcd::builder().start().await, Restore { bump_revision: RAISED, ..NEW_TOKEN }).await;
}

/// Its tool cannot raise revisions.
#[plain(on_etcd_3_4)]
async fn f39_a_restored_store_of_an_older_server_must_be_adopted() {
    restored(Etcd::of(planlease_tests::etcd::Line::V3_4).start().await, NEW_TOKEN).await;
}

#[plain(on_etcd)]
async fn f39_a_restore_under_the_same_id_must_be_adopted() {
    restored(Etcd::builder().start().await, Restore::default()).await;
}

#[plain(on_etcd)]
async fn f39_a_restore_of_raised_revisions_must_be_adopted() {
    restored(Etcd::builder().start().await, Restore { bump_revision: RAISED, ..Restore::default() }).await;
}

#[plain(on_etcd)]
async fn f39_a_cluster_of_three_restored_under_the_same_id_is_noticed() {
    restored(Etcd::builder().members(3).start().await, Restore::default()).await;
}

#[plain(on_etcd_3_4)]
async fn f39_an_older_servers_restore_of_same_id_must_be_adopted() {
    restored(Etcd::of(planlease_tests::etcd::Line::V3_4).start().await, Restore::default()).await;
}

/// What gives a restored cluster another id.
const NEW_TOKEN: Restore<'static> = Restore { token: Some("another"), bump_revision: None, posing_as: None };

/// Above every revision that a client has seen.
const RAISED: Option<u64> = Some(1_000_000_000);

/// After the snapshot a term begins and ends whose token a resource outside may have seen.
async fn restored(etcd: Etcd, how: Restore<'_>) {
    let live = observer(&etcd).await;
    live.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let first = acquired(&session(&live, "first").await).await;
    first.release().await.unwrap();
    let snapshot = etcd.save_snapshot().await;
    let forgotten = acquired(&session(&live, "forgotten").await).await;
    let view = live.plan(&plan()).await.unwrap();
    let started = committed(forgotten.authority().start(&view, &id("1")).await.unwrap());
    let (token, authority) = (forgotten.token(), forgotten.authority());
    let ending = ends(forgotten);

    etcd.restore(&snapshot, how).await;
    let settings = config(&etcd.endpoints());
    let refused = Coordinator::connect(settings.clone()).await;
    match how.token {
        Some(_) => assert!(matches!(refused, Err(Error::StoreMoved { .. })), "{refused:?}"),
        None => assert!(matches!(refused, Err(Error::StoreRestored(_))), "{refused:?}"),
    }
    let (loss, ..) = ending.await.unwrap();
    assert!(matches!(loss, Loss::Session(_)), "{loss:?}");
    let talks = live.plan(&plan()).await;
    assert!(talks.is_err(), "a process that ran before talks to another life of the store: {talks:?}");
    let late = authority.update_attempt(&started, 1, &Change::Complete(None)).await;
    assert!(matches!(late, Ok(Outcome::Refused(Refused::AuthorityLost(_)))), "{late:?}");

    assert_eq!(Coordinator::adopt_store(settings.clone()).await.unwrap(), Generation(2));
    let adopted = connected(settings.clone()).await;
    let owner = acquired(&session(&adopted, "after").await).await;
    assert!(owner.token() > token, "{} after {token}", owner.token());
    let view = adopted.plan(&plan()).await.unwrap();
    let started = committed(owner.authority().start(&view, &id("1")).await.unwrap());
    committed(owner.authority().update_attempt(&started, 1, &Change::Complete(None)).await.unwrap());
    owner.release().await.unwrap();
    let talks = live.plan(&plan()).await;
    assert!(talks.is_err(), "a process that ran before knows an older generation: {talks:?}");
    drop(connected(settings).await); // And again, without complaint.
    let audited = audit(&etcd).await;
    assert_eq!(audited.complete, how.bump_revision.is_none());
}

/// Of one host, whose state folder knows the generation of the first restore.
#[plain(on_etcd)]
async fn f39_two_restores_of_one_snapshot_give_no_token_twice() {
    let etcd = Etcd::builder().start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = config(&etcd.endpoints()).state_folder(folder.path().to_owned());
    let live = connected(settings.clone()).await;
    live.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let snapshot = etcd.save_snapshot().await;
    let mut tokens = vec![acquired(&session(&live, "first").await).await.token()];
    for (n, token) in [Some("another"), Some("another"), None].into_iter().enumerate() {
        etcd.restore(&snapshot, Restore { token, ..Restore::default() }).await;
        let refused = Coordinator::connect(settings.clone()).await;
        assert!(matches!(refused, Err(Error::StoreMoved { .. } | Error::StoreRestored(_))), "{refused:?}");
        Coordinator::adopt_store(settings.clone()).await.unwrap();
        let adopted = connected(settings.clone()).await;
        tokens.push(acquired(&session(&adopted, &format!("after-{n}")).await).await.token());
    }
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
}

/// Its raft log goes on, so only a host that has seen more can know.
#[plain(on_etcd)]
async fn f39_a_copied_data_folder_is_noticed_by_a_host_ahead_of_it() {
    let etcd = Etcd::builder().start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = config(&etcd.endpoints()).state_folder(folder.path().to_owned());
    let before = connected(settings.clone()).await;
    before.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let copied = etcd.copy_data().await;
    let live = connected(settings.clone()).await;
    let forgotten = acquired(&session(&live, "forgotten").await).await;
    let token = forgotten.token();
    forgotten.release().await.unwrap();
    drop(connected(settings.clone()).await); // As the next command does.
    etcd.put_back(&copied).await;
    let refused = Coordinator::connect(settings.clone()).await;
    assert!(matches!(refused, Err(Error::StoreRestored(_))), "{refused:?}");
    assert_eq!(Coordinator::adopt_store(settings.clone()).await.unwrap(), Generation(2));
    let adopted = connected(settings.clone()).await;
    let owner = acquired(&session(&adopted, "after").await).await;
    assert!(owner.token() > token, "{} after {token}", owner.token());
    owner.release().await.unwrap();
    drop(connected(settings).await);
    audit(&etcd).await;
}

/// A developer's etcd that begins again is no reason to stop; only the tokens go on.
#[plain(on_etcd)]
async fn f39_an_emptied_etcd_gives_no_token_twice() {
    let etcd = Etcd::builder().start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = config(&etcd.endpoints()).state_folder(folder.path().to_owned());
    let live = connected(settings.clone()).await;
    live.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let token = acquired(&session(&live, "first").await).await.token();
    etcd.client(0).await.delete("/", Some(etcd_client::DeleteOptions::new().with_prefix())).await.unwrap();
    let again = connected(settings).await;
    again.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    let next = acquired(&session(&again, "second").await).await.token();
    assert!(next > token, "{next} after {token}");
    // A host that remembers nothing begins with the record that is there.
    assert_eq!(observer(&etcd).await.generation(), again.generation());
}

/// Members come and go, leaders change, a cluster stands still and goes on: all of it raises what is
/// compared.
#[plain(on_etcd)]
async fn f39_elections_and_restarts_are_no_restore() {
    let etcd = Etcd::builder().members(3).start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = config(&etcd.endpoints()).state_folder(folder.path().to_owned());
    let long = connected(settings.clone()).await;
    long.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
    for round in 0..6 {
        if round % 2 == 0 {
            etcd.move_leader().await;
        } else {
            let member = &etcd.members()[round / 2];
            member.kill();
            member.restart().await;
        }
        let connecting = (0..8).map(|_| connected(settings.clone()));
        let all = futures_util::future::join_all(connecting).await;
        assert!(all.iter().all(|coordinator| coordinator.generation() == Generation(1)));
        until("answer", SOON, async || long.plan(&plan()).await.map(drop).map_err(|error| error.to_string()))
            .await;
        let owner = acquired(&session(&all[0], &format!("owner-{round}")).await).await;
        owner.release().await.unwrap();
    }
    etcd.members().iter().for_each(planlease_tests::etcd::Member::kill);
    for member in etcd.members() {
        member.restart_unseen().await;
    }
    until("answer", SOON, async || {
        Coordinator::connect(settings.clone()).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    audit(&etcd).await;
}

/// The library's feed, `watch`, and a sidecar: all of them say so, none hangs.
#[plain(on_etcd)]
async fn f39_what_runs_across_a_restore_reports_it() {
    for bump_revision in [None, RAISED] {
        let etcd = Etcd::builder().start().await;
        let live = observer(&etcd).await;
        live.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
        let snapshot = etcd.save_snapshot().await;
        acquired(&session(&live, "forgotten").await).await.release().await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let program =
            Program::planlease(home.path()).variable("PLANLEASE_ENDPOINTS", etcd.endpoints().join(","));
        let mut watch = Process::start(program.command(["watch", "-o", "jsonl"]), &home.path().join("watch"));
        let socket = home.path().join("sidecar.sock");
        let args = ["sidecar", "--socket", socket.to_str().unwrap()];
        let _sidecar = Process::start(program.command(args), &home.path().join("sidecar"));
        let client = Client::of(&socket);
        until("a sidecar that is ready", SOON, async || {
            if !socket.exists() {
                return Err("it does not listen".to_owned());
            }
            let answer = client.get("/readyz").await;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        })
        .await;
        let present = live.plan(&plan()).await.unwrap().revision();
        let mut changes = live.raw().changes(live.layout().everything(), present.next());
        assert!(matches!(changes.next().await, Ok(Feed::Connected)));

        etcd.restore(&snapshot, Restore { bump_revision, ..Restore::default() }).await;
        let feed = async {
            loop {
                match changes.next().await {
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        };
        let error = tokio::time::timeout(SOON, feed).await.expect("the feed hangs");
        assert!(matches!(error, Error::StoreRestored(_)), "{error:?}");
        assert_eq!(watch.until_ended(SOON).await, Some(116), "{}", watch.said());
        assert!(watch.said().contains("restored"), "{}", watch.said());
        until("a sidecar that reports it", SOON, async || {
            let answer = client.get("/readyz").await;
            if answer.status == 503 && answer.text.contains("restored") { Ok(()) } else { Err(answer.text) }
        })
        .await;
        let refused = program.run(["plan", "list"]).await;
        assert_eq!(refused.code, Some(116), "{}", refused.stderr);
        let adopted = program.run_to(0, ["doctor", "--adopt-store", "--yes"]).await;
        assert!(adopted.stderr.contains("generation is 2"), "{}", adopted.stderr);
        program.run_to(0, ["plan", "list"]).await;
    }
}

/// The same addresses and the same token make the same id: the store looks the same, only younger. An owner
/// that lives through this must not take its answers for what they seem.
#[plain(on_etcd)]
async fn f39_a_store_that_went_back_under_its_owner_is_not_written() {
    let etcd = Etcd::builder().start().await;
    let settings = config(&etcd.endpoints()).operation_timeout(Duration::from_secs(2));
    let live = connected(settings).await;
    live.admin().import(&plan(), &spec(1), |_| {}).await.unwrap();
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
    Coordinator::adopt_store(config(&etcd.endpoints())).await.unwrap();
    let fresh = observer(&etcd).await;
    let outcome =
        fresh.delegated(&delegation).update_attempt(&started, 1, &Change::Complete(None)).await.unwrap();
    assert!(
        matches!(outcome, Outcome::Refused(Refused::AuthorityLost(_) | Refused::Conflict(_))),
        "{outcome:?}"
    );
    let audited = audit(&etcd).await;
    assert_eq!(audited.report.terms, 0, "that term has never been");
}
