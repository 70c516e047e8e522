//! Makes a worktree, and takes one away: each step such that the next process sees whether it was done.

use std::{fs, io, path::Path};

use crate::{
    admin::Admin, error::Error, fence::Fence, holder::Holder, inspect::Stage, locked::Locked, reach,
    site::Site,
};

impl Locked {
    /// Makes the worktree with its branch. The branch follows no other one. To be called once its record says
    /// that it is being added; whatever comes of it, [`Locked::unmake`] takes it back.
    ///
    /// # Errors
    /// [`Error::Fenced`] and [`Error::InTheWay`] if the path belongs to another, [`Error::BranchExists`],
    /// [`Error::Git`].
    ///
    /// # Cancel safety
    /// If the future is dropped, a part may be made; [`Locked::unmake`] takes it back.
    pub async fn make(&self, site: &Site, holder: &Holder) -> Result<(), Error> {
        if let Some(parent) = site.path.parent() {
            fs::create_dir_all(parent).map_err(Error::io("cannot make", parent))?;
        }
        let fence = Fence::of(&site.path);
        fence.take(holder)?;
        if site.path.symlink_metadata().is_ok() {
            fence.give_up(site)?; // What is there is not ours, and must not be taken for it.
            return Err(Error::InTheWay(site.path.clone()));
        }
        // Not by `worktree add -b`: that can neither say whose the branch is nor refuse one that is there in
        // the same step.
        let (reference, reason) = (site.reference(), site.reason());
        let made = self
            .git()?
            .args(["update-ref", "--create-reflog", "-m", &reason, &reference, &site.base])
            .args(["0".repeat(site.base.len())])
            .run()
            .await;
        if let Err(error) = made {
            return Err(match self.tip(&reference).await? {
                Some(_) => Error::BranchExists(site.branch.clone()),
                None => error,
            });
        }
        // Locked for git, so that no `git worktree prune` elsewhere takes it for gone.
        let add = self.git()?.args(["worktree", "add", "--quiet", "--lock", "--reason", &reason]);
        add.args([site.path.as_os_str(), site.branch.as_ref()]).run().await?;
        match self.admin(site)? {
            Some(admin) => admin.mark(site),
            None => Ok(()),
        }
    }

    /// Takes away what there is of a worktree in which [`Locked::work`] has found nothing, once it has looked
    /// again. One that was made to its end is removed by git, which looks again; git does not do that if
    /// there are submodules. `keep_branch`: leaves the branch where it is.
    ///
    /// # Errors
    /// [`Error::Work`] and [`Error::Git`] if something came up meanwhile: then nothing was removed.
    /// [`Error::Io`]. Can be called again.
    ///
    /// # Cancel safety
    /// If the future is dropped, a part may be removed, and no work with it. Can be called again.
    pub async fn unmake(&self, site: &Site, stage: Stage, keep_branch: bool) -> Result<(), Error> {
        self.forget_expired().await?;
        let goes = self.branch_goes(site, keep_branch).await?;
        self.keep(site, self.admin(site)?.as_ref(), goes).await?;
        let seen = self.look(site, stage, keep_branch).await?;
        if !seen.work.is_empty() {
            return Err(Error::Work(seen.work));
        }
        let admin = self.admin(site)?;
        let ours = self.has_path(site, admin.as_ref())?;
        if let Some(admin) = &admin {
            admin.set_removing(true)?;
            if stage == Stage::Made && ours && !seen.has_repositories {
                self.remove_by_git(site, admin).await?;
            } else if ours {
                remove(&site.path)?;
            }
        } else if ours {
            remove(&site.path)?;
        }
        // Aside first: half of it would not say whose it was.
        let aside = self.repository().common().join(format!("planlease-removed-{}", site.id));
        if let Some(admin) = self.admin(site)? {
            fs::rename(admin.path(), &aside).map_err(Error::io("cannot move", admin.path()))?;
        }
        remove(&aside)?;
        if goes {
            self.remove_branch(site).await?;
        }
        Fence::of(&site.path).give_up(site)
    }

    /// If git refuses, all is as it was.
    async fn remove_by_git(&self, site: &Site, admin: &Admin) -> Result<(), Error> {
        let path = site.path.as_os_str();
        if admin.is_locked() {
            self.git()?.args(["worktree", "unlock"]).args([path]).run().await?;
        }
        let removed = self.git()?.args(["worktree", "remove"]).args([path]).run().await;
        if removed.is_err() && admin.path().exists() {
            admin.set_removing(false)?;
            let lock = self.git()?.args(["worktree", "lock", "--reason", &site.reason()]);
            lock.args([path]).ask().await?;
        }
        removed.map(drop)
    }

    /// Removes the branch, if it is unused and still has nothing that is nowhere else: another process may
    /// have committed since that was looked at.
    async fn remove_branch(&self, site: &Site) -> Result<(), Error> {
        let reference = site.reference();
        let Some(tip) = self.tip(&reference).await? else { return Ok(()) };
        if !self.branch_goes(site, false).await? || self.is_in_use(site).await? {
            return Ok(());
        }
        let safe = self.safe(site, true).await?;
        let safe = safe.iter().map(String::as_str).chain([site.base.as_str()]);
        if !reach::unreached(self.repository().common(), [tip.as_str()], safe).await?.is_empty() {
            return Ok(());
        }
        self.git()?.args(["update-ref", "--no-deref", "-d", &reference, &tip]).run().await.map(drop)
    }

    /// Whether the branch was made for this site: its reflog begins so.
    pub(crate) async fn made_branch(&self, site: &Site) -> Result<bool, Error> {
        let log = self.git()?.args(["log", "--walk-reflogs", "--format=%gs", &site.reference(), "--"]);
        let Some(said) = log.ask().await? else { return Ok(false) };
        Ok(String::from_utf8_lossy(&said).lines().last() == Some(site.reason().as_str()))
    }

    /// Whether a worktree has the branch checked out, or is about to: a rebase or bisect will go back to it.
    async fn is_in_use(&self, site: &Site) -> Result<bool, Error> {
        let said = self.git()?.args(["worktree", "list", "--porcelain", "-z"]).run().await?;
        let wanted = format!("branch {}", site.reference());
        if said.split(|byte| *byte == 0).any(|line| line == wanted.as_bytes()) {
            return Ok(true);
        }
        let common = self.repository().common();
        let others = fs::read_dir(common.join("worktrees")).into_iter().flatten();
        let folders = others.filter_map(|entry| Some(entry.ok()?.path())).chain([common.to_owned()]);
        Ok(folders.into_iter().any(|folder| {
            ["rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"].iter().any(|name| {
                let said = fs::read_to_string(folder.join(name)).unwrap_or_default();
                said.trim_end() == site.reference() || said.trim_end() == site.branch
            })
        }))
    }
}

/// Removes a folder with all that is in it, if it is there.
fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", folder)(error))
        }
        _ => Ok(()),
    }
}
