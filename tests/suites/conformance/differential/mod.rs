//! The embedded server against etcd itself: the same generated operations on both, compared answer by answer.
//!
//! After the operations the complete histories are compared too: the events of every watch that was opened,
//! and all keys at every revision that can still be read. A failure is shrunk to the shortest sequence that
//! shows it, and its seed is kept in `differential.regressions` beside this file, to be run first from then
//! on.
//!
//! Not compared: what etcd leaves open (identifiers, raft terms, how events are spread over messages), and
//! time, since no lease expires here. Nor is etcd 3.4: before 3.4.25 it may report progress on a watch that
//! has not caught up, so it is unknown when a watch has delivered everything.

mod operations;
mod relative;
mod wire;

use std::sync::atomic::{AtomicI64, Ordering};

use planlease_tests::backend::{Backend, Server};
use planlease_tests::plain;
use proptest::prelude::ProptestConfig;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;

use self::operations::{Operation, sequence};
use self::wire::{Answer, Side};

/// How many sequences are tried; `PROPTEST_CASES` asks for more, or fewer.
const CASES: u32 = 100;

/// The same sequences every time: a test that fails fails again. More of them are tried by another seed,
/// which `PROPTEST_RNG_SEED` sets.
const SEED: u64 = 2_379;

const REGRESSIONS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/suites/conformance/differential/differential.regressions");

#[plain(on_etcd)]
fn the_embedded_server_answers_like_etcd() {
    compare(Backend::Embedded, Backend::Etcd);
}

#[plain(on_embedded)]
fn a_folder_changes_no_answer() {
    compare(Backend::Embedded, Backend::EmbeddedInFolder);
}

/// Runs the comparison of two servers.
fn compare(left: Backend, right: Backend) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let servers = runtime.block_on(async { [left.start().await, right.start().await] });
    let case = AtomicI64::new(1);
    let tried = TestRunner::new(config()).run(&sequence(), |operations| {
        // Shrinking goes on with the same servers, so every try has identifiers of its own.
        let case = case.fetch_add(1, Ordering::Relaxed);
        try_sequence(&runtime, &servers, case, &operations).map_err(TestCaseError::fail)
    });
    if let Err(TestError::Fail(reason, operations)) = tried {
        let [left, right] = &servers;
        servers.iter().for_each(Server::keep_data);
        let steps: Vec<String> = operations
            .iter()
            .enumerate()
            .map(|(step, operation)| format!("{step:>3}  {operation:?}"))
            .collect();
        panic!("{left} and {right} differ: {reason}\nThe shortest sequence found:\n{}", steps.join("\n"));
    }
}

fn config() -> ProptestConfig {
    let given = |variable| std::env::var_os(variable).is_some();
    let mut config = ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        max_shrink_iters: 1_000,
        max_shrink_time: 60_000, // milliseconds
        ..ProptestConfig::default()
    };
    if !given("PROPTEST_CASES") {
        config.cases = CASES;
    }
    if !given("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    config
}

/// Runs the operations on both servers; the error says where they first differ, and how.
fn try_sequence(
    runtime: &Runtime,
    servers: &[Server; 2],
    case: i64,
    operations: &[Operation],
) -> Result<(), String> {
    runtime.block_on(async {
        let [left, right] = servers;
        let (mut left, mut right) = (Side::begin(left, case).await, Side::begin(right, case).await);
        let mut outcome = Ok(());
        for (step, operation) in operations.iter().enumerate() {
            outcome = same(
                &format!("step {step}, {operation:?}"),
                left.run(operation).await,
                right.run(operation).await,
            );
            if outcome.is_err() {
                break;
            }
        }
        let (left_history, right_history) = (left.end().await, right.end().await);
        outcome?;
        for (name, left) in left_history {
            same(&name, left, right_history.get(&name).cloned().unwrap_or_default())?;
        }
        Ok(())
    })
}

fn same(what: &str, left: Answer, right: Answer) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{what}:\n  left:  {left}\n  right: {right}")) }
}
