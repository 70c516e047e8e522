//! The durations of a plan's policy while clocks jump and etcd stands still.

use std::{sync::Arc, time::Duration};

use planlease_core::{
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};
use planlease_orchestrator::{EntryPoint, Options, Orchestrator, Plans, Reporter, Stop, TaskCommand};
use planlease_tests::{
    etcd::Etcd,
    plain,
    program::{Process, Program, planlease},
    wait::until,
};
use tokio::sync::watch;

use crate::{
    helpers::{audit, config, connected, id, observer, plan, spec},
    process::Bent,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Every look at the wall clock of the owner differs by two hours from the one before; its deadlines are ten
/// minutes away.
#[plain(on_etcd)]
async fn f05_wall_clocks_that_jump_end_no_deadline() {
    let etcd = Etcd::builder().start().await;
    let settings = config(&etcd.endpoints()).clock(Arc::new(Bent::default()));
    let coordinator = connected(settings).await;
    let policy = Policy {
        max_retries: 1,
        retry_delay_s: 1,
        attempt_deadline_s: 600,
        total_deadline_s: 600,
        queue_deadline_s: 600,
        heartbeat_s: 600,
        ..Policy::default()
    };
    coordinator.admin().import(&plan(), &PlanSpec { policy, ..spec(3) }, |_| {}).await.unwrap();
    let executor = Arc::new(EntryPoint { program: planlease(), args: vec!["supervisor".into()] });
    let options = Options::new(Plans::Named(vec![plan()]), executor)
        .jobs(2)
        .max_plans(1)
        .command(TaskCommand::Shell(r#"[ "$PLANLEASE_ATTEMPT" = 2 ]"#.into()));
    let (_run, stop) = watch::channel(Stop::Run);
    let orchestrator = Orchestrator::new(coordinator.clone(), options, Reporter::new(|_| {}), stop);
    assert!(orchestrator.run().await.unwrap().is_success());
    for task in coordinator.plan(&plan()).await.unwrap().tasks().values() {
        let record = &task.record;
        assert_eq!((record.status, record.attempt), (TaskStatus::Completed, 2), "{record:?}");
    }
    audit(&etcd).await;
}

/// The command notes its progress much more often than it has to. For three times as long as it may be
/// silent, its notes do not get through.
#[plain(on_etcd)]
async fn f26_a_member_that_stands_still_makes_no_command_silent() {
    const HEARTBEAT_S: u64 = 2;
    let etcd = Etcd::builder().start().await;
    let observer = observer(&etcd).await;
    let policy = Policy { heartbeat_s: HEARTBEAT_S, max_retries: 0, ..Policy::default() };
    observer.admin().import(&plan(), &PlanSpec { policy, ..spec(1) }, |_| {}).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = Program::planlease(folder.path())
        .variable("PLANLEASE_ENDPOINTS", etcd.endpoints().join(","))
        .variable("PLANLEASE_TTL", "60s")
        .variable("PROGRAM", planlease())
        .variable("DONE", folder.path().join("done"));
    let work = r#"until [ -e "$DONE" ]; do "$PROGRAM" task progress release 1 alive; sleep 0.2; done > /dev/null 2>&1"#;
    let args = ["run", "release", "--shell", "--exec", work];
    let mut run = Process::start(program.command(args), &folder.path().join("run"));
    let noted = async || observer.task(&plan(), &id("1")).await.unwrap().unwrap();
    until("first note", LIMIT, async || {
        let task = noted().await;
        if task.record.progress.is_some() { Ok(()) } else { Err(task.record.status) }
    })
    .await;
    etcd.members()[0].pause();
    tokio::time::sleep(Duration::from_secs(HEARTBEAT_S * 3)).await; // The length of the standstill.
    etcd.members()[0].resume();
    let woken = noted().await;
    until("another note", LIMIT, async || {
        let task = noted().await;
        if task.revision > woken.revision { Ok(()) } else { Err(task.record.status) }
    })
    .await;
    std::fs::write(folder.path().join("done"), "").unwrap();
    assert_eq!(run.until_ended(LIMIT).await, Some(0), "{}", run.said());
    let record = noted().await.record;
    assert_eq!((record.status, record.attempt), (TaskStatus::Completed, 1), "{}", run.said());
    audit(&etcd).await;
}
