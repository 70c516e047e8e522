//! From the SIGKILL of a process to the next owner, by its companion: `run`, `hold`, and a program that uses
//! the library. And what a companion has in memory meanwhile.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;
use planlease::{AcquireOptions, Session};
use planlease_core::{
    PlanName,
    spec::{PlanSpec, TaskSpec},
};
use planlease_tests::{
    owner,
    program::{Process, helper_of},
    raw::WATCHING,
    test_env::{TestEnv, in_queue, plan_name, task_id},
    wait::{SOON, until},
};
use tokio::time::Instant;

use crate::{
    Args,
    report::{Figure, Report},
    site,
};

/// How often each kind of process is killed.
const KILLS: usize = 50;

/// So long that no figure is one of an expiry.
const TTL: Duration = Duration::from_secs(60);

/// What is killed.
const KINDS: [&str; 3] = ["run", "hold", "library"];

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    for site in site::all(args).await {
        let env = site.env_for("takeover", TTL).await;
        let waiter = env.session("waiter").await;
        let mut memory = Vec::new();
        for kind in KINDS {
            let mut times = Vec::new();
            let kills = args.size(KILLS, 5);
            for n in 0..kills {
                let plan = plan_name(&format!("{kind}-{n}"));
                let owner = started(&env, &waiter, kind, &plan).await;
                memory.push(private_kib(companion_of(&owner).await));
                times.push(killed(&waiter, owner, &plan).await);
            }
            let what = format!("SIGKILL of {kind} to the next owner, {kills} times");
            report.add(Figure { section: "takeover", on: site.name, what, unit: "ms", rounds: times });
        }
        let what = "private memory of a companion".to_owned();
        report.add(Figure { section: "takeover", on: site.name, what, unit: "KiB", rounds: memory });
        env.until_empty().await;
        env.audit().await;
    }
}

/// An owner of this plan with a command that runs, as far as it has one.
async fn started(env: &TestEnv, waiter: &Session, kind: &str, plan: &PlanName) -> Process {
    let command = Some(["sh", "-c", "touch \"$TEST_DIR/$PLANLEASE_PLAN\"; exec sleep 600"]);
    let command = command.map(|words| words.map(str::to_owned).to_vec());
    let task = TaskSpec { command, ..TaskSpec::new(task_id("1"), "work") };
    let spec = PlanSpec { title: "takeover".into(), tasks: vec![task], ..PlanSpec::default() };
    waiter.coordinator().admin().import(plan, &spec, |_| {}).await.unwrap();
    let output = format!("{plan}.log");
    let owner = match kind {
        "run" => env.start(&["run", plan.as_str()], &output),
        "hold" => {
            let command = "touch \"$TEST_DIR/$PLANLEASE_PLAN\"; exec sleep 600";
            env.start(&["hold", plan.as_str(), "--", "sh", "-c", command], &output)
        }
        _ => owner::start(env, plan, &output),
    };
    in_queue(waiter.coordinator(), plan, 1).await;
    if kind != "library" {
        until("work", SOON, async || if env.path(plan.as_str()).exists() { Ok(()) } else { Err(()) }).await;
    }
    owner
}

async fn companion_of(owner: &Process) -> i32 {
    until("companion", SOON, async || helper_of(owner.id(), "companion").ok_or("none")).await
}

/// Kills the owner; how long until the waiter has the plan, in milliseconds.
async fn killed(waiter: &Session, mut owner: Process, plan: &PlanName) -> f64 {
    let acquire = async {
        let next = waiter.acquire(plan, AcquireOptions::default()).await.unwrap();
        (Instant::now(), next)
    };
    let kill = async {
        in_queue(waiter.coordinator(), plan, 2).await;
        tokio::time::sleep(WATCHING).await;
        let at = Instant::now();
        owner.signal(Signal::SIGKILL);
        at
    };
    let ((owned, next), killed) = tokio::join!(acquire, kill);
    next.release().await.unwrap();
    (owned - killed).as_secs_f64() * 1000.0
}

/// What no other process shares with this one.
fn private_kib(pid: i32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    private.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<f64>().ok()).sum()
}
