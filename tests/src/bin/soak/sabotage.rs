//! Wrongs that the soak has to find: whether it can fail is seen by committing them.

use std::time::Duration;

use clap::ValueEnum;
use etcd_client::{Client, PutOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::{
    Coordinator, Identity, Outcome,
    core::{
        LeaseId, OrchestratorId, PlanName, TaskId, codec,
        keys::{Key, PlanKey},
        record::{Ending, Guard, TaskRecord, TermRecord},
    },
};
use planlease_oracle::journal::{Reply, What};
use uuid::Uuid;

use crate::{
    actions, fleet,
    world::{Phase, World},
};

/// One wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sabotage {
    /// The journal says that a write was acknowledged which never happened.
    Journal,
    /// The actions say that a release was acknowledged which never happened.
    Action,
    /// A record is written past the library, under the authority of an owner that is gone.
    Write,
    /// A record is written twice, with the same id.
    Twice,
    /// The key of a task is deleted, and its plan stays.
    Delete,
    /// The key of an owner is written without its lease, so that it outlives its owner.
    Unleased,
    /// A watcher's copy is said to be another one than it was.
    Copy,
    /// A command is said to have begun twice.
    Command,
    /// An owner is said to have believed in a term that was over.
    Belief,
    /// A process of the fleet is killed, and its death is not recorded.
    Process,
    /// A worker that lives on claims a task and never touches it again: its plan cannot come to its end.
    Stuck,
}

impl Sabotage {
    pub(crate) async fn commit(self, world: &World) {
        eprintln!("sabotage: {self:?}");
        match self {
            Self::Journal => {
                let (plan, task, record) = some_task(world, |_| true).await;
                let what = What::Write { task, writer: record.writer, seen: None };
                let revision = "7".parse().expect("a revision");
                world
                    .journal
                    .call("owner-9.1", &plan, what)
                    .reported(Reply::Committed(Uuid::new_v4(), revision));
            }
            Self::Action => {
                let (plan, ..) = some_task(world, |_| true).await;
                let what = actions::What::Release(planlease::core::TermNumber(1_000_000));
                world.actions.enter("owner-9.1", &plan, what).reported(actions::Reply::Done(None));
            }
            Self::Write | Self::Twice => {
                let by_owner = |record: &TaskRecord| matches!(record.writer.guard, Guard::Owner { .. });
                let (plan, task, mut record) = some_task(world, by_owner).await;
                if self == Self::Write {
                    record.op_id = Uuid::new_v4();
                    let lease = LeaseId::from_wire(1).expect("a positive number");
                    let revision = "2".parse().expect("a revision");
                    record.writer.guard = Guard::Owner { lease, revision };
                }
                let value = codec::encode(&record).expect("it was encoded before");
                client(world).await.put(key(world, &plan, PlanKey::Task(task)), value, None).await.unwrap();
            }
            Self::Delete => {
                let (plan, task, _) = some_task(world, |_| true).await;
                client(world).await.delete(key(world, &plan, PlanKey::Task(task)), None).await.unwrap();
            }
            Self::Unleased => unleash(world).await,
            Self::Copy => world.checkpoints.forge(),
            Self::Command => {
                let log = world.path("commands");
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let first =
                    said.lines().find(|line| line.starts_with("begin")).expect("a command began by now");
                std::fs::write(&log, format!("{said}{first}\n")).unwrap();
            }
            Self::Belief => believe(world).await,
            Self::Process => kill_in_secret(world).await,
            Self::Stuck => get_stuck(world).await,
        }
    }
}

async fn client(world: &World) -> Client {
    world.cluster.client(0).await.expect("the address of a member")
}

fn key(world: &World, plan: &PlanName, key: PlanKey) -> Vec<u8> {
    world.history.layout().of(plan, &key)
}

/// Waits for a task's record as it is wanted.
async fn some_task(world: &World, wanted: impl Fn(&TaskRecord) -> bool) -> (PlanName, TaskId, TaskRecord) {
    while world.phase() == Phase::Storm {
        let writes = world.history.task_writes();
        if let Some(write) = writes.into_iter().rev().find(|write| wanted(&write.record)) {
            return (write.plan, write.task, write.record);
        }
        world.pause(Duration::from_millis(200)).await;
    }
    panic!("no task as it is wanted for the sabotage")
}

async fn unleash(world: &World) {
    let plans = world.history.sets();
    let found = plans.iter().rev().flat_map(|set| &set.changes).find_map(|change| {
        match (&change.key, &change.entry) {
            (Key::Plan(plan, PlanKey::Term), Some(entry)) => {
                codec::decode::<TermRecord>(&entry.value).ok().map(|term| (plan.clone(), term))
            }
            _ => None,
        }
    });
    let (plan, term) = found.expect("a plan was owned by now");
    let owner = key(world, &plan, PlanKey::Owner(term.lease));
    let value = codec::encode(&term.owner).expect("it was encoded before");
    client(world).await.put(owner, value, Some(PutOptions::new())).await.unwrap();
}

async fn believe(world: &World) {
    while world.phase() == Phase::Storm {
        let sets = world.history.sets();
        let over =
            sets.iter().flat_map(|set| &set.changes).find_map(|change| match (&change.key, &change.entry) {
                (Key::Plan(plan, PlanKey::PastTerm(number)), Some(entry)) => {
                    let term = codec::decode::<TermRecord>(&entry.value).ok()?;
                    (term.ended?.how == Ending::Unclean).then(|| (plan.clone(), *number))
                }
                _ => None,
            });
        if let Some((plan, number)) = over {
            return world.actions.believed(&plan, number, world.now());
        }
        world.pause(Duration::from_millis(200)).await;
    }
}

async fn kill_in_secret(world: &World) {
    while world.phase() == Phase::Storm {
        let orchestrator = fleet::processes(world).into_iter().find(|pid| fleet::is_orchestrator(*pid));
        if let Some(pid) = orchestrator {
            return kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it is ours");
        }
        world.pause(Duration::from_millis(200)).await;
    }
}

async fn get_stuck(world: &World) {
    let coordinator = Coordinator::connect(world.direct_config()).await.expect("it is asked past the faults");
    let id = Some(OrchestratorId::new("worker-9.1").expect("a name"));
    let session = coordinator.open_session(Identity::of_process().id(id)).await.unwrap();
    while world.phase() == Phase::Storm {
        for plan in coordinator.plans().await.unwrap_or_default() {
            let authority = coordinator.worker(&session, plan.name()).unwrap();
            let Some(task) = plan.ready().next() else { continue };
            if let Ok(Outcome::Committed(_)) = authority.start(&plan, task).await {
                std::mem::forget(session); // Renewed as long as this process runs.
                return;
            }
        }
        world.pause(Duration::from_millis(200)).await;
    }
}
