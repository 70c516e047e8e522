//! A stock `etcdctl elect` in the same queue as our processes.

use std::{path::PathBuf, process::Command, time::Duration};

use nix::sys::signal::Signal;
use planlease_core::PlanName;
use planlease_tests::{
    TestEnv, case,
    etcd::Line,
    program::Process,
    test_env::{in_queue, plan_name},
    wait::SOON,
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

#[case]
async fn etcdctl_elect_shares_the_queue(env: TestEnv) {
    if Line::Current.binary().is_none() && std::env::var_os("CI").is_none() {
        println!("NOT RUN: there is no etcdctl here");
        return;
    }
    let env = env.with_ttl(TTL);
    let (coordinator, plan) = (env.coordinator().await, plan_name("elected (ü)"));
    coordinator.admin().import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let election = coordinator.layout().election(&plan);

    let mut ours = env.start(&["hold", plan.as_str(), "--", "cat"], "first");
    in_queue(&coordinator, &plan, 1).await;
    let mut unmanaged = elect(&env, &election);
    in_queue(&coordinator, &plan, 2).await;
    assert_eq!(unmanaged.said(), "", "etcdctl waits for us");
    ours.close_input();
    assert_eq!(ours.until_ended(SOON).await, Some(0));
    let said = unmanaged.until_said("proposal", SOON).await;
    assert!(said.starts_with(&format!("{election}/")), "etcdctl is elected: {said}");

    let mut next = env.start(&["hold", plan.as_str(), "--", "sh", "-c", "echo ours; cat"], "second");
    waits_for_the_unmanaged_candidate(&env, &plan).await;
    assert!(!next.said().contains("ours"), "we wait for etcdctl: {}", next.said());
    unmanaged.signal(Signal::SIGINT);
    next.until_said("ours", SOON).await;
    next.close_input();
    assert_eq!(next.until_ended(SOON).await, Some(0));
    let term = coordinator.queue(&plan).await.unwrap().term.unwrap().1;
    assert_eq!(term.number.0, 2, "the unmanaged candidate had no term");
    env.audit().await;
}

/// Waits until the queue has two candidates, the first of whom is no owner for us, having no term.
async fn waits_for_the_unmanaged_candidate(env: &TestEnv, plan: &PlanName) {
    let coordinator = env.coordinator().await;
    planlease_tests::wait::until("queue behind the unmanaged candidate", SOON, async || {
        let line = coordinator.queue(plan).await.unwrap();
        let names: Vec<String> =
            line.candidates().iter().map(planlease_core::term::Candidate::name).collect();
        assert!(line.owner().is_none(), "{names:?}");
        if names.len() == 2 { Ok(()) } else { Err(names) }
    })
    .await;
}

/// The stock client of etcd 3.5, which stands for election and stays leader until it is asked to end.
fn elect(env: &TestEnv, election: &str) -> Process {
    let mut command = Command::new(etcdctl());
    let endpoints = env.server.endpoints().join(",");
    command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoints, "elect", election, "proposal"]);
    Process::start(command, &env.path("etcdctl"))
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
