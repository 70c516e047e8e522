//! The exit statuses: every one that this program has, with its meaning. Documented by `planlease --help`.
//!
//! What can happen while a command of the user runs below `run`, `hold` or `lock` is 100 or more, so that the
//! command's own status can be passed on and still be distinguished. 125 and above are left to shells and
//! signals (126, 127, 128 + n).

use std::fmt::Write as _;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// What was asked for was done.
    Done,
    /// Something that has no status of its own: the system, or a bug.
    Unexpected,
    /// The command line or the settings.
    Usage,
    /// A plan file has problems; they were listed.
    BadPlanFile,
    /// A file cannot be read, or is too large.
    UnreadableFile,
    /// `audit` found violations, or `doctor` something that needs a hand.
    FoundProblems,
    /// `dev`, `sidecar` or a listener of `run` cannot serve: the data folder or the address is in use, or
    /// others could connect.
    CannotServe,
    /// The history that was asked for is compacted.
    HistoryGone,
    /// The plan has no owner.
    NotOwned,
    /// The plan exists already, with other contents.
    PlanExists,
    /// `run` did what can be done, but tasks have failed, or wait for ones that have.
    TasksFailed,
    /// `run` was asked to stop before everything was done.
    Stopped,
    /// A plan is not as its file says.
    OutOfStep,
    /// There is nothing to claim.
    NothingReady,
    /// The commands of a plan do not start on this host.
    CannotStart,
    /// A limit leaves no room for one more worktree; nothing was made.
    NoRoom,
    /// A worktree holds work that is nowhere else.
    HasWork,
    /// git cannot be started, or says no.
    GitFailed,
    /// There is no such worktree.
    NoSuchWorktree,
    /// The name, path or branch of a worktree is taken.
    WorktreeTaken,
    /// What was printed could not be written.
    OutputLost,
    /// What was asked for is not there: findings or output of a task that exists, or a pool.
    NothingStored,
    /// A sidecar answers, and says that it is not ready.
    NotReady,
    /// Of several changes some were made and some were not.
    Partial,
    /// What `fence` keeps about a resource cannot be read or written.
    BadFenceState,
    /// Others use the local server, a pool or a lock, or mirror the same file.
    InUse,
    /// A status that the user's own command ended with; passed on.
    Child(u8),
    /// Another process owns the plan, or is expected not to and does.
    OwnedByOther,
    /// The ownership, the session, or the right to write is over.
    AuthorityLost,
    /// No server answers; nothing was changed.
    Unreachable,
    /// A request was sent and no answer came: it may or may not have been carried out.
    OutcomeUnknown,
    /// There is no such plan.
    NoSuchPlan,
    /// The plan has no such task.
    NoSuchTask,
    /// The task's status does not allow the change.
    WrongTransition,
    /// Another process has claimed the task.
    Claimed,
    /// The plan or the fleet is paused, or the plan is closed, or an orchestrator cannot take it.
    Halted,
    /// Every task of the plan is done.
    PlanFinished,
    /// The task was changed since it was looked at (`--expect-revision`, or an attempt that is over).
    Stale,
    /// The task waits for others: its dependencies, a pool, or room among the tasks in progress.
    Blocked,
    /// A name breaks the rules for names.
    BadName,
    /// etcd's database is full.
    NoSpace,
    /// No encrypted connection: certificates do not fit.
    Tls,
    /// etcd does not accept the user and password, or wants some.
    Unauthenticated,
    /// etcd does not permit this to the user.
    NotPermitted,
    /// etcd is too old.
    ServerTooOld,
    /// The store belongs to another cluster: etcd was restored or copied.
    StoreMoved,
    /// The TTL cannot be used, or is not granted.
    BadTtl,
    /// The time that the caller gave is up.
    TimedOut,
    /// The name of the orchestrator is taken.
    NameTaken,
    /// A record cannot be read or stored: too large, or written by a newer version.
    BadRecord,
}

impl Exit {
    /// Every status but those of children.
    pub(crate) const ALL: [Self; 49] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::BadPlanFile,
        Self::UnreadableFile,
        Self::FoundProblems,
        Self::CannotServe,
        Self::HistoryGone,
        Self::NotOwned,
        Self::PlanExists,
        Self::TasksFailed,
        Self::Stopped,
        Self::OutOfStep,
        Self::NothingReady,
        Self::CannotStart,
        Self::OutputLost,
        Self::NothingStored,
        Self::NotReady,
        Self::Partial,
        Self::NoRoom,
        Self::HasWork,
        Self::GitFailed,
        Self::NoSuchWorktree,
        Self::WorktreeTaken,
        Self::BadFenceState,
        Self::InUse,
        Self::OwnedByOther,
        Self::AuthorityLost,
        Self::Unreachable,
        Self::OutcomeUnknown,
        Self::NoSuchPlan,
        Self::NoSuchTask,
        Self::WrongTransition,
        Self::Claimed,
        Self::Stale,
        Self::Blocked,
        Self::BadName,
        Self::NoSpace,
        Self::Tls,
        Self::Unauthenticated,
        Self::NotPermitted,
        Self::ServerTooOld,
        Self::StoreMoved,
        Self::BadTtl,
        Self::TimedOut,
        Self::NameTaken,
        Self::BadRecord,
        Self::Halted,
        Self::PlanFinished,
    ];

    /// The number. Stable: scripts rely on it.
    pub(crate) const fn code(self) -> u8 {
        self.entry().0
    }

    /// What it means, as the help says it.
    pub(crate) const fn meaning(self) -> &'static str {
        self.entry().1
    }

    /// Its name, as JSON has it. Stable as the number is.
    pub(crate) fn name(self) -> String {
        if let Self::Child(_) = self {
            return "child".to_owned();
        }
        let mut name = String::new();
        for character in format!("{self:?}").chars() {
            if character.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(character.to_lowercase());
        }
        name
    }

    const fn entry(self) -> (u8, &'static str) {
        match self {
            Self::Done => (0, "done"),
            Self::Unexpected => (1, "unexpected error"),
            Self::Usage => (2, "wrong usage or settings"),
            Self::BadPlanFile => (3, "a plan file has problems (they are listed)"),
            Self::UnreadableFile => (4, "a file cannot be read, or is too large"),
            Self::FoundProblems => (5, "`audit` found violations, or `doctor` found problems"),
            Self::CannotServe => {
                (6, "`dev`, `sidecar` or `run` cannot serve: folder or address in use, or not allowed")
            }
            Self::HistoryGone => (7, "the history that was asked for is compacted"),
            Self::NotOwned => (8, "the plan has no owner"),
            Self::PlanExists => (9, "the plan exists already, or is being imported"),
            Self::TasksFailed => (10, "tasks have failed, or wait for ones that have"),
            Self::Stopped => (11, "asked to stop before everything was done"),
            Self::OutOfStep => (12, "`plan diff`, `mirror`: the plan is not as the file says"),
            Self::NothingReady => (13, "`task claim`: no task is ready"),
            Self::CannotStart => (14, "`run`: the commands of a plan do not start on this host"),
            Self::OutputLost => (15, "standard output cannot be written; what was changed stays changed"),
            Self::NothingStored => (16, "not there: findings or kept output of the task, a pool"),
            Self::NotReady => (17, "`sidecar probe`: the sidecar answers that it is not ready"),
            Self::Partial => (18, "of several changes some were made and some were not (each is listed)"),
            Self::NoRoom => (20, "a limit leaves no room for one more worktree"),
            Self::HasWork => (21, "the worktree holds work that is nowhere else"),
            Self::GitFailed => (22, "git cannot be started, or refuses"),
            Self::NoSuchWorktree => (23, "no such worktree"),
            Self::WorktreeTaken => (24, "the worktree's name, path or branch is taken"),
            Self::BadFenceState => (25, "what `fence` has kept cannot be read or written"),
            Self::InUse => (
                26,
                "in use, or in the way: the local server, a backup, the file of a `mirror`, a pool, a lock",
            ),
            Self::Child(code) => (code, "the status of the command that was run"),
            Self::OwnedByOther => (100, "the plan is owned by another process"),
            Self::AuthorityLost => (101, "the ownership, session or right to write is over"),
            Self::Unreachable => (102, "no server answers; nothing was changed"),
            Self::OutcomeUnknown => (103, "no answer came; it may or may not have been carried out"),
            Self::NoSuchPlan => (104, "no such plan"),
            Self::NoSuchTask => (105, "no such task"),
            Self::WrongTransition => (106, "the task's status does not allow that"),
            Self::Claimed => (107, "the task is claimed by another process"),
            Self::Stale => (108, "the task was changed since it was looked at"),
            Self::Blocked => {
                (109, "the task waits: for tasks that are not done, for a pool, or for others to end")
            }
            Self::BadName => (110, "a name breaks the rules for names"),
            Self::NoSpace => (111, "etcd's database is full"),
            Self::Tls => (112, "no encrypted connection: certificates do not fit"),
            Self::Unauthenticated => (113, "etcd does not accept the user and password"),
            Self::NotPermitted => (114, "etcd does not permit that to the user"),
            Self::ServerTooOld => (115, "etcd is too old"),
            Self::StoreMoved => (116, "the store belongs to another etcd cluster"),
            Self::BadTtl => (117, "the TTL cannot be used, or is not granted"),
            Self::TimedOut => (118, "the given time is up"),
            Self::NameTaken => (119, "the orchestrator's name is taken"),
            Self::BadRecord => (120, "a record cannot be read or stored"),
            Self::Halted => (121, "paused, cancelled or archived; or the orchestrator cannot take the plan"),
            Self::PlanFinished => (122, "every task of the plan is done"),
        }
    }

    /// The table of all statuses, for the help.
    pub(crate) fn table() -> String {
        let mut table = String::from("Exit status:\n");
        for exit in Self::ALL {
            writeln!(table, "  {:>3}  {}", exit.code(), exit.meaning())
                .expect("a text can always be written to");
        }
        table.push_str(
            "`hold` and `lock` pass on the status of what they run; 126 and 127 mean that it could not start, 75\n\
             that the host was short of processes, memory or file descriptors.",
        );
        table
    }
}

#[cfg(test)]
mod tests;
