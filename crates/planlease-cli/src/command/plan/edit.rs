//! `plan diff` and `plan update`: a plan that is there, and a plan file that was edited since.

use clap::Args;
use planlease::{
    ImportedState, PlanView,
    core::{
        PlanName,
        spec::{PlanSpec, Source},
    },
};
use planlease_formats::Parsed;

use super::{
    file::{self, ReadArgs},
    ticked::TickedArgs,
};
use crate::{
    confirm::{self, ConfirmArgs},
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{EditView, Format, OutputArgs},
};

/// Says what `plan update` with this file would change. Nothing is changed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan diff docs/release.md\n  planlease plan diff plan.toml --plan release-1.4 -o json"
)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Makes a plan as its file says now, in one transaction, while it is executed: new tasks are added, and
/// pending ones that are not in the file any more are removed. A task that has begun is never removed, nor
/// what it depends on; one that has ended is not done again, however it is defined now. At most 40 tasks are
/// added and removed at once. A plan that was made of another file is only changed if --plan names it, or
/// after a confirmation.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan update docs/release.md --dry-run\n  planlease plan update docs/release.md"
)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Only say what would be changed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    ticked: TickedArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

// A file, and the plan that was made of it.
#[derive(Debug, Args)]
struct SourceArgs {
    /// The plan file, a folder of tasks, or - for standard input (with --format and --plan)
    file: String,
    #[command(flatten)]
    how: ReadArgs,
    /// What the plan is called [default: the file's name without its extension; of a
    /// `tasks.md` or the like, its folder's]
    #[arg(long, alias = "name", value_name = "NAME")]
    plan: Option<String>,
}

impl SourceArgs {
    fn read(&self, format: Format, invocation: &Invocation) -> Result<(PlanName, Parsed), Failure> {
        let parsed = file::read(&self.file, &self.how, format, invocation)?;
        Ok((self.how.plan(&self.file, self.plan.as_deref())?, parsed))
    }

    /// Asks before a plan is changed that was made of another file, unless the plan was named.
    fn confirm_origin(&self, view: &PlanView, file: &PlanSpec, confirm: ConfirmArgs) -> Result<(), Failure> {
        if self.plan.is_some() || confirm.yes || view.spec().has_origin_of(file) {
            return Ok(());
        }
        let plan = view.name();
        let source = match &view.spec().source {
            Some(source) => format!("the plan {plan} was made of another file, {}", source.full_path()),
            None => format!("the plan {plan} was not made of a file"),
        };
        if confirm::can_ask() {
            return confirm.by_name(plan.as_str(), &format!("{source}: this makes it as {} says", self.file));
        }
        Err(Failure::new(Exit::PlanExists, format!("{source}, not of {}", file.source.as_ref().map_or(self.file.as_str(), Source::full_path)))
            .meaning("Nothing was changed.")
            .remedy(format!(
                "If it is the same plan, say --plan {plan}; else import it under another name: planlease plan import {} \
                 --plan NAME.",
                self.file
            )))
    }
}

impl DiffArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, parsed) = self.source.read(self.output.format, invocation)?;
        let view = invocation.connect().await?.plan(&plan).await?;
        let edit = view.edit(&parsed.spec);
        let shown = EditView::new(&view, &self.source.file, &edit, None);
        invocation.show(self.output.format, &shown.with_file(&view, &parsed, Vec::new()))?;
        Ok(if edit.is_empty() { Exit::Done } else { Exit::OutOfStep })
    }
}

impl UpdateArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, parsed) = self.source.read(self.output.format, invocation)?;
        let spec = &parsed.spec;
        let coordinator = invocation.connect().await?;
        let view = coordinator.plan(&plan).await?;
        let pending = view.pending_of_ticked(spec);
        let new = spec.ticked().map(|task| &task.id).filter(|task| view.status(task).is_none());
        let ticked: Vec<_> = pending.iter().chain(new).collect();
        if self.dry_run {
            let done = self.ticked.are_done_unasked(&parsed);
            let recorded = ticked.into_iter().filter(|_| done).cloned().collect();
            let shown = EditView::new(&view, &self.source.file, &view.edit(spec), None);
            invocation.show(self.output.format, &shown.with_file(&view, &parsed, recorded))?;
            return Ok(Exit::Done);
        }
        self.source.confirm_origin(&view, spec, self.confirm)?;
        let are_done = self.ticked.are_done(&self.source.file, &parsed, &ticked)?;
        let (mut recorded, mut past) = (Vec::new(), ImportedState::default());
        if are_done {
            recorded = coordinator.admin().skip_ticked(&plan, spec, &invocation.operator()).await?;
            past = ImportedState::of_ticked(spec, &parsed.reasons());
        }
        let edited = coordinator.admin().edit_with(&plan, spec, &past).await?;
        recorded.extend(edited.edit.added.iter().filter(|task| past.records.contains_key(*task)).cloned());
        let shown = EditView::new(&view, &self.source.file, &edited.edit, edited.revision);
        invocation.show(self.output.format, &shown.with_file(&view, &parsed, recorded))?;
        Ok(Exit::Done)
    }
}
