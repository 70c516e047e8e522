//! A test written once becomes one test per backend: `on_etcd::put::an_empty_value_is_a_value`.
//!
//! A suite is a test binary without cargo's own harness. Its `main` lists the tests and runs them:
//!
//! ```no_run
//! use planlease_tests::cases;
//! use planlease_tests::suite::{Fixture, Suite};
//!
//! async fn a_key_can_be_read_back(mut fixture: Fixture) {
//!     let key = fixture.key("a");
//!     fixture.client.put(key.as_str(), "1", None).await.unwrap();
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Suite::new("example").shared(cases![a_key_can_be_read_back]).run()
//! }
//! ```
//!
//! *Shared* tests use one server per backend, each below a prefix of its own; tests that compact, or count
//! revisions, or stop the server, run *alone*, on a server of their own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use etcd_client::Client;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

use crate::backend::{Backend, Server};

/// No single test takes longer than this; one that does hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// What a test gets: a server, a connection of its own to it, and keys that nobody else uses.
#[derive(Clone)]
pub struct Fixture {
    /// The server.
    pub server: Arc<Server>,
    /// A client with a connection of its own.
    pub client: Client,
    prefix: String,
}

impl Fixture {
    /// A store of its own on this server.
    pub async fn on(server: Arc<Server>, prefix: impl Into<String>) -> Self {
        let client = server.client().await;
        Self { server, client, prefix: prefix.into() }
    }

    /// A key that no other test uses; `key("")` is the prefix of all keys of this test.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The future of a test.
pub type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A test and its name.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its path, `conformance::put::an_empty_value_is_a_value`.
    pub name: &'static str,
    /// The test itself.
    pub run: fn(Fixture) -> Running,
}

/// A test that looks after its servers itself. If it needs a real etcd its name says so, by beginning with
/// `on_etcd::` or `on_etcd_3_4::`.
pub type PlainCase = (&'static str, fn());

/// Lists tests, functions `async fn(Fixture)`, by their paths.
#[macro_export]
macro_rules! cases {
    ($($($path:ident)::+),* $(,)?) => {
        vec![$($crate::suite::Case {
            name: concat!(module_path!(), "::", stringify!($($path)::+)),
            run: |fixture| Box::pin($($path)::+(fixture)),
        }),*]
    };
}

/// The tests of one binary, and what they run on.
#[must_use = "nothing runs before `run`"]
pub struct Suite {
    name: &'static str,
    backends: Vec<Backend>,
    left_out: Vec<LeftOut>,
    side_by_side: Group,
    one_at_a_time: Option<Group>,
}

/// Tests that run side by side, or one after the other.
#[derive(Default)]
struct Group {
    shared: Vec<Case>,
    alone: Vec<Case>,
    plain: Vec<Trial>,
}

impl Group {
    fn trials(self, backends: &[Backend], left_out: &[LeftOut], servers: &Arc<Servers>) -> Vec<Trial> {
        let mut trials = self.plain;
        for backend in backends {
            for (cases, alone) in [(&self.shared, false), (&self.alone, true)] {
                let runs = |case: &&Case| !left_out.iter().any(|out| *out == (*backend, &*path(case)));
                let cases = cases.iter().filter(runs);
                trials.extend(cases.map(|case| trial(*backend, *case, alone, Arc::clone(servers))));
            }
        }
        trials
    }

    fn has(&self, test: &str) -> bool {
        self.shared.iter().chain(&self.alone).any(|case| path(case) == test)
    }
}

impl Suite {
    /// A suite without tests, on all backends.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            backends: Backend::all(),
            left_out: Vec::new(),
            side_by_side: Group::default(),
            one_at_a_time: None,
        }
    }

    /// Runs the suite on these only.
    pub fn on(mut self, backends: impl IntoIterator<Item = Backend>) -> Self {
        self.backends = backends.into_iter().collect();
        self
    }

    /// Runs the tests added from here on after all others and one at a time, whatever the command line says:
    /// for tests that measure, or need all cores.
    pub fn one_at_a_time(mut self) -> Self {
        self.one_at_a_time.get_or_insert_default();
        self
    }

    /// Leaves tests out on one backend: their paths within the suite, each with the reason.
    pub fn except(mut self, backend: Backend, tests: &[(&'static str, &str)]) -> Self {
        self.left_out.extend(tests.iter().map(|(test, _)| (backend, *test)));
        self
    }

    /// The tests that are being added.
    fn group(&mut self) -> &mut Group {
        self.one_at_a_time.as_mut().unwrap_or(&mut self.side_by_side)
    }

    /// Adds tests that share a server.
    pub fn shared(mut self, cases: Vec<Case>) -> Self {
        self.group().shared.extend(cases);
        self
    }

    /// Adds tests that need a server each.
    pub fn alone(mut self, cases: Vec<Case>) -> Self {
        self.group().alone.extend(cases);
        self
    }

    /// Adds tests that look after their servers themselves.
    pub fn plain(mut self, cases: Vec<PlainCase>) -> Self {
        self.group().plain.extend(cases.into_iter().map(|(name, test)| {
            Trial::test(name, move || {
                test();
                Ok(())
            })
        }));
        self
    }

    /// Runs the tests that the command line asks for, and says what they ran on.
    ///
    /// # Panics
    ///
    /// If a test is to be left out that is not there.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        let servers = Arc::new(Servers::default());
        for (_, test) in &self.left_out {
            let groups = [Some(&self.side_by_side), self.one_at_a_time.as_ref()];
            let known = groups.into_iter().flatten().any(|group| group.has(test));
            assert!(known, "there is no test {test}, which is to be left out");
        }
        let mut failed = false;
        let mut run = |group: Group, arguments: &Arguments| {
            let trials = group.trials(&self.backends, &self.left_out, &servers);
            failed |= !trials.is_empty() && libtest_mimic::run(arguments, trials).has_failed();
        };
        run(self.side_by_side, &arguments);
        arguments.test_threads = Some(1);
        run(self.one_at_a_time.unwrap_or_default(), &arguments);
        if !arguments.list {
            servers.tell(self.name);
        }
        if failed { ExitCode::from(101) } else { ExitCode::SUCCESS }
    }
}

/// A test that does not run on one backend.
type LeftOut = (Backend, &'static str);

/// The path of a test within its suite: the binary's own name goes without saying, and `stringify!` puts
/// blanks into a path.
fn path(case: &Case) -> String {
    case.name.split_once("::").map_or(case.name, |(_, path)| path).replace(' ', "")
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

fn trial(backend: Backend, case: Case, alone: bool, servers: Arc<Servers>) -> Trial {
    let name = format!("{}::{}", backend.module(), path(&case));
    let prefix = format!("{name}/");
    Trial::test(name, move || {
        BACKEND.set(Some(backend));
        let server = if alone { servers.start(backend) } else { servers.shared(backend) };
        let kept = Arc::clone(&server);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
            runtime().block_on(async move {
                let client = server.client().await;
                let test = (case.run)(Fixture { server, client, prefix });
                tokio::time::timeout(LIMIT, test)
                    .await
                    .unwrap_or_else(|_| panic!("not done within {LIMIT:?}"));
            });
        }));
        outcome.map_err(|panic| {
            kept.keep_data();
            resume_unwind(panic)
        })
    })
}

/// A runtime for one test: everything of a test happens on its own thread.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads and files are at hand")
}

/// The servers of a test binary: those that are shared, and what all of them said they are.
#[derive(Default)]
struct Servers {
    shared: Mutex<BTreeMap<Backend, Arc<OnceLock<Arc<Server>>>>>,
    seen: Mutex<BTreeMap<Backend, String>>,
}

impl Servers {
    fn start(&self, backend: Backend) -> Arc<Server> {
        let server = runtime().block_on(backend.start());
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

    fn tell(&self, suite: &str) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = seen.values().map(String::as_str).collect();
        if !names.is_empty() {
            println!("{suite} ran on: {}\n", names.join(", "));
        }
    }
}
