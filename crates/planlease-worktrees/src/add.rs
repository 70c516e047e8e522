//! Making a worktree: the record first, then the files, then the record again; so that what was begun can be
//! distinguished from what exists.

use std::{path::PathBuf, time::Duration};

use planlease::{Authority, Delegation, WorktreeView, WorktreeWrite};
use planlease_core::{
    PlanName, TaskId, WorktreeName,
    record::{Guard, WorktreeRecord, WorktreeState},
    worktree::{self, Limits},
};
use planlease_worktree::{Fence, Holder, Locked, Repository, free_bytes};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    error::Error,
    host::{Host, Tidied},
    site::site,
};

/// The pause between two looks whether there is room.
const PAUSE: Duration = Duration::from_millis(500);

/// A worktree to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it is called on its host.
    pub name: WorktreeName,
    /// Where: an absolute, settled path with nothing at it.
    pub path: PathBuf,
    /// The branch to make.
    pub branch: String,
    /// Where the branch begins.
    pub base: String,
    /// The plan that it serves.
    pub plan: PlanName,
    /// The task that it serves.
    pub task: Option<TaskId>,
    /// The owner's authority that was handed down to the caller; else `operator` makes it.
    pub delegation: Option<Delegation>,
    /// The person who makes it, if no owner's authority was handed down.
    pub operator: String,
    /// How many worktrees there may be.
    pub limits: Limits,
    /// How much must be free on the disk, in bytes.
    pub min_free: u64,
    /// How long to wait for room; not at all if `None`.
    pub wait: Option<Duration>,
}

/// What came of trying to have a record.
enum Reserved {
    Yes(Box<WorktreeView>),
    NoRoom(String),
}

impl Host {
    /// Makes a worktree with its branch. What interrupted processes have left in the repository is removed
    /// first, and reported.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::NoRoom`], [`Error::AuthorityLost`], and as for etcd and git. Nothing of
    /// it is left then, except after [`Error::LeftBehind`].
    ///
    /// # Cancel safety
    /// A dropped future leaves at most a worktree that is half made; the next command removes it.
    pub async fn add(
        &self,
        repository: &Repository,
        request: &Request,
        report: impl Fn(&WorktreeName, Result<Tidied, Error>),
    ) -> Result<WorktreeView, Error> {
        request.name.check_new()?;
        let authority = self.authority(request).await?;
        let started = Instant::now();
        let (locked, reserved) = loop {
            let locked = Self::lock(repository).await?;
            self.recover(&locked, &report).await?;
            match self.reserve(&locked, request, &authority).await? {
                Reserved::Yes(view) => break (locked, *view),
                // The lock is given back meanwhile: the process that makes room needs it.
                Reserved::NoRoom(_) if request.wait.is_some_and(|wait| started.elapsed() < wait) => {
                    drop(locked)
                }
                Reserved::NoRoom(why) => return Err(Error::NoRoom(why)),
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.make(&locked, request, &authority, &reserved).await
    }

    /// The authority under which it is made.
    async fn authority(&self, request: &Request) -> Result<Authority, Error> {
        let view = self.coordinator().plan(&request.plan).await?;
        if let Some(task) = &request.task {
            view.task(task).map_err(planlease::Error::from)?;
        }
        match &request.delegation {
            Some(delegation) => Ok(self.coordinator().delegated(delegation)),
            None => Ok(self.coordinator().operator(&view, &request.operator)?),
        }
    }

    /// Checks everything that can be known beforehand, and writes the record: nothing is made before it.
    async fn reserve(
        &self,
        locked: &Locked,
        request: &Request,
        authority: &Authority,
    ) -> Result<Reserved, Error> {
        let coordinator = self.coordinator();
        if let Some(present) = coordinator.worktrees().get(self.name(), &request.name).await? {
            return Err(Error::NameTaken(Box::new(present)));
        }
        let free = free_bytes(&request.path)?;
        if free < request.min_free {
            let (free, needed) = (amount(free), amount(request.min_free));
            return Ok(Reserved::NoRoom(format!("the disk has {free} free, and {needed} are asked for")));
        }
        let repository = locked.repository().common().to_string_lossy().into_owned();
        if let Some(why) = self.exceeded(request, &repository, None).await? {
            return Ok(Reserved::NoRoom(why));
        }
        let base = locked.commit(&request.base).await?;
        locked.check_branch(&request.branch).await?;
        if let Some(holder) = Fence::of(&request.path).holder()? {
            let holder = holder.into();
            return Err(planlease_worktree::Error::Fenced { path: request.path.clone(), holder }.into());
        }
        if request.path.symlink_metadata().is_ok() {
            return Err(planlease_worktree::Error::InTheWay(request.path.clone()).into());
        }
        let record = self.record(request, repository, base);
        let view = match authority.add_worktree(self.name(), &request.name, &record).await? {
            WorktreeWrite::Written(view) => view,
            WorktreeWrite::Conflict(Some(present)) => return Err(Error::NameTaken(present)),
            WorktreeWrite::Conflict(None) => return Err(Error::Changed(request.name.clone())),
            WorktreeWrite::AuthorityLost => return Err(request.authority_lost()),
        };
        // Others have their locks, in other repositories: the first record has the room.
        if let Some(why) = self.exceeded(request, &view.record.repository, Some(&view)).await? {
            coordinator.worktrees().forget(&view).await?;
            return Ok(Reserved::NoRoom(why));
        }
        Ok(Reserved::Yes(Box::new(view)))
    }

    /// The limit that is reached by the worktrees of this host that were there before this one.
    async fn exceeded(
        &self,
        request: &Request,
        repository: &str,
        own: Option<&WorktreeView>,
    ) -> Result<Option<String>, Error> {
        let all = self.coordinator().worktrees().list().await?;
        let others = all
            .iter()
            .filter(|view| view.host == *self.name() && own.is_none_or(|own| view.created < own.created));
        let others = others.map(|view| view.record.repository.as_str());
        Ok(worktree::exceeded(request.limits, repository, others))
    }

    fn record(&self, request: &Request, repository: String, base: String) -> WorktreeRecord {
        let (token, guard, by) = match &request.delegation {
            Some(owner) => (Some(owner.token), Some(owner.guard.clone()), owner.owner.to_string()),
            None => (None, None::<Guard>, request.operator.clone()),
        };
        WorktreeRecord {
            v: Default::default(),
            id: Uuid::new_v4(),
            state: WorktreeState::Adding,
            path: request.path.to_string_lossy().into_owned(),
            repository,
            branch: request.branch.clone(),
            base,
            plan: request.plan.clone(),
            task: request.task.clone(),
            token,
            guard,
            by,
            since: self.now(),
            why: None,
            op_id: Uuid::new_v4(),
            extra: planlease_core::Extra::default(),
        }
    }

    /// Makes what the record says, and records that it is ready. If that fails, all of it is removed.
    async fn make(
        &self,
        locked: &Locked,
        request: &Request,
        authority: &Authority,
        view: &WorktreeView,
    ) -> Result<WorktreeView, Error> {
        let holder = Holder {
            id: view.record.id,
            store: self.coordinator().store_name(),
            host: self.name().to_string(),
            name: request.name.to_string(),
        };
        let error = match locked.make(&site(&view.record), &holder).await {
            Ok(()) => match self.ready(authority, view).await? {
                WorktreeWrite::Written(ready) => return Ok(ready),
                WorktreeWrite::AuthorityLost => request.authority_lost(),
                WorktreeWrite::Conflict(_) => return Err(Error::Changed(request.name.clone())),
            },
            Err(error) => error.into(),
        };
        match self.tidy(locked, &request.name, true).await {
            Ok(_) => Err(error),
            Err(rest) => Err(Error::LeftBehind { error: Box::new(error), rest: Box::new(rest) }),
        }
    }

    async fn ready(&self, authority: &Authority, view: &WorktreeView) -> Result<WorktreeWrite, Error> {
        let next = worktree::enter(&view.record, WorktreeState::Ready, None, self.now(), Uuid::new_v4())
            .map_err(|refusal| Error::WrongState { name: view.name.clone(), why: refusal.to_string() })?;
        Ok(authority.update_worktree(view, &next).await?)
    }
}

impl Request {
    fn authority_lost(&self) -> Error {
        Error::AuthorityLost {
            name: self.name.clone(),
            plan: self.plan.clone(),
            delegated: self.delegation.is_some(),
        }
    }
}

/// An amount of bytes in the largest unit of which there is at least one.
fn amount(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.into_iter().find(|(size, _)| bytes >= *size);
    unit.map_or_else(|| format!("{bytes} B"), |(size, name)| format!("{} {name}", bytes / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_their_largest_unit() {
        assert_eq!([amount(3), amount(2047), amount(5 << 30)], ["3 B", "1 KiB", "5 GiB"]);
    }
}
