//! The worktrees of one host: found, judged, moved from state to state, recovered after interruptions.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use planlease::{Coordinator, WorktreeView, WorktreeWrite};
use planlease_core::{
    HostName, PlanName, WallTime, WorktreeName,
    record::{WorktreeRecord, WorktreeState},
    term::Queue,
    worktree::{self, Tenure, Tidying},
};
use planlease_worktree::{Locked, Repository, Stage, Variables};
use uuid::Uuid;

use crate::{
    error::Error,
    site::{site, stage},
};

/// How long the lock of a repository is waited for.
const LOCKED_WITHIN: Duration = Duration::from_secs(300);

/// The worktrees of a host, in one store.
#[derive(Debug)]
pub struct Host {
    coordinator: Coordinator,
    name: HostName,
    variables: Variables,
    /// The queue of each plan as it was first seen; `None` if there is no such plan.
    queues: Mutex<BTreeMap<PlanName, Option<Queue>>>,
}

/// What was done about a worktree, or would be.
#[derive(Clone, Debug)]
pub struct Tidied {
    /// The worktree, before.
    pub view: WorktreeView,
    /// What was done.
    pub action: Action,
    /// Why.
    pub why: String,
}

/// What is done about a worktree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
    /// It is set aside until an operator has looked.
    Quarantine,
}

impl Host {
    /// Those of this host.
    #[must_use]
    pub fn new(coordinator: Coordinator, name: HostName) -> Self {
        Self { coordinator, name, variables: Variables::default(), queues: Mutex::default() }
    }

    /// Sets how the environment of git's hooks differs from this process's.
    #[must_use]
    pub fn with_variables(self, variables: Variables) -> Self {
        Self { variables, ..self }
    }

    /// A repository of this host, by its common git folder.
    pub(crate) fn repository(&self, common: &str) -> Result<Repository, planlease_worktree::Error> {
        Ok(Repository::at(Path::new(common))?.with_variables(Arc::clone(&self.variables)))
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// The store that holds the records.
    #[must_use]
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// The worktree of that name.
    ///
    /// # Errors
    /// [`Error::NoSuchWorktree`], [`Error::Etcd`].
    ///
    /// # Cancel safety
    /// Reads only: dropping the future changes nothing.
    pub async fn named(&self, name: &WorktreeName) -> Result<WorktreeView, Error> {
        let found = self.coordinator.worktrees().get(&self.name, name).await?;
        found.ok_or_else(|| Error::NoSuchWorktree { name: name.clone(), host: self.name.clone() })
    }

    /// Whether the owner of a worktree is still there, by the queue of its plan as it was first seen here.
    ///
    /// # Errors
    /// [`Error::Etcd`].
    ///
    /// # Cancel safety
    /// Reads only: dropping the future changes nothing.
    pub async fn tenure(&self, record: &WorktreeRecord) -> Result<Tenure, Error> {
        let known = self.queues.lock().unwrap_or_else(PoisonError::into_inner).get(&record.plan).cloned();
        let queue = match known {
            Some(queue) => queue,
            None => {
                let queue = self.coordinator.find_queue(&record.plan).await?;
                let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
                queues.insert(record.plan.clone(), queue.clone());
                queue
            }
        };
        Ok(worktree::tenure(record, queue.as_ref()))
    }

    /// Sets a worktree aside: it stays where it is until an operator has looked.
    ///
    /// # Errors
    /// [`Error::NoSuchWorktree`], [`Error::WrongState`], [`Error::Changed`], [`Error::Etcd`].
    ///
    /// # Cancel safety
    /// If the future is dropped, the worktree is set aside or it is as it was.
    pub async fn quarantine(&self, name: &WorktreeName, why: String) -> Result<Tidied, Error> {
        let view = self.named(name).await?;
        let view = self.enter(&view, WorktreeState::Quarantined, Some(why.clone())).await?;
        Ok(Tidied { view, action: Action::Quarantine, why })
    }

    pub(crate) fn now(&self) -> WallTime {
        self.coordinator.clock().wall()
    }

    /// Waits for the lock of a repository.
    pub(crate) async fn lock(repository: &Repository) -> Result<Locked, Error> {
        Ok(repository.lock(LOCKED_WITHIN).await?)
    }

    /// Writes the record in its next state, if it is still the one that was seen.
    pub(crate) async fn enter(
        &self,
        view: &WorktreeView,
        state: WorktreeState,
        why: Option<String>,
    ) -> Result<WorktreeView, Error> {
        let next = worktree::enter(&view.record, state, why, self.now(), Uuid::new_v4())
            .map_err(|refusal| Error::WrongState { name: view.name.clone(), why: refusal.to_string() })?;
        match self.coordinator.worktrees().update(view, &next).await? {
            WorktreeWrite::Written(view) => Ok(view),
            WorktreeWrite::Conflict(_) | WorktreeWrite::AuthorityLost => {
                Err(Error::Changed(view.name.clone()))
            }
        }
    }

    /// Does about a worktree what needs no decision of a person, under the lock of its repository; `None` if
    /// it is gone. With `act` unset, only returns what that is.
    pub(crate) async fn tidy(
        &self,
        locked: &Locked,
        name: &WorktreeName,
        act: bool,
    ) -> Result<Option<Tidied>, Error> {
        let Some(view) = self.coordinator.worktrees().get(&self.name, name).await? else { return Ok(None) };
        let tenure = self.tenure(&view.record).await?;
        let state = view.record.state;
        if worktree::tidy(state, tenure, false) == Tidying::Keep {
            let why = match state {
                WorktreeState::Quarantined => view.record.why.clone().unwrap_or_default(),
                _ => tenure.why().to_owned(),
            };
            return Ok(Some(Tidied { view, action: Action::Keep, why }));
        }
        let work = locked.work(&site(&view.record), stage(state), false).await?;
        if worktree::tidy(state, tenure, !work.is_empty()) == Tidying::Quarantine {
            let why = work.join(", ");
            if act {
                self.enter(&view, WorktreeState::Quarantined, Some(why.clone())).await?;
            }
            return Ok(Some(Tidied { view, action: Action::Quarantine, why }));
        }
        let why = match state {
            WorktreeState::Adding => "it was never finished",
            WorktreeState::Removing => "its removal was interrupted",
            _ => tenure.why(),
        };
        let found = if act { self.take_away(locked, &view, false).await? } else { None };
        Ok(Some(match found {
            None => Tidied { view, action: Action::Remove, why: why.to_owned() },
            Some(why) => Tidied { view, action: Action::Quarantine, why },
        }))
    }

    /// Removes a worktree in which nothing was found, and its record with it. If git finds something after
    /// all, it is quarantined, and what git said is returned.
    pub(crate) async fn take_away(
        &self,
        locked: &Locked,
        view: &WorktreeView,
        keep_branch: bool,
    ) -> Result<Option<String>, Error> {
        let stage = stage(view.record.state);
        let removing = self.enter(view, WorktreeState::Removing, view.record.why.clone()).await?;
        let found = match locked.unmake(&site(&view.record), stage, keep_branch).await {
            Ok(()) => None,
            Err(planlease_worktree::Error::Work(found)) => Some(found.join(", ")),
            Err(planlease_worktree::Error::Git { said, .. }) if stage == Stage::Made => Some(said),
            Err(error) => return Err(error.into()),
        };
        if let Some(found) = found {
            self.enter(&removing, WorktreeState::Quarantined, Some(found.clone())).await?;
            return Ok(Some(found));
        }
        match self.coordinator.worktrees().forget(&removing).await? {
            true => Ok(None),
            false => Err(Error::Changed(view.name.clone())),
        }
    }

    /// Removes what interrupted processes have left in this repository, and reports each one. What cannot be
    /// removed stays, and is in the way of no other worktree.
    pub(crate) async fn recover(
        &self,
        locked: &Locked,
        report: impl Fn(&WorktreeName, Result<Tidied, Error>),
    ) -> Result<(), Error> {
        for view in self.coordinator.worktrees().list().await? {
            let interrupted = matches!(view.record.state, WorktreeState::Adding | WorktreeState::Removing);
            let here =
                view.host == self.name && Path::new(&view.record.repository) == locked.repository().common();
            if !interrupted || !here {
                continue;
            }
            if let Some(tidied) = self.tidy(locked, &view.name, true).await.transpose() {
                report(&view.name, tidied);
            }
        }
        Ok(())
    }
}
