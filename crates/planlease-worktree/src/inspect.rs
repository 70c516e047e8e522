//! Looks for work that would be lost with a worktree: changes, files that git does not know, operations that
//! are under way, commits that no branch, remote branch or tag has that stays; also in repositories inside of
//! it.
//!
//! What is in doubt counts as work. What git is set to ignore does not, as for git itself, unless it is a
//! repository.

use std::io;

use crate::{
    admin::Admin,
    elsewhere::Outside,
    error::Error,
    fence::Fence,
    files::{Tree, count, is_empty},
    git::{Git, line},
    locked::Locked,
    nested::Nest,
    reach::{self, Reference},
    site::Site,
};

/// What is found if the folder of a worktree is gone. What it held is unknown, so nothing of it is removed.
pub const MISSING: &str = "its folder is not there: moved, deleted, or on a disk that is not mounted";

/// How far a worktree has come, by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is being made, or was when its maker ended.
    Adding,
    /// It was made, and its removal has not begun.
    Made,
    /// It is being removed, or was when its remover ended.
    Removing,
}

/// What a look at a worktree has shown.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What is nowhere else, a line each.
    pub(crate) work: Vec<String>,
    /// Whether it has submodules or clones inside of it, which git does not remove.
    pub(crate) has_repositories: bool,
}

/// References that each worktree has for itself.
const PER_WORKTREE: [&str; 3] = ["refs/worktree", "refs/bisect", "refs/rewritten"];

impl Locked {
    /// What there is in the worktree that is nowhere else, a line each; empty if nothing. `keep_branch`:
    /// commits on its branch are safe there.
    ///
    /// # Errors
    /// If that is unknown.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn work(&self, site: &Site, stage: Stage, keep_branch: bool) -> Result<Vec<String>, Error> {
        Ok(self.look(site, stage, keep_branch).await?.work)
    }

    /// As [`Locked::work`], with what else was seen on the way.
    pub(crate) async fn look(&self, site: &Site, stage: Stage, keep_branch: bool) -> Result<Seen, Error> {
        let (mut found, mut has_repositories) = (Vec::new(), false);
        let admin = self.admin(site)?;
        let half = match stage {
            Stage::Adding => true,
            Stage::Made => false,
            Stage::Removing => admin.as_ref().is_none_or(Admin::is_removing),
        };
        if let Some(admin) = &admin {
            look_at_ties(site, admin, half, &mut found)?;
            if !found.is_empty() {
                // Its tree is somewhere else, or something else is at its path.
                return Ok(Seen { work: found, has_repositories });
            }
        }
        if self.has_path(site, admin.as_ref())? {
            match &admin {
                Some(admin) => {
                    let nest = Nest::of(&site.path, admin).await?;
                    has_repositories = !nest.is_empty();
                    let tree = Tree { git_dir: admin.path(), folder: &site.path, half };
                    found.extend(match admin.path().join("index").exists() {
                        true => tree.look(&nest.trees()).await?,
                        false => tree.look_at_half_made(&site.base).await?,
                    });
                    let main = self.staying(site, &nest, keep_branch).await?;
                    found.extend(nest.look(&main, &site.base, half).await?);
                }
                None if is_empty(&site.path) => {}
                None => found.push("the folder is no worktree of the repository any more".to_owned()),
            }
        } else if let Some(admin) = &admin {
            // Of a removal that was interrupted: the folder is gone, and its submodules are not.
            let nest = Nest::of(&site.path, admin).await?;
            let main = self.staying(site, &nest, keep_branch).await?;
            found.extend(nest.look(&main, &site.base, half).await?);
        }
        self.look_at_commits(site, admin.as_ref(), half, keep_branch, &mut found).await?;
        Ok(Seen { work: found, has_repositories })
    }

    /// The repository, with what of it stays. That is of interest only if others are in the worktree.
    async fn staying(&self, site: &Site, nest: &Nest<'_>, keep_branch: bool) -> Result<Outside, Error> {
        let common = self.repository().common();
        if nest.is_empty() {
            return Ok(Outside::new(common, Vec::new()));
        }
        let goes = self.branch_goes(site, keep_branch).await?;
        let mut tips = self.safe(site, goes).await?;
        tips.push(site.base.clone());
        Ok(Outside::new(common, tips))
    }

    /// Whether what is at the path is the worktree: by the fence file beside it, or by what ties it to git's
    /// folder.
    ///
    /// # Errors
    /// [`Error::Fenced`] if the two contradict each other.
    pub(crate) fn has_path(&self, site: &Site, admin: Option<&Admin>) -> Result<bool, Error> {
        if site.path.symlink_metadata().is_err() {
            return Ok(false);
        }
        let tied = admin.is_some_and(|admin| admin.is_linked_from(&site.path) == Some(true));
        match Fence::of(&site.path).holder()? {
            Some(holder) if holder.id == site.id => Ok(true),
            Some(holder) if tied => Err(Error::Fenced { path: site.path.clone(), holder: Box::new(holder) }),
            Some(_) => Ok(false),
            None => Ok(tied),
        }
    }

    /// Whether the branch would be removed with the worktree: it was made for it, and is no other name of
    /// another one.
    pub(crate) async fn branch_goes(&self, site: &Site, keep_branch: bool) -> Result<bool, Error> {
        if keep_branch || !self.made_branch(site).await? {
            return Ok(false);
        }
        let symbolic = self.git()?.args(["symbolic-ref", "--quiet", &site.reference()]).ask().await?;
        Ok(symbolic.is_none())
    }

    /// Commits that HEAD, the branch, references of the worktree or files in git's folder of it name, and
    /// that nothing has that stays. The base is none of the worktree's own.
    async fn look_at_commits(
        &self,
        site: &Site,
        admin: Option<&Admin>,
        half: bool,
        keep_branch: bool,
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        let common = self.repository().common();
        let mut tips = Vec::new();
        if let Some(admin) = admin {
            if let Some(operation) = Admin::operation(admin.path()).await? {
                found.push(format!("a {operation} that is under way"));
            }
            let head = Git::of(admin.path(), None)?.args(["rev-parse", "--verify", "--quiet", "HEAD"]);
            match head.ask().await? {
                Some(head) => tips.push(line(&head)),
                None if half => {}
                None => found.push("a HEAD that git cannot read".to_owned()),
            }
            let own = reach::references(admin.path(), &PER_WORKTREE).await?;
            if own.iter().any(|reference| !reference.has_history()) {
                found.push("a reference of its own to something that is no commit".to_owned());
            }
            tips.extend(own.into_iter().filter(Reference::has_history).map(|reference| reference.object));
            tips.extend(reach::commits(common, &admin.ids()?).await?);
        }
        let goes = self.branch_goes(site, keep_branch).await?;
        if goes {
            tips.extend(self.tip(&site.reference()).await?);
        }
        tips.retain(|tip| *tip != site.base);
        let safe = self.safe(site, goes).await?;
        let safe = safe.iter().map(String::as_str).chain([site.base.as_str()]);
        let lost = reach::unreached(common, tips.iter().map(String::as_str), safe).await?;
        let nowhere = "that no other branch, remote branch or tag has";
        count(found, lost.len(), "commit", nowhere, nowhere);
        Ok(())
    }
}

/// Whether the tree, git's folder of it and the record lead to each other.
fn look_at_ties(site: &Site, admin: &Admin, half: bool, found: &mut Vec<String>) -> Result<(), Error> {
    if let Some(reason) = admin.locked_by_other(site) {
        let reason = reason.replace(char::is_control, "\u{fffd}");
        found.push(format!("a lock of git that another process has put on it ({reason:?})"));
    }
    match admin.tree() {
        Some(tree) if tree != site.path && tree.canonicalize().ok() != site.path.canonicalize().ok() => {
            found.push(format!("it was moved to {}", tree.display()));
            return Ok(());
        }
        Some(_) => {}
        None if half => {}
        None => found.push("git does not know where its folder is".to_owned()),
    }
    match site.path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !half {
                found.push(MISSING.to_owned());
            }
        }
        Err(error) => return Err(Error::io("cannot look at", &site.path)(error)),
        Ok(about) if !about.is_dir() => found.push("a link or a file is at its path".to_owned()),
        Ok(_) => match admin.is_linked_from(&site.path) {
            Some(true) => {}
            None if half => {}
            None => found.push("its folder has no .git file".to_owned()),
            Some(false) => found.push("its folder belongs to another repository".to_owned()),
        },
    }
    Ok(())
}
