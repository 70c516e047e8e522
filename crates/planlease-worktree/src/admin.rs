//! git's folder of a worktree: whose it is, where its tree is, what is under way in it.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use crate::{error::Error, git::Git, reach, site::Site};

/// Says for which site the folder was made, also when the worktree is unlocked or moved.
const MARK: &str = "planlease";

/// Is there from the moment before anything of the worktree is removed.
const REMOVING: &str = "planlease-removing";

/// The largest file in it that is read.
const MOST: u64 = 16 * 1024 * 1024;

/// What git leaves while an operation is under way, and what that is called.
const OPERATIONS: [(&str, &str); 9] = [
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase or am"),
    ("MERGE_HEAD", "merge"),
    ("MERGE_AUTOSTASH", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("sequencer", "cherry-pick or revert"),
    ("BISECT_LOG", "bisect"),
    ("BISECT_START", "bisect"),
];

/// Files that name no commit of the worktree's own, or are looked at in another way.
const KNOWN: [&str; 12] = [
    "HEAD",
    "ORIG_HEAD",
    "FETCH_HEAD",
    "COMMIT_EDITMSG",
    "MERGE_MSG",
    "commondir",
    "gitdir",
    "locked",
    "index",
    "logs",
    "modules",
    "reftable",
];

/// Git's folder of a worktree.
#[derive(Clone, Debug)]
pub(crate) struct Admin(PathBuf);

impl Admin {
    /// That of this site, if there is one: by its mark, by the reason of its lock, or if it has neither, by
    /// its path.
    pub(crate) fn of(common: &Path, site: &Site) -> Result<Option<Self>, Error> {
        let all = common.join("worktrees");
        let entries = match fs::read_dir(&all) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("cannot read", all)(error)),
        };
        for entry in entries {
            let admin = Self(entry.map_err(Error::io("cannot read", &all))?.path());
            let ours = match (admin.says(MARK), admin.says("locked")) {
                (Some(mark), _) => mark == site.id.to_string(),
                (None, Some(reason)) if !reason.is_empty() => reason == site.reason(),
                (None, _) => admin.tree().as_ref() == Some(&site.path),
            };
            if ours {
                return Ok(Some(admin));
            }
        }
        Ok(None)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where git has its tree; `None` if it says nothing about that.
    pub(crate) fn tree(&self) -> Option<PathBuf> {
        let file = self.says("gitdir").filter(|file| !file.is_empty())?;
        plain(&self.0.join(file)).parent().map(Path::to_owned)
    }

    /// Whether the tree's `.git` leads here. `None`: there is no such file, or it is empty.
    pub(crate) fn is_linked_from(&self, tree: &Path) -> Option<bool> {
        let file = tree.join(".git");
        let about = file.symlink_metadata().ok()?;
        if about.is_file() && about.len() == 0 {
            return None;
        }
        let Some(target) = linked_folder(&file) else { return Some(false) };
        Some(
            target == self.0
                || target.canonicalize().is_ok_and(|target| Some(target) == self.0.canonicalize().ok()),
        )
    }

    /// Says for which site it was made.
    pub(crate) fn mark(&self, site: &Site) -> Result<(), Error> {
        self.write(MARK, &site.id.to_string())
    }

    /// Whether a removal has begun to take things away.
    pub(crate) fn is_removing(&self) -> bool {
        self.0.join(REMOVING).exists()
    }

    /// Says whether a removal takes things away from now on.
    pub(crate) fn set_removing(&self, removing: bool) -> Result<(), Error> {
        match removing {
            true => self.write(REMOVING, ""),
            false => match fs::remove_file(self.0.join(REMOVING)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Error::io("cannot remove a file in", &self.0)(error))
                }
                _ => Ok(()),
            },
        }
    }

    /// Whether it is locked for git.
    pub(crate) fn is_locked(&self) -> bool {
        self.0.join("locked").exists()
    }

    /// Why it is locked for git, if not by us.
    pub(crate) fn locked_by_other(&self, site: &Site) -> Option<String> {
        self.says("locked").filter(|reason| *reason != site.reason())
    }

    /// The operation of git that has begun in this git folder and not ended.
    pub(crate) async fn operation(git_dir: &Path) -> Result<Option<&'static str>, Error> {
        let is_reftable = git_dir.join("reftable").exists(); // Then some of them are no files.
        for (name, operation) in OPERATIONS {
            let is_file = git_dir.join(name).symlink_metadata().is_ok();
            let verify = ["rev-parse", "--verify", "--quiet", name];
            if is_file || (is_reftable && Git::of(git_dir, None)?.args(verify).ask().await?.is_some()) {
                return Ok(Some(operation));
            }
        }
        Ok(None)
    }

    /// All object ids that its files name, but for those that are looked at in another way.
    pub(crate) fn ids(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(Error::io("cannot read", &folder))? {
                let entry = entry.map_err(Error::io("cannot read", &folder))?;
                let (path, name) = (entry.path(), entry.file_name());
                if folder == self.0 && KNOWN.iter().any(|known| name == *known) {
                    continue;
                }
                let about = path.symlink_metadata().map_err(Error::io("cannot look at", &path))?;
                if about.is_dir() {
                    folders.push(path);
                } else if about.is_file() && about.len() <= MOST {
                    found.extend(reach::ids(&fs::read(&path).map_err(Error::io("cannot read", &path))?));
                }
            }
        }
        Ok(found)
    }

    /// All object ids that its FETCH_HEAD names: what was fetched last in the worktree.
    pub(crate) fn fetched(&self) -> Result<Vec<String>, Error> {
        let path = self.0.join("FETCH_HEAD");
        match fs::read(&path) {
            Ok(text) => Ok(reach::ids(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io("cannot read", path)(error)),
        }
    }

    /// What a small file in it says, without the end of its line.
    fn says(&self, name: &str) -> Option<String> {
        let text = fs::read(self.0.join(name)).ok()?;
        Some(String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(Error::io("cannot write", path))
    }
}

/// The git folder that a `.git` file leads to; `None` if it is none.
pub(crate) fn linked_folder(file: &Path) -> Option<PathBuf> {
    if !file.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let target = text.trim_end().strip_prefix("gitdir: ")?;
    Some(plain(&file.parent()?.join(target)))
}

/// The path without `..`, which git writes if it is set to use relative paths. Nothing before it is a
/// symbolic link.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_of_git_lead_where_absolute_ones_do() {
        let admin = Path::new("/srv/repo/.git/worktrees/one");
        for written in ["/srv/trees/one/.git", "../../../../trees/one/.git"] {
            assert_eq!(plain(&admin.join(written)), Path::new("/srv/trees/one/.git"), "{written}");
        }
    }
}
