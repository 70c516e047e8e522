//! `plan diff` and `plan update`: a plan that is there, and a plan file that was edited since.

use clap::Args;
use planlease::core::{PlanName, spec::PlanSpec};

use super::file;
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{EditShown, OutputArgs},
};

/// Says what `plan update` with this file would change. Nothing is changed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan diff docs/release.md\n  planlease plan diff plan.toml --name release-1.4 -o json"
)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Makes a plan as its file says now, in one transaction, while it is executed: new tasks are added, and pending ones that are
/// not in the file any more are removed. A task that has begun is never removed, nor what it depends on; one that has ended
/// is not done again, however it is defined now. At most 40 tasks are added and removed at once.
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
    output: OutputArgs,
}

// A file, and the plan that was made of it.
#[derive(Debug, Args)]
struct SourceArgs {
    /// The plan file: .md, .markdown or .toml
    file: String,
    /// What the plan is called [default: the file's name without its extension]
    #[arg(long)]
    name: Option<String>,
}

impl SourceArgs {
    fn read(&self) -> Result<(PlanName, PlanSpec), Failure> {
        let spec = file::read(&self.file)?.spec;
        Ok((file::plan(&self.file, self.name.as_deref())?, spec))
    }
}

impl DiffArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, spec) = self.source.read()?;
        let view = invocation.connect().await?.plan(&plan).await?;
        let edit = view.edit(&spec);
        invocation.show(self.output.format, &EditShown::new(&view, &self.source.file, &edit, None))?;
        Ok(if edit.is_empty() { Exit::Done } else { Exit::OutOfStep })
    }
}

impl UpdateArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let (plan, spec) = self.source.read()?;
        let coordinator = invocation.connect().await?;
        let view = coordinator.plan(&plan).await?;
        let (edit, revision) = if self.dry_run {
            (view.edit(&spec), None)
        } else {
            let edited = coordinator.edit_plan(&plan, &spec).await?;
            (edited.edit, edited.revision)
        };
        let shown = EditShown::new(&view, &self.source.file, &edit, revision);
        invocation.show(self.output.format, &shown)?;
        Ok(Exit::Done)
    }
}
