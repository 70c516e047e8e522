//! The servers to measure on, each with a store for every measurement.

use std::{sync::Arc, time::Duration};

use clap::ValueEnum;
use planlease_tests::{
    backend::Server,
    dev::Dev,
    etcd::{Etcd, Line},
    program::Ended,
    test_env::TestEnv,
};
use tokio::time::Instant;

use crate::Args;

/// Sessions that no busy moment ends.
const TTL: Duration = Duration::from_secs(60);

/// What all rounds together write is more than etcd's default of 2 GiB.
const QUOTA: u64 = 8 << 30;

/// A server under the name by which it is reported.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    /// Whether it says how often it has synced its log.
    pub(crate) reports_syncs: bool,
    server: Arc<Server>,
}

/// Which servers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Servers {
    /// `planlease dev` with a folder
    Local,
    /// A single etcd
    Etcd,
    /// An etcd of three members
    Members,
}

/// The local server, and an etcd if there is one here: those of them that are wanted.
pub(crate) async fn all(args: &Args) -> Vec<Site> {
    let mut sites = Vec::new();
    if args.measures_on(Servers::Local) {
        let local = Dev::start_in(&std::env::temp_dir()).await;
        sites.push(Site { name: "local server", reports_syncs: false, server: Arc::new(local.into()) });
    }
    if args.measures_on(Servers::Etcd) {
        sites.extend(etcd("etcd", 1).await);
    }
    sites
}

/// An etcd of three members, all on this machine: they share its cores and its disk.
pub(crate) async fn three_members(args: &Args) -> Option<Site> {
    if args.measures_on(Servers::Members) { etcd("etcd, three members", 3).await } else { None }
}

async fn etcd(name: &'static str, members: usize) -> Option<Site> {
    if Line::Current.binary().is_none() {
        eprintln!("no etcd here: `cargo xtask etcd` gets one");
        return None;
    }
    let etcd = Etcd::builder().members(members).durable(true).quota(QUOTA).start().await;
    Some(Site { name, reports_syncs: true, server: Arc::new(etcd.into()) })
}

impl Site {
    /// A store that nothing is in.
    pub(crate) async fn env(&self, name: &str) -> TestEnv {
        self.env_for(name, TTL).await
    }

    /// The same for sessions with that TTL.
    pub(crate) async fn env_for(&self, name: &str, ttl: Duration) -> TestEnv {
        TestEnv::on(Arc::clone(&self.server), format!("bench/{name}/")).await.with_ttl(ttl)
    }
}

/// Runs a command that has to succeed, and returns how long it took as a whole process, in
/// milliseconds.
pub(crate) async fn timed(env: &TestEnv, args: &[&str]) -> (Ended, f64) {
    let began = Instant::now();
    let ended = env.program().run_to(0, args).await;
    (ended, began.elapsed().as_secs_f64() * 1000.0)
}
