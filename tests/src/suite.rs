//! A test written once becomes one test per backend: `on_etcd::put::an_empty_value_is_a_value`.
//!
//! A suite is a test binary without cargo's own harness. Each test registers itself by an attribute, and
//! `main` runs all that are in the binary:
//!
//! ```no_run
//! use planlease_tests::{TestEnv, case, suite::Suite};
//!
//! #[case]
//! async fn a_key_can_be_read_back(mut env: TestEnv) {
//!     let key = env.key("a");
//!     env.client.put(key.as_str(), "1", None).await.unwrap();
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Suite::new("example").run()
//! }
//! ```
//!
//! *Shared* tests use one server per backend, each below a prefix of its own. Tests that compact, or count
//! revisions, or stop the server, run *alone*, on a server of their own. *Plain* ones start the servers that
//! they need. Tests that measure or need all cores run *one at a time*, after the others.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

use crate::{
    backend::{Backend, Server},
    test_env::TestEnv,
};

/// Names the number that decides on which of a suite's servers by turns a test runs.
pub const TURN: &str = "PLANLEASE_TEST_TURN";

/// No single test takes longer than this; one that does hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// The future of a test.
pub type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A registered test: made by the attributes `case` and `plain`.
#[derive(Clone, Copy)]
pub struct Case {
    /// The module, with the suite before it: `conformance::put`.
    pub module: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// It has a server of its own.
    pub alone: bool,
    /// It runs while no other test runs.
    pub one_at_a_time: bool,
    /// A plain test's server, by the name of [`Backend::module`] or one like it.
    pub group: Option<&'static str>,
    /// The test itself.
    pub run: Run,
}

/// How a test is called.
#[derive(Clone, Copy)]
pub enum Run {
    /// On each server of the suite.
    OnServer(fn(TestEnv) -> Running),
    /// Once; it starts the servers that it needs.
    Plain(fn() -> Running),
    /// Once, without a runtime.
    Blocking(fn()),
}

inventory::collect!(Case);

impl Case {
    /// A test that shares a server, among others.
    #[must_use]
    pub const fn new(module: &'static str, name: &'static str, run: Run) -> Self {
        Self { module, name, alone: false, one_at_a_time: false, group: None, run }
    }

    /// The path within the suite, whose own name goes without saying: `put::an_empty_value_is_a_value`.
    fn path(&self) -> String {
        let module = self.module.split_once("::").map_or("", |(_, module)| module);
        if module.is_empty() { self.name.to_owned() } else { format!("{module}::{}", self.name) }
    }
}

/// The tests of one binary, and what they run on.
#[must_use = "nothing runs before `run`"]
pub struct Suite {
    name: &'static str,
    backends: Vec<Backend>,
    by_turns: Vec<Backend>,
    turn: Option<usize>,
    ttl: Option<Duration>,
    worker_threads: Option<usize>,
    left_out: Vec<LeftOut>,
    conditional: Vec<(&'static str, bool)>,
}

/// A test that does not run on one backend.
type LeftOut = (Backend, &'static str);

impl Suite {
    /// All tests of this binary, on all backends.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            backends: Backend::all(),
            by_turns: Vec::new(),
            turn: std::env::var(TURN).ok().and_then(|turn| turn.parse().ok()),
            ttl: None,
            worker_threads: None,
            left_out: Vec::new(),
            conditional: Vec::new(),
        }
    }

    /// Runs the suite on these only.
    pub fn on(mut self, backends: impl IntoIterator<Item = Backend>) -> Self {
        self.backends = backends.into_iter().collect();
        self
    }

    /// Runs each test on one of these as well. The number in [`TURN`] decides which, so that runs with other
    /// numbers run it on the others; without a number, on all of them.
    pub fn and_by_turns(mut self, backends: impl IntoIterator<Item = Backend>) -> Self {
        self.by_turns = backends.into_iter().collect();
        self
    }

    /// The TTL of sessions, where a test does not choose another one.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Runs plain tests on runtimes with this many threads. Without it everything of a test happens on one.
    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.worker_threads = Some(threads);
        self
    }

    /// Leaves tests out on one backend: their paths within the suite, each with the reason.
    pub fn except(mut self, backend: Backend, tests: &[(&'static str, &str)]) -> Self {
        self.left_out.extend(tests.iter().map(|(test, _)| (backend, *test)));
        self
    }

    /// Leaves out all tests whose paths begin so, if this machine does not allow them.
    pub fn only_if(mut self, allowed: bool, beginning: &'static str) -> Self {
        self.conditional.push((beginning, allowed));
        self
    }

    /// Runs the tests that the command line asks for, and says what they ran on.
    ///
    /// # Panics
    ///
    /// If two tests have one name, or a test is to be left out that does not exist.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        let servers = Arc::new(Servers::default());
        let (last, first) = self.cases().into_iter().partition::<Vec<Case>, _>(|case| case.one_at_a_time);
        let mut failed = false;
        let mut run = |cases: &[Case], arguments: &Arguments| {
            let trials = self.trials(cases, &servers);
            failed |= !trials.is_empty() && libtest_mimic::run(arguments, trials).has_failed();
        };
        run(&first, &arguments);
        arguments.test_threads = Some(1);
        run(&last, &arguments);
        if !arguments.list {
            servers.report(self.name);
            if let (Some(turn), false) = (self.turn, self.by_turns.is_empty()) {
                println!("each test on one of {:?}, by turn {turn}\n", self.by_turns);
            }
        }
        if failed { ExitCode::from(101) } else { ExitCode::SUCCESS }
    }

    /// All tests, by their names.
    fn cases(&self) -> Vec<Case> {
        let mut cases: Vec<Case> = inventory::iter::<Case>.into_iter().copied().collect();
        cases.sort_by_key(|case| (case.group, case.path()));
        let mut known = BTreeSet::new();
        for case in &cases {
            assert!(known.insert((case.group, case.path())), "two tests are named {}", case.path());
        }
        for (_, test) in &self.left_out {
            assert!(known.contains(&(None, (*test).to_owned())), "there is no test {test} to be left out");
        }
        for (beginning, _) in &self.conditional {
            let found = cases.iter().any(|case| full_name(case.group, case).starts_with(beginning));
            assert!(found, "no test begins with {beginning}");
        }
        cases
    }

    /// These tests, each on every server that it runs on.
    fn trials(&self, cases: &[Case], servers: &Arc<Servers>) -> Vec<Trial> {
        let mut trials = Vec::new();
        for case in cases.iter().filter(|case| !self.is_left_out(case)) {
            match case.run {
                Run::OnServer(_) => {}
                Run::Plain(run) => trials.push(self.plain_trial(*case, run)),
                Run::Blocking(run) => trials.push(Trial::test(full_name(case.group, case), move || {
                    run();
                    Ok(())
                })),
            }
        }
        for backend in self.backends.iter().chain(&self.by_turns) {
            for alone in [false, true] {
                let cases = cases.iter().filter(|case| case.alone == alone && !self.is_left_out(case));
                for case in cases {
                    let Run::OnServer(run) = case.run else { continue };
                    let is_left_out = self.left_out.iter().any(|out| *out == (*backend, &*case.path()));
                    if !is_left_out && self.is_its_turn(*backend, case) {
                        trials.push(self.trial(*backend, *case, run, Arc::clone(servers)));
                    }
                }
            }
        }
        trials
    }

    /// Whether it is this server's turn with the test.
    fn is_its_turn(&self, backend: Backend, case: &Case) -> bool {
        let place = self.by_turns.iter().position(|one| *one == backend);
        let (Some(turn), Some(place)) = (self.turn, place) else { return true };
        let mix = |mix: usize, byte: u8| mix.wrapping_mul(31).wrapping_add(byte.into());
        let spread = case.path().bytes().fold(0, mix);
        spread.wrapping_add(turn) % self.by_turns.len() == place
    }

    /// Whether this machine does not allow the test.
    fn is_left_out(&self, case: &Case) -> bool {
        let name = full_name(case.group, case);
        self.conditional.iter().any(|(beginning, allowed)| !allowed && name.starts_with(beginning))
    }

    /// A test on a server.
    fn trial(
        &self,
        backend: Backend,
        case: Case,
        run: fn(TestEnv) -> Running,
        servers: Arc<Servers>,
    ) -> Trial {
        let name = full_name(Some(backend.module()), &case);
        let prefix = format!("{name}/");
        let ttl = self.ttl;
        Trial::test(name, move || {
            BACKEND.set(Some(backend));
            let server = if case.alone { servers.start(backend) } else { servers.shared(backend) };
            let kept = Arc::clone(&server);
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
                runtime(None).block_on(async move {
                    let env = TestEnv::on(server, prefix).await;
                    let env = if let Some(ttl) = ttl { env.with_ttl(ttl) } else { env };
                    within_limit(run(env)).await;
                });
            }));
            outcome.map_err(|panic| {
                kept.keep_data();
                resume_unwind(panic)
            })
        })
    }

    /// A test that starts its servers. A failure says how to repeat it; the data of its servers is kept.
    fn plain_trial(&self, case: Case, run: fn() -> Running) -> Trial {
        let (suite, threads) = (self.name, self.worker_threads);
        let name = full_name(case.group, &case);
        Trial::test(name.clone(), move || {
            let runtime = runtime(threads);
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
                // Dropped by the panic, not before it: servers keep their data then.
                runtime.block_on(within_limit(run()));
            }));
            // What a failed test left behind may wait for ever.
            runtime.shutdown_background();
            outcome.map_err(|panic| {
                println!("again: cargo test -p planlease-tests --test {suite} -- --exact {name}");
                resume_unwind(panic)
            })
        })
    }
}

/// The name of a test, with the server before it.
fn full_name(group: Option<&str>, case: &Case) -> String {
    group.map_or_else(|| case.path(), |group| format!("{group}::{}", case.path()))
}

/// Runs a test, unless it hangs.
async fn within_limit(mut test: Running) {
    tokio::time::timeout(LIMIT, &mut test).await.unwrap_or_else(|_| panic!("not done within {LIMIT:?}"));
}

thread_local! {
    static BACKEND: Cell<Option<Backend>> = const { Cell::new(None) };
}

/// The backend of the test that runs on this thread: for what every test checks in a way that one of them
/// knows better.
#[must_use]
pub fn backend() -> Option<Backend> {
    BACKEND.get()
}

/// A runtime for one test, with this many threads; without a number everything happens on the test's own.
fn runtime(threads: Option<usize>) -> Runtime {
    let mut builder = match threads {
        None => tokio::runtime::Builder::new_current_thread(),
        Some(threads) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    builder.enable_all().build().expect("threads and files are available")
}

/// The servers of a test binary: those that are shared, and the versions that they reported.
#[derive(Default)]
struct Servers {
    shared: Mutex<BTreeMap<Backend, Arc<OnceLock<Arc<Server>>>>>,
    seen: Mutex<BTreeMap<Backend, String>>,
}

impl Servers {
    fn start(&self, backend: Backend) -> Arc<Server> {
        let server = runtime(None).block_on(backend.start());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(backend, server.to_string());
        Arc::new(server)
    }

    /// The server that the tests on this backend share; the first one starts it, the others wait.
    fn shared(&self, backend: Backend) -> Arc<Server> {
        let cell = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry(backend).or_default())
        };
        Arc::clone(cell.get_or_init(|| self.start(backend)))
    }

    fn report(&self, suite: &str) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = seen.values().map(String::as_str).collect();
        if !names.is_empty() {
            println!("{suite} ran on: {}\n", names.join(", "));
        }
    }
}
