//! Events of a sidecar to many subscribers: whether any misses or repeats a revision, how long they take,
//! what a subscriber costs.
//!
//! Subscribers, sidecar and server share the machine; so the time that an event takes is that of a busy one.

use std::{cell::RefCell, rc::Rc, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use planlease::Outcome;
use planlease_core::{
    spec::{PlanSpec, TaskSpec},
    transition::Change,
};
use planlease_tests::{
    program::Process,
    test_env::{TestEnv, acquired, plan_name, task_id},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::LocalSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    Args,
    cost::memory_of,
    report::{Figure, Report},
    sidecar, site,
};

const SUBSCRIBERS: usize = 2_000;
const A_SECOND: u32 = 200;
const LASTS: Duration = Duration::from_secs(60);
/// The changes go to as many tasks in turn.
const TASKS: usize = 50;

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    }
    let (subscribers, lasts) = args.size((SUBSCRIBERS, LASTS), (200, LASTS / 12));
    for site in site::all(args).await {
        let env = site.env("events").await;
        let (sidecar, _) = sidecar::started(&env, &["--metrics", "127.0.0.1:0"]).await;
        let reported = LocalSet::new().run_until(fan_out(&env, &sidecar, subscribers, lasts)).await;
        let mut add = |what: &str, unit, value: f64| {
            let what = what.to_owned();
            report.add(Figure { section: "events", on: site.name, what, unit, rounds: vec![value] });
        };
        add("subscribers", "", count(subscribers));
        add(
            if args.quick { "changes in 5 seconds" } else { "changes in a minute" },
            "",
            count(reported.changes),
        );
        add("events delivered", "", count(reported.delivered));
        add("memory of the sidecar per idle subscriber", "KiB", reported.memory);
        add("change to subscriber, median", "ms", reported.at(0.5));
        add("change to subscriber, 99 of 100", "ms", reported.at(0.99));
        add("watches on etcd", "", reported.watches);
        for wrong in reported.wrong {
            report.violation(format!("events on {}: {wrong}", site.name));
        }
    }
}

/// What was seen.
struct Received {
    changes: usize,
    delivered: usize,
    memory: f64,
    watches: f64,
    /// How many events took so many milliseconds.
    took: Vec<usize>,
    wrong: Vec<String>,
}

impl Received {
    /// The time below which this part of the events lies, in milliseconds.
    fn at(&self, part: f64) -> f64 {
        let mut left = part * count(self.delivered);
        for (millis, events) in self.took.iter().enumerate() {
            left -= count(*events);
            if left <= 0.0 {
                return count(millis);
            }
        }
        f64::NAN
    }
}

async fn fan_out(env: &TestEnv, sidecar: &Process, most: usize, lasts: Duration) -> Received {
    let plan = plan_name("events");
    let task = |n: usize| TaskSpec::new(task_id(&n.to_string()), "work");
    let spec =
        PlanSpec { title: "events".into(), tasks: (0..TASKS).map(task).collect(), ..PlanSpec::default() };
    env.coordinator().await.admin().import(&plan, &spec, |_| {}).await.unwrap();
    let ownership = acquired(&env.session("writer").await, &plan).await;
    let claimed = ownership.authority().claim(TASKS, &[]).await.unwrap();
    let began = Instant::now();
    let before = memory_of(&sidecar.id().to_string());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut subscribers = Vec::new();
    for _ in 0..most {
        let stream = subscribe(env).await;
        let seen = Rc::clone(&seen);
        subscribers.push(tokio::task::spawn_local(read(stream, began, seen)));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let memory = (memory_of(&sidecar.id().to_string()) - before) / count(most);
    let watches = watches(sidecar).await;
    let (authority, mut tasks) = (ownership.authority(), claimed.tasks);
    let mut written = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / A_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let until = Instant::now() + lasts;
    for turn in (0..TASKS).cycle() {
        if Instant::now() >= until {
            break;
        }
        ticks.tick().await;
        let sent = began.elapsed().as_micros().to_string();
        let change = Change::Progress(sent);
        let Outcome::Committed(task) = authority.update(&tasks[turn], &change).await.unwrap() else {
            panic!("a change was not made");
        };
        written.push(task.revision.to_wire());
        tasks[turn] = task;
    }
    // Everything is there when the last one is; who does not get it is found by the counts.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for subscriber in subscribers {
        subscriber.abort();
    }
    judge(&written, &seen.borrow(), most, memory, watches)
}

/// What one subscriber received: revisions, and how long each took in milliseconds.
#[derive(Default)]
struct Seen {
    revisions: Vec<i64>,
    took: Vec<usize>,
}

fn judge(written: &[i64], seen: &[Rc<RefCell<Seen>>], most: usize, memory: f64, watches: f64) -> Received {
    let mut reported = Received {
        changes: written.len(),
        delivered: 0,
        memory,
        watches,
        took: Vec::new(),
        wrong: Vec::new(),
    };
    for one in seen {
        let one = one.borrow();
        if one.revisions != written {
            let missing = written.iter().filter(|revision| !one.revisions.contains(revision)).count();
            reported.wrong.push(format!(
                "a subscriber received {} of {} changes, {missing} missing",
                one.revisions.len(),
                written.len()
            ));
        }
        reported.delivered += one.revisions.len();
        for millis in &one.took {
            if reported.took.len() <= *millis {
                reported.took.resize(millis + 1, 0);
            }
            reported.took[*millis] += 1;
        }
    }
    if seen.len() != most {
        reported.wrong.push(format!("{} of {most} subscribers were let in", seen.len()));
    }
    reported
}

async fn subscribe(env: &TestEnv) -> UnixStream {
    let mut stream = UnixStream::connect(env.path("sidecar.sock")).await.unwrap();
    let request = "GET /v1/events?plan=events HTTP/1.1\r\nhost: localhost\r\nplanlease-request: true\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads what comes, for ever.
async fn read(mut stream: UnixStream, began: Instant, all: Rc<RefCell<Vec<Rc<RefCell<Seen>>>>>) {
    let own = Rc::new(RefCell::new(Seen::default()));
    all.borrow_mut().push(Rc::clone(&own));
    let (mut left, mut bytes) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut bytes).await else { return };
        left.extend_from_slice(&bytes[..read]);
        let mut rest = 0;
        while let Some(end) = find(&left[rest..], b"\n\n") {
            let block = &left[rest..rest + end + 2];
            rest += end + 2;
            if find(block, b"event: changes").is_some()
                && let (Some(id), Some(sent)) = (number(block, b"id: "), number(block, b"\"progress\":\""))
            {
                let now = i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX);
                let mut own = own.borrow_mut();
                own.revisions.push(id);
                own.took.push(usize::try_from((now - sent) / 1000).unwrap_or(0));
            }
        }
        left.drain(..rest);
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

/// The number behind this.
fn number(bytes: &[u8], behind: &[u8]) -> Option<i64> {
    let digits = &bytes[find(bytes, behind)? + behind.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// How many watches the sidecar has asked etcd for.
async fn watches(sidecar: &Process) -> f64 {
    let said = sidecar.said();
    let at = said.lines().find_map(|line| line.strip_prefix("metrics and probes on http://")).unwrap();
    let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let line = text.lines().find(|line| line.contains("etcd_requests_total{method=\"Watch\"}")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(count: usize) -> f64 {
    count as f64
}
