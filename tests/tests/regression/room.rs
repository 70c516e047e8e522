//! What every test of this suite works in: a store of its own on the server, a folder of its own, and the program.

use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::{Config, Coordinator};
use planlease_core::{PlanName, TaskId};
use planlease_tests::{
    program::{Process, Program, is_alive, planlease, with_variable},
    suite::Fixture,
    wait::{SOON, until},
};
use serde_json::Value;
use tempfile::TempDir;

/// The documented exit status of who is told that a plan is owned by somebody else.
pub(crate) const OWNED_BY_OTHER: i32 = 100;

/// … of a right that is over.
pub(crate) const RIGHT_GONE: i32 = 101;

/// … of a change that was decided on an older record.
pub(crate) const STALE: i32 = 108;

/// See the module. Whatever was started here ends with it.
pub(crate) struct Room {
    pub(crate) fixture: Fixture,
    pub(crate) config: Config,
    program: Program,
    // `None` once it has been given up, to be kept.
    folder: Option<TempDir>,
}

impl Room {
    pub(crate) fn new(fixture: Fixture, ttl: Duration) -> Self {
        let folder = tempfile::Builder::new().prefix("planlease-regression-").tempdir().unwrap();
        let endpoints = fixture.server.endpoints();
        let root = format!("/{}", fixture.key("").trim_end_matches('/'));
        let parsed = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
        let config = Config { root: root.clone(), ttl, ..Config::with_endpoints(parsed) };
        let program = Program::planlease(folder.path())
            .variable("PLANLEASE_ENDPOINTS", endpoints.join(","))
            .variable("PLANLEASE_ROOT", root)
            .variable("PLANLEASE_TTL", format!("{}ms", ttl.as_millis()))
            .variable("PROGRAM", planlease())
            .variable("ROOM", folder.path());
        Self { fixture, config, program, folder: Some(folder) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// What a file of this folder says; nothing if it is not there yet.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The program, led to this room. Its commands find the folder in `$ROOM`, and the program itself in `$PROGRAM`.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// What a shell has to know whose commands are led to this room.
    pub(crate) fn variables(&self) -> Vec<(OsString, OsString)> {
        let command = self.program.command([""; 0]);
        let set = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        set.collect()
    }

    pub(crate) fn start(&self, args: &[&str], output: &str) -> Process {
        Process::start(self.program.command(args), &self.path(output))
    }

    /// Starts a process that begins when a line is said to it.
    pub(crate) fn gated(&self, args: &[&str], output: &str) -> Process {
        Process::start(self.program.gated(args), &self.path(output))
    }

    /// What a command says that has to go well.
    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let ended = self.program.run_to(0, args.iter().chain(&["-o", "json"])).await;
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// Makes a plan of the text of a plan file.
    pub(crate) async fn import(&self, name: &str, text: &str) {
        let file = self.path(&format!("{name}.toml"));
        std::fs::write(&file, text).unwrap();
        self.program.run_to(0, ["plan", "import", path_text(&file)]).await;
    }

    pub(crate) async fn coordinator(&self) -> Coordinator {
        Coordinator::connect(self.config.clone()).await.unwrap()
    }

    /// Waits until somebody owns the plan, and this many are in line, the owner among them.
    pub(crate) async fn in_line(&self, coordinator: &Coordinator, plan: &str, candidates: usize) {
        let plan = plan_name(plan);
        until("owner, and a line of that length", SOON, async || {
            let line = coordinator.line(&plan).await.unwrap();
            let found = (line.candidates().len(), line.owner().is_some());
            if found == (candidates, true) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// Waits until no process is left here, and then has the program check the whole history.
    pub(crate) async fn audit(&self) -> Value {
        until("end of all processes of this test", SOON, async || {
            let left = self.processes();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
        let report = self.json(&["audit"]).await;
        assert_eq!(report["complete"], true, "{report}");
        assert_eq!(report["violations"], Value::Array(Vec::new()), "{report}");
        report
    }

    /// The processes that were started here, or by what was started here.
    fn processes(&self) -> Vec<i32> {
        with_variable("ROOM", path_text(self.folder()))
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it is there until it is dropped").path()
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

/// Opens the gates of all at once.
pub(crate) fn go(processes: &mut [Process]) {
    for process in processes {
        process.say("go");
    }
}

/// Waits for the number that a process of a task has left in a file.
pub(crate) async fn number_in(room: &Room, name: &str) -> i32 {
    until("number of a process", SOON, async || {
        let text = room.text(name);
        text.trim().parse().map_err(|_| text)
    })
    .await
}

/// Waits until a process is gone that is not our child.
pub(crate) async fn until_dead(pid: i32) {
    until("death of a process", SOON, async || if is_alive(pid) { Err(pid) } else { Ok(()) }).await;
}

/// The path as text; those of tests are.
pub(crate) fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn plan_name(name: &str) -> PlanName {
    PlanName::new(name).unwrap()
}

pub(crate) fn task_id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

/// A plan file of `count` tasks without dependencies, 001 and up, which run `script` and are not tried again.
pub(crate) fn plan_file(count: usize, script: &str) -> String {
    let mut text = "title = \"work\"\n[policy]\nmax_retries = 0\n".to_owned();
    for n in 1..=count {
        write!(
            text,
            "[[task]]\nid = \"{n:03}\"\ndescription = \"work\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n"
        )
        .unwrap();
    }
    text
}

/// Something that goes on while the test does something else; awaited or aborted by the test.
#[expect(clippy::disallowed_methods, reason = "a test ends what it spawns")]
pub(crate) fn background<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}
