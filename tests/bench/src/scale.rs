//! Many tasks, many sessions, many owners that die at once.

use std::time::Duration;

use etcd_client::{Client, GetOptions, SortOrder, SortTarget};
use futures_util::{StreamExt as _, future::join_all, stream};
use planlease::{AcquireOptions, Coordinator, Identity, Session};
use planlease_core::{
    OrchestratorId, PlanName,
    keys::{Key, PlanKey},
    spec::{PlanSpec, TaskSpec},
};
use planlease_tests::test_env::{TestEnv, acquired, plan_name, task_id};
use planlease_watcher::{Delivery, Filter, Watcher};
use tokio::time::Instant;

use crate::{
    Args,
    cost::Cpu,
    report::{Figure, Report},
    site,
};

/// How many plans of a hundred tasks there are.
const PLANS: [u32; 2] = [100, 1_000];
const TASKS: u32 = 100;

/// How many keys a page of the plain ranges has: as many as planlease asks for at most.
const PAGE: i64 = 2_000;

/// Sessions, each of which owns as many plans.
const SESSIONS: u32 = 1_000;
const OWNED: u32 = 10;

/// How long they are watched at rest.
const REST: Duration = Duration::from_secs(20);

/// Owners that die at once, each with as many plans.
const DYING: u32 = 200;
const ORPHANED: u32 = 50;

/// How many wait for them: a session waits for at most 1,000.
const HEIRS: u32 = 20;

/// On how many connections the sessions are: what one would be for a process each is not had on one machine.
const COORDINATORS: usize = 10;

/// How many requests that prepare something are under way at a time.
const AT_ONCE: usize = 64;

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    for site in site::all(args).await {
        for plans in PLANS.into_iter().filter(|plans| *plans <= args.size(1_000, 100)) {
            let env = site.env(&format!("tasks-{plans}")).await;
            snapshots(&env, site.name, plans, args.rounds, report).await;
        }
        if args.quick {
            continue; // The others take minutes.
        }
        let env = site.env("sessions").await;
        at_rest(&env, site.name, report).await;
        let env = site.env("dying").await;
        taken_over(&env, site.name, report).await;
    }
}

async fn import(coordinator: &Coordinator, plans: u32, tasks: u32) {
    let tasks =
        (0..tasks).map(|n| TaskSpec::new(task_id(&n.to_string()), "what is to be done here")).collect();
    let spec = PlanSpec { title: "one of many".into(), tasks, ..PlanSpec::default() };
    let imports = stream::iter(
        (0..plans).map(async |n| coordinator.admin().import(&plan(n), &spec, |_| {}).await.unwrap()),
    );
    imports.buffer_unordered(AT_ONCE).for_each(async |_| {}).await;
}

fn plan(n: u32) -> PlanName {
    plan_name(&format!("plan-{n:05}"))
}

/// Until a watcher has everything, against reading the same keys page by page.
async fn snapshots(env: &TestEnv, on: &'static str, plans: u32, rounds: usize, report: &mut Report) {
    let coordinator = env.coordinator().await;
    import(&coordinator, plans, TASKS).await;
    let [mut raw, mut ours] = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        let began = Instant::now();
        let read = pages(env, &coordinator).await;
        raw.push(began.elapsed().as_secs_f64() * 1000.0);
        assert!(read >= (plans * TASKS) as usize);
        let coordinator = env.coordinator().await;
        let began = Instant::now();
        let watcher = Watcher::start(coordinator);
        let mut subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
        let Some(Delivery::Snapshot(snapshot, _)) = subscription.next().await else { panic!("no snapshot") };
        ours.push(began.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(snapshot.plans().map(|plan| plan.tasks().len()).sum::<usize>(), (plans * TASKS) as usize);
        drop((snapshot, subscription));
        watcher.close().await.unwrap();
    }
    let what = format!("first snapshot of {} tasks", plans * TASKS);
    let per_task = ours.iter().map(|took| took * 1000.0 / f64::from(plans * TASKS)).collect();
    report.compare("scale", on, &what, "ms", &[("plain ranges", raw), ("planlease", ours)]);
    let mut add = |of: &str, unit, rounds| {
        report.add(Figure { section: "scale", on, what: format!("{what}, {of}"), unit, rounds });
    };
    add("per task", "µs", per_task);
}

async fn pages(env: &TestEnv, coordinator: &Coordinator) -> usize {
    let mut client: Client = env.client.clone();
    let everything = coordinator.layout().everything();
    let (mut from, mut revision, mut read) = (everything.start, 0, 0);
    loop {
        let options = GetOptions::new()
            .with_range(everything.end.clone())
            .with_limit(PAGE)
            .with_sort(SortTarget::Key, SortOrder::Ascend)
            .with_revision(revision);
        let page = client.get(from.clone(), Some(options)).await.unwrap();
        revision = page.header().unwrap().revision();
        read += page.kvs().len();
        let Some(last) = page.kvs().last().filter(|_| page.more()) else { return read };
        from = [last.key(), &[0]].concat();
    }
}

async fn sessions(env: &TestEnv, name: &str, count: u32) -> Vec<Session> {
    let coordinators = join_all((0..COORDINATORS).map(|_| env.coordinator())).await;
    let open = (0..count).zip(coordinators.iter().cycle()).map(async |(n, coordinator)| {
        let id = Some(OrchestratorId::new(format!("{name}-{n}")).unwrap());
        coordinator.open_session(Identity::of_process().id(id)).await.unwrap()
    });
    stream::iter(open).buffered(AT_ONCE).collect().await
}

/// What sessions with plans cost while nothing happens.
async fn at_rest(env: &TestEnv, on: &'static str, report: &mut Report) {
    import(&env.coordinator().await, SESSIONS * OWNED, 1).await;
    let sessions = sessions(env, "owner", SESSIONS).await;
    let owned = owned(&sessions, OWNED).await;
    let mut add = |what: &str, unit, value| {
        let what = format!("{SESSIONS} sessions with {OWNED} plans each at rest, {what}");
        report.add(Figure { section: "scale", on, what, unit, rounds: vec![value] });
    };
    let coordinators = || sessions.iter().take(COORDINATORS).map(Session::coordinator);
    let requests = || coordinators().map(|one| one.traffic().values().sum::<u64>()).sum::<u64>();
    let (sent, cpu) = (requests(), Cpu::now());
    tokio::time::sleep(REST).await;
    let (sent, cpu) = (requests() - sent, Cpu::now().since(cpu, REST.as_secs_f64() * 10_000.0));
    add("requests", "/s", f64::from(u32::try_from(sent).unwrap()) / REST.as_secs_f64());
    add("CPU here", "% of one", cpu.here);
    add("CPU of the server", "% of one", cpu.servers);
    drop(owned);
    join_all(sessions.into_iter().map(Session::close)).await;
}

/// Each session owns as many plans, in order.
async fn owned(sessions: &[Session], each: u32) -> Vec<Box<planlease::Ownership>> {
    let all =
        (0..).zip(sessions).flat_map(|(n, session)| (0..each).map(move |k| (session, plan(n * each + k))));
    let acquire = all.map(async |(session, plan)| acquired(session, &plan).await);
    stream::iter(acquire).buffer_unordered(AT_ONCE).collect().await
}

/// From the moment that the leases of all owners are gone until all their plans have another owner.
async fn taken_over(env: &TestEnv, on: &'static str, report: &mut Report) {
    let plans = DYING * ORPHANED;
    import(&env.coordinator().await, plans, 1).await;
    let dying = sessions(env, "owner", DYING).await;
    let owned = owned(&dying, ORPHANED).await;
    let heirs = sessions(env, "heir", HEIRS).await;
    let began = std::cell::Cell::new(None);
    let waits = (0..plans).zip(heirs.iter().cycle()).map(async |(n, heir)| {
        let owner = heir.acquire(&plan(n), AcquireOptions::default()).await.unwrap();
        (Instant::now(), owner)
    });
    let die = async {
        while candidates(heirs[0].coordinator()).await < 2 * plans as usize {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        began.set(Some(Instant::now()));
        let client = &env.client;
        let ends = dying
            .iter()
            .map(async |session| client.lease_client().revoke(session.lease().to_wire()).await.unwrap());
        join_all(ends).await;
    };
    let (taken, ()) = tokio::join!(join_all(waits), die);
    let took = |at: &Instant| (*at - began.get().unwrap()).as_secs_f64();
    let last = taken.iter().map(|(at, _)| took(at)).fold(0.0, f64::max);
    let what = format!(
        "{plans} plans of {DYING} owners whose leases end at once, until the last has its next owner"
    );
    report.add(Figure { section: "scale", on, what, unit: "s", rounds: vec![last] });
    drop((owned, taken));
}

/// How many own a plan or wait for one.
async fn candidates(coordinator: &Coordinator) -> usize {
    let all = coordinator.raw().snapshot(&coordinator.layout().plans()).await.unwrap();
    all.entries.iter().filter(|(key, _)| matches!(key, Key::Plan(_, PlanKey::Owner(_)))).count()
}
