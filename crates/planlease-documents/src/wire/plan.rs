//! Plans as wholes: imported, listed, shown, deleted.

use planlease::{Imported, List, PlanView};
use planlease_core::{
    PlanName, PlanState, Revision, Summary, TaskId,
    approval::ApprovalOf,
    record::{Halt, HaltRecord},
    transition::TaskStatus,
};
use planlease_formats::{Parsed, Problems};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    document::{Document, each, each_readable},
    halt::HaltedBy,
    owner::Ownership,
    plan_file::{FileProblem, problems},
    policy::{ByOrder, Demands, Policy},
    store::StoreView,
    unreadable::{UnreadableView, views},
};

/// `plan list`, and `status` without a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanList {
    /// Where they are; `None` from a sidecar, which has one store.
    pub(crate) store: Option<StoreView>,
    /// Who paused the fleet, if it is paused: nothing starts. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet_paused: Option<HaltedBy>,
    pub(crate) plans: Vec<Listed>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanListed")]
pub(crate) struct Listed {
    pub(crate) plan: PlanName,
    pub(crate) title: String,
    pub(crate) revision: Revision,
    /// Whether it goes on by itself, and if not, what it needs, in one word.
    pub(crate) state: PlanState,
    /// Whether every task has come to an end; failed ones too, which `summary` counts.
    pub(crate) finished: bool,
    /// What keeps it from going on, if anything does.
    pub(crate) halted: Option<HaltedBy>,
    pub(crate) summary: Summary,
    #[serde(flatten)]
    pub(crate) ownership: Ownership,
}

impl PlanList {
    /// `all`: also those that are archived.
    #[must_use]
    pub fn new(listed: &List<PlanView>, all: bool) -> Self {
        let archived = |view: &&PlanView| view.halt().is_some_and(|halt| halt.how == Halt::Archived);
        let plans = listed.iter().filter(|view| all || !archived(view)).map(|view| {
            let summary = view.summary();
            Listed {
                plan: view.name().clone(),
                title: view.spec().title.clone(),
                revision: view.revision(),
                state: PlanState::of(view),
                finished: summary.is_finished(),
                halted: view.halt().map(HaltedBy::of),
                summary,
                ownership: Ownership::of(view.queue()),
            }
        });
        let unreadable = views(&listed.unreadable);
        Self { store: None, fleet_paused: None, plans: plans.collect(), unreadable }
    }

    /// The same with the store that they are in.
    #[must_use]
    pub fn in_store(self, store: StoreView) -> Self {
        Self { store: Some(store), ..self }
    }

    /// The same in a fleet with this pause, if it is paused.
    #[must_use]
    pub fn in_fleet(self, pause: Option<&HaltRecord>) -> Self {
        Self { fleet_paused: pause.map(HaltedBy::of), ..self }
    }
}

impl Document for PlanList {
    const SCHEMA: Option<&'static str> = Some("planlease.plans.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each_readable("planlease.plan_listed.v1", &self.plans, &self.unreadable)
    }
}

/// `plan show`: the definition, with the status of each task.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DefinitionView {
    pub(crate) plan: PlanName,
    pub(crate) title: String,
    pub(crate) revision: Revision,
    pub(crate) source: Option<Source>,
    pub(crate) policy: Policy,
    pub(crate) phases: Vec<Phase>,
    pub(crate) tasks: Vec<Task>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) sha256: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanPhase")]
pub(crate) struct Phase {
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) verification: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanTask")]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) phase: Option<String>,
    pub(crate) description: String,
    pub(crate) depends_on: Vec<TaskId>,
    /// What it waits for by the order of phases and sections. Absent if nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) waits_by_order: Vec<ByOrder>,
    pub(crate) steps: Vec<String>,
    pub(crate) command: Option<Vec<String>>,
    /// What a person has to approve of it. Absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<ApprovalOf>,
    #[serde(flatten)]
    pub(crate) demands: Demands,
    pub(crate) status: Option<TaskStatus>,
    /// Whether its box is ticked in the plan file.
    pub(crate) ticked: bool,
    /// The policies in force for it, where it has some of its own. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Policy>,
}

impl DefinitionView {
    /// Of a plan.
    #[must_use]
    pub fn new(view: &PlanView) -> Self {
        let spec = view.spec();
        let source = spec.source.as_ref();
        let phases = spec.phases.iter().map(|phase| Phase {
            number: phase.number.clone(),
            name: phase.name.clone(),
            verification: phase.verification.clone(),
        });
        let tasks = spec.tasks.iter().map(|task| Task {
            id: task.id.clone(),
            phase: task.phase.clone(),
            description: task.description.clone(),
            depends_on: task.depends_on.clone(),
            waits_by_order: ByOrder::of(&task.id, view.graph()),
            steps: task.steps.clone(),
            command: task.command.clone(),
            approval: task.approval,
            demands: Demands::of(task, view.graph()),
            status: view.status(&task.id),
            ticked: task.is_ticked(),
            policy: task.policy.is_some().then(|| Policy::of(&spec.policy_of(task))),
        });
        Self {
            plan: view.name().clone(),
            title: spec.title.clone(),
            revision: view.revision(),
            source: source.map(|source| Source { path: source.path.clone(), sha256: source.sha256.clone() }),
            policy: Policy::of(&spec.policy),
            phases: phases.collect(),
            tasks: tasks.collect(),
            unreadable: views(view.unreadable()),
        }
    }
}

impl Document for DefinitionView {
    const SCHEMA: Option<&'static str> = Some("planlease.plan.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }
}

/// `plan import`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct ImportList {
    pub(crate) imports: Vec<Import>,
    /// The files that cannot be used; no plan is made then.
    pub(crate) refused: Vec<RefusedFile>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RefusedFile {
    pub(crate) file: String,
    /// At least one error; at most 100 errors and 100 warnings.
    pub(crate) problems: Vec<FileProblem>,
    /// How many more there are.
    pub(crate) left_out: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Import {
    pub(crate) plan: PlanName,
    pub(crate) file: String,
    pub(crate) tasks: usize,
    /// `created`, `unchanged`, or `checked` for a dry run.
    pub(crate) outcome: &'static str,
    pub(crate) revision: Option<Revision>,
    /// The tasks whose boxes are ticked.
    pub(crate) ticked: Vec<TaskId>,
    /// Whether these are recorded as done; otherwise they are pending like all others.
    pub(crate) ticked_are_done: bool,
    /// What the author of the file should know.
    pub(crate) warnings: Vec<FileProblem>,
    /// How many more warnings there are.
    pub(crate) left_out: usize,
}

impl ImportList {
    /// Adds a file that cannot be used.
    pub fn refuse(&mut self, file: &str, found: &Problems) {
        let (file, problems, left_out) = (file.to_owned(), problems(&found.listed), found.left_out);
        self.refused.push(RefusedFile { file, problems, left_out });
    }

    /// Adds a file; `None` for a dry run. `ticked_are_done`: how its ticked boxes count.
    pub fn add(
        &mut self,
        plan: PlanName,
        file: String,
        parsed: &Parsed,
        ticked_are_done: bool,
        imported: Option<Imported>,
    ) {
        let (outcome, revision) = match imported {
            Some(Imported::Created(revision)) => ("created", Some(revision)),
            Some(Imported::Unchanged) => ("unchanged", None),
            None => ("checked", None),
        };
        self.imports.push(Import {
            plan,
            file,
            tasks: parsed.spec.tasks.len(),
            outcome,
            revision,
            ticked: parsed.spec.ticked().map(|task| task.id.clone()).collect(),
            ticked_are_done,
            warnings: problems(&parsed.warnings),
            left_out: parsed.left_out,
        });
    }
}

impl Document for ImportList {
    const SCHEMA: Option<&'static str> = Some("planlease.imports.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        let mut lines = each("planlease.import.v1", &self.imports)?;
        lines.extend(each("planlease.refused_file.v1", &self.refused)?);
        Ok(lines)
    }
}

/// `plan delete`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanDeleted {
    /// The plan that is gone.
    pub deleted: PlanName,
    /// Whether this shows only what would be done; nothing was changed then. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl Document for PlanDeleted {
    const SCHEMA: Option<&'static str> = Some("planlease.plan_deleted.v1");
}
