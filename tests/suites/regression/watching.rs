//! Processes that watch while everything changes: one from the beginning, one that is not read for a long
//! time, one that is killed again and again and goes on where it was, and one that comes when all is over.

use std::{collections::BTreeMap, fs::File, io::Read as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use nix::{
    fcntl::OFlag,
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use planlease_core::{
    PlanName,
    keys::{Key, PlanKey},
    transition::TaskStatus,
};
use planlease_tests::{
    TestEnv, case,
    program::Process,
    wait::{SOON, until},
};
use serde_json::{Value, json};

use crate::{
    answers,
    busy::{Busy, TTL},
    history::{Entry, History, Plan, Set, Standing, State},
    processes::audit,
};

/// How much a pipe holds: what a watcher can print without a reader.
const PIPE: usize = 64 * 1024;

/// How often a watcher is killed, and how many changes each one prints at least.
const KILLS: usize = 3;
const LINES: usize = 100;

/// What happened at a revision, in words that do not depend on the order within it.
type Printed = (u64, Vec<String>);

#[case(one_at_a_time)]
async fn r09_watching_while_everything_changes(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let mut early = env.start(&["watch", "--snapshot", "-o", "jsonl"], "early");
    early.until_said("\n", SOON).await;
    let fifo = env.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let mut pipe = without_waiting(&fifo);
    let mut unread = env.start(&["watch", "--from-revision", &beginning(&early), "-o", "jsonl"], "fifo");

    let busy = Busy::start(&env).await;
    let (killed, mut resumed) = kill_and_resume(&env, &beginning(&early)).await;
    busy.stop(&env).await;

    let history = History::read(&env).await;
    let reported = reported(&history, beginning(&early).parse().unwrap());
    let last = reported.last().unwrap().0;
    println!("measured: revisions that a watcher reported, {}: {}", env.server, reported.len());
    until_reported(&early, last).await;
    same("a watcher from the beginning on", &heard(&early.said()), &reported);
    until_reported(&resumed, last).await;
    same("watchers that go on where one was killed", &heard(&(killed + &resumed.said())), &reported);

    let mut late = env.start(&["watch", "--from-revision", &beginning(&early), "-o", "jsonl"], "late");
    until_reported(&late, last).await;
    same("a watcher of what is over", &heard(&late.said()), &reported);

    let mut said = Vec::new();
    until("the rest of what was not read", SOON, async || {
        while matches!(pipe.by_ref().take(4096).read_to_end(&mut said), Ok(1..)) {}
        let text = String::from_utf8_lossy(&said);
        if latest(&text) >= Some(last) { Ok(()) } else { Err(latest(&text)) }
    })
    .await;
    assert!(said.len() > 2 * PIPE, "it had to wait for its reader: {}", said.len());
    same("a watcher that was not read", &heard(&String::from_utf8(said).unwrap()), &reported);

    for watcher in [&mut early, &mut unread, &mut resumed, &mut late] {
        watcher.signal(Signal::SIGTERM);
        until("end of a watcher", SOON, async || watcher.ended().ok_or("it runs")).await;
    }
    audit(&env).await;
}

/// The revision of the snapshot with which a watcher began.
fn beginning(watcher: &Process) -> String {
    let said = watcher.said();
    let snapshot: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    snapshot["revision"].to_string()
}

/// What watchers say that are killed in the middle, without their torn last lines; and the one that goes on
/// after them.
async fn kill_and_resume(env: &TestEnv, from: &str) -> (String, Process) {
    let (mut said, mut from) = (String::new(), from.to_owned());
    for n in 0.. {
        let mut watcher =
            env.start(&["watch", "--from-revision", &from, "-o", "jsonl"], &format!("killed-{n}"));
        if n == KILLS {
            return (said, watcher);
        }
        until("some changes", SOON, async || {
            let lines = watcher.said().lines().count();
            if lines >= LINES { Ok(()) } else { Err(lines) }
        })
        .await;
        watcher.signal(Signal::SIGKILL);
        until("end of a watcher", SOON, async || watcher.ended().ok_or("it runs")).await;
        let all = watcher.said();
        let whole = all.rsplit_once('\n').map_or("", |(whole, _)| whole);
        from = latest(whole).unwrap().to_string();
        said += whole;
        said.push('\n');
    }
    unreachable!("the last one was returned")
}

/// What watchers have to print: worked out from the history.
fn reported(history: &History, after: u64) -> Vec<Printed> {
    let mut state = State::new();
    let mut reported = Vec::new();
    for set in &history.0 {
        let before = Before::of(set, &state);
        set.apply(&mut state);
        let mut words: Vec<String> = set
            .changes
            .iter()
            .zip(&before.statuses)
            .filter_map(|((key, entry), status)| before.in_words(key, entry.as_ref(), *status, &state))
            .collect();
        for (name, (there, standing)) in &before.plans {
            let plan = &state[*name];
            match (there, plan.there) {
                (false, true) => words.push(appeared(name.as_str(), plan.tasks.len())),
                (true, true) if *standing != plan.standing() => words.push(standing_of(name.as_str(), plan)),
                _ => {}
            }
        }
        words.sort();
        if set.revision > after && !words.is_empty() {
            reported.push((set.revision, words));
        }
    }
    reported
}

/// What was before a revision, as far as it touches it.
struct Before<'a> {
    plans: BTreeMap<&'a PlanName, (bool, Standing)>,
    /// Of the task of each change.
    statuses: Vec<Option<TaskStatus>>,
}

impl<'a> Before<'a> {
    fn of(set: &'a Set, state: &State) -> Self {
        let (mut plans, mut statuses) = (BTreeMap::new(), Vec::new());
        for (key, _) in &set.changes {
            let mut status = None;
            if let Key::Plan(name, key) = key {
                let plan = state.get(name);
                let there = plan.is_some_and(|plan| plan.there);
                plans.insert(name, (there, plan.map(Plan::standing).unwrap_or_default()));
                if let PlanKey::Task(task) = key {
                    let task = plan.and_then(|plan| plan.tasks.get(task));
                    status = task.map(|task| task.record.status);
                }
            }
            statuses.push(status);
        }
        Self { plans, statuses }
    }

    /// What the change of a key means by itself; the plan of which it is has been there before.
    fn in_words(
        &self,
        key: &Key,
        entry: Option<&Entry>,
        status: Option<TaskStatus>,
        after: &State,
    ) -> Option<String> {
        match key {
            Key::Orchestrator(id) => Some(registered(id.as_str(), entry.is_some())),
            Key::Plan(plan, _) if !self.plans[plan].0 => None,
            Key::Plan(plan, PlanKey::Task(id)) => {
                let task = &after[plan].tasks[id];
                Some(changed(plan.as_str(), id.as_str(), &json!(status), &answers::stored(task)))
            }
            Key::Plan(plan, PlanKey::Findings(id)) => Some(format!("output of {plan} {id}")),
            _ => None,
        }
    }
}

/// What a watcher printed. Several changes of one queue at one revision are printed as one.
fn heard(said: &str) -> Vec<Printed> {
    let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let sets = lines.filter(|line| line["schema"] == "planlease.changes.v1");
    sets.map(|set| {
        assert_eq!(set["resynced"], false, "nothing was compacted");
        let mut words: Vec<String> = set["changes"].as_array().unwrap().iter().map(words_of).collect();
        words.sort();
        words.dedup_by(|one, other| one == other && one.starts_with("line of "));
        (set["revision"].as_u64().unwrap(), words)
    })
    .collect()
}

fn words_of(change: &Value) -> String {
    let text = |name: &str| change[name].as_str().unwrap_or_default();
    match text("change") {
        "orchestrator_appeared" => registered(text("orchestrator"), true),
        "orchestrator_gone" => registered(text("orchestrator"), false),
        "plan_appeared" => appeared(text("plan"), change["tasks"].as_array().unwrap().len()),
        "task" => changed(text("plan"), text("task"), &change["before"], &answers::reported(change)),
        "findings" => format!("output of {} {}", text("plan"), text("task")),
        "ownership" => {
            let waiting = change["waiting"].as_array().unwrap().iter().map(|one| &one["lease"]);
            line(text("plan"), &change["owner"]["token"], &json!(waiting.collect::<Vec<_>>()))
        }
        other => panic!("no process did that: {other}: {change}"),
    }
}

fn registered(id: &str, there: bool) -> String {
    format!("{id} is {}", if there { "there" } else { "gone" })
}

fn appeared(plan: &str, tasks: usize) -> String {
    format!("{plan} with {tasks} tasks")
}

fn changed(plan: &str, task: &str, before: &Value, record: &Value) -> String {
    format!("{plan} {task} from {before} to {record}")
}

fn standing_of(name: &str, plan: &Plan) -> String {
    line(name, &plan.owner().map_or(Value::Null, |term| json!(term.token())), &json!(plan.waiting()))
}

fn line(plan: &str, token: &Value, waiting: &Value) -> String {
    format!("line of {plan}: owned by {token}, then {waiting}")
}

/// Compares revision by revision, so that a difference can be read.
#[track_caller]
fn same(who: &str, heard: &[Printed], reported: &[Printed]) {
    for (heard, reported) in heard.iter().zip(reported) {
        assert_eq!(heard, reported, "{who}");
    }
    assert_eq!(heard.len(), reported.len(), "{who} reported too little or too much");
}

async fn until_reported(watcher: &Process, last: u64) {
    until("the last change", SOON, async || {
        let latest = latest(&watcher.said());
        if latest >= Some(last) { Ok(()) } else { Err(latest) }
    })
    .await;
}

/// The revision of the last whole line.
fn latest(said: &str) -> Option<u64> {
    said.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok()?["revision"].as_u64())
}

/// Both ends of a pipe, so that neither it nor who writes into it waits for the other one to come.
fn without_waiting(fifo: &Path) -> File {
    File::options().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(fifo).unwrap()
}
