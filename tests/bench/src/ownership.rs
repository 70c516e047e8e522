//! Ownership: acquired and released without contention; passed on by a release; passed on by a crash. Each
//! against what etcd itself needs for the same. Passed on through a sidecar too, where a connection stands
//! for its program.

use std::time::Duration;

use etcd_client::{Client, TxnOp, WatchOptions};
use futures_util::future::join_all;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::{AcquireOptions, Coordinator};
use planlease_core::{
    PlanName,
    spec::{PlanSpec, TaskSpec},
};
use planlease_tests::{
    http::{self, start_owner},
    program::helper_of,
    raw::{self, WATCHING},
    test_env::{TestEnv, acquired, in_queue, plan_name, task_id, until_free},
    wait::SOON,
};
use tokio::time::Instant;

use crate::{
    Args,
    cost::Cpu,
    report::{Figure, Report, share},
    sidecar::{self, Candidate},
    site::{self, Site},
};

/// How long each round of taking and giving back lasts.
const ROUND: Duration = Duration::from_secs(1);

/// How often a plan is passed on in a round.
const HANDOVERS: usize = 20;

/// The TTLs of sessions that crash, in seconds.
const TTLS: [u64; 3] = [2, 5, 10];

/// About as large as what planlease says of a term.
const TERM: [u8; 300] = [b'x'; 300];

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    for site in site::all(args).await {
        for in_flight in [1, 16] {
            uncontended(&site, in_flight, args.rounds, report).await;
        }
        released(&site, args.rounds, report).await;
        if args.quick {
            continue; // The others wait for the ends of sessions.
        }
        killed_behind_a_sidecar(&site, args.rounds, report).await;
        for ttl in TTLS {
            crashed(&site, ttl, args.rounds, report).await;
        }
    }
}

async fn imported(coordinator: &Coordinator, plan: &PlanName) {
    let tasks = vec![TaskSpec::new(task_id("1"), "work")];
    let spec = PlanSpec { title: "ownership".into(), tasks, ..PlanSpec::default() };
    coordinator.admin().import(plan, &spec, |_| {}).await.unwrap();
}

/// Plans without contention, acquired and released.
async fn uncontended(site: &Site, in_flight: usize, rounds: usize, report: &mut Report) {
    let env = site.env(&format!("uncontended-{in_flight}")).await;
    let session = env.session("owner").await;
    let plans: Vec<_> = (0..in_flight).map(|n| plan_name(&format!("plan-{n}"))).collect();
    for plan in &plans {
        imported(session.coordinator(), plan).await;
    }
    let mut client = env.client.clone();
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let [mut raw, mut recorded, mut ours] = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (kind, terms) in [(&mut raw, false), (&mut recorded, true)] {
            let keys = (0..in_flight).map(|n| env.key(&format!("raw/{n}")));
            let before = Cpu::now();
            let pairs = join_all(keys.map(|key| raw_pairs(client.clone(), key, lease, terms))).await;
            kind.push((rate(&pairs), Cpu::now().since(before, count(&pairs))));
        }
        let session = &session;
        let pairs = plans.iter().map(async |plan| {
            let (began, mut count) = (Instant::now(), 0);
            while began.elapsed() < ROUND {
                acquired(session, plan).await.release().await.unwrap();
                count += 1;
            }
            count
        });
        let before = Cpu::now();
        let pairs = join_all(pairs).await;
        ours.push((rate(&pairs), Cpu::now().since(before, count(&pairs))));
    }
    let what = format!("acquire and release, {in_flight} at a time");
    for (of, unit, figure) in [
        ("CPU here", "µs each", (|round| round.1.here) as fn(&(f64, Cpu)) -> f64),
        ("CPU of the server", "µs each", |round| round.1.servers),
        ("pairs", "/s", |round| round.0),
    ] {
        let kinds =
            [("two bare transactions", &raw), ("two that record terms", &recorded), ("planlease", &ours)];
        let kinds = kinds.map(|(kind, rounds)| (kind, rounds.iter().map(figure).collect()));
        report.compare("ownership", site.name, &format!("{what}, {of}"), unit, &kinds);
    }
    env.audit().await;
}

/// A key on a lease, made if it is not there, and deleted as it was made. `terms`: with two records of each,
/// as planlease keeps them.
async fn raw_pairs(mut client: Client, key: String, lease: i64, terms: bool) -> usize {
    let (began, mut count) = (Instant::now(), 0);
    let records = |count: usize| {
        let keys = [format!("{key}/term"), format!("{key}/terms/{count}")];
        keys.into_iter().take(if terms { 2 } else { 0 }).map(|key| TxnOp::put(key, TERM, None))
    };
    while began.elapsed() < ROUND {
        let created = raw::create(&mut client, &key, lease, records(count)).await;
        raw::delete(&mut client, &key, created, records(count)).await;
        count += 1;
    }
    count
}

/// A plan goes to who waits for it: from the moment its owner begins to release it.
async fn released(site: &Site, rounds: usize, report: &mut Report) {
    let env = site.env("released").await;
    let (one, other) = (env.session("one").await, env.session("other").await);
    let (mut owner, mut next) = (&one, &other);
    let plan = plan_name("handover");
    imported(one.coordinator(), &plan).await;
    let mut client = env.client.clone();
    let mut watcher = env.server.client().await;
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let (_sidecar, programs) = sidecar::started(&env, &[]).await;
    let through = plan_name("through-sidecar");
    imported(one.coordinator(), &through).await;
    let [mut raw, mut behind, mut ours] = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let [mut raw_times, mut behind_times, mut our_times] = [const { Vec::new() }; 3];
        for n in 0..HANDOVERS {
            let (key, theirs) = (env.key(&format!("raw/{n}")), env.key(&format!("next/{n}")));
            let took = raw::handover(&mut client, &mut watcher, lease, &key, &theirs).await;
            raw_times.push(milliseconds(took));

            behind_times.push(released_behind_a_sidecar(one.coordinator(), &programs, &through).await);

            let first = acquired(owner, &plan).await;
            let release = async {
                in_queue(owner.coordinator(), &plan, 2).await;
                tokio::time::sleep(WATCHING).await;
                let began = Instant::now();
                first.release().await.unwrap();
                began
            };
            let wait = async {
                let second = next.acquire(&plan, AcquireOptions::default()).await.unwrap();
                (Instant::now(), second)
            };
            let (began, (ended, second)) = tokio::join!(release, wait);
            our_times.push(milliseconds(ended - began));
            second.release().await.unwrap();
            (owner, next) = (next, owner);
        }
        raw.push(share(&raw_times, 0.5));
        behind.push(share(&behind_times, 0.5));
        ours.push(share(&our_times, 0.5));
    }
    let kinds = [("delete, event, transaction", raw), ("through the sidecar", behind), ("planlease", ours)];
    report.compare("ownership", site.name, "released, to the next owner", "ms", &kinds);
    env.audit().await;
}

/// One program releases, and another one behind the same sidecar hears that it owns.
async fn released_behind_a_sidecar(
    coordinator: &Coordinator,
    programs: &http::Client,
    plan: &PlanName,
) -> f64 {
    let mut first = Candidate::new(programs, plan).await;
    first.granted().await;
    let mut second = Candidate::new(programs, plan).await;
    in_queue(coordinator, plan, 2).await;
    tokio::time::sleep(WATCHING).await;
    let began = Instant::now();
    let (took, ()) = tokio::join!(
        async {
            second.granted().await;
            began.elapsed()
        },
        first.release()
    );
    drop((first, second));
    until_free(coordinator, plan).await;
    milliseconds(took)
}

/// A program is killed, and another one behind the same sidecar hears that it owns.
async fn killed_behind_a_sidecar(site: &Site, rounds: usize, report: &mut Report) {
    let env = site.env("killed-behind-sidecar").await;
    let coordinator = env.coordinator().await;
    let plan = plan_name("through-sidecar");
    imported(&coordinator, &plan).await;
    let (_sidecar, programs) = sidecar::started(&env, &[]).await;
    let mut medians = Vec::new();
    for round in 0..rounds {
        let mut times = Vec::new();
        for n in 0..HANDOVERS {
            let output = env.path(&format!("program-{round}-{n}"));
            let mut owner = start_owner(programs.socket(), plan.as_str(), &output);
            owner.until_said("event: granted", SOON).await;
            let mut next = Candidate::new(&programs, &plan).await;
            in_queue(&coordinator, &plan, 2).await;
            tokio::time::sleep(WATCHING).await;
            let killed = Instant::now();
            owner.signal(Signal::SIGKILL);
            next.granted().await;
            times.push(milliseconds(killed.elapsed()));
            drop(next);
            until_free(&coordinator, &plan).await;
        }
        medians.push(share(&times, 0.5));
    }
    let what = "program behind a sidecar killed, to the next owner".to_owned();
    report.add(Figure { section: "ownership", on: site.name, what, unit: "ms", rounds: medians });
    env.audit().await;
}

/// Owners that are killed with their companions, all at nearly the same time: from the kill until the session
/// has expired, and until the next process owns.
async fn crashed(site: &Site, ttl: u64, rounds: usize, report: &mut Report) {
    let env = site.env_for(&format!("crashed-{ttl}"), Duration::from_secs(ttl)).await;
    let waiter = env.session("waiter").await;
    let kills = (0..rounds).map(|n| crash(&env, &waiter, plan_name(&format!("plan-{n}"))));
    let (expired, owned): (Vec<f64>, Vec<f64>) = join_all(kills).await.into_iter().unzip();
    let after = owned.iter().zip(&expired).map(|(owned, expired)| owned - expired).collect();
    for (what, rounds) in [("expiry", expired), ("next owner", owned), ("next owner after expiry", after)] {
        let what = format!("killed, TTL {ttl} s: {what}");
        report.add(Figure { section: "ownership", on: site.name, what, unit: "ms", rounds });
    }
    env.until_empty().await;
    env.audit().await;
}

async fn crash(env: &TestEnv, waiter: &planlease::Session, plan: PlanName) -> (f64, f64) {
    let coordinator = waiter.coordinator();
    imported(coordinator, &plan).await;
    let mut owner = env.start(&["hold", plan.as_str(), "--", "sleep", "600"], &format!("{plan}.log"));
    in_queue(coordinator, &plan, 1).await;
    let line = coordinator.layout().queue(&plan);
    let options = WatchOptions::new().with_range(line.end);
    let mut events = env.server.client().await.watch(line.start, Some(options)).await.unwrap();
    let acquire = async {
        let owned = waiter.acquire(&plan, AcquireOptions::default()).await.unwrap();
        let at = Instant::now();
        owned.release().await.unwrap();
        at
    };
    let killing = async {
        in_queue(coordinator, &plan, 2).await;
        let companion = helper_of(owner.id(), "companion").unwrap();
        kill(Pid::from_raw(companion), Signal::SIGKILL).unwrap();
        let killed = Instant::now();
        owner.signal(Signal::SIGKILL);
        loop {
            let message = events.message().await.unwrap().unwrap();
            if message.events().iter().any(|event| event.event_type() == etcd_client::EventType::Delete) {
                return (killed, Instant::now());
            }
        }
    };
    let (owned, (killed, expired)) = tokio::join!(acquire, killing);
    (milliseconds(expired - killed), milliseconds(owned - killed))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn rate(counts: &[usize]) -> f64 {
    count(counts) / ROUND.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(counts: &[usize]) -> f64 {
    counts.iter().sum::<usize>() as f64
}
