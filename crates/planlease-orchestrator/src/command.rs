//! What is to be run, and how it is connected to the world.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use planlease_core::BootTime;
use planlease_observe::Place;

/// How long a command has between SIGTERM and SIGKILL unless said otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// A command to run under a supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program, looked up in `PATH` unless it contains a `/`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Changes to the environment, which is the orchestrator's own otherwise; `None` removes a variable.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The working directory; the orchestrator's own if `None`.
    pub dir: Option<PathBuf>,
    /// How long the command has between SIGTERM and SIGKILL when it is asked to stop. A deadline knows no
    /// grace.
    pub grace: Duration,
    /// The soft limit of open files that the command gets, as `ulimit -n` shows it; the orchestrator's own if
    /// `None`.
    pub open_files: Option<u64>,
    /// Where its input, output and signals come from.
    pub attachment: Attachment,
    /// Where its output is kept as it comes, if it is captured; `None`: nowhere.
    pub record: Option<Place>,
    /// Where the moment of its last output is noted, if it is captured: a clone of it knows.
    pub pulse: Pulse,
}

impl CommandSpec {
    /// A program without arguments, with the orchestrator's environment, captured, with a grace of ten
    /// seconds.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            grace: GRACE,
            open_files: None,
            attachment: Attachment::Captured,
            record: None,
            pulse: Pulse::default(),
        }
    }

    /// A script for `sh -c`. Whatever is put into the script is code: better pass values by the environment.
    #[must_use]
    pub fn shell(script: impl Into<OsString>) -> Self {
        Self { args: vec!["-c".into(), script.into()], ..Self::new("sh") }
    }
}

/// The moment at which a command last wrote output. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Notes output at this moment.
    pub fn beat(&self, now: BootTime) {
        let millis = u64::try_from(now.as_duration().as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }

    /// The last output; `None` if there was none yet.
    #[must_use]
    pub fn last(&self) -> Option<BootTime> {
        let millis = self.0.load(Ordering::Relaxed);
        (millis > 0).then(|| BootTime::since_boot(Duration::from_millis(millis)))
    }
}

impl PartialEq for Pulse {
    fn eq(&self, other: &Self) -> bool {
        self.last() == other.last()
    }
}

impl Eq for Pulse {}

/// How a command is connected to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// No input; output kept in memory up to a bound; a session of its own, so that a command which asks for
    /// a terminal is refused instead of stopped. For tasks.
    Captured,
    /// Input and output are the orchestrator's; a process group of its own. For a command that holds a plan
    /// where there is no terminal.
    Inherited,
    /// Input and output are the orchestrator's, and so is the process group: for a command that holds a plan
    /// in the foreground of a terminal.
    ///
    /// The command is then a part of the same job for the shell: it may read the terminal, Ctrl-C reaches it,
    /// and Ctrl-Z stops both it and the orchestrator but not the supervisor, which kills it at the deadline.
    /// Two things are weaker. SIGTERM is sent to the command alone, since the group is the orchestrator's;
    /// SIGKILL still reaches everything that descends from the command. And if the supervisor is killed, only
    /// the command dies with it.
    ///
    /// An orchestrator does best to leave Ctrl-C to the command, which gets it anyway, and to pass on
    /// SIGTERM.
    Terminal,
}
