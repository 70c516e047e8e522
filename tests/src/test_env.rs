//! The environment of one test: a store of its own on a server, a folder of its own, and the program.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use etcd_client::Client;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::{Audited, Config, Coordinator, Identity, Outcome, Ownership, Session, TaskView, TryAcquire};
use planlease_core::{OrchestratorId, PlanName, TaskId};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    backend::Server,
    program::{Process, Program, planlease, with_variable},
    wait::{SOON, until},
};

/// The variable that holds the folder, in every process that a test starts: by it they are found.
pub const FOLDER: &str = "TEST_DIR";

/// The TTL of sessions, unless the suite or the test has another one: no busy moment ends them.
const TTL: Duration = Duration::from_secs(15);

/// Test environment: a server, a connection to it, keys that no other test uses, and a folder for processes
/// of the program, made on first use. Dropping it ends the processes.
pub struct TestEnv {
    /// The server.
    pub server: Arc<Server>,
    /// A client with a connection of its own.
    pub client: Client,
    /// The configuration of coordinators on this test's store.
    pub config: Config,
    prefix: String,
    place: OnceLock<Place>,
}

/// Where the processes of a test run.
struct Place {
    program: Program,
    // `None` once it has been given up, to be kept.
    folder: Option<TempDir>,
}

impl TestEnv {
    /// Makes the environment of a store on this server, below a prefix that no other test uses.
    ///
    /// # Panics
    /// If the server's endpoints cannot be parsed.
    pub async fn on(server: Arc<Server>, prefix: impl Into<String>) -> Self {
        let (client, prefix) = (server.client().await, prefix.into());
        let endpoints =
            server.endpoints().iter().map(|endpoint| endpoint.parse().expect("an endpoint")).collect();
        let root = format!("/{}", prefix.trim_end_matches('/'));
        let config = Config::with_endpoints(endpoints).root(root).ttl(TTL);
        Self { server, client, config, prefix, place: OnceLock::new() }
    }

    /// Sets the TTL of sessions.
    ///
    /// # Panics
    /// If the program was used before.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        assert!(self.place.get().is_none(), "the program has its TTL already");
        self.config.ttl = ttl;
        self
    }

    /// Returns a key that no other test uses; `key("")` is the prefix of all keys of this test.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn place(&self) -> &Place {
        self.place.get_or_init(|| {
            let folder = tempfile::Builder::new().prefix("planlease-test-").tempdir().expect("a folder");
            let program = Program::planlease(folder.path())
                .variable("PLANLEASE_ENDPOINTS", self.server.endpoints().join(","))
                .variable("PLANLEASE_ROOT", &self.config.root)
                .variable("PLANLEASE_TTL", format!("{}ms", self.config.ttl.as_millis()))
                .variable("PROGRAM", planlease())
                .variable(FOLDER, folder.path());
            Place { program, folder: Some(folder) }
        })
    }

    /// The folder.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.place().folder.as_ref().expect("it exists until it is dropped").path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Reads a file of the folder; empty if it does not exist yet.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The program, configured for this store. Its commands find the folder in `$TEST_DIR`, and the program
    /// itself in `$PROGRAM`.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.place().program
    }

    /// The variables of a shell whose commands use this store.
    #[must_use]
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        let command = self.program().command([""; 0]);
        let set = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        set.collect()
    }

    /// Starts a process whose output goes into a file of that name.
    #[must_use]
    pub fn start(&self, args: &[&str], output: &str) -> Process {
        Process::start(self.program().command(args), &self.path(output))
    }

    /// Starts a process that begins when it receives a line.
    #[must_use]
    pub fn gated(&self, args: &[&str], output: &str) -> Process {
        Process::start(self.program().gated(args), &self.path(output))
    }

    /// Runs a command with `-o json`, and returns its output.
    ///
    /// # Panics
    /// If it fails.
    pub async fn json(&self, args: &[&str]) -> Value {
        let ended = self.program().run_to(0, args.iter().chain(&["-o", "json"])).await;
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// Imports the text of a plan file.
    ///
    /// # Panics
    /// If that fails.
    pub async fn import(&self, name: &str, text: &str) {
        let file = self.path(&format!("{name}.toml"));
        std::fs::write(&file, text).expect("a file");
        self.program().run_to(0, ["plan", "import", path_text(&file)]).await;
    }

    /// Connects a coordinator with connections of its own.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn coordinator(&self) -> Coordinator {
        Coordinator::connect(self.config.clone()).await.expect("a connection")
    }

    /// Opens a session with connections of its own: to etcd, another process.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn session(&self, name: &str) -> Session {
        let identity = Identity::of_process().id(OrchestratorId::new(name).expect("a name"));
        self.coordinator().await.open_session(identity).await.expect("a session")
    }

    /// The processes that the test has started, and their children.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        with_variable(FOLDER, path_text(self.folder()))
    }

    /// Waits until no process of the test is left.
    ///
    /// # Panics
    /// If one stays.
    pub async fn until_empty(&self) {
        until("end of all processes of this test", SOON, async || {
            let left = self.processes();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }

    /// Audits the history of this store.
    ///
    /// # Panics
    /// If it breaks an invariant.
    pub async fn audit(&self) -> Audited {
        let audited = self.coordinator().await.admin().audit(|_| {}).await.expect("an answer");
        assert!(audited.complete);
        assert_eq!(audited.report.violations, []);
        audited
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if self.place.get().is_none() {
            return; // No process was started.
        }
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // It may have ended meanwhile.
        }
        if let Some(folder) = self.place.get_mut().and_then(|place| place.folder.take())
            && std::thread::panicking()
        {
            println!("the output of the processes is kept in {}", folder.keep().display());
        }
    }
}

/// The path as text.
///
/// # Panics
/// If it is not UTF-8.
#[must_use]
pub fn path_text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The name of a plan.
///
/// # Panics
/// If it is not valid.
#[must_use]
pub fn plan_name(name: &str) -> PlanName {
    PlanName::new(name).expect("a name")
}

/// The id of a task.
///
/// # Panics
/// If it is not valid.
#[must_use]
pub fn task_id(text: &str) -> TaskId {
    TaskId::new(text).expect("an id")
}

/// Waits until the plan has an owner, and this many candidates, the owner among them.
///
/// # Panics
/// If that does not happen soon.
pub async fn in_queue(coordinator: &Coordinator, plan: &PlanName, candidates: usize) {
    until("owner, and a queue of that length", SOON, async || {
        let line = coordinator.queue(plan).await.expect("an answer");
        let found = (line.candidates().len(), line.owner().is_some());
        if found == (candidates, true) { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Waits until the queue of a plan is empty.
///
/// # Panics
/// If a candidate stays.
pub async fn until_free(coordinator: &Coordinator, plan: &PlanName) {
    until("a free plan", SOON, async || {
        let line = coordinator.queue(plan).await.expect("an answer");
        if line.candidates().is_empty() { Ok(()) } else { Err(line.candidates().len()) }
    })
    .await;
}

/// Acquires a plan that is free.
///
/// # Panics
/// If it has an owner.
pub async fn acquired(session: &Session, plan: &PlanName) -> Box<Ownership> {
    match session.try_acquire(plan).await.expect("an answer") {
        TryAcquire::Acquired(ownership) => ownership,
        busy => panic!("not acquired: {busy:?}"),
    }
}

/// Returns the task after an update, which has to be committed.
///
/// # Panics
/// If it was not.
#[track_caller]
#[expect(clippy::must_use_candidate, reason = "most tests only want it to be committed")]
pub fn committed(outcome: Outcome) -> TaskView {
    match outcome {
        Outcome::Committed(task) => task,
        other => panic!("not committed: {other:?}"),
    }
}

/// Something that goes on while the test does something else; awaited or aborted by the test.
#[expect(clippy::disallowed_methods, reason = "a test ends what it spawns")]
pub fn background<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}
