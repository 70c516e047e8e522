//! What all actors of the soak share: the cluster, what is recorded, what is counted, and how far the soak
//! is.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use planlease::{
    Config,
    core::{Namespace, keys::Layout},
};
use planlease_oracle::{History, Journal};
use rand::{SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::Instant,
};

use crate::{
    Args, actions::Actions, clock::JumpingClock, cluster::Cluster, figures::Figures, fleet::Fleet,
    watching::Checkpoints,
};

/// Where the keys are.
const ROOT: &str = "/soak";

/// Time to live of all sessions: short, so that many expire; long enough for a machine that does other things
/// too.
pub(crate) const TTL: Duration = Duration::from_secs(6);

/// How far the soak is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Things are broken; plans are imported.
    Storm,
    /// Everything is healed. Nothing new is begun; what there is has to come to its end.
    Calm,
    /// All writes have ended.
    Still,
    /// All actors stop.
    Over,
}

/// What all actors of the soak share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) cluster: Cluster,
    pub(crate) history: History,
    pub(crate) journal: Journal,
    pub(crate) actions: Actions,
    pub(crate) fleet: Fleet,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) figures: Figures,
    pub(crate) seed: u64,
    /// The clocks of the library's clients, to be put wrong.
    pub(crate) clocks: Mutex<Vec<Arc<JumpingClock>>>,
    began: Instant,
    phase: watch::Sender<Phase>,
    folder: TempDir,
}

impl std::ops::Deref for World {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl World {
    pub(crate) async fn start(args: &Args) -> Self {
        let seed = args.seed.expect("the one that prepares gives one");
        let cluster = Cluster::start(args.members).await;
        let began = Instant::now();
        let now = move || began.elapsed();
        let mut folder = tempfile::Builder::new().prefix("planlease-soak-").tempdir().unwrap();
        folder.disable_cleanup(true); // Until all is found to be well.
        let inner = Inner {
            history: History::new(Layout::new(ROOT, &Namespace::default())),
            journal: Journal::new(now),
            actions: Actions::new(now),
            fleet: Fleet::default(),
            checkpoints: Checkpoints::default(),
            figures: Figures::default(),
            seed,
            clocks: Mutex::default(),
            began,
            phase: watch::Sender::new(Phase::Storm),
            cluster,
            folder,
        };
        eprintln!("seed {seed}, {}, logs in {}", inner.cluster, inner.folder.path().display());
        Self { inner: Arc::new(inner) }
    }
}

impl Inner {
    /// Time since the beginning; the same for all actors.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Everything was well: the logs are of no use.
    pub(crate) fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.folder.path());
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits until the soak is at least that far.
    pub(crate) async fn until(&self, phase: Phase) {
        let mut seen = self.phase.subscribe();
        // The sender lives in here, and so as long as this future.
        let _ = seen.wait_for(|present| *present >= phase).await;
    }

    /// Waits for this long, or until the phase changes.
    pub(crate) async fn pause(&self, long: Duration) {
        let mut seen = self.phase.subscribe();
        let _ = tokio::time::timeout(long, seen.changed()).await;
    }

    /// The decisions of one who takes part.
    pub(crate) fn random(&self, role: &str, n: usize) -> StdRng {
        let role = role.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte));
        StdRng::seed_from_u64(
            self.seed ^ role.rotate_left(17) ^ (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        )
    }

    /// Where the cluster is, for the `n`th of those who take part: each prefers another member. Through the
    /// proxies.
    pub(crate) fn endpoints(&self, n: usize) -> Vec<String> {
        let mut endpoints = self.cluster.endpoints();
        let count = endpoints.len();
        endpoints.rotate_left(n % count);
        endpoints
    }

    pub(crate) fn root(&self) -> &'static str {
        ROOT
    }

    /// The configuration of a client of the library: the `n`th of its role.
    pub(crate) fn config(&self, role: &str, n: usize) -> (Config, Arc<JumpingClock>) {
        let clock = Arc::new(JumpingClock::default());
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&clock));
        let endpoints =
            if role == "watcher" && n != 1 { self.cluster.watchers_endpoints() } else { self.endpoints(n) };
        let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
        // Some have little patience, and get unknown outcomes that others never see.
        let patience = if n.is_multiple_of(2) { 1 } else { 4 };
        let config = Self::config_at(endpoints)
            .clock(Arc::clone(&clock) as Arc<dyn planlease::clock::Clock>)
            .request_timeout(Duration::from_millis(500) * patience)
            .operation_timeout(Duration::from_secs(2) * patience);
        (config, clock)
    }

    /// The configuration of observers: past the proxies.
    pub(crate) fn direct_config(&self) -> Config {
        let endpoints = self.cluster.direct_endpoints();
        Self::config_at(endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect())
    }

    fn config_at(endpoints: Vec<planlease::Endpoint>) -> Config {
        Config::with_endpoints(endpoints)
            .root(ROOT.to_owned())
            .ttl(TTL)
            .connect_timeout(Duration::from_secs(2))
            .request_timeout(Duration::from_secs(2))
            .operation_timeout(Duration::from_secs(8))
    }
}

/// Some of those who take part. Dropping it ends them.
#[derive(Default)]
pub(crate) struct Crew {
    running: JoinSet<&'static str>,
    names: Vec<&'static str>,
}

impl Crew {
    /// Adds an actor; `who` is named if it does not end.
    pub(crate) fn join(&mut self, who: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        self.names.push(who);
        self.running.spawn(async move {
            future.await;
            who
        });
    }

    /// Waits until one ends badly, if ever, and says so.
    pub(crate) async fn failure(&mut self) -> String {
        loop {
            match self.running.join_next().await {
                Some(Ok(who)) => self.forget(who),
                Some(Err(error)) => return self.badly(&error),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until all have ended. One sentence for each that did not end in time, or not well.
    pub(crate) async fn ended(mut self, within: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        let deadline = Instant::now() + within;
        loop {
            match tokio::time::timeout_at(deadline, self.running.join_next()).await {
                Ok(None) => return problems,
                Ok(Some(Ok(who))) => self.forget(who),
                Ok(Some(Err(error))) => problems.push(self.badly(&error)),
                Err(_) => {
                    problems.push(format!("{:?} did not end within {within:?}", self.names));
                    return problems;
                }
            }
        }
    }

    fn forget(&mut self, who: &'static str) {
        if let Some(at) = self.names.iter().position(|name| *name == who) {
            self.names.swap_remove(at);
        }
    }

    fn badly(&self, error: &JoinError) -> String {
        format!("one of {:?} ended badly: {error}", self.names)
    }
}
