//! `setup`: writes what an agent needs to work with planlease into its project's files.

mod agent;
mod block;
mod changes;
mod element;
mod member;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use planlease::{core::counted, regular};

use self::agent::{Agent, Edit};
use crate::{
    exit::Exit,
    failure::Failure,
    output::{self, plain},
    replace,
};

/// The largest file that is edited, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Set up an agent for planlease: its MCP server, and what it has to know
///
/// Writes the entry that starts `planlease mcp` into the agent's configuration in the project, a hook that
/// runs `planlease prime` at the start of each session where the agent has such hooks, and a skill or a
/// section of `AGENTS.md` that says how to work with plans. The rest of each file stays as it is, to the
/// byte. What is there already is left alone, so that the command can be repeated. Shows each change.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetupArgs {
    /// The agent
    #[arg(value_enum)]
    agent: Agent,
    /// The project's folder
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// Take out what this command has written
    #[arg(long)]
    remove: bool,
    /// Show the changes, and write nothing
    #[arg(long)]
    print: bool,
}

const EXAMPLES: &str = "\
Examples:
  planlease setup claude-code            .mcp.json, a hook, and a skill
  planlease setup codex --print          shows what would be written
  planlease setup cursor --remove";

/// A file as it is and as it is to be; `None` for one that is not there.
struct Change {
    path: PathBuf,
    before: Option<String>,
    after: Option<String>,
}

impl SetupArgs {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        if !self.dir.is_dir() {
            return Err(Failure::usage(format!("{} is no folder", self.dir.display()))
                .meaning("Nothing was changed.")
                .remedy("--dir takes the folder of the project."));
        }
        // All are read and decided before one is written.
        let mut changes = Vec::new();
        for edit in self.agent.edits() {
            self.add(&mut changes, &edit)?;
        }
        let mut changed = 0;
        for change in changes.iter().filter(|change| change.before != change.after) {
            changed += 1;
            let shown = changes::describe(&change.path, change.before.as_deref(), change.after.as_deref());
            output::print(&plain_lines(&shown))?;
            if !self.print {
                change.write()?;
            }
        }
        let done = match (changed, self.print) {
            (0, _) if self.remove => "nothing of it is there".to_owned(),
            (0, _) => "all of it is there already".to_owned(),
            (n, true) => format!("{} would be changed", counted(n, "file")),
            (n, false) => format!("{} changed", counted(n, "file")),
        };
        output::tell(&format!("{done}; {}", self.agent.note()));
        Ok(Exit::Done)
    }

    /// Adds an edit to the change of its file.
    fn add(&self, changes: &mut Vec<Change>, edit: &Edit) -> Result<(), Failure> {
        let path = self.dir.join(edit.path);
        let mut change = match changes.iter().position(|change| change.path == path) {
            Some(known) => changes.remove(known),
            None => Change::none(path)?,
        };
        change.after = edit.apply(change.after.as_deref(), self.remove).map_err(|why| {
            let path = &change.path;
            Failure::new(Exit::UnreadableFile, format!("cannot edit {}: {why}", path.display()))
                .meaning("Nothing was changed, in no file.")
                .remedy(format!(
                    "`planlease setup {} --print` in an empty folder shows what belongs into it.",
                    self.agent
                ))
        })?;
        changes.push(change);
        Ok(())
    }
}

impl Change {
    /// The file as it is.
    fn none(path: PathBuf) -> Result<Self, Failure> {
        let before = read(&path)?;
        Ok(Self { path, after: before.clone(), before })
    }

    fn write(&self) -> Result<(), Failure> {
        let failed =
            |error: &io::Error| Failure::system(&format!("cannot write {}", self.path.display()), error);
        match &self.after {
            Some(text) => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
                }
                replace::file(&self.path, text.as_bytes())
            }
            None => fs::remove_file(&self.path).map_err(|error| failed(&error)),
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    let unreadable = |why: String| {
        Failure::new(Exit::UnreadableFile, format!("cannot read {}: {why}", path.display()))
            .meaning("Nothing was changed, in no file.")
    };
    match regular::read(path, MAX_FILE) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes);
            text.map(Some).map_err(|_| unreadable("it is no text (UTF-8)".to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Lines of a file of others, as they can be shown, with their indentation.
fn plain_lines(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        format!("{indent}{}\n", plain(rest))
    });
    lines.collect()
}
