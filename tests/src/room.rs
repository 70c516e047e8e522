//! What a test works in: a store of its own on the server, a folder of its own, and the program.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::{Audited, Config, Coordinator, Identity, Ownership, Session, TryAcquire};
use planlease_core::{OrchestratorId, PlanName, TaskId};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    program::{Process, Program, planlease, with_variable},
    suite::Fixture,
    wait::{SOON, until},
};

/// A test environment: one store, its processes and files. Dropping it ends the processes that it started.
pub struct Room {
    /// The server.
    pub fixture: Fixture,
    /// What leads a coordinator to the store.
    pub config: Config,
    program: Program,
    // `None` once it has been given up, to be kept.
    folder: Option<TempDir>,
}

impl Room {
    /// A room for sessions with that TTL.
    ///
    /// # Panics
    /// If there can be no folder.
    #[must_use]
    pub fn new(fixture: Fixture, ttl: Duration) -> Self {
        let folder = tempfile::Builder::new().prefix("planlease-room-").tempdir().expect("a folder");
        let endpoints = fixture.server.endpoints();
        let root = format!("/{}", fixture.key("").trim_end_matches('/'));
        let parsed = endpoints.iter().map(|endpoint| endpoint.parse().expect("an endpoint")).collect();
        let config = Config { root: root.clone(), ttl, ..Config::with_endpoints(parsed) };
        let program = Program::planlease(folder.path())
            .variable("PLANLEASE_ENDPOINTS", endpoints.join(","))
            .variable("PLANLEASE_ROOT", root)
            .variable("PLANLEASE_TTL", format!("{}ms", ttl.as_millis()))
            .variable("PROGRAM", planlease())
            .variable("ROOM", folder.path());
        Self { fixture, config, program, folder: Some(folder) }
    }

    /// The folder.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it is there until it is dropped").path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// What a file of this folder says; nothing if it is not there yet.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The program, led to this room. Its commands find the folder in `$ROOM`, and the program itself in
    /// `$PROGRAM`.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What a shell has to know whose commands are led to this room.
    #[must_use]
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        let command = self.program.command([""; 0]);
        let set = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        set.collect()
    }

    /// Starts a process whose output goes into a file of that name.
    #[must_use]
    pub fn start(&self, args: &[&str], output: &str) -> Process {
        Process::start(self.program.command(args), &self.path(output))
    }

    /// Starts a process that begins when a line is said to it.
    #[must_use]
    pub fn gated(&self, args: &[&str], output: &str) -> Process {
        Process::start(self.program.gated(args), &self.path(output))
    }

    /// What a command says that has to go well.
    ///
    /// # Panics
    /// If it does not.
    pub async fn json(&self, args: &[&str]) -> Value {
        let ended = self.program.run_to(0, args.iter().chain(&["-o", "json"])).await;
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// Makes a plan of the text of a plan file.
    ///
    /// # Panics
    /// If that does not go well.
    pub async fn import(&self, name: &str, text: &str) {
        let file = self.path(&format!("{name}.toml"));
        std::fs::write(&file, text).expect("a file");
        self.program.run_to(0, ["plan", "import", path_text(&file)]).await;
    }

    /// A coordinator with connections of its own.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn coordinator(&self) -> Coordinator {
        Coordinator::connect(self.config.clone()).await.expect("a connection")
    }

    /// A session of a process of its own, as far as etcd can see: with connections of its own.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub async fn session(&self, name: &str) -> Session {
        let identity =
            Identity { id: Some(OrchestratorId::new(name).expect("a name")), ..Identity::of_process() };
        self.coordinator().await.open_session(identity).await.expect("a session")
    }

    /// The processes that were started here, or by what was started here.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        with_variable("ROOM", path_text(self.folder()))
    }

    /// Waits until no process is left here.
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

    /// The oracle: nothing in the history of this store breaks an invariant.
    ///
    /// # Panics
    /// If something does.
    pub async fn audit(&self) -> Audited {
        let audited = self.coordinator().await.audit(|_| {}).await.expect("an answer");
        assert!(audited.complete);
        assert_eq!(audited.report.violations, []);
        audited
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // It may have ended meanwhile.
        }
        if let Some(folder) = self.folder.take()
            && std::thread::panicking()
        {
            println!("what the processes said is kept in {}", folder.keep().display());
        }
    }
}

/// The path as text; those of tests are.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn path_text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The name of a plan.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn plan_name(name: &str) -> PlanName {
    PlanName::new(name).expect("a name")
}

/// The id of a task.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn task_id(text: &str) -> TaskId {
    TaskId::new(text).expect("an id")
}

/// Waits until somebody owns the plan, and this many are in line, the owner among them.
///
/// # Panics
/// If that does not come to pass.
pub async fn in_line(coordinator: &Coordinator, plan: &PlanName, candidates: usize) {
    until("owner, and a line of that length", SOON, async || {
        let line = coordinator.line(plan).await.expect("an answer");
        let found = (line.candidates().len(), line.owner().is_some());
        if found == (candidates, true) { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Waits until nobody is in line for a plan, and nobody owns it.
///
/// # Panics
/// If somebody stays.
pub async fn until_free(coordinator: &Coordinator, plan: &PlanName) {
    until("a free plan", SOON, async || {
        let line = coordinator.line(plan).await.expect("an answer");
        if line.candidates().is_empty() { Ok(()) } else { Err(line.candidates().len()) }
    })
    .await;
}

/// The ownership of a plan that nobody else wants.
///
/// # Panics
/// If somebody has it.
pub async fn acquired(session: &Session, plan: &PlanName) -> Box<Ownership> {
    match session.try_acquire(plan).await.expect("an answer") {
        TryAcquire::Acquired(ownership) => ownership,
        busy => panic!("not acquired: {busy:?}"),
    }
}

/// Something that goes on while the test does something else; awaited or aborted by the test.
#[expect(clippy::disallowed_methods, reason = "a test ends what it spawns")]
pub fn background<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}
