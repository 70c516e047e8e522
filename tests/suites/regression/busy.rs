//! Two plans that change all the time, while a test looks at them: `wide`, which takes two pages to read, by
//! its owner as fast as it can, in transactions of one task and of many; `deep` by an orchestrator and the
//! commands that it runs.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::{Identity, Outcome, Ownership, TaskView, TryAcquire};
use planlease_core::transition::{Change, TaskStatus};
use planlease_tests::{
    TestEnv,
    program::Process,
    test_env::{background, plan_name, task_id},
    wait::{SOON, until},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::processes::plan_file;

/// How many tasks `wide` has: more than the 500 that a reader gets in one answer.
const WIDE: usize = 520;

/// How many of them change, at the beginning of the first page and at the end of the second.
const CHANGING: usize = 16;

/// How many tasks `deep` has: more than an orchestrator runs during the test.
const DEEP: usize = 400;

/// The sessions of those who change the plans must outlive what they are made to share the machine with.
pub(crate) const TTL: Duration = Duration::from_secs(15);

pub(crate) struct Busy {
    orchestrator: Process,
    writer: JoinHandle<(Ownership, usize)>,
    enough: CancellationToken,
}

impl Busy {
    pub(crate) async fn start(env: &TestEnv) -> Self {
        env.import("wide", &plan_file(WIDE, "true")).await;
        env.import("deep", &plan_file(DEEP, "case $PLANLEASE_TASK in *7) exit 1 ;; esac")).await;
        let session = env.coordinator().await.open_session(Identity::of_process()).await.unwrap();
        let TryAcquire::Acquired(wide) = session.try_acquire(&plan_name("wide")).await.unwrap() else {
            panic!("the plan has no other candidate")
        };
        let enough = CancellationToken::new();
        let writer = background(write(*wide, enough.clone()));
        let orchestrator = env.start(&["run", "deep", "--jobs", "4", "-o", "jsonl"], "orchestrator");
        orchestrator.until_said(r#""event":"ended""#, SOON).await;
        Self { orchestrator, writer, enough }
    }

    /// Ends all of it, and waits for the end.
    pub(crate) async fn stop(mut self, env: &TestEnv) {
        self.enough.cancel();
        let (wide, written) = self.writer.await.unwrap();
        println!("measured: writes while others read, {}: {written} by one process", env.server);
        let session = wide.session().clone();
        wide.release().await.unwrap();
        session.close().await.unwrap();
        self.orchestrator.signal(Signal::SIGTERM);
        self.orchestrator.until_ended(SOON).await;
        let coordinator = env.coordinator().await;
        until("end of the ownership", SOON, async || {
            let line = coordinator.queue(&plan_name("deep")).await.unwrap();
            if line.candidates().is_empty() { Ok(()) } else { Err(self.orchestrator.said()) }
        })
        .await;
    }
}

/// Changes tasks until it is enough; how many changes that were.
async fn write(wide: Ownership, enough: CancellationToken) -> (Ownership, usize) {
    let view = wide.session().coordinator().plan(wide.plan()).await.unwrap();
    let changing = (1..=CHANGING / 2).chain(WIDE + 1 - CHANGING / 2..=WIDE);
    let mut tasks: Vec<TaskView> =
        changing.map(|n| view.tasks()[&task_id(&format!("{n:03}"))].clone()).collect();
    let mut written = 0;
    for n in 0.. {
        if enough.is_cancelled() {
            break;
        }
        // One task, another one, and then every third.
        let chosen: Vec<usize> =
            if n % 3 == 2 { (n / 3 % 3..CHANGING).step_by(3).collect() } else { vec![n * 7 % CHANGING] };
        let updates: Vec<_> = chosen.iter().map(|i| (tasks[*i].clone(), next(&tasks[*i], n))).collect();
        let outcomes = wide.authority().update_all(&updates).await.unwrap();
        for (i, outcome) in chosen.into_iter().zip(outcomes) {
            let Outcome::Committed(task) = outcome else {
                panic!("no other process changes it: {outcome:?}")
            };
            tasks[i] = task;
            written += 1;
        }
    }
    (wide, written)
}

/// A change that leads on, and never to an end.
fn next(task: &TaskView, n: usize) -> Change {
    match (task.record.status, n % 4) {
        (TaskStatus::Pending, _) => Change::Start,
        (TaskStatus::InProgress, 0) => Change::Fail(format!("failed in round {n}")),
        (TaskStatus::InProgress, 1) => Change::Skip(format!("left out in round {n}")),
        (TaskStatus::InProgress, _) => Change::Progress(format!("round {n}")),
        (_, _) => Change::Retry(format!("again in round {n}")),
    }
}
