//! Group commit: what is written at the same moment travels together, and each write stands for itself.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Permission, PermissionType};
use futures_util::future::join_all;
use planlease::{
    Authority, Config, Coordinator, Credentials, Error, Identity, Outcome, Ownership, PlanView, Refused,
    Session, TaskView, TryAcquire,
};
use planlease_core::{
    PlanName, TaskId,
    spec::{PlanSpec, Policy, TaskSpec},
    transition::{Change, TaskStatus},
};
use planlease_tests::{TestEnv, case, etcd::Etcd, plain, proxy::Proxy};

use crate::helpers::{audit, committed, connected, execute, id, plan, spec, try_acquire};

/// A plan of `count` tasks that depend on nothing.
fn wide(count: usize, policy: Policy) -> PlanSpec {
    let tasks = (1..=count).map(|n| TaskSpec::new(id(&n.to_string()), "work")).collect();
    PlanSpec { tasks, policy, ..spec() }
}

/// The plan, imported and owned.
async fn begun(env: &TestEnv, spec: &PlanSpec) -> (Coordinator, Session, Box<Ownership>) {
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan(), spec, |_| {}).await.unwrap();
    let first = env.session("first").await;
    let owner = try_acquire(&first).await.unwrap();
    connected(&first, &["LeaseKeepAlive", "Watch"]).await;
    (coordinator, first, owner)
}

async fn progress(authority: &Authority, task: &TaskView, text: &str) -> Outcome {
    authority.update(task, &Change::Progress(text.into())).await.unwrap()
}

async fn started(authority: &Authority, view: &PlanView) -> Vec<TaskView> {
    let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
    authority.update_all(&starts).await.unwrap().into_iter().map(committed).collect()
}

#[case]
async fn coalesced_updates_are_answered_one_by_one(env: TestEnv) {
    let (coordinator, first, owner) = begun(&env, &wide(200, Policy::default())).await;
    let authority = owner.authority();
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut tasks = started(&authority, &view).await;
    let stale = view.tasks()[&tasks[7].id].clone();
    let record = tasks[7].record.clone();
    let present = std::mem::replace(&mut tasks[7], TaskView { record, ..stale });
    let sent = || first.coordinator().traffic().get("Txn").copied().unwrap_or(0);
    let before = sent();
    let outcomes = join_all(tasks.iter().map(|task| progress(&authority, task, "half"))).await;
    let requests = sent() - before;
    assert!(requests <= 8, "{requests} requests for 200 updates of one moment");
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Refused(Refused::Conflict(found)) if n == 7 => assert_eq!(*found, present),
            outcome => {
                let written = committed(outcome);
                assert_eq!((&written.id, written.record.progress.as_deref()), (&tasks[n].id, Some("half")));
                assert_eq!(coordinator.task(&plan(), &written.id).await.unwrap(), Some(written));
            }
        }
    }
    owner.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn a_lone_update_is_one_request(env: TestEnv) {
    let (coordinator, first, owner) = begun(&env, &wide(1, Policy::default())).await;
    let view = coordinator.plan(&plan()).await.unwrap();
    let mut task = started(&owner.authority(), &view).await.remove(0);
    let before = first.coordinator().traffic();
    for n in 0..5 {
        task = committed(progress(&owner.authority(), &task, &n.to_string()).await);
    }
    let after = first.coordinator().traffic();
    let since = |method: &str| after.get(method).unwrap_or(&0) - before.get(method).unwrap_or(&0);
    assert_eq!((since("Txn"), since("Range")), (5, 0), "{after:?}");
    audit(&env).await;
}

/// The first update gets through; the second one returns what the first wrote.
#[case]
async fn two_updates_of_one_task_come_in_their_order(env: TestEnv) {
    let (coordinator, _first, owner) = begun(&env, &wide(40, Policy::default())).await;
    let authority = owner.authority();
    let mut tasks = started(&authority, &coordinator.plan(&plan()).await.unwrap()).await;
    for _ in 0..10 {
        let twice = tasks.iter().flat_map(|task| [(task, "first"), (task, "second")]);
        let outcomes = join_all(twice.map(|(task, text)| progress(&authority, task, text))).await;
        let mut outcomes = outcomes.into_iter();
        let mut next = Vec::new();
        while let (Some(one), Some(other)) = (outcomes.next(), outcomes.next()) {
            let one = committed(one);
            let Outcome::Refused(Refused::Conflict(found)) = other else { panic!("{other:?}") };
            assert_eq!((found.revision, found.record.progress.as_deref()), (one.revision, Some("first")));
            next.push(one);
        }
        tasks = next;
    }
    audit(&env).await;
}

/// etcd looks at the conditions of a whole request before it does any of it: together, both would get
/// through.
#[case]
async fn a_start_and_the_end_of_what_it_needs_do_not_share_a_request(env: TestEnv) {
    let needs = |n: usize| {
        let dependencies = if n == 0 { Vec::new() } else { vec![id("1.0")] };
        TaskSpec { depends_on: dependencies, ..TaskSpec::new(id(&format!("1.{n}")), "work") }
    };
    let tasks = (0..20).map(needs).collect();
    let (coordinator, first, owner) = begun(&env, &PlanSpec { tasks, ..spec() }).await;
    let authority = owner.authority();
    execute(&authority, &coordinator.plan(&plan()).await.unwrap(), "1.0").await;
    let view = coordinator.plan(&plan()).await.unwrap();
    // Task 1.1 is under way, so that the others gather behind it.
    let ahead = id("1.1");
    let later: Vec<TaskId> = (2..20).map(|n| id(&format!("1.{n}"))).collect();
    let again = Change::Retry("wrong".into());
    let operator = first.coordinator().operator(&view, "me").unwrap();
    let reopen = operator.update(&view.tasks()[&id("1.0")], &again);
    let starts = join_all(later.iter().map(|task| authority.start(&view, task)));
    let (ahead, reopened, outcomes) = tokio::join!(authority.start(&view, &ahead), reopen, starts);
    committed(ahead.unwrap());
    let reopened = committed(reopened.unwrap());
    assert_eq!(reopened.record.status, TaskStatus::Pending);
    for outcome in outcomes {
        if let Outcome::Committed(task) = outcome.unwrap() {
            assert!(task.revision < reopened.revision, "{task:?} was started on {reopened:?}");
        }
    }
    audit(&env).await;
}

#[case]
async fn a_bound_on_tasks_in_progress_holds_for_starts_of_one_moment(env: TestEnv) {
    let policy = Policy { max_in_progress: 3, ..Policy::default() };
    let (coordinator, _first, owner) = begun(&env, &wide(12, policy)).await;
    let authority = owner.authority();
    let view = coordinator.plan(&plan()).await.unwrap();
    let outcomes = join_all(view.tasks().keys().map(|task| authority.start(&view, task))).await;
    let started = outcomes.into_iter().filter(|outcome| matches!(outcome, Ok(Outcome::Committed(_)))).count();
    let in_progress = coordinator.plan(&plan()).await.unwrap().summary().in_progress;
    assert_eq!((started, in_progress), (3, 3));
    audit(&env).await;
}

/// Of two plans' updates in one request, those of the plan that was released return the present record.
#[case]
async fn a_lost_authority_refuses_its_own_updates_only(env: TestEnv) {
    let (coordinator, session, released) = begun(&env, &wide(20, Policy::default())).await;
    let other: PlanName = "other".parse().unwrap();
    coordinator.admin().import(&other, &wide(20, Policy::default()), |_| {}).await.unwrap();
    let kept = owned(&session, &other).await;
    let authorities = [released.authority(), kept.authority()];
    let views = [coordinator.plan(&plan()).await.unwrap(), coordinator.plan(&other).await.unwrap()];
    let before = [started(&authorities[0], &views[0]).await, started(&authorities[1], &views[1]).await];
    released.release().await.unwrap();
    let all = (0..20).flat_map(|n| [(0, n), (1, n)]);
    let outcomes = all.map(async |(plan, n): (usize, usize)| {
        (plan, progress(&authorities[plan], &before[plan][n], "late").await)
    });
    for (plan, outcome) in join_all(outcomes).await {
        match outcome {
            Outcome::Refused(Refused::AuthorityLost(_)) if plan == 0 => {}
            outcome if plan == 1 => assert_eq!(committed(outcome).record.progress.as_deref(), Some("late")),
            other => panic!("{other:?}"),
        }
    }
    let present = coordinator.plan(&plan()).await.unwrap();
    assert!(present.tasks().values().all(|task| task.record.progress.is_none()), "{present:?}");
    audit(&env).await;
}

#[case]
async fn a_cancelled_update_delays_no_other(env: TestEnv) {
    let (coordinator, _first, owner) = begun(&env, &wide(60, Policy::default())).await;
    let authority = owner.authority();
    let mut tasks = started(&authority, &coordinator.plan(&plan()).await.unwrap()).await;
    let last = tasks.pop().unwrap();
    for round in 0..5 {
        let text = round.to_string();
        let many = join_all(tasks.iter().map(|task| progress(&authority, task, &text)));
        tokio::select! {
            biased;
            _ = many => {}
            () = tokio::task::yield_now() => {} // Dropped with most of them under way or waiting.
        }
    }
    committed(progress(&authority, &last, "done").await);
    audit(&env).await;
}

/// More at once than may wait.
#[case]
async fn an_update_waits_for_space_in_a_batch(env: TestEnv) {
    const TASKS: usize = 1_300;
    let (coordinator, _first, owner) = begun(&env, &wide(TASKS, Policy::default())).await;
    let authority = owner.authority();
    let view = coordinator.plan(&plan()).await.unwrap();
    let outcomes = join_all(view.tasks().keys().map(|task| authority.start(&view, task))).await;
    outcomes.into_iter().for_each(|outcome| drop(committed(outcome.unwrap())));
    assert_eq!(coordinator.plan(&plan()).await.unwrap().summary().in_progress, TASKS);
    audit(&env).await;
}

async fn owned(session: &Session, plan: &PlanName) -> Box<Ownership> {
    match session.try_acquire(plan).await.unwrap() {
        TryAcquire::Acquired(ownership) => ownership,
        busy => panic!("{busy:?}"),
    }
}

fn config(endpoint: &str) -> Config {
    Config::with_endpoints(vec![endpoint.parse().unwrap()])
}

/// A limit below the usual one refuses the first requests that are too large for it, and none later.
#[plain(on_etcd)]
async fn a_server_that_allows_fewer_operations_is_learned() {
    let etcd = Etcd::builder().argument("--max-txn-ops=12").start().await;
    let coordinator = Coordinator::connect(config(&etcd.endpoints()[0])).await.unwrap();
    let session = coordinator.open_session(Identity::of_process()).await.unwrap();
    let plans: [PlanName; 4] = ["a", "b", "c", "d"].map(|name| name.parse().unwrap());
    let (mut tasks, mut owners) = (Vec::new(), Vec::new());
    let sent = || coordinator.traffic().get("Txn").copied().unwrap_or(0);
    let mut requests = Vec::new();
    for plan in &plans {
        coordinator.admin().import(plan, &wide(10, Policy::default()), |_| {}).await.unwrap();
        let owner = owned(&session, plan).await;
        let (view, before) = (coordinator.plan(plan).await.unwrap(), sent());
        let started = started(&owner.authority(), &view).await;
        requests.push(sent() - before);
        tasks.extend(started.into_iter().map(|task| (owner.authority(), task)));
        owners.push(owner);
    }
    for round in 0..6 {
        let (text, before) = (round.to_string(), sent());
        let outcomes = join_all(tasks.iter().map(|(authority, task)| progress(authority, task, &text))).await;
        for ((_, task), outcome) in tasks.iter_mut().zip(outcomes) {
            *task = committed(outcome);
        }
        requests.push(sent() - before);
    }
    assert!(requests[0] > 10, "a request was refused, and those in it sent one by one: {requests:?}");
    assert!(requests[1..4].iter().all(|count| *count < 10), "{requests:?}");
    assert!(requests[4..].iter().all(|count| *count < 20), "{requests:?}");
}

#[plain(on_etcd)]
async fn a_plan_that_may_not_be_written_refuses_no_other() {
    let etcd = Etcd::builder().argument("--bcrypt-cost=4").start().await;
    let open = Coordinator::connect(config(&etcd.endpoints()[0])).await.unwrap();
    let plans: [PlanName; 2] = ["ours", "theirs"].map(|name| name.parse().unwrap());
    for plan in &plans {
        open.admin().import(plan, &wide(20, Policy::default()), |_| {}).await.unwrap();
    }
    let mut admin: Client = etcd.client(0).await;
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.user_add("worker", "work", None).await.unwrap();
    admin.role_add("workers").await.unwrap();
    for (kind, below) in [
        (PermissionType::Read, ""),
        (PermissionType::Readwrite, "orchestrators/"),
        (PermissionType::Readwrite, "plans/ours/"),
        (PermissionType::Readwrite, "plans/theirs/owner/"),
        (PermissionType::Readwrite, "plans/theirs/term"),
    ] {
        let keys = Permission::new(kind, format!("/planlease/v1/default/{below}")).with_prefix();
        admin.role_grant_permission("workers", keys).await.unwrap();
    }
    admin.user_grant_role("worker", "workers").await.unwrap();
    admin.auth_enable().await.unwrap();

    let credentials = Credentials::of_user("worker").password("work");
    let worker = config(&etcd.endpoints()[0]).credentials(credentials);
    let worker = Coordinator::connect(worker).await.unwrap();
    let session = worker.open_session(Identity::of_process()).await.unwrap();
    let (ours, theirs) = (owned(&session, &plans[0]).await, owned(&session, &plans[1]).await);
    let views = [worker.plan(&plans[0]).await.unwrap(), worker.plan(&plans[1]).await.unwrap()];
    let authorities = [ours.authority(), theirs.authority()];
    let all = views[0].tasks().keys().flat_map(|task| [(0, task), (1, task)]);
    let outcomes = all.map(async |(n, task): (usize, _)| (n, authorities[n].start(&views[n], task).await));
    for (n, outcome) in join_all(outcomes).await {
        match outcome {
            Ok(outcome) if n == 0 => drop(committed(outcome)),
            Err(Error::PermissionDenied(_)) if n == 1 => {}
            other => panic!("{}: {other:?}", plans[n]),
        }
    }
    let root = ConnectOptions::new().with_user("root", "secret");
    Client::connect(etcd.endpoints(), Some(root)).await.unwrap().auth_disable().await.unwrap();
    assert_eq!(open.plan(&plans[1]).await.unwrap().summary().in_progress, 0);
}

/// Three updates of one task while nothing is answered: the third one's time is up before the others let it
/// go.
#[plain(on_etcd)]
async fn a_request_without_a_turn_is_not_sent() {
    let etcd = Etcd::builder().start().await;
    let proxy = Proxy::before(etcd.endpoints()[0].strip_prefix("http://").unwrap().parse().unwrap());
    let direct = Coordinator::connect(config(&etcd.endpoints()[0])).await.unwrap();
    direct.admin().import(&plan(), &wide(1, Policy::default()), |_| {}).await.unwrap();
    let brief = config(&proxy.endpoint())
        .connect_timeout(Duration::from_millis(500))
        .request_timeout(Duration::from_millis(500))
        .operation_timeout(Duration::from_secs(1))
        .ttl(Duration::from_secs(60));
    let brief = Coordinator::connect(brief).await.unwrap();
    let session = brief.open_session(Identity::of_process()).await.unwrap();
    let owner = owned(&session, &plan()).await;
    let authority = owner.authority();
    let task = started(&authority, &direct.plan(&plan()).await.unwrap()).await.remove(0);
    proxy.silence();
    let update = async |text: &str| authority.update(&task, &Change::Progress(text.into())).await;
    let (first, _, third) = tokio::join!(update("first"), update("second"), update("third"));
    assert!(matches!(first, Ok(Outcome::Unknown { .. })), "{first:?}");
    let Err(Error::Unreachable(why)) = third else { panic!("{third:?}") };
    assert!(why.to_string().contains("before it was not answered"), "{why}");
    proxy.heal();
    let present = direct.task(&plan(), &task.id).await.unwrap().unwrap();
    assert_ne!(present.record.progress.as_deref(), Some("third"));
    assert_eq!(direct.admin().audit(|_| {}).await.unwrap().report.violations, []);
}
