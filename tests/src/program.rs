//! The product as its users have it: processes of the program `planlease`, to be run, killed and paused.
//!
//! They see nothing of the caller's environment that could lead them elsewhere: no `PLANLEASE_*`, and a home
//! of their own. No process outlives the test process.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{guard::Guarded, wait::until};

/// How long a command may take that does its work and ends.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Finds the program: named by the environment, else beside this test binary's folder, where cargo puts it.
///
/// # Panics
///
/// If it is not there: a test cannot go on without it.
#[must_use]
pub fn planlease() -> PathBuf {
    let path = if let Some(named) = std::env::var_os("PLANLEASE_TEST_PROGRAM") {
        PathBuf::from(named)
    } else {
        let test = std::env::current_exe().expect("Linux knows where this program is");
        // target/PROFILE/deps/SUITE-HASH
        test.ancestors().nth(2).unwrap_or(Path::new(".")).join("planlease")
    };
    assert!(path.is_file(), "there is no {}: run `cargo build -p planlease-cli`", path.display());
    path
}

/// How processes of one test are started: with which program, home and variables. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    home: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

/// A process that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it said on standard output.
    pub stdout: String,
    /// What it said on standard error.
    pub stderr: String,
}

impl Program {
    /// `planlease`, with `home` as the home of its user.
    ///
    /// # Panics
    ///
    /// If the program was not built.
    #[must_use]
    pub fn planlease(home: &Path) -> Self {
        Self { path: planlease(), home: home.to_owned(), variables: Vec::new() }
    }

    /// One more variable for its processes.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// A command of it, as it was configured.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.prepared(&self.path);
        command.args(args);
        command
    }

    /// The same command, which begins when it reads a line on its standard input: for many that begin at
    /// once.
    pub fn gated<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.prepared(Path::new("sh"));
        command.args(["-c", "read -r _; exec \"$@\"", "sh"]).arg(&self.path).args(args);
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    ///
    /// If it cannot be started, or does not end in time.
    pub async fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::null());
        let reported = format!("{command:?}");
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = tokio::time::timeout(COMMAND_LIMIT, output)
            .await
            .unwrap_or_else(|_| panic!("{reported} did not end within {COMMAND_LIMIT:?}"))
            .unwrap_or_else(|error| panic!("cannot run {reported}: {error}"));
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command to its end, which has to have this exit status.
    ///
    /// # Panics
    ///
    /// If it ends otherwise, with what it said; and as [`Program::run`].
    pub async fn run_to<A: AsRef<OsStr>>(&self, code: i32, args: impl IntoIterator<Item = A>) -> Ended {
        let ended = self.run(args).await;
        assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
        ended
    }

    fn prepared(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PLANLEASE_")
                || name.as_encoded_bytes().starts_with(b"XDG_")
            {
                command.env_remove(name);
            }
        }
        command.env("HOME", &self.home).current_dir(&self.home);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A process that runs while the test does something else. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    guarded: Guarded,
    input: Option<std::process::ChildStdin>,
    output: PathBuf,
}

impl Process {
    /// Starts it; what it says is collected in the file `output`.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, output: &Path) -> Self {
        let file =
            File::options().create(true).append(true).open(output).expect("a file in a folder of the test");
        let second = file.try_clone().expect("a descriptor is free");
        command.stdin(Stdio::piped()).stdout(file).stderr(second);
        let mut guarded =
            Guarded::spawn(&mut command).unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let input = guarded.input();
        Self { guarded, input, output: output.to_owned() }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.guarded.id()
    }

    /// Sends it a signal. One that has ended by itself gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.guarded.ended().is_none() {
            self.guarded.signal(signal);
        }
    }

    /// Writes a line on its standard input; one that does not listen any more gets none.
    pub fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}");
        }
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Everything it has said so far, on both outputs.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.guarded.ended()
    }

    /// Waits until it has ended; its exit status, `None` if a signal ended it.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub async fn until_ended(&mut self, limit: Duration) -> Option<i32> {
        let output = self.output.clone();
        let said = || String::from_utf8_lossy(&std::fs::read(&output).unwrap_or_default()).into_owned();
        until("end of a process", limit, async || self.guarded.ended().ok_or_else(said)).await.code()
    }

    /// Waits until it has said this.
    ///
    /// # Panics
    ///
    /// If it does not say it in time.
    pub async fn until_said(&self, text: &str, limit: Duration) -> String {
        until(&format!("{text:?} from a process"), limit, async || {
            let said = self.said();
            if said.contains(text) { Ok(said) } else { Err(said) }
        })
        .await
    }
}

/// The living processes whose environment says `NAME=VALUE`: what a test has started, and what that has
/// started.
#[must_use]
pub fn with_variable(name: &str, value: &str) -> Vec<i32> {
    let wanted = format!("{name}={value}");
    alive().filter(|pid| has_variable(*pid, wanted.as_bytes())).collect()
}

fn has_variable(pid: i32, wanted: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
}

/// The arguments of a process; empty if it is gone.
#[must_use]
pub fn arguments(pid: i32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The helper process of this kind (`companion`, `supervisor`) that a process has started, if there is one.
#[must_use]
pub fn helper_of(parent: i32, kind: &str) -> Option<i32> {
    let parent = format!("PPid:\t{parent}");
    alive().find(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        arguments(*pid).get(1).is_some_and(|first| first == kind) && status.lines().any(|line| line == parent)
    })
}

/// Whether a process runs: it is there, and no zombie.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may contain some.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn alive() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| is_alive(*pid))
}
