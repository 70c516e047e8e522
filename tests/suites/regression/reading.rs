//! Processes that read while others write.

use nix::sys::signal::Signal;
use planlease_tests::{room::Room, suite::Fixture, wait::SOON};
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

pub(crate) async fn r04_reading_while_others_write(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let busy = Busy::start(&room).await;
    let readers = READERS.map(|(args, _)| read(&room, args));
    let (read, snapshots) = tokio::join!(futures_util::future::join_all(readers), snapshots(&room));
    busy.stop(&room).await;

    let history = History::read(&room).await;
    for ((args, check), answers) in READERS.into_iter().zip(read) {
        let revisions = answers::check(&history, answers.into_iter().map(|answer| (check, answer)));
        assert!(revisions > READS / 2, "{args:?} read {revisions} revisions only while others wrote");
    }
    answers::check(&history, snapshots.into_iter().map(|answer| (answers::snapshot as Check, answer)));
    audit(&room).await;
}

async fn read(room: &Room, args: &[&str]) -> Vec<Value> {
    let mut answers = Vec::new();
    for _ in 0..READS {
        answers.push(room.json(args).await);
    }
    answers
}

/// What watchers show first.
async fn snapshots(room: &Room) -> Vec<Value> {
    let mut snapshots = Vec::new();
    for n in 0..WATCHERS {
        let mut watcher = room.start(&["watch", "--snapshot", "-o", "jsonl"], &format!("watcher-{n}"));
        let said = watcher.until_said("\n", SOON).await;
        watcher.signal(Signal::SIGTERM);
        assert_eq!(watcher.until_ended(SOON).await, Some(0));
        snapshots.push(serde_json::from_str(said.lines().next().unwrap()).unwrap());
    }
    snapshots
}
