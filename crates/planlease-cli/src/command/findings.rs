//! `findings`: what a task has found out, for its successors.

use planlease::Findings;
use std::{
    fs::File,
    io::{Read, stdin},
};

use clap::{ArgGroup, Args, Subcommand};
use planlease::core::{codec::MAX_FINDINGS, record::FindingsRecord};

use super::task::right::Right;
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::{plan_name, task_id},
    output::{self, FindingsList, FindingsView, FindingsWritten, Format, OutputArgs, Printable},
};

/// What to do with findings.
#[derive(Debug, Subcommand)]
pub(crate) enum FindingsCommand {
    /// Store what a task has found out, in place of what it had stored
    Write(WriteArgs),
    /// Print what a task has found out
    Read(ReadArgs),
    /// List what there is of a plan
    List(ListArgs),
}

/// Stores the findings of a task: a text of up to 48 KiB, or where a longer one is kept. By the right of the
/// plan's owner inside a command that `run` or `hold` started, else as an operator.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).multiple(true).args(["file", "stdin", "content", "reference"])),
    after_help = "Examples:\n  planlease findings write release 2.3 --file findings.md\n  ./analyse | planlease findings write release 2.3 --stdin\n  planlease findings write release 2.3 --content 'see the log' --ref https://logs.example.org/17"
)]
pub(crate) struct WriteArgs {
    /// The plan
    plan: String,
    /// The task
    task: String,
    /// The file that holds them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stdin", "content"])]
    file: Option<String>,
    /// Read them from standard input
    #[arg(long, conflicts_with = "content")]
    stdin: bool,
    /// The text itself
    #[arg(long, value_name = "TEXT")]
    content: Option<String>,
    /// Where the whole of it is kept: a path or an address
    #[arg(long = "ref", id = "reference", value_name = "WHERE")]
    reference: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the findings of a task, as they were written; if it has none, what its command wrote. Also findings
/// that an import kept under a name of their own.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease findings read release 2.3\n  planlease findings read release 2.3 -o json | jq .reference"
)]
pub(crate) struct ReadArgs {
    /// The plan
    plan: String,
    /// The task, or the name
    task: String,
    /// Print what the command of the task wrote, also if the task has findings
    #[arg(long = "command-output")]
    written: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Lists which tasks of a plan have findings.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease findings list release\n  planlease findings list release -o jsonl"
)]
pub(crate) struct ListArgs {
    /// The plan
    plan: String,
    #[command(flatten)]
    output: OutputArgs,
}

impl FindingsCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Write(args) => args.run(invocation).await,
            Self::Read(args) => args.run(invocation).await,
            Self::List(args) => args.run(invocation).await,
        }
    }
}

impl WriteArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let text = self.text()?;
        let right = Right::of(invocation, &plan, &task)?;
        let coordinator = invocation.connect().await?;
        let view = coordinator.plan(&plan).await?;
        let seen = view.task(&task)?;
        let attempt = right.attempt().unwrap_or(seen.record.attempt);
        let authority = right.authority(&coordinator, &view)?;
        let text = text.unwrap_or_default();
        let mut findings = Findings::of_attempt(attempt, &text);
        if let Some(reference) = &self.reference {
            findings = findings.kept_at(reference);
        }
        authority.write_findings(&task, &findings).await?;
        let written = FindingsWritten { plan, task, attempt, bytes: text.len(), reference: self.reference };
        invocation.show(self.output.format, &written)?;
        Ok(Exit::Done)
    }

    /// The text that was given, whichever way.
    fn text(&self) -> Result<Option<String>, Failure> {
        let (from, bytes) = match (&self.file, self.stdin, &self.content) {
            (Some(file), _, _) => {
                let opened = File::open(file).map_err(|error| unreadable(file, &error.to_string()))?;
                (file.as_str(), bounded(file, opened)?)
            }
            (None, true, _) => ("standard input", bounded("standard input", stdin().lock())?),
            (None, false, Some(text)) => ("the text", text.clone().into_bytes()),
            (None, false, None) => return Ok(None),
        };
        if bytes.len() > MAX_FINDINGS {
            let most = MAX_FINDINGS / 1024;
            return Err(Failure::new(
                Exit::UnreadableFile,
                format!("{from} has more than {most} KiB, the most that a task can hold"),
            )
            .meaning("Nothing was stored.")
            .remedy(
                "Keep it in a file or elsewhere, and store where: --ref WHERE, with a summary as --content.",
            ));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| unreadable(from, "it is no text (UTF-8)"))
    }
}

fn unreadable(what: &str, why: &str) -> Failure {
    Failure::new(Exit::UnreadableFile, format!("cannot read {what}: {why}")).meaning("Nothing was stored.")
}

/// What there is to read, up to one byte more than can be kept.
fn bounded(what: &str, source: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_FINDINGS).unwrap_or(u64::MAX).saturating_add(1);
    source.take(most).read_to_end(&mut bytes).map_err(|error| unreadable(what, &error.to_string()))?;
    Ok(bytes)
}

impl ReadArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, task) = (plan_name(&self.plan)?, task_id(&self.task)?);
        let coordinator = invocation.connect().await?;
        let Some(found) = coordinator.findings(&plan, &task).await? else {
            let view = coordinator.plan(&plan).await?;
            view.task(&task)?;
            let what = format!("task {task} of {plan} has no findings");
            return Err(Failure::new(Exit::NothingStored, what).remedy(format!(
                "`planlease findings list {q_plan}` shows which tasks have some.",
                q_plan = plan.quoted()
            )));
        };
        if self.written && found.output.is_none() {
            let what = format!("the output of task {task} of {plan} is not kept");
            return Err(Failure::new(Exit::NothingStored, what).remedy(
                "`planlease run` keeps what the commands of tasks write, once an attempt has ended.",
            ));
        }
        if self.output.format == Format::Table {
            return print(&found, self.written);
        }
        invocation.show(self.output.format, &FindingsView::new(plan, task, found))?;
        Ok(Exit::Done)
    }
}

/// Prints the text as it is (to a terminal without what could drive it), and on standard error where the
/// whole of it is.
fn print(found: &FindingsRecord, written: bool) -> Result<Exit, Failure> {
    if let Some(output) = found.output.as_ref().filter(|_| written) {
        output::print_exact(&output.text, Printable::of_others)?;
        return Ok(Exit::Done);
    }
    if let Some(reference) = &found.reference {
        output::tell(&format!("the whole of it is kept at {}", output::plain(reference)));
    }
    output::print_exact(&found.readable().text, Printable::of_others)?;
    Ok(Exit::Done)
}

impl ListArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let coordinator = invocation.connect().await?;
        let found = coordinator.all_findings(&plan).await?;
        invocation.show(self.output.format, &FindingsList::new(plan, found))?;
        Ok(Exit::Done)
    }
}
