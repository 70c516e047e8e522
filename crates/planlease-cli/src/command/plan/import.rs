//! `plan import`: plans of files, each whole or not at all.

use clap::Args;
use planlease::core::{PlanName, spec::PlanSpec};

use super::file;
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{ImportList, OutputArgs},
    progress::Progress,
};

/// Makes a plan of each file. All files are read first, so that a bad one changes nothing; each plan then appears whole
/// or not at all. A plan that is there already from the same file stays as it is; one from another file is refused.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan import docs/release.md\n  planlease plan import plan.toml --name release-1.4\n  planlease plan import plans/*.md --dry-run"
)]
pub(crate) struct ImportArgs {
    /// The plan files: .md, .markdown or .toml
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// What to call the plan [default: the file's name without its extension]
    #[arg(long)]
    name: Option<String>,
    /// Read and check the files only; no server is asked
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A plan to be made.
struct Draft {
    plan: PlanName,
    file: String,
    spec: PlanSpec,
}

impl ImportArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let drafts = self.drafts()?;
        let mut imports = ImportList::default();
        if self.dry_run {
            for draft in drafts {
                imports.add(draft.plan, draft.file, draft.spec.tasks.len(), None);
            }
        } else {
            let coordinator = invocation.connect().await?;
            for Draft { plan, file, spec } in drafts {
                let mut progress = Progress::new();
                let tasks = spec.tasks.len();
                let written = |n: usize| progress.say(|| format!("importing {plan}: {n} of {tasks} tasks"));
                let imported = match coordinator.import(&plan, &spec, written).await {
                    Ok(imported) => imported,
                    Err(error) => {
                        drop(progress);
                        invocation.show(self.output.format, &imports)?; // What is there by now.
                        return Err(error.into());
                    }
                };
                imports.add(plan, file, tasks, Some(imported));
            }
        }
        invocation.show(self.output.format, &imports)?;
        Ok(Exit::Done)
    }

    /// Reads all files, and tells the problems of all before it gives up.
    fn drafts(&self) -> Result<Vec<Draft>, Failure> {
        if self.name.is_some() && self.files.len() > 1 {
            return Err(Failure::usage("--name names one plan, but several files are given"));
        }
        let mut drafts: Vec<Draft> = Vec::new();
        let mut failed = None;
        for path in &self.files {
            match self.draft(path) {
                Ok(draft) => {
                    if let Some(same) = drafts.iter().find(|other| other.plan == draft.plan) {
                        let what = format!("{} and {path} would both be the plan {}", same.file, draft.plan);
                        return Err(Failure::usage(what).remedy("Import one of them alone, with --name."));
                    }
                    drafts.push(draft);
                }
                Err(failure) => {
                    if let Some(earlier) = failed.replace(failure) {
                        let _told = Failure::report(&earlier);
                    }
                }
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(drafts),
        }
    }

    fn draft(&self, path: &str) -> Result<Draft, Failure> {
        let spec = file::read(path)?.spec;
        let plan = file::plan(path, self.name.as_deref())?;
        Ok(Draft { plan, file: path.to_owned(), spec })
    }
}
