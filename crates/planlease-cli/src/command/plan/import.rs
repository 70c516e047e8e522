//! `plan import`: plans of files, each whole or not at all.

use clap::Args;
use planlease::{
    Coordinator, Error, Imported, ImportedState,
    core::{PlanName, graph::Graph},
};
use planlease_formats::Parsed;

use super::{
    file::{self, ReadArgs},
    ticked::TickedArgs,
};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, Format, ImportList, OutputArgs},
    progress::Progress,
};

/// `plan import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease plan import docs/release.md\n  planlease plan import plan.toml --plan release-1.4\n  planlease plan import plans/*.md --dry-run\n  ./make-plan | planlease plan import - --format toml --plan release"
)]
pub(crate) struct ImportArgs {
    /// The plan files, folders of tasks, or - for standard input (with --format and --plan)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// What to call the plan [default: the file's name without its extension; of a
    /// `tasks.md` or the like, its folder's]
    #[arg(long, alias = "name", value_name = "NAME")]
    plan: Option<String>,
    /// Read and check the files only; no server is asked
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: ReadArgs,
    #[command(flatten)]
    ticked: TickedArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A plan to be made.
struct Draft {
    plan: PlanName,
    file: String,
    parsed: Parsed,
    /// Whether its ticked tasks are recorded as done.
    ticked_are_done: bool,
}

impl ImportArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let mut imports = ImportList::default();
        let drafts = match self.drafts(&mut imports) {
            Ok(drafts) => drafts,
            Err(failure) => {
                if self.output.format != Format::Table {
                    invocation.show(self.output.format, &imports)?;
                }
                return Err(failure);
            }
        };
        let coordinator = match self.dry_run {
            true => None,
            false => Some(invocation.connect().await?),
        };
        if let Some(coordinator) = &coordinator {
            warn_of_pools(coordinator, &drafts).await?;
        }
        for draft in drafts {
            let imported = match &coordinator {
                None => None,
                Some(coordinator) => match draft.import(coordinator).await {
                    Ok(imported) => Some(imported),
                    Err(failure) => {
                        invocation.show(self.output.format, &imports)?; // What is there by now.
                        return Err(failure);
                    }
                },
            };
            let Draft { plan, file, parsed, ticked_are_done } = draft;
            imports.add(plan, file, &parsed, ticked_are_done, imported);
        }
        invocation.show(self.output.format, &imports)?;
        Ok(Exit::Done)
    }

    /// Reads all files, and shows the problems of all before it gives up.
    fn drafts(&self, imports: &mut ImportList) -> Result<Vec<Draft>, Failure> {
        if self.plan.is_some() && self.files.len() > 1 {
            return Err(Failure::usage("--plan names one plan, but several files are given"));
        }
        let mut drafts: Vec<Draft> = Vec::new();
        let mut failed = None;
        let mut sources = Vec::new();
        for path in &self.files {
            let tags = self.how.tags(path)?;
            match tags.is_empty() {
                true => sources.push((path, None)),
                false => sources.extend(tags.into_iter().map(|tag| (path, Some(tag)))),
            }
        }
        for (path, tag) in sources {
            match self.draft(path, tag, imports) {
                Ok(draft) => {
                    if let Some(same) = drafts.iter().find(|other| other.plan == draft.plan) {
                        let what = format!("{} and {path} would both be the plan {}", same.file, draft.plan);
                        return Err(Failure::usage(what).remedy("Import one of them alone, with --plan."));
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

    /// `tag`: which list of the file, if each of several is a plan.
    fn draft(&self, path: &str, tag: Option<String>, imports: &mut ImportList) -> Result<Draft, Failure> {
        // Of several plans, each needs a name of its own, also below a name that was given.
        let below = tag.clone().filter(|tag| self.plan.is_some() && tag != "master");
        let how = self.how.of_tag(tag);
        let parsed = file::load(path, &how)?.map_err(|problems| {
            imports.refuse(path, &problems);
            file::refused(path, &problems)
        })?;
        let mut plan = how.plan(path, self.plan.as_deref())?;
        if let Some(tag) = below {
            plan = crate::names::plan_name(&format!("{plan}-{tag}"))?;
        }
        plan.check_new()?;
        let ticked_are_done = self.ticked.of_file_are_done(path, &parsed)?;
        Ok(Draft { plan, file: path.to_owned(), parsed, ticked_are_done })
    }
}

/// Warns of pools that tasks use and no operator has defined: such tasks do not start.
async fn warn_of_pools(coordinator: &Coordinator, drafts: &[Draft]) -> Result<(), Failure> {
    let graphs = drafts.iter().map(|draft| (draft, Graph::new(&draft.parsed.spec)));
    let using: Vec<_> = graphs.filter(|(_, graph)| graph.uses_pools()).collect();
    if using.is_empty() {
        return Ok(());
    }
    let (pools, _) = coordinator.pools().await?;
    for (draft, graph) in &using {
        for pool in graph.all_pools() {
            if pools.0.get(pool).is_none_or(|view| view.definition.is_none()) {
                let quoted = pool.quoted();
                output::tell(&format!(
                    "warning: {} uses pool {pool}, which is not defined: its tasks do not start until \
                     `planlease pool set {quoted} SIZE`",
                    draft.plan
                ));
            }
        }
    }
    Ok(())
}

impl Draft {
    async fn import(&self, coordinator: &Coordinator) -> Result<Imported, Failure> {
        let Self { plan, file, parsed, ticked_are_done } = self;
        let spec = &parsed.spec;
        let past = match ticked_are_done {
            true => ImportedState::of_ticked(spec, &parsed.reasons()),
            false => ImportedState::default(),
        };
        let mut progress = Progress::new();
        let tasks = spec.tasks.len();
        let written = |n: usize| progress.say(|| format!("importing {plan}: {n} of {tasks} tasks"));
        match coordinator.admin().import_with(plan, spec, &past, written).await {
            Err(Error::PlanExists(_)) if coordinator.plan(plan).await?.spec().has_origin_of(spec) => {
                let what = format!("the plan {plan} is there already, and {file} has changed since");
                let remedy = format!(
                    "See what differs: planlease plan diff {file}; take it over: planlease plan update {file}."
                );
                Err(Failure::new(Exit::PlanExists, what).meaning("Nothing was changed.").remedy(remedy))
            }
            imported => Ok(imported?),
        }
    }
}
