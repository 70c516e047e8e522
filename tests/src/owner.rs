//! A program in Rust that owns a plan by the library, with a companion, until it is killed.
//!
//! A binary is one if it calls [`run`] with what the variable [`ORDERS`] says.

use std::{
    ffi::OsStr,
    process::{Command, ExitCode},
    time::Duration,
};

use planlease::{AcquireOptions, Config, Coordinator, EntryPoint, Identity, PlanName};
use serde::{Deserialize, Serialize};

use crate::{
    program::{Process, planlease},
    test_env::{FOLDER, TestEnv, path_text},
};

/// The variable by which a process of this binary learns that it is an owner.
pub const ORDERS: &str = "TEST_OWNER_ORDERS";

const WORKS: &str = "an owner works, or its test fails";

/// The orders of an owner.
#[derive(Serialize, Deserialize)]
struct Orders {
    endpoints: Vec<String>,
    root: String,
    ttl: Duration,
    plan: PlanName,
}

/// How the companions of a program are started that is not `planlease` itself.
///
/// # Panics
/// If the program was not built.
#[must_use]
pub fn companion() -> EntryPoint {
    EntryPoint { program: planlease(), args: vec!["companion".into()] }
}

/// Starts an owner of this plan, which has to be there.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn start(env: &TestEnv, plan: &PlanName, output: &str) -> Process {
    let orders = Orders {
        endpoints: env.server.endpoints(),
        root: env.config.root.clone(),
        ttl: env.config.ttl,
        plan: plan.clone(),
    };
    let mut command = Command::new(std::env::current_exe().expect(WORKS));
    command
        .env(ORDERS, serde_json::to_string(&orders).expect(WORKS))
        .env("PLANLEASE_TEST_PROGRAM", planlease())
        .env(FOLDER, path_text(env.folder()));
    Process::start(command, &env.path(output))
}

/// Is the owner.
///
/// # Panics
/// If the orders are not those that [`start`] gives, or the plan cannot be owned.
#[must_use]
pub fn run(orders: &OsStr) -> ExitCode {
    let orders: Orders = serde_json::from_str(orders.to_str().expect(WORKS)).expect(WORKS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect(WORKS);
    runtime.block_on(own(orders));
    ExitCode::SUCCESS
}

async fn own(orders: Orders) {
    let endpoints = orders.endpoints.iter().map(|endpoint| endpoint.parse().expect(WORKS)).collect();
    let config = Config::with_endpoints(endpoints).root(orders.root).ttl(orders.ttl).companion(companion());
    let coordinator = Coordinator::connect(config).await.expect(WORKS);
    let session = coordinator.open_session(Identity::of_process()).await.expect(WORKS);
    let ownership = session.acquire(&orders.plan, AcquireOptions::default()).await.expect(WORKS);
    println!("owning {}", ownership.token());
    let lost = ownership.lost().await;
    println!("lost: {lost}");
}
