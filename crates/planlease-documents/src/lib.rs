//! What planlease shows: JSON documents for programs, which the command line and the sidecar share, and
//! tables for people.
//!
//! The JSON is stable: a document names its schema, as `planlease.status.v1`; fields may be added to it, and
//! whatever else changes gives it a new name. Times are RFC 3339 in UTC, durations are in seconds, names are
//! in `snake_case`. Field by field: `docs/json.md`, which is made from the types here.
//!
//! `wire` holds the documents; `tables`, behind the feature of that name, shows them to people. Only the
//! command line enables it: a sidecar has no terminal, and no table library.

pub mod cells;
#[cfg(all(test, feature = "tables"))]
mod fixture;
mod prime;
mod printable;
mod read;
mod refusal;
#[cfg(feature = "tables")]
mod tables;
#[cfg(all(test, feature = "tables"))]
mod tests;
mod time;
mod wire;

#[cfg(feature = "tables")]
pub use self::tables::{
    table::{Cell, Table, command_line},
    tabular::{Format, Tabular, text},
    task::describe as describe_task,
    watch::ChangesInWords,
};
pub use self::{
    prime::{MAX_PRIME, Manner, Prime, prime_plans},
    printable::{Printable, Style, escape_json, plain},
    refusal::{RefusalView, pool_remedy},
    time::{Time, duration},
    wire::{
        attention::AttentionList,
        audit::AuditReport,
        claim::ClaimView,
        deps::DependencyGraph,
        diagnosis::{Diagnosis, Finding, Verdict},
        document::{Document, each, json, marked},
        edit::EditView,
        error::ErrorView,
        estimate::EstimateView,
        fence::{FenceChecked, FenceList, Highest},
        findings::{FindingsList, FindingsView, FindingsWritten},
        halt::HaltView,
        import::{StateImport, StateImports},
        lock::LockList,
        next::NextTasks,
        orchestrator::OrchestratorList,
        owner::{OwnerView, ReleasedView, TermList},
        phases::PhaseList,
        plan::{DefinitionView, ImportList, PlanDeleted, PlanList},
        plan_file::{FileProblem, PlanFile},
        pool::{PoolChanged, PoolDetail, PoolList},
        server::ServerStatus,
        status::PlanStatus,
        steering::{EligibilityView, FleetView, MoveView},
        store::StoreView,
        task::{AllTasks, TaskDetailView, TaskList, TaskOrder, TaskUpdate},
        unreadable::UnreadableView,
        updates::{HaltViews, TaskUpdates},
        watch::{ChangesView, SnapshotView},
        why::{WhyPlan, WhyTask},
        worktree::{Tidied, WorktreeList, WorktreeStatusView, WorktreesTidied},
    },
};
