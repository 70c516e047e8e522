//! The embedded server as its users have it: a process `planlease dev` with its data in a folder, to be
//! killed and started again on the same port.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    data_folder::data_folder,
    program::{Process, Program},
};

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What the data of the tests that run at one time need at most, in bytes.
const SPACE_NEEDED: u64 = 1024 * 1024 * 1024;

/// A running `planlease dev`; dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Dev {
    endpoint: String,
    process: Mutex<Option<Process>>,
    keep: AtomicBool,
    // Dropped after the process, which writes into it.
    folder: Option<TempDir>,
}

impl Dev {
    /// Starts one on a free port.
    ///
    /// # Panics
    ///
    /// If it cannot be started: a test cannot go on without it.
    pub async fn start() -> Self {
        Self::start_in(&data_folder(SPACE_NEEDED)).await
    }

    /// The same with its data somewhere in this folder.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub async fn start_in(place: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("planlease-dev-").tempdir_in(place);
        let folder = folder.expect("a folder for its data");
        let (process, endpoint) = launch(folder.path(), "127.0.0.1:0").await;
        Self {
            endpoint,
            process: Mutex::new(Some(process)),
            keep: AtomicBool::new(false),
            folder: Some(folder),
        }
    }

    /// Its client URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Kills it as a power cut would (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Stops it in the middle of its work (SIGSTOP).
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Starts it again after [`Dev::kill`], on the same data and port, and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not come up.
    pub async fn restart(&self) {
        let folder = self.folder.as_ref().expect("the folder is there until it is dropped");
        let address = self.endpoint.trim_start_matches("http://");
        let (process, _) = launch(folder.path(), address).await;
        *self.process() = Some(process);
    }

    /// Keeps the data beyond the end, and prints where: a test on this server failed.
    pub fn keep_data(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process().as_mut() {
            process.signal(signal);
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.kill();
        if let Some(folder) = self.folder.take()
            && (std::thread::panicking() || *self.keep.get_mut())
        {
            eprintln!("the data of `planlease dev` are kept in {}", folder.keep().display());
        }
    }
}

/// Starts the process, and reads where it listens from what it says.
async fn launch(folder: &Path, listen: &str) -> (Process, String) {
    let data = folder.join("data");
    let log = folder.join("log");
    let _ = std::fs::remove_file(&log); // What an earlier one said.
    let program = Program::planlease(folder);
    let args =
        ["dev".as_ref(), "--listen".as_ref(), listen.as_ref(), "--data-dir".as_ref(), data.as_os_str()];
    let process = Process::start(program.command(args), &log);
    let said = process.until_said("use it with", START_LIMIT).await;
    let endpoint = said
        .split_once("listening on ")
        .and_then(|(_, rest)| rest.split_once(','))
        .unwrap_or_else(|| panic!("`planlease dev` does not say where it listens: {said}"));
    (process, endpoint.0.to_owned())
}
