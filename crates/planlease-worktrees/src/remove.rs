//! Removing worktrees: one by its name, or all that are abandoned.

use std::{collections::BTreeMap, sync::Arc};

use planlease::{Delegation, WorktreeView};
use planlease_core::{
    WorktreeName,
    unreadable::Unreadable,
    worktree::{self, Refusal, Tenure},
};

use crate::{
    error::Error,
    host::{Host, Tidied},
    site::{site, stage},
};

/// A worktree that was removed.
#[derive(Clone, Debug)]
pub struct Removed {
    /// As it was.
    pub view: WorktreeView,
    /// Whether its owner was still there.
    pub tenure: Tenure,
    /// Whether it was the caller's own.
    pub own: bool,
}

/// What became of the worktrees of a host.
#[derive(Debug)]
pub struct Cleaned {
    /// Each of them: what was done about it, or why it could not be examined.
    pub worktrees: Vec<Result<Tidied, (WorktreeView, Arc<Error>)>>,
    /// The records that cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// Whether a process has the authority under which the worktree was made.
#[must_use]
pub fn is_own(view: &WorktreeView, delegation: Option<&Delegation>) -> bool {
    match &view.record.guard {
        Some(guard) => delegation.is_some_and(|own| own.plan == view.record.plan && own.guard == *guard),
        None => true, // An operator's, and operators are not distinguished.
    }
}

impl Host {
    /// Removes a worktree that holds no work, with its branch unless that is kept. `delegation`: the
    /// authority that was handed down to the caller.
    ///
    /// # Errors
    /// [`Error::NotRemovable`], [`Error::Quarantined`], [`Error::NoSuchWorktree`], and as for etcd and git.
    ///
    /// # Cancel safety
    /// A dropped future leaves at most a removal that is interrupted; the next command continues it.
    pub async fn remove(
        &self,
        name: &WorktreeName,
        keep_branch: bool,
        delegation: Option<&Delegation>,
    ) -> Result<Removed, Error> {
        let seen = self.named(name).await?;
        let locked = Self::lock(&self.repository(&seen.record.repository)?).await?;
        let view = self.named(name).await?; // As it is under the lock.
        let tenure = self.tenure(&view.record).await?;
        let own = is_own(&view, delegation);
        let state = view.record.state;
        let refused = |refusal: Refusal, work: Vec<String>| Error::NotRemovable {
            view: Box::new(view.clone()),
            refusal,
            work,
            tenure,
        };
        worktree::may_remove(state, tenure, own, false).map_err(|refusal| refused(refusal, Vec::new()))?;
        let work = locked.work(&site(&view.record), stage(state), keep_branch).await?;
        worktree::may_remove(state, tenure, own, !work.is_empty())
            .map_err(|refusal| refused(refusal, work))?;
        match self.take_away(&locked, &view, keep_branch).await? {
            None => Ok(Removed { view, tenure, own }),
            Some(found) => Err(Error::Quarantined { name: view.name, found }),
        }
    }

    /// Examines all worktrees of the host, removes those that are abandoned and hold no work, and quarantines
    /// those that hold some. With `act` unset it only returns what it would do.
    ///
    /// # Errors
    /// If the records cannot be read. One worktree that cannot be examined does not stop the others.
    ///
    /// # Cancel safety
    /// As [`Host::remove`].
    pub async fn clean(&self, act: bool) -> Result<Cleaned, Error> {
        let found = self.coordinator().worktrees().list().await?;
        let mut repositories = BTreeMap::<_, Vec<_>>::new();
        for view in found.items {
            if view.host == *self.name() {
                repositories.entry(view.record.repository.clone()).or_default().push(view);
            }
        }
        let mut worktrees = Vec::new();
        for (repository, views) in repositories {
            worktrees.extend(self.clean_repository(&repository, views, act).await);
        }
        Ok(Cleaned { worktrees, unreadable: found.unreadable })
    }

    #[expect(clippy::result_large_err, reason = "one per worktree, in a list")]
    async fn clean_repository(
        &self,
        repository: &str,
        views: Vec<WorktreeView>,
        act: bool,
    ) -> Vec<Result<Tidied, (WorktreeView, Arc<Error>)>> {
        let locked = match self.repository(repository) {
            Ok(repository) => Self::lock(&repository).await,
            Err(error) => Err(error.into()),
        };
        let locked = match locked {
            Ok(locked) => locked,
            Err(error) => {
                let error = Arc::new(error);
                return views.into_iter().map(|view| Err((view, Arc::clone(&error)))).collect();
            }
        };
        let mut done = Vec::new();
        for view in views {
            match self.tidy(&locked, &view.name, act).await {
                Ok(Some(tidied)) => done.push(Ok(tidied)),
                Ok(None) => {}
                Err(error) => done.push(Err((view, Arc::new(error)))),
            }
        }
        done
    }
}
