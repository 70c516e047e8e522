//! Plans as wholes: imported, listed, shown, deleted.

use std::fmt::Write as _;

use planlease::{Imported, List, PlanView, core::WallTime};
use planlease_core::{
    PlanName, Revision, Summary, TaskId, counted, record::Halt, spec::OnLost, transition::TaskStatus,
};
use planlease_formats::{Parsed, Problems};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Cell, Document, StoreShown, Table, command_line, each, each_readable,
    halt::HaltedBy,
    owner::Ownership,
    plain,
    plan_file::{FileProblem, problems},
    status::{count, done},
    unreadable::{UnreadableView, views},
};

/// `plan list`, and `status` without a plan.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanList {
    /// Where they are; `None` from a sidecar, which has one store.
    store: Option<StoreShown>,
    plans: Vec<Listed>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanListed")]
struct Listed {
    plan: PlanName,
    title: String,
    revision: Revision,
    /// Whether every task has come to an end; failed ones too, which `summary` counts.
    finished: bool,
    /// What keeps it from going on, if anything does.
    halted: Option<HaltedBy>,
    summary: Summary,
    #[serde(flatten)]
    ownership: Ownership,
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
                finished: summary.is_finished(),
                halted: view.halt().map(HaltedBy::of),
                summary,
                ownership: Ownership::of(view.line()),
            }
        });
        Self { store: None, plans: plans.collect(), unreadable: views(&listed.unreadable) }
    }

    /// The same with the store that they are in.
    #[must_use]
    pub fn in_store(self, store: StoreShown) -> Self {
        Self { store: Some(store), ..self }
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

    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new(["PLAN", "DONE", "RUNNING", "FAILED", "OWNER", "FOR", "WAITING", "TITLE"]);
        for plan in &self.plans {
            let owner = plan.ownership.owner.as_ref();
            let title = match &plan.halted {
                Some(halted) => format!("({}) {}", halted.how, plan.title),
                None => plan.title.clone(),
            };
            table.row([
                Cell::from(&plan.plan),
                done(&plan.summary).into(),
                count(plan.summary.in_progress),
                count(plan.summary.failed),
                Cell::text(match (owner, &plan.ownership.owner_unreadable) {
                    (Some(owner), _) => &owner.orchestrator,
                    (None, Some(_)) => "unreadable",
                    (None, None) => "-",
                }),
                owner.map_or_else(|| "-".to_owned(), |owner| owner.since.age(now)).into(),
                count(plan.ownership.waiting.len()),
                Cell::text(title),
            ]);
        }
        let place = self.store.as_ref().map(|store| format!(" in {store}")).unwrap_or_default();
        let none = format!("no plans{place}; `planlease plan import FILE` makes one");
        let mut text = table.render(&none);
        if !self.plans.is_empty() && !place.is_empty() {
            text.push_str(&format!("\n{}{place}\n", counted(self.plans.len(), "plan")));
        }
        text
    }
}

/// `plan show`: the definition, with the status of each task.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanShown {
    plan: PlanName,
    title: String,
    revision: Revision,
    source: Option<Source>,
    policy: Policy,
    phases: Vec<Phase>,
    tasks: Vec<Task>,
    /// What cannot be read, and is missing here. Absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Source {
    path: String,
    sha256: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Policy {
    max_retries: u32,
    max_lost: u32,
    attempt_deadline_s: u64,
    on_lost: OnLost,
    lock_delay_s: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanPhase")]
struct Phase {
    number: String,
    name: String,
    verification: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PlanTask")]
struct Task {
    id: TaskId,
    phase: Option<String>,
    description: String,
    depends_on: Vec<TaskId>,
    steps: Vec<String>,
    command: Option<Vec<String>>,
    status: Option<TaskStatus>,
    /// Whether its box is ticked in the plan file.
    ticked: bool,
}

impl PlanShown {
    /// Of a plan.
    #[must_use]
    pub fn new(view: &PlanView) -> Self {
        let spec = view.spec();
        let policy = &spec.policy;
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
            steps: task.steps.clone(),
            command: task.command.clone(),
            status: view.status(&task.id),
            ticked: task.is_ticked(),
        });
        Self {
            plan: view.name().clone(),
            title: spec.title.clone(),
            revision: view.revision(),
            source: source.map(|source| Source { path: source.path.clone(), sha256: source.sha256.clone() }),
            policy: Policy {
                max_retries: policy.max_retries,
                max_lost: policy.max_lost,
                attempt_deadline_s: policy.attempt_deadline_s,
                on_lost: policy.on_lost,
                lock_delay_s: policy.lock_delay_s,
            },
            phases: phases.collect(),
            tasks: tasks.collect(),
            unreadable: views(view.unreadable()),
        }
    }
}

impl Document for PlanShown {
    const SCHEMA: Option<&'static str> = Some("planlease.plan.v1");

    fn unreadable(&self) -> &[UnreadableView] {
        &self.unreadable
    }

    fn table(&self, _now: WallTime) -> String {
        let mut text = format!("{}  {}\n\n", self.plan, plain(&self.title));
        let Policy { max_retries, max_lost, attempt_deadline_s, on_lost, lock_delay_s } = &self.policy;
        if let Some(source) = &self.source {
            writeln!(text, "source  {} (sha256 {})", plain(&source.path), source.sha256)
                .expect("a text can always be written to");
        }
        writeln!(
            text,
            "policy  {}, {attempt_deadline_s} s per attempt, if lost: {on_lost} ({max_lost} at most), lock delay {lock_delay_s} s\n",
            counted(*max_retries, "retry")
        )
        .expect("a text can always be written to");
        let redone = self.tasks.iter().filter(|task| task.ticked && task.status == Some(TaskStatus::Pending));
        let redone: Vec<&str> = redone.map(|task| task.id.as_str()).collect();
        if !redone.is_empty() {
            writeln!(text, "ticked in the plan file, and pending here: {}\n", redone.join(", "))
                .expect("a text can always be written to");
        }
        let has_commands = self.tasks.iter().any(|task| task.command.is_some());
        let mut table = Table::new(["TASK", "PHASE", "STATUS", "DEPENDS ON", "DESCRIPTION"]);
        if has_commands {
            table = Table::new(["TASK", "PHASE", "STATUS", "DEPENDS ON", "DESCRIPTION", "COMMAND"]);
        }
        for task in &self.tasks {
            let cells = [
                Cell::from(&task.id),
                Cell::text(task.phase.as_deref().unwrap_or("-")),
                task.status.map_or("-", TaskStatus::as_str).into(),
                Cell::text(task.depends_on.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ")),
                Cell::text(&task.description),
            ];
            let command = has_commands.then(|| Cell::text(command_line(task.command.as_deref())));
            table.row(cells.into_iter().chain(command));
        }
        text + &table.render("no tasks")
    }
}

/// `plan import`.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct ImportList {
    imports: Vec<Import>,
    /// The files that cannot be used; no plan is made then.
    refused: Vec<RefusedFile>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RefusedFile {
    file: String,
    /// At least one error; at most 100 errors and 100 warnings.
    problems: Vec<FileProblem>,
    /// How many more there are.
    left_out: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Import {
    plan: PlanName,
    file: String,
    tasks: usize,
    /// `created`, `unchanged`, or `checked` for a dry run.
    outcome: &'static str,
    revision: Option<Revision>,
    /// The tasks whose boxes are ticked.
    ticked: Vec<TaskId>,
    /// Whether these are recorded as done; otherwise they are pending like all others.
    ticked_are_done: bool,
    /// What the author of the file should know.
    warnings: Vec<FileProblem>,
    /// How many more warnings there are.
    left_out: usize,
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

    fn table(&self, _now: WallTime) -> String {
        let mut text = String::new();
        for import in &self.imports {
            let Import { plan, file, tasks, .. } = import;
            let (file, tasks) = (plain(file), counted(*tasks, "task"));
            let line = match import.outcome {
                "created" => format!("imported {plan} ({tasks}) from {file}"),
                "unchanged" => {
                    format!("{plan} is there already, imported from the same {file}; nothing was changed")
                }
                _ => format!("{plan} ({tasks}) would be imported from {file}"),
            };
            writeln!(text, "{line}").expect("a text can always be written to");
            let ticked: Vec<&str> = import.ticked.iter().map(TaskId::as_str).collect();
            if !ticked.is_empty() && import.outcome != "unchanged" {
                let are = if import.ticked_are_done { "recorded as done" } else { "pending all the same" };
                writeln!(text, "  ticked, and {are}: {}", ticked.join(", "))
                    .expect("a text can always be written to");
            }
        }
        text
    }
}

/// `plan delete`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanDeleted {
    /// The plan that is gone.
    pub deleted: PlanName,
}

impl Document for PlanDeleted {
    const SCHEMA: Option<&'static str> = Some("planlease.plan_deleted.v1");

    fn table(&self, _now: WallTime) -> String {
        format!("deleted {}\n", self.deleted)
    }
}
