//! Processes that read while others write.

use nix::sys::signal::Signal;
use planlease_tests::{TestEnv, case, wait::SOON};
use serde_json::Value;

use crate::{
    answers::{self, Check},
    busy::{Busy, TTL},
    history::History,
    processes::audit,
};

/// How often each reader reads.
const READS: usize = 12;

/// How many watchers begin with a snapshot, each at another moment.
const WATCHERS: usize = 5;

const READERS: [(&[&str], Check); 5] = [
    (&["status", "wide"], answers::status),
    (&["task", "list", "wide"], answers::tasks),
    (&["status", "deep"], answers::status),
    (&["task", "list", "deep"], answers::tasks),
    (&["status"], answers::plans),
];

#[case(one_at_a_time)]
async fn r04_reading_while_others_write(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let busy = Busy::start(&env).await;
    let readers = READERS.map(|(args, _)| read(&env, args));
    let (read, snapshots) = tokio::join!(futures_util::future::join_all(readers), snapshots(&env));
    busy.stop(&env).await;

    let history = History::read(&env).await;
    for ((args, check), answers) in READERS.into_iter().zip(read) {
        let revisions = answers::check(&history, answers.into_iter().map(|answer| (check, answer)));
        assert!(revisions > READS / 2, "{args:?} read {revisions} revisions only while others wrote");
    }
    answers::check(&history, snapshots.into_iter().map(|answer| (answers::snapshot as Check, answer)));
    audit(&env).await;
}

async fn read(env: &TestEnv, args: &[&str]) -> Vec<Value> {
    let mut answers = Vec::new();
    for _ in 0..READS {
        answers.push(env.json(args).await);
    }
    answers
}

/// What watchers show first.
async fn snapshots(env: &TestEnv) -> Vec<Value> {
    let mut snapshots = Vec::new();
    for n in 0..WATCHERS {
        let mut watcher = env.start(&["watch", "--snapshot", "-o", "jsonl"], &format!("watcher-{n}"));
        let said = watcher.until_said("\n", SOON).await;
        watcher.signal(Signal::SIGTERM);
        assert_eq!(watcher.until_ended(SOON).await, Some(0));
        snapshots.push(serde_json::from_str(said.lines().next().unwrap()).unwrap());
    }
    snapshots
}
