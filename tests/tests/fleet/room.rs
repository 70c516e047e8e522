//! What every test of this suite works in: a store of its own on the server, a folder of its own, and the program.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use planlease::{Audited, Config, Coordinator, Identity, Ownership, Session, TryAcquire};
use planlease_core::{
    OrchestratorId, PlanName, TaskId,
    spec::{PlanSpec, Policy, TaskSpec},
};
use planlease_tests::{
    program::{Process, Program, with_variable},
    suite::Fixture,
    wait::{SOON, until},
};
use tempfile::TempDir;

/// See the module.
pub(crate) struct Room {
    pub(crate) fixture: Fixture,
    pub(crate) config: Config,
    program: Program,
    // `None` once it has been given up, to be kept.
    folder: Option<TempDir>,
}

impl Room {
    pub(crate) fn new(fixture: Fixture, ttl: Duration) -> Self {
        let folder = tempfile::Builder::new().prefix("planlease-fleet-").tempdir().unwrap();
        let endpoints = fixture.server.endpoints();
        let root = format!("/{}", fixture.key("").trim_end_matches('/'));
        let parsed = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
        let config = Config { root: root.clone(), ttl, ..Config::with_endpoints(parsed) };
        let program = Program::planlease(folder.path())
            .variable("PLANLEASE_ENDPOINTS", endpoints.join(","))
            .variable("PLANLEASE_ROOT", root)
            .variable("PLANLEASE_TTL", format!("{}ms", ttl.as_millis()))
            .variable("ROOM", folder.path());
        Self { fixture, config, program, folder: Some(folder) }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it is there until it is dropped").path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The program, led to this room. Its commands find the folder in `$ROOM`.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn start(&self, args: &[&str], output: &str) -> Process {
        Process::start(self.program.command(args), &self.path(output))
    }

    pub(crate) async fn coordinator(&self) -> Coordinator {
        Coordinator::connect(self.config.clone()).await.unwrap()
    }

    /// A session of a process of its own, as far as etcd can see: with connections of its own.
    pub(crate) async fn session(&self, name: &str) -> Session {
        let identity = Identity { id: Some(OrchestratorId::new(name).unwrap()), ..Identity::of_process() };
        self.coordinator().await.open_session(identity).await.unwrap()
    }

    /// The processes that were started here, or by what was started here.
    pub(crate) fn processes(&self) -> Vec<i32> {
        with_variable("ROOM", path_text(self.folder()))
    }

    /// Waits until no process is left here.
    pub(crate) async fn until_empty(&self) {
        until("end of all processes of this test", SOON, async || {
            let left = self.processes();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }

    /// The oracle: nothing in the history of this store breaks an invariant.
    pub(crate) async fn audit(&self) -> Audited {
        let audited = self.coordinator().await.audit(|_| {}).await.unwrap();
        assert!(audited.complete);
        assert_eq!(audited.report.violations, []);
        audited
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take()
            && std::thread::panicking()
        {
            println!("what the processes said is kept in {}", folder.keep().display());
        }
    }
}

/// The path as text; those of tests are.
pub(crate) fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn plan(name: &str) -> PlanName {
    PlanName::new(name).unwrap()
}

pub(crate) fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

/// A plan of `count` tasks without dependencies, 1 and up, which run `script`.
pub(crate) fn spec(count: usize, script: &str) -> PlanSpec {
    let command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
    let task = |n: usize| TaskSpec { command: command.clone(), ..TaskSpec::new(id(&n.to_string()), "work") };
    PlanSpec {
        title: "work".into(),
        tasks: (1..=count).map(task).collect(),
        policy: Policy { max_retries: 0, ..Policy::default() },
        ..PlanSpec::default()
    }
}

/// Waits until somebody owns the plan, and this many are in line, the owner among them.
pub(crate) async fn in_line(coordinator: &Coordinator, plan: &PlanName, candidates: usize) {
    until("owner, and a line of that length", SOON, async || {
        let line = coordinator.line(plan).await.unwrap();
        let found = line.candidates().len();
        if found == candidates && line.owner().is_some() {
            Ok(())
        } else {
            Err((found, line.owner().is_some()))
        }
    })
    .await;
}

pub(crate) async fn acquired(session: &Session, plan: &PlanName) -> Box<Ownership> {
    match session.try_acquire(plan).await.unwrap() {
        TryAcquire::Acquired(ownership) => ownership,
        TryAcquire::HeldBy(holder) => panic!("held by {}", holder.candidate.name()),
    }
}

/// Something that goes on while the test does something else; awaited by the test.
#[expect(clippy::disallowed_methods, reason = "a test awaits what it spawns")]
pub(crate) fn background<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}
