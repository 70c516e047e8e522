//! Runs git: real, with explicit folders, none of the caller's variables, bounded output and bounded time.

use std::{ffi::OsStr, fs::File, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::{error::Error, variables::Variables};

/// How long one git may take: a checkout of a large repository, with the hooks of its user.
const WITHIN: Duration = Duration::from_secs(15 * 60);

/// How much of what git says is read.
const MOST: u64 = 64 * 1024 * 1024;

/// How much of git's complaint is passed on, in characters.
const COMPLAINT: usize = 400;

/// The variables that lead git elsewhere (`git rev-parse --local-env-vars`, and a few more).
const ELSEWHERE: [&str; 19] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Settings that decide whether git sees a change: it asks the file system, and compares all that a file's
/// status has.
const SETTINGS: [&str; 4] =
    ["core.fsmonitor=false", "core.untrackedCache=false", "core.trustctime=true", "core.checkStat=default"];

/// One call of git.
#[derive(Debug)]
pub(crate) struct Git {
    command: Command,
    shown: Vec<String>,
    input: Option<Vec<u8>>,
}

impl Git {
    /// git in this folder. `lock`: what it holds until it has ended, as its standard input.
    pub(crate) fn at(folder: &Path, lock: Option<&File>) -> Result<Self, Error> {
        let mut command = Command::new("git");
        for name in ELSEWHERE {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
        // A folder that is there, whatever became of ours; a group of its own, to be killed with its hooks.
        command.current_dir(folder).process_group(0).kill_on_drop(true);
        let input = match lock {
            Some(lock) => {
                Stdio::from(lock.try_clone().map_err(Error::io("cannot share the lock in", folder))?)
            }
            None => Stdio::null(),
        };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.arg("-C").arg(folder);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        Ok(Self { command, shown: Vec::new(), input: None })
    }

    /// git for this git folder and tree, wherever its `.git` may be: without that file git would look for a
    /// repository further up. Only reads, so it needs no lock.
    pub(crate) fn of(git_dir: &Path, tree: Option<&Path>) -> Result<Self, Error> {
        let mut git = Self::at(git_dir, None)?;
        git.command.arg("--git-dir").arg(git_dir);
        if let Some(tree) = tree {
            git.command.arg("--work-tree").arg(tree);
        }
        Ok(git)
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self.shown.push(arg.as_ref().to_string_lossy().into_owned());
            self.command.arg(arg);
        }
        self
    }

    /// A variable of its own.
    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Changes to its environment, which its hooks inherit.
    pub(crate) fn variables(mut self, variables: &Variables) -> Self {
        for (name, value) in variables.iter() {
            match value {
                Some(value) => self.command.env(name, value),
                None => self.command.env_remove(name),
            };
        }
        self
    }

    /// What it reads from its standard input; only for a git that holds no lock.
    pub(crate) fn input(mut self, input: Vec<u8>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(input);
        self
    }

    /// Runs it; `None` if it ends with another status than 0.
    pub(crate) async fn ask(self) -> Result<Option<Vec<u8>>, Error> {
        match self.run().await {
            Ok(said) => Ok(Some(said)),
            Err(Error::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Runs it; what it said on standard output.
    pub(crate) async fn run(mut self) -> Result<Vec<u8>, Error> {
        let shown = self.shown.join(" ");
        let mut child = self.command.spawn().map_err(Error::NoGit)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (pipe, input) = (child.stdin.take(), self.input.take().unwrap_or_default());
        let all = async {
            let write = async {
                if let Some(mut pipe) = pipe {
                    drop(pipe.write_all(&input).await); // One that reads no further says why.
                }
            };
            let ((), out, err) = tokio::join!(write, read(out), read(err));
            (child.wait().await, out, err)
        };
        let ended = tokio::time::timeout(WITHIN, all).await;
        let Ok((status, out, err)) = ended else {
            if let Some(group) = group {
                let _ = killpg(group, Signal::SIGKILL); // It may have ended meanwhile.
            }
            return Err(Error::TooLong { command: shown, within: WITHIN });
        };
        let status = status.map_err(Error::NoGit)?;
        let Some(out) = out else { return Err(Error::TooMuch { command: shown, most: MOST }) };
        if status.success() {
            return Ok(out);
        }
        let said = complaint(&err.unwrap_or_default());
        let said = if said.is_empty() { status.to_string() } else { said };
        Err(Error::Git { command: shown, said })
    }
}

/// All that is said; `None` if it is too much. It is read to its end in any case, so that git is not held up.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut pipe = pipe?;
    let mut said = Vec::new();
    (&mut pipe).take(MOST).read_to_end(&mut said).await.ok()?;
    let more = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await.ok()?;
    (more == 0).then_some(said)
}

/// What git complains about, in one line.
fn complaint(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
    let line = lines.collect::<Vec<_>>().join("; ");
    line.trim_start_matches("fatal: ").chars().take(COMPLAINT).collect()
}

/// Text in one line.
pub(crate) fn line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).trim_end_matches('\n').to_owned()
}
