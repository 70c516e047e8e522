//! Makes a worktree, and takes one away: each step such that the next process can tell whether it was done.

use std::{fs, io, path::Path};

use crate::{
    error::Error,
    fence::{Fence, Holder},
    locked::Locked,
    site::Site,
};

impl Locked {
    /// Makes the worktree with its branch. The branch follows no other one. To be called once its record says that it is
    /// being added; whatever comes of it, [`Locked::unmake`] takes it back.
    ///
    /// # Errors
    /// [`Error::Fenced`] and [`Error::InTheWay`] if the path is somebody else's, [`Error::BranchExists`], [`Error::Git`].
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
        // Not by `worktree add -b`: that can neither say whose the branch is nor refuse one that is there in the same step.
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
        Ok(())
    }

    /// Takes away what there is of a worktree in which [`Locked::work`] has found nothing. `whole`: it was made to its end,
    /// and its removal begins; then git removes it, which looks once more and refuses if something came up meanwhile.
    /// `keep_branch`: leaves the branch where it is.
    ///
    /// # Errors
    /// [`Error::Git`] if git refuses, [`Error::Io`]. Can be called again.
    pub async fn unmake(&self, site: &Site, whole: bool, keep_branch: bool) -> Result<(), Error> {
        let fence = Fence::of(&site.path);
        let admin = self.admin(site)?;
        let ours = fence.is_of(site)?;
        if whole
            && ours
            && let Some(admin) = &admin
            && admin.join("index").exists()
            && site.path.join(".git").is_file()
        {
            let path = site.path.as_os_str();
            if admin.join("locked").exists() {
                self.git()?.args(["worktree", "unlock"]).args([path]).run().await?;
            }
            self.git()?.args(["worktree", "remove"]).args([path]).run().await?;
        }
        if ours {
            remove(&site.path)?;
        }
        if let Some(admin) = self.admin(site)? {
            remove(&admin)?;
        }
        if !keep_branch {
            self.remove_branch(site).await?;
        }
        fence.give_up(site)
    }

    /// Removes the branch, if it was made for this site, nobody uses it, and it still has nothing that is nowhere else:
    /// somebody may have committed since that was looked at.
    async fn remove_branch(&self, site: &Site) -> Result<(), Error> {
        let reference = site.reference();
        let Some(tip) = self.tip(&reference).await? else { return Ok(()) };
        if !self.made_branch(site).await? || self.is_checked_out(&reference).await? {
            return Ok(());
        }
        if tip != site.base && !self.is_elsewhere(site, &tip, false).await? {
            return Ok(());
        }
        self.git()?.args(["update-ref", "-d", &reference, &tip]).run().await.map(drop)
    }

    /// Whether the branch was made for this site: its reflog begins so.
    pub(crate) async fn made_branch(&self, site: &Site) -> Result<bool, Error> {
        let log = self.git()?.args(["log", "--walk-reflogs", "--format=%gs", &site.reference(), "--"]);
        let Some(said) = log.ask().await? else { return Ok(false) };
        Ok(String::from_utf8_lossy(&said).lines().last() == Some(site.reason().as_str()))
    }

    async fn is_checked_out(&self, reference: &str) -> Result<bool, Error> {
        let said = self.git()?.args(["worktree", "list", "--porcelain", "-z"]).run().await?;
        let wanted = format!("branch {reference}");
        Ok(said.split(|byte| *byte == 0).any(|line| line == wanted.as_bytes()))
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
