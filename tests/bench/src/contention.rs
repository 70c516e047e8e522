//! Sixteen processes change different tasks of one plan at once: the experiment in which files lose most of
//! what they have acknowledged. Here everything that was acknowledged has to be in the history.

use std::collections::BTreeMap;

use planlease::Outcome;
use planlease_core::{
    spec::{PlanSpec, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{
    program::Process,
    test_env::{TestEnv, acquired, plan_name, task_id},
    wait::SOON,
    writer,
};
use tokio::time::Instant;

use crate::{
    Args,
    report::{Figure, Report},
    site::{self, timed},
};

const PROCESSES: usize = 16;

/// How many tasks each of them completes by commands.
const TASKS_EACH: usize = 10;

/// How long the tight loop lasts.
const SECONDS: u64 = 3;

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    for site in site::all(args).await {
        let (mut commands, mut loops) = (Figures::default(), Figures::default());
        for round in 0..args.rounds {
            by_commands(&site.env(&format!("commands-{round}")).await, &mut commands).await;
            in_a_loop(&site.env(&format!("loop-{round}")).await, &mut loops).await;
        }
        for (how, figures) in [("a command per update", commands), ("library, tight loop", loops)] {
            for ((what, unit), rounds) in figures.0 {
                if what == LOST.0 && rounds.iter().any(|lost| *lost > 0.0) {
                    report.violation(format!("{how} on {}: updates were lost: {rounds:?}", site.name));
                }
                let what = format!("{how}: {what}");
                report.add(Figure { section: "contention", on: site.name, what, unit, rounds });
            }
        }
    }
}

const ACKNOWLEDGED: (&str, &str) = ("acknowledged updates", "");
const LOST: (&str, &str) = ("of these lost", "");
const RATE: (&str, &str) = ("updates per second", "/s");
const EACH: (&str, &str) = ("one update takes its process", "ms");

#[derive(Default)]
struct Figures(BTreeMap<(&'static str, &'static str), Vec<f64>>);

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn enter(&mut self, acknowledged: usize, lost: usize, seconds: f64) {
        let count = acknowledged as f64;
        let each = 1000.0 * seconds * PROCESSES as f64 / count;
        for (what, value) in
            [(ACKNOWLEDGED, count), (LOST, lost as f64), (RATE, count / seconds), (EACH, each)]
        {
            self.0.entry(what).or_default().push(value);
        }
    }
}

fn spec(tasks: usize) -> PlanSpec {
    let task = |n: usize| TaskSpec::new(task_id(&n.to_string()), "work");
    PlanSpec { title: "contention".into(), tasks: (0..tasks).map(task).collect(), ..PlanSpec::default() }
}

/// Each process starts and completes its own tasks, with a command for each change.
async fn by_commands(env: &TestEnv, figures: &mut Figures) {
    let (coordinator, plan) = (env.coordinator().await, plan_name("contention"));
    coordinator.admin().import(&plan, &spec(PROCESSES * TASKS_EACH), |_| {}).await.unwrap();
    let began = Instant::now();
    let process = |first: usize| async move {
        for task in first..first + TASKS_EACH {
            for change in ["start", "complete"] {
                timed(env, &["task", change, "contention", &task.to_string()]).await;
            }
        }
    };
    let all = (0..PROCESSES).map(|n| process(n * TASKS_EACH));
    futures_util::future::join_all(all).await;
    let seconds = began.elapsed().as_secs_f64();
    let view = coordinator.plan(&plan).await.unwrap();
    let lost = view.tasks().values().filter(|task| task.record.status != TaskStatus::Completed).count();
    figures.enter(2 * PROCESSES * TASKS_EACH, lost, seconds);
}

/// Each process changes its own task as fast as it can, under the owner's authority.
async fn in_a_loop(env: &TestEnv, figures: &mut Figures) {
    let (coordinator, plan) = (env.coordinator().await, plan_name("contention"));
    coordinator.admin().import(&plan, &spec(PROCESSES), |_| {}).await.unwrap();
    let session = env.session("owner").await;
    let owner = acquired(&session, &plan).await;
    let view = coordinator.plan(&plan).await.unwrap();
    let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    let started = owner.authority().update_all(&starts).await.unwrap();
    assert!(started.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))), "{started:?}");
    let names: Vec<String> = (0..PROCESSES).map(|n| n.to_string()).collect();
    let authority = owner.delegate();
    let mut writers: Vec<Process> =
        names.iter().map(|name| writer::start(env, name, &authority, &[name], SECONDS)).collect();
    for writer in &mut writers {
        assert_eq!(writer.until_ended(SOON).await, Some(0), "{}", writer.said());
    }
    let audited = env.audit().await;
    let notes: Vec<_> = names.iter().flat_map(|name| writer::notes(env, name)).collect();
    let found = |one: &&writer::Acknowledged| audited.audit.find_write(one.op_id) == Some(one.revision);
    let lost = notes.len() - notes.iter().filter(found).count();
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    figures.enter(notes.len(), lost, SECONDS as f64);
}
