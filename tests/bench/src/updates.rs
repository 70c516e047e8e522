//! Conditional, fenced updates of tasks: through the library, through the sidecar (one connection for each
//! update in flight), and what etcd itself can do of the same kind: single transactions, and transactions of
//! as many as are in flight (at most 64), hand-batched. In turns, on the same server.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use futures_util::future::join_all;
use planlease::{Authority, Outcome, TaskView};
use planlease_core::{
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_tests::{
    backend::Server,
    test_env::{TestEnv, acquired, plan_name, task_id},
};
use tokio::time::Instant;

use crate::{
    Args,
    cost::{Cpu, Disk},
    peers::{self, Peer},
    report::{Figure, Report},
    sidecar::Sidecar,
    site::{self, Site},
};

/// How many updates are under way at a time.
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];

/// How many of them a hand-batched request has at most.
const HAND_BATCHED: usize = 64;

/// How long each round of each kind lasts.
pub(crate) const ROUND: Duration = Duration::from_millis(1500);

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    let peers = peers::all().await;
    for site in site::all(args).await {
        measure_at(&site, &peers, args, report).await;
    }
    // By itself: idle members would disturb what is measured on the others.
    if let Some(site) = site::three_members(args).await {
        measure_at(&site, &peers, args, report).await;
    }
}

async fn measure_at(site: &Site, peers: &[Peer], args: &Args, report: &mut Report) {
    let wanted = |n: &usize| args.in_flight.map_or(!args.quick || *n >= 64, |only| only == *n);
    for in_flight in IN_FLIGHT.into_iter().filter(wanted) {
        let env = site.env(&format!("updates-{in_flight}")).await;
        let mut bench = Bench::new(&env, in_flight).await;
        // In a store of its own: it watches all of its plans.
        let other_env = site.env(&format!("sidecar-{in_flight}")).await;
        let mut sidecar = Sidecar::start(&other_env, in_flight).await;
        let mut kinds = [const { Vec::new() }; 5];
        let mut others: Vec<_> = peers.iter().map(|peer| (peer.name(), Vec::new())).collect();
        for _ in 0..args.rounds {
            for (peer, (_, rounds)) in peers.iter().zip(&mut others) {
                rounds.push(count(peer.round(in_flight, &bench.value).await) / ROUND.as_secs_f64());
            }
            let together = in_flight.min(HAND_BATCHED);
            let server = &env.server;
            kinds[0].push(Round::of(server, bench.raw(1, Form::Joined)).await);
            kinds[1].push(Round::of(server, bench.raw(together, Form::Split)).await);
            kinds[2].push(Round::of(server, bench.raw(together, Form::Joined)).await);
            kinds[3].push(Round::of(server, sidecar.updates()).await);
            kinds[4].push(Round::of(server, bench.library()).await);
        }
        let names = [
            "single transactions",
            "hand-batched",
            "hand-batched, all or nothing",
            "through the sidecar",
            "planlease",
        ];
        let what = format!("{in_flight} in flight");
        for (of, unit, figure) in [
            ("CPU here", "µs each", (|round| round.cpu.here) as fn(&Round) -> f64),
            ("CPU of the servers", "µs each", |round| round.cpu.servers),
            ("updates", "/s", |round| round.rate),
        ] {
            let rounds = kinds.each_ref().map(|rounds| rounds.iter().map(figure).collect::<Vec<_>>());
            let kinds: Vec<_> = names.into_iter().zip(rounds).collect();
            report.compare("updates", site.name, &format!("{what}, {of}"), unit, &kinds);
        }
        for (name, rounds) in names.into_iter().zip(&kinds) {
            let mut add = |of: &str, unit, figure: fn(&Round) -> f64| {
                let what = format!("{what}, {of}: {name}");
                let rounds = rounds.iter().map(figure).collect();
                report.add(Figure { section: "updates", on: site.name, what, unit, rounds });
            };
            add("written to the disk", "bytes each", |round| round.disk.0);
            if site.reports_syncs {
                add("syncs of the log", "each", |round| round.disk.1);
            }
        }
        let ours = kinds[4].iter().map(|round| round.rate).collect();
        let all: Vec<_> = others.into_iter().chain([("planlease", ours)]).collect();
        if !peers.is_empty() {
            report.compare("updates", site.name, &format!("{what}, against peers"), "/s", &all);
        }
        // Everything that was acknowledged is in the history, or the audit fails.
        env.audit().await;
        other_env.audit().await;
    }
}

/// Hand-batched updates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each succeeds or fails by itself.
    Split,
    /// All or nothing.
    Joined,
}

/// What one kind did in one round.
struct Round {
    /// Updates per second.
    rate: f64,
    /// What one of them cost.
    cpu: Cpu,
    /// How many bytes were written to the disk for one, and how many syncs of etcd's log it took.
    disk: (f64, f64),
}

impl Round {
    async fn of(server: &Server, updates: impl Future<Output = Vec<usize>>) -> Self {
        let (disk, cpu) = (Disk::now(server).await, Cpu::now());
        let count = count(updates.await);
        let cpu = Cpu::now().since(cpu, count);
        let disk = Disk::now(server).await.since(disk, count);
        Self { rate: count / ROUND.as_secs_f64(), cpu, disk }
    }
}

struct Bench<'a> {
    env: &'a TestEnv,
    authority: Authority,
    tasks: Vec<TaskView>,
    value: Vec<u8>,
    /// Keeps the authority.
    _owner: Box<planlease::Ownership>,
}

impl<'a> Bench<'a> {
    async fn new(env: &'a TestEnv, in_flight: usize) -> Self {
        let (coordinator, plan) = (env.coordinator().await, plan_name("updates"));
        let tasks = (0..in_flight).map(|n| TaskSpec::new(task_id(&n.to_string()), "work")).collect();
        let spec = PlanSpec { title: "updates".into(), tasks, ..PlanSpec::default() };
        coordinator.admin().import(&plan, &spec, |_| {}).await.unwrap();
        let session = env.session("owner").await;
        let owner = acquired(&session, &plan).await;
        let authority = owner.authority();
        let view = coordinator.plan(&plan).await.unwrap();
        let starts: Vec<_> = view.tasks().values().map(|task| (task.clone(), Change::Start)).collect();
        let started = authority.update_all(&starts).await.unwrap();
        let tasks: Vec<_> = started.into_iter().map(committed).collect();
        let value = planlease_core::codec::encode(&tasks[0].record).unwrap();
        Self { env, authority, tasks, value, _owner: owner }
    }

    /// Each task is changed in a loop of its own.
    async fn library(&mut self) -> Vec<usize> {
        let began = Instant::now();
        let authority = &self.authority;
        let all = self.tasks.iter_mut().map(async |task| {
            let mut count = 0;
            while began.elapsed() < ROUND {
                let change = Change::Progress(format!("{count}"));
                *task = committed(authority.update(task, &change).await.unwrap());
                count += 1;
            }
            count
        });
        join_all(all).await
    }

    /// The same by transactions of `together` updates, of keys of the same kind with values of the same size.
    async fn raw(&self, together: usize, form: Form) -> Vec<usize> {
        let guard = self.env.key("guard");
        let mut client = self.env.client.clone();
        client.put(guard.clone(), "", None).await.unwrap();
        let created = client.get(guard.clone(), None).await.unwrap().kvs()[0].create_revision();
        let key = |flight, n| self.env.key(&format!("raw/{flight}/{n}"));
        let mut flights = Vec::new();
        for flight in 0..self.tasks.len() / together {
            let (mut keys, mut revisions) = (Vec::new(), Vec::new());
            for n in 0..together {
                let put = client.put(key(flight, n), self.value.clone(), None).await.unwrap();
                keys.push(key(flight, n));
                revisions.push(put.header().unwrap().revision());
            }
            flights.push((keys, revisions));
        }
        let began = Instant::now();
        let all = flights.into_iter().map(|(keys, revisions)| {
            self.raw_loop(client.clone(), form, (guard.clone(), created), keys, revisions, began)
        });
        join_all(all).await
    }

    async fn raw_loop(
        &self,
        mut client: Client,
        form: Form,
        (guard, created): (String, i64),
        keys: Vec<String>,
        mut revisions: Vec<i64>,
        began: Instant,
    ) -> usize {
        let mut count = 0;
        while began.elapsed() < ROUND {
            let authority = || Compare::create_revision(guard.clone(), CompareOp::Equal, created);
            let same = |n: usize| Compare::mod_revision(keys[n].clone(), CompareOp::Equal, revisions[n]);
            let put = |n: usize| TxnOp::put(keys[n].clone(), self.value.clone(), None);
            let get = |n: usize| TxnOp::get(keys[n].clone(), None);
            let all = || 0..keys.len();
            let txn = match form {
                Form::Joined if keys.len() == 1 => {
                    Txn::new().when([same(0), authority()]).and_then([put(0)]).or_else([get(0)])
                }
                Form::Joined => {
                    let conditions = all().map(same).chain([authority()]);
                    Txn::new()
                        .when(conditions.collect::<Vec<_>>())
                        .and_then(all().map(put).collect::<Vec<_>>())
                }
                Form::Split => {
                    let one = |n| Txn::new().when([same(n)]).and_then([put(n)]).or_else([get(n)]);
                    let nested = all().map(|n| TxnOp::txn(one(n)));
                    Txn::new().when([authority()]).and_then(nested.collect::<Vec<_>>())
                }
            };
            let answer = client.txn(txn).await.unwrap();
            assert!(answer.succeeded());
            revisions.fill(answer.header().unwrap().revision());
            count += keys.len();
        }
        count
    }
}

fn committed(outcome: Outcome) -> TaskView {
    let Outcome::Committed(task) = outcome else { panic!("not committed: {outcome:?}") };
    task
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(counts: Vec<usize>) -> f64 {
    counts.into_iter().sum::<usize>() as f64
}
