//! Counts that are displayed while what they count changes, and readers that must not write.

use futures_util::future::join_all;
use planlease_tests::{TestEnv, case};
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

/// Every way to read counts.
const WAYS: [&[&str]; 4] = [&["status", "wide"], &["status"], &["status", "deep"], &["plan", "list"]];

#[case(one_at_a_time)]
async fn r08_counts_while_tasks_change(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let busy = Busy::start(&env).await;
    let shown = join_all((0..READERS).map(|_| look(&env))).await;
    busy.stop(&env).await;

    let history = History::read(&env).await;
    let mut different: Vec<String> =
        shown.iter().flatten().map(|answer| answer["summary"].to_string()).collect();
    different.sort();
    different.dedup();
    assert!(different.len() > READS / 2, "the counts changed while they were looked at: {different:?}");
    check(&history, shown);

    // Now that all writes have ended: a reader writes nothing, and there is nothing to be repaired.
    let last = history.last();
    let shown = join_all((0..READERS).map(|_| look(&env))).await;
    let history = History::read(&env).await;
    assert_eq!(history.last(), last, "readers changed something");
    check(&history, shown);
    audit(&env).await;
}

/// What one reader gets.
async fn look(env: &TestEnv) -> Vec<Value> {
    let mut shown = Vec::new();
    for args in WAYS.iter().cycle().take(READS) {
        shown.push(env.json(args).await);
    }
    shown
}

fn check(history: &History, shown: Vec<Vec<Value>>) {
    answers::check(
        history,
        shown.into_iter().flatten().map(|answer| (answers::only_counts as Check, answer)),
    );
}
