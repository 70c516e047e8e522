//! The other half of a test's binary: a process that changes tasks as fast as it can, under an authority that
//! was delegated to it, and notes down every change that was acknowledged.
//!
//! A binary is one if it calls [`run`] with what the variable [`ORDERS`] says.

use std::{
    cell::Cell,
    ffi::OsStr,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use planlease::{Authority, Config, Coordinator, Delegation, Outcome, Refused};
use planlease_core::{Revision, TaskId, transition::Change};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    program::Process,
    test_env::{FOLDER, TestEnv, path_text},
};

/// The variable by which a process of this binary learns that it is a writer.
pub const ORDERS: &str = "FLEET_WRITER_ORDERS";

/// The pause after a change whose outcome is not known.
const PAUSE: Duration = Duration::from_millis(20);

/// The orders of a writer.
#[derive(Serialize, Deserialize)]
struct Orders {
    endpoints: Vec<String>,
    root: String,
    authority: Delegation,
    /// Each is written by a loop of its own, all at the same time.
    tasks: Vec<TaskId>,
    seconds: u64,
    /// Where acknowledged changes are noted down, one a line.
    notes: PathBuf,
}

/// A change that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// The id of the write.
    pub op_id: Uuid,
    /// What etcd answered.
    pub revision: Revision,
}

/// Starts a writer that works for this long.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn start(env: &TestEnv, name: &str, authority: &Delegation, tasks: &[&str], seconds: u64) -> Process {
    let orders = Orders {
        endpoints: env.server.endpoints(),
        root: env.config.root.clone(),
        authority: authority.clone(),
        tasks: tasks.iter().map(|task| TaskId::new(*task).expect("an id")).collect(),
        seconds,
        notes: env.path(&format!("{name}.notes")),
    };
    let mut command = Command::new(std::env::current_exe().expect("a writer works, or its test fails"));
    command
        .env(ORDERS, serde_json::to_string(&orders).expect("a writer works, or its test fails"))
        .env(FOLDER, path_text(env.folder()));
    Process::start(command, &env.path(name))
}

/// What a writer has noted down. A last line that is not whole was not acknowledged.
///
/// # Panics
/// If it has not begun.
#[must_use]
pub fn notes(env: &TestEnv, name: &str) -> Vec<Acknowledged> {
    read(&env.path(&format!("{name}.notes")))
}

fn read(path: &Path) -> Vec<Acknowledged> {
    let text = std::fs::read_to_string(path).expect("a writer works, or its test fails");
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line: &str| {
        let (op_id, revision) = line.split_once(' ').expect("a writer works, or its test fails");
        Acknowledged {
            op_id: op_id.parse().expect("a writer works, or its test fails"),
            revision: revision.parse().expect("a writer works, or its test fails"),
        }
    };
    whole.lines().map(parse).collect()
}

/// Is the writer.
///
/// # Panics
/// If the orders are not those that [`start`] gives, or what is answered must not be.
#[must_use]
pub fn run(orders: &OsStr) -> ExitCode {
    let orders: Orders = serde_json::from_str(orders.to_str().expect("a writer works, or its test fails"))
        .expect("a writer works, or its test fails");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a writer works, or its test fails");
    runtime.block_on(write_all(&orders));
    ExitCode::SUCCESS
}

async fn write_all(orders: &Orders) {
    let endpoints = orders.endpoints.iter();
    let endpoints =
        endpoints.map(|endpoint| endpoint.parse().expect("a writer works, or its test fails")).collect();
    let config = Config::with_endpoints(endpoints).root(orders.root.clone());
    let authority = Coordinator::connect(config)
        .await
        .expect("a writer works, or its test fails")
        .delegated(&orders.authority);
    let notes = File::options()
        .create(true)
        .append(true)
        .open(&orders.notes)
        .expect("a writer works, or its test fails");
    let until = Instant::now() + Duration::from_secs(orders.seconds);
    let number = Cell::new(0);
    let loops = orders.tasks.iter().map(|task| write(&authority, task, until, &notes, &number));
    futures_util::future::join_all(loops).await;
    println!("done after {} changes", number.get());
}

async fn write(authority: &Authority, task: &TaskId, until: Instant, mut notes: &File, number: &Cell<u64>) {
    while Instant::now() < until {
        number.set(number.get() + 1);
        let change = Change::Progress(format!("{} {}", std::process::id(), number.get()));
        match authority.modify(task, |_| Some(change.clone())).await {
            Ok(Outcome::Committed(written)) => {
                // In one write, so that a line is whole even after a kill.
                let line = format!("{} {}\n", written.record.op_id, written.revision);
                notes.write_all(line.as_bytes()).expect("a writer works, or its test fails");
            }
            Ok(Outcome::Refused(Refused::Conflict(_))) => {} // Others were faster, many times in a row.
            Ok(Outcome::Refused(other)) => panic!("refused: {other:?}"),
            Ok(Outcome::Unknown { reason, .. }) => {
                println!("unknown: {reason}");
                sleep(PAUSE).await;
            }
            Err(error) => {
                println!("{error}");
                sleep(PAUSE).await;
            }
        }
    }
}
