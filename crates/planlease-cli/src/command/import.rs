//! `import`: what the predecessor left in files: the states of plans with their findings, and its registry.

mod differ;
mod findings;
mod folder;
mod source;

use clap::Args;
use planlease::{
    Coordinator, Error, Imported, ImportedState,
    core::{PlanName, counted},
};
use planlease_formats::state::{self, Content, Mode, Registry, StateFile};

use self::{findings::Findings, source::Found};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, OutputArgs, StateImport, StateImports},
    progress::Progress,
};

/// Import plans from JSON state files (status.json)
///
/// Reads `status.json` files, whole `plan-outputs` folders with the outputs of each plan, and an
/// `orchestrator-registry.json`.
///
/// Each plan appears whole or not at all, with the status of each task; `planlease export` returns an equal
/// document. All files are read first, each once, so that a bad one changes nothing. A file that was imported
/// before is left alone, whatever has become of its plan since; one that differs from the stored plan is
/// refused, with the differences. Tasks in progress have no live claimant: the plan's first owner recovers
/// them. The entries of a registry are shown as history; none becomes a live orchestrator.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImportArgs {
    /// State files, registries, or folders that hold some
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<String>,
    /// What to call the plan
    /// [default: the name of its folder, or of its file if that is not called status.json]
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Import what can be understood of a file with mistakes, and tell what was left out
    #[arg(long)]
    lenient: bool,
    /// Read and check the files only; no server is asked
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  planlease import docs/plan-outputs
  planlease import docs/plan-outputs/release/status.json --plan release-1.4
  planlease import status.json --lenient --dry-run -o json
  planlease import orchestrator-registry.json";

/// A plan to be made.
struct Draft {
    plan: PlanName,
    file: String,
    state: StateFile,
    findings: Findings,
}

/// Everything that was asked for, read.
#[derive(Default)]
struct Read {
    drafts: Vec<Draft>,
    registries: Vec<(String, Registry)>,
    /// The first reason why something of it cannot be used; it is shown at the end.
    failed: Option<Failure>,
}

impl ImportArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let mut read = self.read()?;
        if let Some(failure) = read.failed.take_if(|_| !self.lenient) {
            return Err(failure);
        }
        let mut imports = StateImports::default();
        for (file, registry) in &read.registries {
            imports.add_registry(file, registry);
        }
        let coordinator = match self.dry_run || read.drafts.is_empty() {
            true => None,
            false => Some(invocation.connect().await?),
        };
        for draft in &read.drafts {
            let import = match &coordinator {
                None => Ok(draft.shown("checked")),
                Some(coordinator) => draft.import(coordinator).await,
            };
            match import {
                Ok(import) => imports.add(import),
                Err((import, failure)) => {
                    imports.add(import);
                    read.failed = read.failed.or(Some(failure));
                }
            }
        }
        invocation.show(self.output.format, &imports)?;
        read.failed.map_or(Ok(Exit::Done), Err)
    }

    /// Reads all files, and shows the problems of all.
    fn read(&self) -> Result<Read, Failure> {
        let mut found = Vec::new();
        for path in &self.paths {
            found.extend(folder::find(path)?);
        }
        let mut read = Read::default();
        for found in found {
            if let Err(failure) = self.read_one(&found, &mut read)
                && let Some(more) = read.failed.replace(failure)
            {
                let _told = more.report();
            }
        }
        self.check_names(&read.drafts)?;
        Ok(read)
    }

    fn read_one(&self, found: &Found, read: &mut Read) -> Result<(), Failure> {
        let mode = if self.lenient { Mode::Lenient } else { Mode::Strict };
        let bytes = source::read(&found.path, state::MAX_STATE_FILE)?;
        let content = state::read(&found.path, &bytes, mode).map_err(|problems| {
            source::tell(&problems.listed);
            source::refused(&found.path, &problems)
        })?;
        match content {
            Content::Registry(registry) => {
                source::tell(&registry.warnings);
                read.registries.push((found.path.clone(), registry));
            }
            Content::Plan(state) => {
                source::tell(&state.warnings);
                source::tell(&state.derived);
                let plan = match &self.plan {
                    Some(name) => plan_name(name)?,
                    None => source::plan_name(&found.path, state.plan_path.as_deref())?,
                };
                plan.check_new()?;
                let findings = match &found.outputs {
                    Some(folder) => Findings::read(folder, &state)?,
                    None => Findings::default(),
                };
                for warning in &findings.warnings {
                    output::tell(warning);
                }
                read.drafts.push(Draft { plan, file: found.path.clone(), state: *state, findings });
            }
        }
        Ok(())
    }

    /// Two files cannot become one plan.
    fn check_names(&self, drafts: &[Draft]) -> Result<(), Failure> {
        if self.plan.is_some() && drafts.len() > 1 {
            return Err(Failure::usage("--plan names one plan, but there are several state files"));
        }
        for (n, draft) in drafts.iter().enumerate() {
            if let Some(same) = drafts[..n].iter().find(|other| other.plan == draft.plan) {
                let what = format!("{} and {} would both be the plan {}", same.file, draft.file, draft.plan);
                return Err(Failure::usage(what).remedy("Import one of them alone, with --plan."));
            }
        }
        Ok(())
    }
}

impl Draft {
    fn shown(&self, outcome: &'static str) -> StateImport {
        StateImport::new(self.plan.clone(), &self.file, &self.state, outcome)
            .with_findings(self.findings.records.len(), &self.findings.warnings)
    }

    async fn import(&self, coordinator: &Coordinator) -> Result<StateImport, (StateImport, Failure)> {
        let Self { plan, state, findings, .. } = self;
        let past = ImportedState { records: state.records(), findings: findings.records.clone() };
        let tasks = state.spec.tasks.len();
        let mut progress = Progress::new();
        let written = |n: usize| progress.say(|| format!("importing {plan}: {n} of {tasks} tasks"));
        let imported = coordinator.admin().import_with(plan, &state.spec, &past, written).await;
        drop(progress);
        match imported {
            Ok(Imported::Created(revision)) => Ok(self.shown("created").at(revision)),
            Ok(Imported::Unchanged) => Ok(self.shown("unchanged")),
            Err(Error::PlanExists(_)) => self.compare(coordinator).await,
            Err(error) => Err((self.shown("failed"), error.into())),
        }
    }

    /// There is a plan of this name that was not imported from this very file: whether it says the same all
    /// the same.
    async fn compare(&self, coordinator: &Coordinator) -> Result<StateImport, (StateImport, Failure)> {
        let view = match coordinator.plan(&self.plan).await {
            Ok(view) => view,
            Err(error) => return Err((self.shown("failed"), error.into())),
        };
        let present = crate::command::export::document(&view);
        let differences = differ::differences(&present, &self.state.document(&self.plan));
        if differences.is_empty() {
            return Ok(self.shown("unchanged"));
        }
        let what = format!(
            "{} says something else than the plan {} that is there: {}",
            self.file,
            self.plan,
            differences.first().map_or("", String::as_str)
        );
        let failure = Failure::new(Exit::PlanExists, what)
            .meaning(format!("Nothing of it was changed; it differs in {}.", counted(differences.len(), "place")))
            .remedy("Import it as another plan, with --plan NAME, or delete the plan first: planlease plan delete.");
        Err((self.shown("refused").differing(differences), failure))
    }
}
