//! Looks for work in a worktree that is nowhere else: changes, files that git does not know, commits of its own.
//!
//! What is in doubt counts as work. What git is told to ignore does not, as for git itself, unless it is a repository.

use std::path::Path;

use crate::{
    error::Error,
    fence::Fence,
    git::{Git, line},
    locked::Locked,
    site::Site,
};

/// How far the worktree had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Made to its end.
    Whole,
    /// Half made or half removed: what is missing was taken away by us, or not put there yet.
    Half,
}

impl Locked {
    /// What there is in the worktree that is nowhere else, a line each; empty if nothing. `whole`: it was made to its end
    /// and its removal had not begun, so that a file that is missing was deleted by somebody. `keep_branch`: commits on
    /// its branch are safe there.
    ///
    /// # Errors
    /// If it cannot be told.
    pub async fn work(&self, site: &Site, whole: bool, keep_branch: bool) -> Result<Vec<String>, Error> {
        let stage = if whole { Stage::Whole } else { Stage::Half };
        let mut found = Vec::new();
        let admin = self.admin(site)?;
        if site.path.symlink_metadata().is_ok() && Fence::of(&site.path).is_of(site)? {
            match &admin {
                Some(admin) if admin.join("index").exists() => {
                    self.look_at_files(site, admin, stage, &mut found).await?;
                }
                Some(admin) => self.look_at_half_made(site, admin, &mut found).await?,
                None if is_empty(&site.path) => {}
                None => found.push("the folder is no worktree of the repository any more".to_owned()),
            }
            self.look_for_repositories(site, &mut found).await?;
        }
        if let Some(admin) = &admin {
            self.look_at_head(site, admin, stage, keep_branch, &mut found).await?;
        }
        if !keep_branch {
            self.look_at_branch(site, &mut found).await?;
        }
        Ok(found)
    }

    /// git for the worktree, wherever its `.git` may be: without that file git would look for a repository further up.
    fn git_of(&self, site: &Site, admin: &Path) -> Result<Git, Error> {
        let git = self.git()?;
        let mut folder = std::ffi::OsString::from("--git-dir=");
        folder.push(admin);
        let mut tree = std::ffi::OsString::from("--work-tree=");
        tree.push(&site.path);
        Ok(git.args([folder, tree]))
    }

    async fn look_at_files(
        &self,
        site: &Site,
        admin: &Path,
        stage: Stage,
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        let status = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal"];
        let said = self.git_of(site, admin)?.args(status).args(["--ignore-submodules=none"]).run().await?;
        let (mut changed, mut unknown) = (0, 0);
        for entry in said.split(|byte| *byte == 0).filter(|entry| entry.len() > 3) {
            match &entry[..2] {
                b"??" => unknown += 1,
                b" D" | b"D " if stage == Stage::Half => {}
                _ => changed += 1,
            }
        }
        count(found, changed, "changed file", "that is not committed", "that are not committed");
        count(found, unknown, "file or folder", "that git does not know", "that git does not know");
        let flags = self.git_of(site, admin)?.args(["ls-files", "-v", "-z"]).run().await?;
        let hidden = flags.split(|byte| *byte == 0).filter(|entry| {
            let hides = entry.first().is_some_and(|flag| flag.is_ascii_lowercase() || *flag == b'S');
            hides && site.path.join(String::from_utf8_lossy(&entry[2..]).as_ref()).exists()
        });
        count(
            found,
            hidden.count(),
            "file",
            "that git was told not to look at",
            "that git was told not to look at",
        );
        Ok(())
    }

    /// Of a checkout that was interrupted: what git wrote is in the base, half written or whole; anything else is not
    /// git's. Asked of an index of its own, since there is none yet.
    async fn look_at_half_made(
        &self,
        site: &Site,
        admin: &Path,
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        let index = admin.join("planlease-index");
        let git = || Ok::<_, Error>(self.git_of(site, admin)?.variable("GIT_INDEX_FILE", &index));
        git()?.args(["read-tree", &site.base]).run().await?;
        let others = ["ls-files", "-z", "--others", "--exclude-standard", "--directory"];
        let said = git()?.args(others).run().await?;
        let unknown = said.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).count();
        count(found, unknown, "file or folder", "that git does not know", "that git does not know");
        Ok(())
    }

    /// Other worktrees and repositories inside of it, which may be ignored and would go with it.
    async fn look_for_repositories(&self, site: &Site, found: &mut Vec<String>) -> Result<(), Error> {
        let said = self.git()?.args(["worktree", "list", "--porcelain", "-z"]).run().await?;
        let inside = said.split(|byte| *byte == 0).filter(|line| {
            let path = line.strip_prefix(b"worktree ").map(|path| String::from_utf8_lossy(path).into_owned());
            path.is_some_and(|path| Path::new(&path) != site.path && Path::new(&path).starts_with(&site.path))
        });
        count(found, inside.count(), "other worktree", "inside of it", "inside of it");
        Ok(())
    }

    /// Commits that HEAD is at, and that no branch or tag has.
    async fn look_at_head(
        &self,
        site: &Site,
        admin: &Path,
        stage: Stage,
        keep_branch: bool,
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        let head = self.git_of(site, admin)?.args(["rev-parse", "--verify", "--quiet", "HEAD"]).ask().await?;
        let Some(head) = head.map(|head| line(&head)) else {
            if stage == Stage::Whole {
                found.push("a HEAD that git cannot read".to_owned());
            }
            return Ok(());
        };
        let on_branch = self.tip(&site.reference()).await?.as_ref() == Some(&head); // Looked at with the branch.
        if head != site.base && !on_branch && !self.is_elsewhere(site, &head, keep_branch).await? {
            found.push(format!("commits that no branch has, up to {}", short(&head)));
        }
        Ok(())
    }

    /// Commits of its branch that nothing else has.
    async fn look_at_branch(&self, site: &Site, found: &mut Vec<String>) -> Result<(), Error> {
        let Some(tip) = self.tip(&site.reference()).await? else { return Ok(()) };
        if tip == site.base || !self.made_branch(site).await? || self.is_elsewhere(site, &tip, false).await? {
            return Ok(()); // A branch that is not ours is not removed.
        }
        let range = format!("{}..{tip}", site.base);
        let said = self.git()?.args(["rev-list", "--count", &range]).run().await?;
        let number: usize = line(&said).parse().unwrap_or(1);
        let on = format!("on branch {} that is nowhere else", site.branch);
        let many = format!("on branch {} that are nowhere else", site.branch);
        count(found, number.max(1), "commit", &on, &many);
        Ok(())
    }

    /// Whether a reference has the commit; the site's own branch counts only if it is kept.
    pub(crate) async fn is_elsewhere(
        &self,
        site: &Site,
        commit: &str,
        keep_branch: bool,
    ) -> Result<bool, Error> {
        let refs = ["for-each-ref", "--count=2", "--format=%(refname)", "--contains", commit];
        let said = self.git()?.args(refs).run().await?;
        let own = site.reference();
        Ok(String::from_utf8_lossy(&said).lines().any(|name| keep_branch || name != own))
    }
}

fn count(found: &mut Vec<String>, number: usize, what: &str, one: &str, many: &str) {
    match number {
        0 => {}
        1 => found.push(format!("1 {what} {one}")),
        n if what == "file or folder" => found.push(format!("{n} files or folders {many}")),
        n => found.push(format!("{n} {what}s {many}")),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
