//! A stock `etcdctl elect` in the same line as our processes.

use std::{path::PathBuf, process::Command, time::Duration};

use nix::sys::signal::Signal;
use planlease_core::PlanName;
use planlease_tests::{
    cases,
    etcd::Line,
    program::Process,
    room::{Room, in_line, plan_name},
    suite::{Case, Fixture},
    wait::SOON,
};

use crate::spec::spec;

pub(crate) fn cases() -> Vec<Case> {
    cases![etcdctl_elect_shares_the_queue]
}

const TTL: Duration = Duration::from_secs(15);

async fn etcdctl_elect_shares_the_queue(fixture: Fixture) {
    if Line::Current.binary().is_none() && std::env::var_os("CI").is_none() {
        println!("NOT RUN: there is no etcdctl here");
        return;
    }
    let room = Room::new(fixture, TTL);
    let (coordinator, plan) = (room.coordinator().await, plan_name("elected (ü)"));
    coordinator.import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let election = coordinator.layout().election(&plan);

    let mut ours = room.start(&["hold", plan.as_str(), "--", "cat"], "first");
    in_line(&coordinator, &plan, 1).await;
    let mut stranger = elect(&room, &election);
    in_line(&coordinator, &plan, 2).await;
    assert_eq!(stranger.said(), "", "etcdctl waits for us");
    ours.close_input();
    assert_eq!(ours.until_ended(SOON).await, Some(0));
    let said = stranger.until_said("proposal", SOON).await;
    assert!(said.starts_with(&format!("{election}/")), "etcdctl is elected: {said}");

    let mut next = room.start(&["hold", plan.as_str(), "--", "sh", "-c", "echo ours; cat"], "second");
    waits_for_the_stranger(&room, &plan).await;
    assert!(!next.said().contains("ours"), "we wait for etcdctl: {}", next.said());
    stranger.signal(Signal::SIGINT);
    next.until_said("ours", SOON).await;
    next.close_input();
    assert_eq!(next.until_ended(SOON).await, Some(0));
    let term = coordinator.line(&plan).await.unwrap().term.unwrap().1;
    assert_eq!(term.number.0, 2, "the stranger had no term");
    room.audit().await;
}

/// Waits until two are in line, the first of whom is no owner for us, having no term.
async fn waits_for_the_stranger(room: &Room, plan: &PlanName) {
    let coordinator = room.coordinator().await;
    planlease_tests::wait::until("line behind the stranger", SOON, async || {
        let line = coordinator.line(plan).await.unwrap();
        let names: Vec<String> =
            line.candidates().iter().map(planlease_core::term::Candidate::name).collect();
        assert!(line.owner().is_none(), "{names:?}");
        if names.len() == 2 { Ok(()) } else { Err(names) }
    })
    .await;
}

/// The stock client of etcd 3.5, which stands for election and stays leader until it is asked to end.
fn elect(room: &Room, election: &str) -> Process {
    let mut command = Command::new(etcdctl());
    let endpoints = room.fixture.server.endpoints().join(",");
    command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoints, "elect", election, "proposal"]);
    Process::start(command, &room.path("etcdctl"))
}

/// It comes with the server.
pub(crate) fn etcdctl() -> PathBuf {
    let etcd = Line::Current
        .binary()
        .expect("no etcd here: run `cargo xtask etcd`, or name one by PLANLEASE_TEST_ETCD");
    let path = etcd.with_file_name("etcdctl");
    assert!(path.is_file(), "{} comes with etcd", path.display());
    path
}
