//! Counts that are shown while what they count changes, and readers that must not write.

use futures_util::future::join_all;
use planlease_tests::{room::Room, suite::Fixture};
use serde_json::Value;

use crate::{
    answers::{self, Check},
    busy::{Busy, TTL},
    history::History,
    processes::audit,
};

/// How many processes look at once, and how often each of them does.
const READERS: usize = 4;
const READS: usize = 8;

/// Every way to be shown counts.
const WAYS: [&[&str]; 4] = [&["status", "wide"], &["status"], &["status", "deep"], &["plan", "list"]];

pub(crate) async fn r08_counts_while_tasks_change(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let busy = Busy::start(&room).await;
    let shown = join_all((0..READERS).map(|_| look(&room))).await;
    busy.stop(&room).await;

    let history = History::read(&room).await;
    let mut different: Vec<String> =
        shown.iter().flatten().map(|answer| answer["summary"].to_string()).collect();
    different.sort();
    different.dedup();
    assert!(different.len() > READS / 2, "the counts changed while they were looked at: {different:?}");
    check(&history, shown);

    // Now that nobody else writes: who reads writes nothing, and there is nothing to be put right.
    let last = history.last();
    let shown = join_all((0..READERS).map(|_| look(&room))).await;
    let history = History::read(&room).await;
    assert_eq!(history.last(), last, "readers changed something");
    check(&history, shown);
    audit(&room).await;
}

/// What one reader is shown.
async fn look(room: &Room) -> Vec<Value> {
    let mut shown = Vec::new();
    for args in WAYS.iter().cycle().take(READS) {
        shown.push(room.json(args).await);
    }
    shown
}

fn check(history: &History, shown: Vec<Vec<Value>>) {
    answers::check(
        history,
        shown.into_iter().flatten().map(|answer| (answers::only_counts as Check, answer)),
    );
}
