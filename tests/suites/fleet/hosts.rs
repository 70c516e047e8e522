//! A fleet on three hosts: one orchestrator is killed, one drained, one cordoned for a while, and a worker in
//! Python shares a plan with them. Each task is completed by one attempt, and each attempt is in its record.
//! On network namespaces; only where the machine allows them, as `faults/hosts.rs`, and where Python is.

use std::{path::Path, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use planlease::Coordinator;
use planlease_core::{
    OrchestratorId, PlanName, PlanState,
    record::Ending,
    spec::{PlanSpec, Policy},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv,
    etcd::Etcd,
    hosts::Hosts,
    http::Client,
    plain,
    program::Process,
    test_env::{path_text, plan_name, task_id},
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// The plans; the worker shares the last one with the orchestrators.
const PLANS: [&str; 5] = ["one", "two", "three", "four", "shared"];

/// How many tasks each plan has.
const TASKS: usize = 100;

/// Tasks above this number wait for the test: what happens to the fleet happens in the middle of the plans.
const FREE: usize = 50;

/// How many tasks an orchestrator runs at once, and how many plans it owns.
const JOBS: usize = 3;
const MAX_PLANS: usize = 2;

/// Tasks whose number this divides fail at their first attempt.
const FLAKY: usize = 7;

/// Of the shared plan, the tasks whose number this divides have no command.
const OF_THE_WORKER: usize = 4;

/// From the end of the cordon to the end of all plans, on a busy machine.
const LIMIT: Duration = Duration::from_secs(55);

/// Adds a line to the task's file when an attempt begins, and one when it ends. With [`FREE`] and [`FLAKY`]
/// put in.
const WORK: &str = r#"
    log="$TEST_DIR/attempts/$PLANLEASE_PLAN-$PLANLEASE_TASK"
    echo "begin $PLANLEASE_ATTEMPT" >> "$log"
    if [ "$PLANLEASE_TASK" -gt FREE ]; then
        until [ -e "$TEST_DIR/go" ]; do sleep 0.2; done
    fi
    sleep 0.01
    if [ "$PLANLEASE_ATTEMPT" = 1 ] && [ $((PLANLEASE_TASK % FLAKY)) = 0 ]; then
        echo "failed 1" >> "$log"
        exit 1
    fi
    echo "done $PLANLEASE_ATTEMPT" >> "$log"
"#;

/// The same, of a worker behind the sidecar.
const WORKER: &str = r#"
import os, sys, time
from planlease import Client

def note(task, what):
    with open(os.path.join(os.environ["TEST_DIR"], "attempts", f"shared-{task.id}"), "a") as file:
        file.write(f"{what} {task.attempt}\n")

client = Client(socket=sys.argv[1])
with client.work("shared", name="worker") as worker:
    print("at work", flush=True)
    while not client.status("shared")["finished"]:
        tasks = worker.claim(2, labels=["worker"])
        for task in tasks:
            note(task, "begin")
            time.sleep(0.01)
            note(task, "done")
            worker.complete(task, notes="by the worker")
        if not tasks:
            time.sleep(0.1)
"#;

/// Three hosts with an etcd on the first, and the plans in it.
struct Fleet {
    env: TestEnv,
    hosts: Arc<Hosts>,
    coordinator: Coordinator,
    plans: Vec<PlanName>,
}

impl Fleet {
    async fn start() -> Self {
        let hosts = Arc::new(Hosts::start(3).unwrap());
        let etcd = Etcd::builder().on(&hosts).start().await;
        let env = TestEnv::on(Arc::new(etcd.into()), "planlease/").await.with_ttl(TTL);
        std::fs::create_dir(env.path("attempts")).unwrap();
        let coordinator = env.coordinator().await;
        let plans: Vec<PlanName> = PLANS.into_iter().map(plan_name).collect();
        for plan in &plans {
            coordinator.admin().import(plan, &plan_of(plan.as_str()), |_| {}).await.unwrap();
        }
        Self { env, hosts, coordinator, plans }
    }

    /// Starts the program on a host.
    fn process(&self, host: usize, args: &[&str], output: &str) -> Process {
        let command = self.hosts.all()[host].placed(&self.env.program().command(args));
        Process::start(command, &self.env.path(output))
    }

    fn orchestrator(&self, host: usize, name: &str) -> Process {
        let (jobs, plans) = (JOBS.to_string(), MAX_PLANS.to_string());
        self.process(host, &["run", "--all", "--id", name, "--jobs", &jobs, "--max-plans", &plans], name)
    }

    /// Starts a sidecar on a host.
    async fn sidecar(&self, host: usize) -> Process {
        let socket = self.env.path("sidecar.sock");
        let process =
            self.process(host, &["sidecar", "--socket", path_text(&socket), "--name", "sidecar"], "sidecar");
        until("a sidecar that is ready", SOON, async || {
            if !socket.exists() {
                return Err(process.said());
            }
            let ready = Client::of(&socket).get("/readyz").await;
            if ready.status == 200 { Ok(()) } else { Err(ready.text) }
        })
        .await;
        process
    }

    /// Starts the worker on the sidecar's host.
    async fn worker(&self, host: usize) -> Process {
        let script = self.env.path("worker.py");
        std::fs::write(&script, WORKER).unwrap();
        let mut command = self.hosts.all()[host].command("python3");
        command.arg(&script).arg(self.env.path("sidecar.sock")).envs(self.env.variables());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python"));
        let process = Process::start(command, &self.env.path("worker"));
        process.until_said("at work", SOON).await;
        process
    }

    /// The lines that the attempts of a task have written.
    fn lines(&self, plan: &PlanName, task: &str) -> Vec<String> {
        let text = self.env.text(&format!("attempts/{plan}-{task}"));
        text.lines().map(str::to_owned).collect()
    }

    /// How many commands wait for the test.
    fn waiting(&self) -> usize {
        let tasks = || FREE + 1..=TASKS;
        let waits = |plan: &PlanName, n: usize| {
            self.lines(plan, &n.to_string()).last().is_some_and(|line| line.starts_with("begin"))
        };
        self.plans.iter().map(|plan| tasks().filter(|n| waits(plan, *n)).count()).sum()
    }

    async fn owner(&self, plan: &PlanName) -> Option<String> {
        let queue = self.coordinator.queue(plan).await.unwrap();
        queue.owner().map(|(_, term)| term.owner.orchestrator.to_string())
    }

    /// The plans of an orchestrator.
    async fn owned(&self, name: &str) -> Vec<PlanName> {
        let mut owned = Vec::new();
        for plan in &self.plans {
            if self.owner(plan).await.as_deref() == Some(name) {
                owned.push(plan.clone());
            }
        }
        owned
    }

    async fn until_owns_nothing(&self, name: &str) {
        until(&format!("orchestrator {name} without a plan"), SOON * 2, async || {
            let owned = self.owned(name).await;
            if owned.is_empty() { Ok(()) } else { Err(owned) }
        })
        .await;
    }

    async fn run(&self, args: &[&str]) {
        self.env.program().run_to(0, args).await;
    }

    /// Drains an orchestrator, and lets the waiting commands end once it is asked to.
    async fn drain(&self, name: &str) {
        let id = OrchestratorId::new(name).unwrap();
        let mut drain = self.env.start(&["orchestrator", "drain", name, "--deadline", "40s"], "drain");
        until("a drain", SOON, async || {
            let (steering, _) = self.coordinator.steering().await.unwrap();
            if steering.cordons.contains_key(&id) { Ok(()) } else { Err(drain.said()) }
        })
        .await;
        std::fs::write(self.env.path("go"), "").unwrap();
        assert_eq!(drain.until_ended(SOON * 2).await, Some(0), "{}", drain.said());
    }

    /// Each plan is done and has no owner, and only the terms of a killed process ended uncleanly. Returns
    /// how many attempts were lost.
    async fn check(&self, killed: &[PlanName]) -> u32 {
        let mut lost = 0;
        for plan in &self.plans {
            let view = self.coordinator.plan(plan).await.unwrap();
            assert_eq!((PlanState::of(&view), view.tasks().len()), (PlanState::Done, TASKS), "{plan}");
            assert!(self.owner(plan).await.is_none(), "{plan}");
            for n in 1..=TASKS {
                lost += self.check_task(&view, n);
            }
            let terms = self.coordinator.history(plan).terms().await.unwrap();
            let unclean = terms
                .iter()
                .filter(|term| matches!(&term.ended, Some(end) if end.how == Ending::Unclean))
                .count();
            assert_eq!(unclean, usize::from(killed.contains(plan)), "{plan}: {terms:?}");
        }
        lost
    }

    /// One attempt has completed the task, each attempt began once, and all of them are in the record.
    /// Returns how many of them were lost.
    fn check_task(&self, view: &planlease::PlanView, n: usize) -> u32 {
        let (plan, id) = (view.name(), task_id(&n.to_string()));
        let record = &view.tasks()[&id].record;
        let lines = self.lines(plan, id.as_str());
        let attempts = |word: &str| -> Vec<u32> {
            let numbers = lines.iter().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
            numbers.collect()
        };
        let what = format!("{plan} {n}: {lines:?}, {record:?}");
        assert_eq!(record.status, TaskStatus::Completed, "{what}");
        assert_eq!(record.attempt, 1 + record.failures + record.lost, "{what}");
        assert_eq!(attempts("begin"), (1..=record.attempt).collect::<Vec<_>>(), "{what}");
        assert_eq!(attempts("done"), [record.attempt], "{what}");
        // What was lost was lost in its first attempt, the only one that may fail.
        let fails = n.is_multiple_of(FLAKY) && !is_of_the_worker(plan.as_str(), n) && record.lost == 0;
        assert_eq!(
            (attempts("failed").len(), record.failures),
            (usize::from(fails), u32::from(fails)),
            "{what}"
        );
        record.lost
    }
}

fn is_of_the_worker(plan: &str, n: usize) -> bool {
    plan == "shared" && n.is_multiple_of(OF_THE_WORKER)
}

/// The plan of this name. A task of the worker waits for the task before it, which an orchestrator runs.
fn plan_of(name: &str) -> PlanSpec {
    let work = WORK.replace("FREE", &FREE.to_string()).replace("FLAKY", &FLAKY.to_string());
    let mut plan = PlanSpec { policy: Policy::default(), ..spec(TASKS, &work) };
    for (index, task) in plan.tasks.iter_mut().enumerate() {
        let n = index + 1;
        if is_of_the_worker(name, n) {
            task.command = None;
            task.labels = ["worker".to_owned()].into();
            task.depends_on = vec![task_id(&(n - 1).to_string())];
        }
    }
    plan
}

#[plain(on_three_hosts, one_at_a_time)]
async fn a_fleet_on_three_hosts_completes_each_task_once() {
    let fleet = Fleet::start().await;
    let mut sidecar = fleet.sidecar(2).await;
    let mut worker = fleet.worker(2).await;
    let names = ["killed", "drained", "cordoned"];
    let [mut killed, mut drained, mut cordoned] = [0, 1, 2].map(|n| fleet.orchestrator(n, names[n]));
    until("commands of three orchestrators that wait", SOON * 2, async || {
        let waiting = fleet.waiting();
        if waiting == 3 * JOBS { Ok(()) } else { Err((waiting, killed.said(), drained.said())) }
    })
    .await;
    let of_the_killed = fleet.owned("killed").await;
    assert!(!of_the_killed.is_empty() && !fleet.owned("drained").await.is_empty(), "{}", killed.said());
    let kept = fleet.owned("cordoned").await;
    assert!(!kept.is_empty(), "{}", cordoned.said());

    killed.signal(Signal::SIGKILL);
    fleet.until_owns_nothing("killed").await;
    fleet.run(&["orchestrator", "cordon", "cordoned", "--reason", "its disk is checked"]).await;
    fleet.drain("drained").await;
    drained.signal(Signal::SIGTERM);
    assert_eq!(drained.until_ended(SOON).await, Some(0), "{}", drained.said());
    // The cordoned one finishes what it has, and takes nothing of what is free now.
    fleet.until_owns_nothing("cordoned").await;
    for plan in fleet.plans.iter().filter(|plan| !kept.contains(plan)) {
        let term = fleet.coordinator.queue(plan).await.unwrap().term;
        let last = term.map(|(_, term)| term.owner.orchestrator.to_string());
        assert_ne!(last.as_deref(), Some("cordoned"), "{plan}: {}", cordoned.said());
    }

    fleet.run(&["orchestrator", "uncordon", "cordoned"]).await;
    let limit = format!("{}s", LIMIT.as_secs());
    fleet.run(&[&["wait"][..], &PLANS, &["--wait", &limit]].concat()).await;
    assert_eq!(worker.until_ended(SOON).await, Some(0), "{}", worker.said());
    for process in [&mut cordoned, &mut sidecar] {
        process.signal(Signal::SIGTERM);
        assert_eq!(process.until_ended(SOON).await, Some(0), "{}", process.said());
    }
    let lost = fleet.check(&of_the_killed).await;
    assert_eq!(lost, u32::try_from(JOBS).unwrap(), "the kill costs the attempts that it ended, and no other");
    fleet.env.until_empty().await;
    fleet.env.audit().await;
}
