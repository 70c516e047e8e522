//! `mirror`: keeps a `status.json`, or the boxes of a plan file, as the plan is, for other readers.

mod claim;
mod marks;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use planlease::{
    Coordinator, Error, Identity, PlanSpec, PlanView,
    core::{PlanName, TaskId, counted},
};
use planlease_formats::{Format, Parsed, Progress};
use planlease_watcher::{Scope, Snapshot};
use serde_json::Value;
use tokio::time::Instant;

use self::{claim::Claim, marks::Marks};
use super::{
    export,
    plan::file,
    watch::feed::{Feed, News},
};
use crate::{
    exit::Exit, failure::Failure, invocation::Invocation, names::plan_name, output, replace, signals::Signals,
};

/// How long changes are collected before the file is written: many tasks that change at once are one write.
const COLLECT: Duration = Duration::from_millis(100);

/// How long the last look at the plan may take when the mirror is asked to end.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// The most tasks that are named with their lines in a message.
const MAX_NAMED: usize = 5;

/// Keep a status.json, or the boxes of a plan file, up to date for other readers
///
/// Of a plan file (a checklist in Markdown, tasks.json, prd.json, issues.jsonl, a folder of Backlog.md) only
/// the marks of its tasks are changed, in place: all other bytes stay as they are. A plan file that is not
/// there for a moment is waited for, up to 20 seconds. A file with ticked tasks that the plan has pending and
/// has never started is refused with status 12, unless --overwrite says that their marks are to be cleared.
///
/// The file is replaced in one step whenever the plan has changed: a reader sees the plan at one revision,
/// never half of it. Changes that arrive together are written together. Ctrl-C and SIGTERM end it after one
/// last look at the plan.
///
/// A file has one mirror at a time, on all hosts that share its file system; a second one ends with status
/// 26.
///
/// The mirror is for reading: changes that other programs write into the file change no plan, and are
/// overwritten.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease mirror release docs/plan-outputs/release/status.json\n  planlease mirror release status.json --once"
)]
pub(crate) struct MirrorArgs {
    /// The plan
    plan: String,
    /// The file, or a folder of tasks; its folder has to be there
    file: PathBuf,
    /// Write it once, as the plan is now, and end
    #[arg(long)]
    once: bool,
    /// Clear also the marks of tasks that the plan has never started
    #[arg(long)]
    overwrite: bool,
}

/// The file, and what it holds.
struct Mirror<'a> {
    plan: PlanName,
    file: &'a Path,
    /// The format of the plan file that it is, if it is one.
    format: Option<Format>,
    written: Option<Value>,
    /// Why it stays as it is, as it was shown last.
    stays_because: Option<String>,
}

impl MirrorArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plan = plan_name(&self.plan)?;
        let by = format!(
            "the mirror of {plan} (process {} on {})",
            std::process::id(),
            Identity::of_process().host
        );
        let _claim = Claim::take(&self.file, &by)?;
        let mut signals = Signals::take()?;
        let coordinator = invocation.connect().await?;
        let view = coordinator.plan(&plan).await?;
        let format = plan_file(&view, &self.file, self.overwrite).await?;
        let mut mirror = Mirror { plan, file: &self.file, format, written: None, stays_because: None };
        mirror.ensure_ours(&view)?;
        if self.once {
            mirror.look(&coordinator).await?;
            return Ok(Exit::Done);
        }
        tokio::select! {
            biased; // What ends it by itself says more than a signal.
            ended = mirror.follow(coordinator.clone()) => return ended,
            () = signals.next() => {}
        }
        tokio::select! {
            biased; // A second signal insists.
            () = signals.next() => return Ok(Exit::Stopped),
            looked = tokio::time::timeout(LAST_LOOK, mirror.look(&coordinator)) => match looked {
                Ok(looked) => looked?,
                Err(_) => {
                    let what = format!("{} may lack the last changes of {}: no server answers", self.file.display(), mirror.plan);
                    return Err(Failure::new(Exit::Unreachable, what)
                        .remedy("Run it with --once when one does."));
                }
            },
        }
        Ok(Exit::Done)
    }
}

/// The format of a plan file whose marks are to be kept; `None` for a state file, or one that is not there
/// yet. Every other file is refused: it would be lost.
async fn plan_file(view: &PlanView, file: &Path, overwrite: bool) -> Result<Option<Format>, Failure> {
    let path = file::whole(&file.to_string_lossy());
    // A state file can be made; all other plan files are written by others.
    let is_json = Format::of(&path).is_none_or(|format| format == Format::Taskmaster);
    if is_json && !file.exists() {
        return Ok(None);
    }
    let marks = Marks::read(file).await?;
    if let Marks::One(bytes) = &marks
        && is_json
        && (bytes.is_empty() || is_state(file, bytes))
    {
        return Ok(None);
    }
    let refused = |why: &str| {
        Failure::new(Exit::PlanExists, format!("{path} {why}")).meaning("It was not changed.").remedy(
            "Name the file that the plan was made of, a status.json, or a file that does not exist yet.",
        )
    };
    let Some(format) = marks.format(&path) else {
        return Err(refused("is neither a plan file nor the state of a plan"));
    };
    let tag = planlease_formats::tag_of(view.spec());
    match marks.changed(format, tag, &path, |_| None) {
        Ok(Some(_)) => {}
        Ok(None) => return Err(refused("is a plan file without marks that could be kept")),
        Err(problems) => return Err(refused(&format!("cannot be kept as the plan is: {problems}"))),
    }
    let is_its = |parsed: &Parsed| {
        let ids = |spec: &PlanSpec| spec.tasks.iter().map(|task| task.id.clone()).collect::<BTreeSet<_>>();
        view.spec().has_origin_of(&parsed.spec) || ids(view.spec()) == ids(&parsed.spec)
    };
    let Some(parsed) = marks.parse(format, tag, &path).ok().filter(is_its) else {
        return Err(refused(&format!("is not the file of the plan {}", view.name())));
    };
    if !overwrite {
        ensure_kept(view, &path, &parsed)?;
    }
    Ok(Some(format))
}

/// Refuses to clear marks of tasks that the plan has neither started nor changed: others have set them.
fn ensure_kept(view: &PlanView, path: &str, parsed: &Parsed) -> Result<(), Failure> {
    let is_untouched = |task: &TaskId| {
        let task = view.tasks().get(task);
        task.is_some_and(|task| task.record.attempt == 0 && task.record.transitions.is_empty())
    };
    let marked = view.pending_of_ticked(&parsed.spec).into_iter().filter(is_untouched);
    let marked: Vec<TaskId> = marked.collect();
    if marked.is_empty() {
        return Ok(());
    }
    let (plan, reasons) = (view.name(), parsed.reasons());
    let first = marked.iter().take(MAX_NAMED);
    let first: Vec<String> =
        first.filter_map(|task| Some(format!("{task} ({})", reasons.get(task)?))).collect();
    let more = if marked.len() > MAX_NAMED { ", …" } else { "" };
    let what = format!(
        "{path} has {} that the plan {plan} has never started: {}{more}",
        counted(marked.len(), "ticked task"),
        first.join(", ")
    );
    let remedy = format!(
        "If they are done, record that with `planlease plan update {path} --plan {plan} --ticked done`; --overwrite \
         clears their marks."
    );
    Err(Failure::new(Exit::OutOfStep, what)
        .meaning("The mirror would clear their marks. It was not changed.")
        .remedy(remedy))
}

/// Whether a file is the state of a plan, as a mirror writes it. A damaged one is known by its name.
fn is_state(file: &Path, bytes: &[u8]) -> bool {
    let document = serde_json::from_slice::<Value>(bytes).ok();
    let names_plan =
        document.is_some_and(|document| document.get("planPath").or(document.get("planName")).is_some());
    names_plan || file.file_name().is_some_and(|name| name == "status.json")
}

impl Mirror<'_> {
    /// Refuses to write over the state of another plan.
    fn ensure_ours(&self, view: &PlanView) -> Result<(), Failure> {
        let Ok(bytes) = std::fs::read(self.file) else { return Ok(()) };
        let Ok(present) = serde_json::from_slice::<Value>(&bytes) else { return Ok(()) };
        let document = export::document(view);
        let path = |document: &Value| document.get("planPath").and_then(Value::as_str).map(str::to_owned);
        match (path(&present), path(&document)) {
            (Some(other), Some(own)) if other != own => {
                let what = format!(
                    "{} is the state of {other}, and the plan {} is of {own}",
                    self.file.display(),
                    self.plan
                );
                Err(Failure::new(Exit::PlanExists, what)
                    .meaning("It was not written over.")
                    .remedy("Name another file, or take this one away."))
            }
            _ => Ok(()),
        }
    }

    /// Writes the plan as it is now.
    async fn look(&mut self, coordinator: &Coordinator) -> Result<(), Failure> {
        let view = coordinator.plan(&self.plan).await?;
        export::whole(&view)?;
        self.write_view(&view).await
    }

    /// Writes every change, until the plan is gone.
    async fn follow(&mut self, coordinator: Coordinator) -> Result<Exit, Failure> {
        let mut feed = Feed::open(coordinator, &Scope::plan(self.plan.clone()), None).await?;
        loop {
            self.write_seen(feed.snapshot()).await?;
            if !self.changed(&mut feed).await? {
                continue;
            }
            let deadline = Instant::now() + COLLECT;
            while let Ok(more) = tokio::time::timeout_at(deadline, self.changed(&mut feed)).await {
                more?;
            }
        }
    }

    /// Waits for news; whether they are about this plan.
    async fn changed(&self, feed: &mut Feed) -> Result<bool, Failure> {
        match feed.next().await? {
            News::Changes(set) => {
                Ok(set.resynced || set.changes.iter().any(|change| change.plan() == Some(&self.plan)))
            }
            News::Broken(why) => {
                output::tell(&format!(
                    "the connection broke ({why}); the file stays as it is until there is another"
                ));
                Ok(false)
            }
            News::Reconnected => {
                output::tell("connected again");
                Ok(false)
            }
        }
    }

    async fn write_seen(&mut self, seen: &Snapshot) -> Result<(), Failure> {
        match seen.plan(&self.plan) {
            Some(plan) => match export::whole(plan) {
                Ok(()) => self.write_view(plan).await,
                Err(failure) => {
                    self.stays(failure.what());
                    Ok(())
                }
            },
            None if seen.unreadable().any(|one| one.plan() == Some(&self.plan)) => {
                self.stays("the plan's definition cannot be read");
                Ok(())
            }
            None => {
                let failure = Failure::from(Error::PlanNotFound(self.plan.clone()));
                Err(failure.meaning(format!("{} stays as it is.", self.file.display())))
            }
        }
    }

    /// Says why the file stays as it is; once for each reason in a row.
    fn stays(&mut self, why: &str) {
        if self.stays_because.as_deref() != Some(why) {
            output::tell(&format!("{} stays as it is: {why}", self.file.display()));
            self.stays_because = Some(why.to_owned());
        }
    }

    /// Writes the plan as it is.
    async fn write_view(&mut self, view: &PlanView) -> Result<(), Failure> {
        match self.format {
            Some(format) => self.mark(format, view).await,
            None => self.write(export::document(view)),
        }
    }

    /// Sets the marks of the plan file, which is read again: others edit it.
    async fn mark(&mut self, format: Format, view: &PlanView) -> Result<(), Failure> {
        let marks = Marks::read(self.file).await?;
        let path = self.file.to_string_lossy();
        let tag = planlease_formats::tag_of(view.spec());
        let progress = |task: &TaskId| {
            let record = &view.tasks().get(task)?.record;
            Some(Progress { status: record.status, was_begun: record.attempt > 0 })
        };
        match marks.changed(format, tag, &path, progress) {
            Ok(changed) => {
                marks::write(&changed.unwrap_or_default())?;
                self.stays_because = None;
            }
            Err(problems) => self.stays(&problems.to_string()),
        }
        Ok(())
    }

    /// Writes the document, unless that is what was written last.
    fn write(&mut self, document: Value) -> Result<(), Failure> {
        self.stays_because = None;
        if self.written.as_ref() != Some(&document) {
            replace::file(self.file, export::text(&document)?.as_bytes())?;
            self.written = Some(document);
        }
        Ok(())
    }
}
