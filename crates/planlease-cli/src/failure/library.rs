//! What the library's errors mean to a person, and which status each has.

use planlease::{
    ConfigError, Error,
    core::{InvalidName, PlanName, unreadable::Unreadable, view::MissingTask},
    error_chain,
};

use super::Failure;
use crate::exit::Exit;

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::new(Exit::BadName, error.to_string())
            .remedy("Names have no `/`, no control characters, and do not begin with `-` or a blank.")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let exit = match error {
            ConfigError::Timing(_) => Exit::BadTtl,
            ConfigError::Tls { .. } | ConfigError::TlsUnused => Exit::Tls,
            ConfigError::Secret { .. } => Exit::UnreadableFile,
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
            .remedy("`planlease context show` shows where each setting comes from.")
    }
}

impl From<MissingTask> for Failure {
    fn from(missing: MissingTask) -> Self {
        Error::from(missing).into()
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Error::from(unreadable).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let what = error_chain(&error);
        match error {
            Error::Config(error) => error.into(),
            Error::Name(error) => error.into(),
            error => {
                let (exit, meaning, remedy) = explain(&error);
                let mut failure = Self::new(exit, what);
                if !meaning.is_empty() {
                    failure = failure.meaning(meaning);
                }
                if !remedy.is_empty() {
                    failure = failure.remedy(about(&error, remedy));
                }
                failure
            }
        }
    }
}

/// The remedy with the name of the plan that the error is about, to be pasted.
fn about(error: &Error, remedy: &str) -> String {
    match plan_of(error) {
        Some(plan) => remedy.replace("PLAN", &plan.quoted()),
        None => remedy.to_owned(),
    }
}

fn plan_of(error: &Error) -> Option<&PlanName> {
    match error {
        Error::TaskNotFound { plan, .. }
        | Error::PlanClosed { plan, .. }
        | Error::NothingLeft { plan, .. }
        | Error::PlanOwned { plan, .. }
        | Error::OtherOwner { plan, .. }
        | Error::PlanFinished(plan)
        | Error::PlanExists(plan) => Some(plan),
        _ => None,
    }
}

/// What to do about it.
pub(crate) fn remedy(error: &Error) -> &'static str {
    match explain(error).2 {
        "" => "Run it again with -vv, which shows more.",
        remedy => remedy,
    }
}

const UNCHANGED: &str = "Nothing was changed.";

/// What to do where the local server has no folder in which it can work.
pub(crate) const USABLE_FOLDER: &str = "Correct that; or set XDG_STATE_HOME (or HOME) to a folder that this user can \
                                        write to; or name an etcd with --endpoints.";

/// Status, meaning, remedy.
fn explain(error: &Error) -> (Exit, &'static str, &'static str) {
    match error {
        Error::Config(_) | Error::Name(_) | Error::InvalidPool { .. } => (Exit::Usage, "", ""),
        Error::Unreachable(_) => (
            Exit::Unreachable,
            UNCHANGED,
            "Look whether etcd runs there; `planlease doctor` tests each endpoint.",
        ),
        Error::LocalServer(_) => (Exit::Unreachable, UNCHANGED, USABLE_FOLDER),
        Error::OutcomeUnknown(_) => (
            Exit::OutcomeUnknown,
            "It may still be carried out.",
            "Look (`planlease status`) before doing it again.",
        ),
        Error::Tls(_) => {
            (Exit::Tls, UNCHANGED, "Check --cacert, --cert, --key, and that the endpoint speaks TLS.")
        }
        Error::Unauthenticated(_) => (Exit::Unauthenticated, UNCHANGED, "Check --user and --password-file."),
        Error::PermissionDenied(_) => (
            Exit::NotPermitted,
            "Nothing was changed; this user may perhaps only read.",
            "Grant it reading and writing of the prefix (--root), or use another user.",
        ),
        Error::NoSpace(_) => (
            Exit::NoSpace,
            "Nothing can be written until there is room; reading and releasing still work.",
            "Then: etcdctl compact REVISION; etcdctl defrag; etcdctl alarm disarm.",
        ),
        Error::TtlNotGranted { .. } => (
            Exit::BadTtl,
            "A plan would be free later after a crash than you asked for; nothing was changed.",
            "Ask for that --ttl or more.",
        ),
        Error::ServerTooOld { .. } => {
            (Exit::ServerTooOld, UNCHANGED, "Upgrade etcd; 3.5.30 or 3.6.11 and newer are recommended.")
        }
        Error::StoreMoved { .. } | Error::StoreRestored(_) => {
            (Exit::StoreMoved, UNCHANGED, "`planlease doctor --adopt-store` adopts it.")
        }
        Error::PoolInUse { .. } => (
            Exit::InUse,
            UNCHANGED,
            "Set its size to 0 (`planlease pool set NAME 0`), wait until its permits are released, and try again.",
        ),
        Error::LockPermits { .. } => {
            (Exit::InUse, UNCHANGED, "Give the same --permits in all commands that use the lock.")
        }
        Error::NotOwned(_) | Error::HandOver(_) => (Exit::NotOwned, UNCHANGED, ""),
        Error::TaskNotFound { .. } => (Exit::NoSuchTask, "", "`planlease task list PLAN` shows its tasks."),
        Error::IdentityTaken(_) => (Exit::NameTaken, UNCHANGED, "Give the process another name."),
        Error::HeldLocally(_) | Error::LockedLocally { .. } => (Exit::OwnedByOther, UNCHANGED, ""),
        Error::AuthorityLost(_) | Error::LockLost { .. } => (
            Exit::AuthorityLost,
            "Nothing more is written under it; another process may own the plan by now.",
            "",
        ),
        Error::Unsound(_) => (Exit::BadPlanFile, UNCHANGED, ""),
        Error::Unreadable(_) => (
            Exit::BadRecord,
            "A newer planlease wrote it, or it is damaged. Nothing was changed; the other records can be used.",
            "`planlease doctor` lists all that cannot be read; docs/operations.md says how to repair them.",
        ),
        Error::Codec(_) => (Exit::BadRecord, UNCHANGED, ""),
        Error::EditTooLarge { .. } | Error::EditTooWide { .. } => {
            (Exit::BadRecord, UNCHANGED, "Edit the file, and update the plan, in several steps.")
        }
        Error::BatchTooLarge { .. } => {
            (Exit::Usage, UNCHANGED, "Leave --atomic out, or make the change in several steps.")
        }
        Error::BatchNotPossible(_) => (Exit::Usage, UNCHANGED, ""),
        Error::Compacted => (
            Exit::HistoryGone,
            "etcd keeps its history until compaction only.",
            "Begin with a later revision.",
        ),
        Error::TimedOut(_) => (Exit::TimedOut, UNCHANGED, ""),
        about_plan => explain_plan(about_plan),
    }
}

/// The same, of what can be wrong with a plan as a whole.
fn explain_plan(error: &Error) -> (Exit, &'static str, &'static str) {
    match error {
        Error::PlanNotFound(_) => {
            (Exit::NoSuchPlan, "", "`planlease plan list` shows all plans of the namespace.")
        }
        Error::PlanClosed { .. } => (
            Exit::Halted,
            "No process can own it, and nothing is started in it.",
            "`planlease plan resume PLAN` reopens it.",
        ),
        Error::Cordoned { .. } => (
            Exit::Halted,
            "It takes no new plan; nothing was changed.",
            "`planlease orchestrator uncordon NAME` lets it take plans again.",
        ),
        Error::CannotMove { .. } => (
            Exit::Halted,
            "Nothing was changed; the present owner goes on.",
            "`planlease orchestrator list` shows which orchestrators live and take plans.",
        ),
        Error::PlanFinished(_) => (
            Exit::PlanFinished,
            "There is nothing to cancel; nothing was changed.",
            "`planlease plan archive PLAN` puts it away.",
        ),
        Error::NothingLeft { .. } => (
            Exit::PlanFinished,
            UNCHANGED,
            "`planlease why PLAN` shows where each task stands; `planlease task retry` puts a failed one back.",
        ),
        Error::PlanExists(_) => (
            Exit::PlanExists,
            "It was made of another file; nothing was changed.",
            "Choose another name with --plan NAME; if it is the same plan: planlease plan diff FILE --plan PLAN.",
        ),
        Error::ImportUnderWay { .. } => (
            Exit::PlanExists,
            UNCHANGED,
            "Wait for it; if that process is dead, its mark is gone within a TTL.",
        ),
        Error::PlanOwned { .. } | Error::OtherOwner { .. } => {
            (Exit::OwnedByOther, UNCHANGED, "`planlease owner show PLAN` shows the owner and the queue.")
        }
        _ => (Exit::Unexpected, "", ""),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use planlease::{
        AuthorityLoss,
        core::{
            OrchestratorId, PlanName, Summary, TaskId,
            session::{LossReason, Timing},
        },
    };

    use super::*;

    #[test]
    fn failures_that_scripts_distinguish_have_their_own_status() {
        let plan = || PlanName::new("p").unwrap();
        let id = || OrchestratorId::new("o").unwrap();
        let task = TaskId::new("1").unwrap();
        let short = Timing { ttl: Duration::from_secs(1), margin: Duration::from_millis(100) };
        let by = || "an operator".to_owned();
        let errors = [
            (Error::PlanNotFound(plan()), Exit::NoSuchPlan),
            (Error::TaskNotFound { plan: plan(), task }, Exit::NoSuchTask),
            (Error::PlanExists(plan()), Exit::PlanExists),
            (Error::PlanFinished(plan()), Exit::PlanFinished),
            (Error::NothingLeft { plan: plan(), summary: Summary::default() }, Exit::PlanFinished),
            (Error::ImportUnderWay { plan: plan(), by: by() }, Exit::PlanExists),
            (Error::PlanOwned { plan: plan(), by: by() }, Exit::OwnedByOther),
            (Error::OtherOwner { plan: plan(), by: by(), expected: id() }, Exit::OwnedByOther),
            (Error::NotOwned(plan()), Exit::NotOwned),
            (Error::CannotMove { plan: plan(), to: id(), why: by() }, Exit::Halted),
            (Error::IdentityTaken(id()), Exit::NameTaken),
            (Error::AuthorityLost(AuthorityLoss::Ownership(plan())), Exit::AuthorityLost),
            (Error::AuthorityLost(AuthorityLoss::Session(LossReason::DeadlinePassed)), Exit::AuthorityLost),
            (Error::Unsound(Vec::new()), Exit::BadPlanFile),
            (Error::EditTooLarge { tasks: 61, most: 60 }, Exit::BadRecord),
            (Error::Compacted, Exit::HistoryGone),
            (Error::TimedOut("waiting"), Exit::TimedOut),
            (Error::ServerTooOld { version: "3.3.0".into(), needed: "3.4.0" }, Exit::ServerTooOld),
            (Error::StoreMoved { recorded: "a".into(), found: "b".into() }, Exit::StoreMoved),
            (Error::Config(short.validate().unwrap_err().into()), Exit::BadTtl),
            (Error::Config(ConfigError::TlsUnused), Exit::Tls),
            (
                Error::Config(ConfigError::Secret { path: "ca.pem".into(), reason: "none".into() }),
                Exit::UnreadableFile,
            ),
            (Error::Config(ConfigError::NoEndpoint), Exit::Usage),
            (PlanName::new("a/b").unwrap_err().into(), Exit::BadName),
        ];
        for (error, exit) in errors {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(failure.exit(), exit, "{text}");
            assert!((1..=3).contains(&failure.lines().count()), "{text}");
        }
    }

    #[test]
    fn a_failure_has_three_short_lines_at_most() {
        let failure = Failure::from(Error::PlanNotFound(PlanName::new("p").unwrap()));
        assert_eq!(failure.exit(), Exit::NoSuchPlan);
        let lines: Vec<&str> = failure.lines().collect();
        assert_eq!(lines, ["there is no plan p", "`planlease plan list` shows all plans of the namespace."]);
        let failure = Failure::from(PlanName::new("a/b").unwrap_err());
        assert_eq!(failure.exit(), Exit::BadName);
        assert_eq!(failure.lines().count(), 2);
    }
}
