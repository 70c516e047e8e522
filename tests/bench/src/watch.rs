//! Changes to many subscribers in one process: what they cost the writer, how long a change takes to them,
//! what memory an idle one has. Against as many watches on the server itself, each on a stream of its own.

use std::{thread, time::Duration};

use etcd_client::WatchOptions;
use futures_util::future::join_all;
use planlease::{Authority, Outcome, TaskView};
use planlease_core::{
    codec,
    record::TaskRecord,
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_tests::test_env::{TestEnv, acquired, background, plan_name, task_id};
use planlease_watcher::{Change as Received, Delivery, Filter, Subscription, Watcher};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    Args,
    cost::memory,
    report::{Figure, Report, share},
    site,
};

/// How many subscribe.
const SUBSCRIBERS: [usize; 4] = [1, 100, 1_000, 10_000];

/// More watches of their own are not asked of a server.
const MOST_WATCHES: usize = 1_000;

/// How long the writer writes in a round: one task, one update after the other.
const ROUND: Duration = Duration::from_secs(2);

/// Until all watches have received at once what happens.
const SETTLED: Duration = Duration::from_millis(250);

/// Of the only figure that is taken once.
const IDLE: &str = "memory of an idle subscriber";

/// What the last update of a round says.
const END: &str = "end";

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    let mut measured_idle = false;
    for site in site::all(args).await {
        let env = site.env("watch").await;
        let writer = Writer::start(&env).await;
        if !measured_idle {
            measured_idle = true;
            // Before anything else: memory that was given back once is not counted when it is taken again.
            let rounds = vec![idle(&env).await];
            report.add(Figure { section: "watch", on: site.name, what: IDLE.into(), unit: "KiB", rounds });
        }
        let mut alone = f64::NAN;
        for subscribers in SUBSCRIBERS.into_iter().filter(|many| *many <= args.size(10_000, 100)) {
            let [mut raw, mut ours] = [const { Vec::new() }; 2];
            for _ in 0..args.rounds {
                if subscribers <= MOST_WATCHES {
                    raw.push(watches(&env, &writer, subscribers).await);
                }
                ours.push(subscriptions(&env, &writer, subscribers).await);
            }
            let what = format!("{subscribers} subscribers");
            for (of, unit, figure) in [
                ("written", "/s", (|round: &Round| round.written) as fn(&Round) -> f64),
                ("reached all", "/s", |round| round.reached),
                ("update to subscriber, median", "ms", |round| share(&round.took, 0.5)),
                ("update to subscriber, 99 of 100", "ms", |round| share(&round.took, 0.99)),
            ] {
                let kinds = [("watches", &raw), ("planlease", &ours)];
                let kinds = kinds.map(|(kind, rounds)| (kind, rounds.iter().map(figure).collect::<Vec<_>>()));
                let kinds: Vec<_> = kinds.into_iter().filter(|(_, rounds)| !rounds.is_empty()).collect();
                report.compare("watch", site.name, &format!("{what}, {of}"), unit, &kinds);
            }
            let mut add = |of: &str, unit, rounds| {
                let what = format!("{what}, {of}");
                report.add(Figure { section: "watch", on: site.name, what, unit, rounds });
            };
            let written: Vec<f64> = ours.iter().map(|round| round.written).collect();
            if subscribers == 1 {
                alone = share(&written, 0.5);
            }
            add("written against one subscriber", "×", written.iter().map(|rate| rate / alone).collect());
            add("lagged", "", ours.iter().map(|round| round.lagged).collect());
        }
        drop(writer);
        env.audit().await;
    }
}

/// What one round came to.
struct Round {
    /// Updates per second.
    written: f64,
    /// Updates per second, until the last subscriber had seen the last one.
    reached: f64,
    /// What it took from before an update was sent to one of the subscribers, in milliseconds.
    took: Vec<f64>,
    /// How many subscribers received everything again.
    lagged: f64,
}

impl Round {
    async fn of(writer: &Writer, subscribers: Vec<JoinHandle<Seen>>) -> Self {
        // A watch that begins in the past, be it by one revision, is served by etcd ten times a second until
        // it has caught up.
        tokio::time::sleep(SETTLED).await;
        let began = Instant::now();
        let written = writer.round().await;
        let seen = join_all(subscribers).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        let all = began.elapsed().as_secs_f64();
        Self {
            written: f64::from(written) / ROUND.as_secs_f64(),
            reached: f64::from(written) / all,
            lagged: f64::from(seen.iter().map(|seen| seen.lagged).sum::<u32>()),
            took: seen.into_iter().flat_map(|seen| seen.took).collect(),
        }
    }
}

/// What a subscriber saw.
#[derive(Default)]
struct Seen {
    took: Vec<f64>,
    lagged: u32,
}

impl Seen {
    /// Whether that was the last one. Who takes the time is asked for it only: the others count.
    fn ends(&mut self, record: &TaskRecord, takes_time: bool) -> bool {
        let Some(text) = &record.progress else { return false };
        if takes_time && let Some(took) = writer_age(text) {
            self.took.push(took);
        }
        text == END
    }
}

/// KiB of memory for each of many subscribers, each a task that waits.
async fn idle(env: &TestEnv) -> f64 {
    const MANY: u32 = 10_000;
    let watcher = Watcher::start(env.coordinator().await);
    drop(subscribe(&watcher).await);
    let (before, mut tasks) = (memory(), Vec::new());
    for _ in 0..MANY {
        let mut subscription = subscribe(&watcher).await;
        tasks.push(background(async move { subscription.next().await }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let each = (memory() - before) / f64::from(MANY);
    tasks.iter().for_each(JoinHandle::abort);
    watcher.close().await.unwrap();
    each
}

/// A subscription that has been given what there is.
async fn subscribe(watcher: &Watcher) -> Subscription {
    let mut subscription = watcher.subscribe(Filter::default(), None).await.unwrap();
    assert!(matches!(subscription.next().await, Some(Delivery::Snapshot(..))));
    subscription
}

/// All subscribe to one watcher. The last one takes the time.
async fn subscriptions(env: &TestEnv, writer: &Writer, count: usize) -> Round {
    let watcher = Watcher::start(env.coordinator().await);
    let mut subscribers = Vec::new();
    for n in 1..=count {
        let mut subscription = subscribe(&watcher).await;
        subscribers.push(background(async move {
            let mut seen = Seen::default();
            loop {
                match subscription.next().await.unwrap() {
                    Delivery::Changes(set) => {
                        for change in &set.changes {
                            if let Received::Task { task, .. } = change
                                && seen.ends(&task.record, n == count)
                            {
                                return seen;
                            }
                        }
                    }
                    Delivery::Snapshot(snapshot, _) => {
                        seen.lagged += 1;
                        let mut tasks = snapshot.plans().flat_map(|plan| plan.tasks().values());
                        if tasks.any(|task| task.record.progress.as_deref() == Some(END)) {
                            return seen;
                        }
                    }
                }
            }
        }));
    }
    let round = Round::of(writer, subscribers).await;
    watcher.close().await.unwrap();
    round
}

/// All watch the server, on streams of their own. The last one takes the time.
async fn watches(env: &TestEnv, writer: &Writer, count: usize) -> Round {
    let coordinator = env.coordinator().await;
    let tasks = coordinator.layout().tasks(&plan_name("watched"));
    let mut client = env.server.client().await;
    let mut subscribers = Vec::new();
    for n in 1..=count {
        let options = WatchOptions::new().with_range(tasks.end.clone());
        let mut stream = client.watch(tasks.start.clone(), Some(options)).await.unwrap();
        subscribers.push(background(async move {
            let mut seen = Seen::default();
            loop {
                let message = stream.message().await.unwrap().unwrap();
                for event in message.events() {
                    let record = codec::decode(event.kv().unwrap().value()).unwrap();
                    if seen.ends(&record, n == count) {
                        return seen;
                    }
                }
            }
        }));
    }
    Round::of(writer, subscribers).await
}

/// Milliseconds since the update was sent that says when.
fn writer_age(text: &str) -> Option<f64> {
    let sent: f64 = text.parse().ok()?;
    Some(now() - sent)
}

/// Milliseconds on this machine's clock that runs evenly.
fn now() -> f64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    Duration::from(time).as_secs_f64() * 1000.0
}

/// A writer on a thread of its own, which writes on request; until it is dropped.
struct Writer(mpsc::Sender<oneshot::Sender<u32>>);

impl Writer {
    async fn start(env: &TestEnv) -> Self {
        let (ready, is_ready) = oneshot::channel();
        let (orders, mut rounds) = mpsc::channel::<oneshot::Sender<u32>>(1);
        let config = env.config.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let coordinator = planlease::Coordinator::connect(config).await.unwrap();
                let plan = plan_name("watched");
                let tasks = vec![TaskSpec::new(task_id("1"), "work")];
                let spec = PlanSpec { title: "watched".into(), tasks, ..PlanSpec::default() };
                coordinator.admin().import(&plan, &spec, |_| {}).await.unwrap();
                let session = coordinator.open_session(planlease::Identity::of_process()).await.unwrap();
                let owner = acquired(&session, &plan).await;
                let authority = owner.authority();
                let task = coordinator.task(&plan, &task_id("1")).await.unwrap().unwrap();
                let mut task = update(&authority, &task, Change::Start).await;
                let _ = ready.send(());
                while let Some(done) = rounds.recv().await {
                    let (began, mut count) = (Instant::now(), 0);
                    while began.elapsed() < ROUND {
                        task = update(&authority, &task, Change::Progress(now().to_string())).await;
                        count += 1;
                    }
                    task = update(&authority, &task, Change::Progress(END.into())).await;
                    let _ = done.send(count);
                }
                drop(owner);
                session.close().await.unwrap();
            });
        });
        is_ready.await.unwrap();
        Self(orders)
    }

    async fn round(&self) -> u32 {
        let (done, count) = oneshot::channel();
        self.0.send(done).await.unwrap();
        count.await.unwrap()
    }
}

async fn update(authority: &Authority, task: &TaskView, change: Change) -> TaskView {
    match authority.update(task, &change).await.unwrap() {
        Outcome::Committed(task) => task,
        other => panic!("{other:?}"),
    }
}
