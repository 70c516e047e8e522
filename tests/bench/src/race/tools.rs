//! The tools that race besides planlease: how a task is made, and how a process claims it by the tool's own
//! commands.
//!
//! A tool with a command for claims is asked by that. One without is used as its documentation has agents use
//! it: a process looks whether the task is open, and if so says that it works on it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use planlease_tests::program::Process;
use tempfile::TempDir;

/// A tool that keeps tasks in files of a project.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// Names its program.
    pub(super) variable: &'static str,
    /// Its program's name on `PATH`.
    pub(super) binary: &'static str,
    /// What a process does.
    pub(super) how: &'static str,
    /// Makes an open task, and prints its id in the last line; `$ROUND` counts from 1.
    make: &'static str,
    /// Claims `$TASK` for `$AGENT`; status 0 if the tool has accepted that.
    claim: &'static str,
}

pub(super) const TOOLS: [Tool; 3] = [
    Tool {
        name: "Backlog.md",
        variable: "PLANLEASE_BENCH_BACKLOG",
        binary: "backlog",
        how: "task view, task edit",
        make: r#"
            [ -d backlog ] || { git init -q .; "$TOOL" init race --defaults; } >&2
            "$TOOL" task create "Round $ROUND" --plain >&2 && echo "$ROUND"
        "#,
        claim: r#"
            "$TOOL" task view "$TASK" --plain | grep -q '^Status:.*To Do' &&
            "$TOOL" task edit "$TASK" -s 'In Progress' -a "@$AGENT" --plain
        "#,
    },
    Tool {
        name: "Taskmaster",
        variable: "PLANLEASE_BENCH_TASKMASTER",
        binary: "task-master",
        how: "show, set-status",
        make: r#"
            mkdir -p .taskmaster/tasks
            printf '{"master":{"tasks":[{"id":1,"title":"Round %s","description":"work","status":"pending",
                "dependencies":[],"priority":"medium","details":"","testStrategy":"","subtasks":[]}]}}' \
                "$ROUND" > .taskmaster/tasks/tasks.json && echo 1
        "#,
        claim: r#"
            "$TOOL" show "$TASK" | grep -q 'Status:.*pending' &&
            "$TOOL" set-status --id="$TASK" --status=in-progress
        "#,
    },
    Tool {
        name: "beads",
        variable: "PLANLEASE_BENCH_BEADS",
        binary: "bd",
        how: "update --claim",
        make: r#"
            [ -d .beads ] || { git init -q .; "$TOOL" init --prefix race --quiet; } >&2
            "$TOOL" create "Round $ROUND" --silent
        "#,
        claim: r#""$TOOL" --actor "$AGENT" update "$TASK" --claim"#,
    },
];

impl Tool {
    /// Its program and its version, if it runs here.
    pub(super) fn found(&self) -> Option<(PathBuf, String)> {
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&folders).map(|folder| folder.join(self.binary));
        named.into_iter().chain(on_path).find_map(|path| version(&path).map(|version| (path, version)))
    }
}

/// What a program says to `--version`, if it does.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().rfind(|line| !line.trim().is_empty())?;
    output.status.success().then(|| last.trim().to_owned())
}

/// A project of a tool, in a folder of its own.
pub(super) struct Project<'t> {
    tool: &'t Tool,
    program: PathBuf,
    folder: TempDir,
}

impl<'t> Project<'t> {
    pub(super) fn new(tool: &'t Tool, program: PathBuf) -> Self {
        let folder = TempDir::with_prefix("bench-race-").unwrap();
        std::fs::create_dir(folder.path().join("project")).unwrap();
        Self { tool, program, folder }
    }

    /// Makes an open task; its id, or what the tool said instead.
    pub(super) fn make(&self, round: usize) -> Result<String, String> {
        let mut make = self.shell(self.tool.make);
        let output = make.env("ROUND", round.to_string()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        match said.lines().rfind(|line| !line.trim().is_empty()) {
            Some(id) if output.status.success() => Ok(id.trim().to_owned()),
            _ => Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// A process that claims the task as soon as it receives a line.
    pub(super) fn racer(&self, task: &str, agent: usize) -> Process {
        let mut claim = self.shell(&format!("read -r _\n{}", self.tool.claim));
        claim.env("TASK", task).env("AGENT", format!("agent-{agent}"));
        Process::start(claim, &self.folder.path().join("log"))
    }

    /// The tool has a home of its own, and leaves that of its user alone.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.folder.path().join("project"));
        command.env("TOOL", &self.program).env("HOME", self.folder.path());
        command
    }
}
