//! The embedded server on a socket of its own, as a process would run it, but on a thread of the test.
//!
//! It has its own runtime, since it outlives the tests that share it and each of those has a runtime of its
//! own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use planlease_embedded::{Listen, Options, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// The same identities in every run.
const SEED: u64 = 7;

/// A running embedded server; dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Embedded {
    endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    keep: AtomicBool,
    folder: Option<TempDir>,
}

impl Embedded {
    /// Starts one that keeps everything in memory.
    ///
    /// # Panics
    ///
    /// If it cannot be started: a test cannot go on without it.
    pub async fn in_memory() -> Self {
        Self::start(Options::in_memory(SEED), None).await
    }

    /// Starts one that keeps everything in a folder, synced to disk.
    ///
    /// # Panics
    ///
    /// If it cannot be started: a test cannot go on without it.
    pub async fn in_folder() -> Self {
        let folder =
            tempfile::Builder::new().prefix("planlease-embedded-").tempdir().expect("a folder for its data");
        Self::start(Options::in_folder(folder.path().join("data"), SEED), Some(folder)).await
    }

    /// Its client URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn start(options: Options, folder: Option<TempDir>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, endpoint) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("threads and files are at hand").block_on(serve(options, ready, stopped));
        });
        let endpoint = endpoint.await.expect("the server's thread says where it listens");
        Self { endpoint, stop: Some(stop), thread: Some(thread), keep: AtomicBool::new(false), folder }
    }

    /// Keeps the data folder beyond the end, and prints where: a test on this server failed.
    pub fn keep_data(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.stop.take());
        let failed = self.thread.take().is_some_and(|thread| thread.join().is_err());
        if let Some(folder) = self.folder.take()
            && (failed || std::thread::panicking() || *self.keep.get_mut())
        {
            eprintln!("the embedded server's data are kept in {}", folder.keep().display());
        }
        assert!(!failed || std::thread::panicking(), "the embedded server panicked: see above");
    }
}

async fn serve(options: Options, ready: oneshot::Sender<String>, stopped: oneshot::Receiver<()>) {
    let server = Server::open(options).await.expect("a new server opens");
    let listen = Listen::Tcp { addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), allow_remote: false };
    let bound = listen.bind().await.expect("a loopback port is free");
    let endpoint = bound.url().to_owned();
    // The caller may have given up meanwhile; then `stopped` is ready as well.
    let _ = ready.send(endpoint);
    let stopped = async {
        let _ = stopped.await;
    };
    server.serve_on(bound, stopped).await.expect("a listening socket serves");
    server.close().await;
}
