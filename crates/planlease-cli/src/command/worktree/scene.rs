//! What every command on worktrees needs: the store, the host, whose a worktree is, and the way out of it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use planlease::{
    Coordinator, Error, Identity, WorktreeView, WorktreeWrite,
    core::{
        HostName, PlanName, WorktreeName,
        record::{WorktreeRecord, WorktreeState},
        term::Line,
        worktree::{self, Tenure, Tidying},
    },
};
use planlease_worktree::{Locked, Repository, Site, Stage};
use uuid::Uuid;

use crate::{exit::Exit, failure::Failure, invocation::Invocation, output::Tidied};

/// How long the lock of a repository is waited for.
const LOCKED_WITHIN: Duration = Duration::from_secs(300);

/// The flag that names a host.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct HostArgs {
    /// The host whose worktree it is; for containers that have a new name each time [default: this one]
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
}

/// A repository with its records: what the worktree commands work on.
pub(super) struct Scene<'a> {
    pub(super) invocation: &'a Invocation,
    pub(super) coordinator: Coordinator,
    pub(super) host: HostName,
    lines: RefCell<BTreeMap<PlanName, Option<Line>>>,
}

impl<'a> Scene<'a> {
    pub(super) async fn open(invocation: &'a Invocation, host: &HostArgs) -> Result<Self, Failure> {
        let host = host.host.clone().unwrap_or_else(|| Identity::of_process().host);
        let host = HostName::new(host)?;
        let coordinator = invocation.connect().await?;
        Ok(Self { invocation, coordinator, host, lines: RefCell::default() })
    }

    /// The worktree of that name on the host.
    pub(super) async fn named(&self, name: &str) -> Result<WorktreeView, Failure> {
        let name = WorktreeName::new(name)?;
        self.coordinator.worktree(&self.host, &name).await?.ok_or_else(|| self.no_such(&name))
    }

    pub(super) fn no_such(&self, name: &WorktreeName) -> Failure {
        Failure::new(Exit::NoSuchWorktree, format!("there is no worktree {name} on host {}", self.host))
            .remedy("`planlease worktree list` shows those of all hosts.")
    }

    /// Whose it is, by the line of its plan as it was first seen here.
    pub(super) async fn tenure(&self, record: &WorktreeRecord) -> Result<Tenure, Failure> {
        let known = self.lines.borrow().get(&record.plan).cloned();
        let line = match known {
            Some(line) => line,
            None => {
                let line = self.coordinator.line_of_plan(&record.plan).await?;
                self.lines.borrow_mut().insert(record.plan.clone(), line.clone());
                line
            }
        };
        Ok(worktree::tenure(record, line.as_ref()))
    }

    /// The record in its next state, written if it is still the one that was seen.
    pub(super) async fn enter(
        &self,
        view: &WorktreeView,
        state: WorktreeState,
        why: Option<String>,
    ) -> Result<WorktreeView, Failure> {
        let next = worktree::enter(&view.record, state, why, self.invocation.now(), Uuid::new_v4())
            .map_err(|refusal| refused(&view.name, &refusal.to_string()))?;
        match self.coordinator.update_worktree(view, &next).await? {
            WorktreeWrite::Written(view) => Ok(view),
            WorktreeWrite::Conflict(_) | WorktreeWrite::RightGone => Err(changed(&view.name)),
        }
    }

    /// Does about a worktree what nobody has to be asked for, under the lock of its repository. With `act`
    /// unset, only says what that is.
    pub(super) async fn tidy(
        &self,
        locked: &Locked,
        name: &WorktreeName,
        act: bool,
    ) -> Result<Option<Tidied>, Failure> {
        let Some(view) = self.coordinator.worktree(&self.host, name).await? else { return Ok(None) };
        let tenure = self.tenure(&view.record).await?;
        let state = view.record.state;
        if worktree::tidy(state, tenure, false) == Tidying::Keep {
            let why = match state {
                WorktreeState::Quarantined => view.record.why.clone().unwrap_or_default(),
                _ => tenure.why().to_owned(),
            };
            return Ok(Some(Tidied::keep(&view, why)));
        }
        let work = locked.work(&site(&view.record), stage(state), false).await?;
        if worktree::tidy(state, tenure, !work.is_empty()) == Tidying::Quarantine {
            let why = work.join(", ");
            if act {
                self.enter(&view, WorktreeState::Quarantined, Some(why.clone())).await?;
            }
            return Ok(Some(Tidied::quarantine(&view, why)));
        }
        let why = match state {
            WorktreeState::Adding => "it was never finished",
            WorktreeState::Removing => "its removal was interrupted",
            _ => tenure.why(),
        };
        if !act {
            return Ok(Some(Tidied::remove(&view, why.to_owned())));
        }
        match self.take_away(locked, &view, false).await? {
            None => Ok(Some(Tidied::remove(&view, why.to_owned()))),
            Some(said) => Ok(Some(Tidied::quarantine(&view, said))),
        }
    }

    /// Removes a worktree in which nothing was found, and its record with it. If git finds something after
    /// all, it is quarantined, and what git said is returned.
    pub(super) async fn take_away(
        &self,
        locked: &Locked,
        view: &WorktreeView,
        keep_branch: bool,
    ) -> Result<Option<String>, Failure> {
        let stage = stage(view.record.state);
        let removing = self.enter(view, WorktreeState::Removing, view.record.why.clone()).await?;
        let said = match locked.unmake(&site(&view.record), stage, keep_branch).await {
            Ok(()) => None,
            Err(planlease_worktree::Error::Work(found)) => Some(found.join(", ")),
            Err(planlease_worktree::Error::Git { said, .. }) if stage == Stage::Made => Some(said),
            Err(error) => return Err(error.into()),
        };
        if let Some(said) = said {
            self.enter(&removing, WorktreeState::Quarantined, Some(said.clone())).await?;
            return Ok(Some(said));
        }
        if self.coordinator.forget_worktree(&removing).await? { Ok(None) } else { Err(changed(&view.name)) }
    }

    /// Clears away what interrupted commands have left in this repository. What cannot be is told, and is in
    /// nobody's way.
    pub(super) async fn recover(&self, locked: &Locked) -> Result<(), Error> {
        for view in self.coordinator.worktrees().await? {
            let interrupted = matches!(view.record.state, WorktreeState::Adding | WorktreeState::Removing);
            let here =
                view.host == self.host && Path::new(&view.record.repository) == locked.repository().common();
            if !interrupted || !here {
                continue;
            }
            match self.tidy(locked, &view.name, true).await {
                Ok(Some(tidied)) => crate::output::tell(&tidied.told()),
                Ok(None) => {}
                Err(failure) => crate::output::tell(&format!(
                    "what an interrupted command left of worktree {} cannot be cleared away: {}",
                    crate::output::plain(view.name.as_str()),
                    failure.what()
                )),
            }
        }
        Ok(())
    }
}

/// The lock of a repository.
pub(super) async fn lock(repository: &Repository) -> Result<Locked, Failure> {
    Ok(repository.lock(LOCKED_WITHIN).await?)
}

/// What the record says there is, for git.
pub(super) fn site(record: &WorktreeRecord) -> Site {
    Site {
        id: record.id,
        path: PathBuf::from(&record.path),
        branch: record.branch.clone(),
        base: record.base.clone(),
    }
}

/// How far a worktree has come whose record is in this state.
pub(super) fn stage(state: WorktreeState) -> Stage {
    match state {
        WorktreeState::Adding => Stage::Adding,
        WorktreeState::Ready | WorktreeState::Quarantined => Stage::Made,
        WorktreeState::Removing => Stage::Removing,
    }
}

pub(super) fn changed(name: &WorktreeName) -> Failure {
    Failure::new(Exit::Stale, format!("worktree {name} was changed by another process at this moment"))
        .remedy("Look at it (`planlease worktree show`) and do it again.")
}

fn refused(name: &WorktreeName, why: &str) -> Failure {
    Failure::new(Exit::Stale, format!("cannot change worktree {name}: {why}")).meaning("Nothing was changed.")
}
