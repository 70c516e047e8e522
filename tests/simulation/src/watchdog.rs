//! Ends a run that hangs: code that spins stops the simulation's clock, so that no invariant is ever looked
//! at again.

use std::{
    process,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

/// How long a run may take of real time. The longest takes a second or two.
const LIMIT: Duration = Duration::from_secs(60);

/// Watches over one run after the other.
#[derive(Debug)]
pub struct Watchdog(Sender<String>);

impl Watchdog {
    /// Begins to watch.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "it is the last thing that the program says")]
    pub fn start() -> Self {
        let (sender, runs) = mpsc::channel::<String>();
        // It ends with the program: the other end is gone then.
        thread::spawn(move || {
            let mut present = None::<String>;
            loop {
                match (runs.recv_timeout(LIMIT), &present) {
                    (Ok(next), _) => present = Some(next),
                    (Err(RecvTimeoutError::Timeout), Some(stuck)) => {
                        println!("{stuck}: 1 violations, after {LIMIT:?} of real time");
                        println!("  liveness: something spins: the simulation's clock stands still");
                        process::exit(1);
                    }
                    (Err(RecvTimeoutError::Timeout), None) => {}
                    (Err(RecvTimeoutError::Disconnected), _) => return,
                }
            }
        });
        Self(sender)
    }

    /// A run begins: `seed 17`, say.
    pub fn begin(&self, run: impl Into<String>) {
        drop(self.0.send(run.into())); // Nothing listens any more only if the program ends.
    }
}
