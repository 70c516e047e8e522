//! Looks for files in one tree that its repository does not have.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::{error::Error, git::Git};

/// A checkout that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) git_dir: &'a Path,
    pub(crate) folder: &'a Path,
    /// Half made or half removed: a file that is missing was taken away by us, or not put there yet.
    pub(crate) half: bool,
}

impl Tree<'_> {
    fn git(&self) -> Result<Git, Error> {
        Git::of(self.git_dir, Some(self.folder))
    }

    /// What is there that is nowhere else, a line each. `submodules`: the trees that are looked at by
    /// themselves.
    pub(crate) async fn look(&self, submodules: &BTreeSet<PathBuf>) -> Result<Vec<String>, Error> {
        let status = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal"];
        let said = self.git()?.args(status).args(["--ignore-submodules=dirty"]).run().await?;
        let (mut changed, mut unknown) = (0, 0);
        for entry in said.split(|byte| *byte == 0).filter(|entry| entry.len() > 3) {
            match &entry[..2] {
                b"??" => unknown += 1,
                b" D" | b"D " if self.half => {}
                _ => changed += 1,
            }
        }
        unknown += self.in_submodules_that_are_not_there(submodules).await?;
        let mut found = Vec::new();
        count(&mut found, changed, "changed file", "that is not committed", "that are not committed");
        count(&mut found, unknown, "file or folder", "that git does not know", "that git does not know");
        let hidden = "that git was configured not to look at";
        count(&mut found, self.hidden().await?, "file", hidden, hidden);
        Ok(found)
    }

    /// Of a checkout that was interrupted: what git wrote is in the base, half written or whole; anything
    /// else is not git's. Compared with an index of its own, since there is none yet.
    pub(crate) async fn look_at_half_made(&self, base: &str) -> Result<Vec<String>, Error> {
        let index = self.git_dir.join("planlease-index");
        let git = || Ok::<_, Error>(self.git()?.variable("GIT_INDEX_FILE", &index));
        git()?.args(["read-tree", base]).run().await?;
        let others = ["ls-files", "-z", "--others", "--exclude-standard", "--directory"];
        let said = git()?.args(others).run().await?;
        let unknown = said.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).count();
        let mut found = Vec::new();
        count(&mut found, unknown, "file or folder", "that git does not know", "that git does not know");
        Ok(found)
    }

    /// Files that are there although git is set not to look at them.
    async fn hidden(&self) -> Result<usize, Error> {
        let flags = self.git()?.args(["ls-files", "-v", "-z"]).run().await?;
        let hidden = flags.split(|byte| *byte == 0).filter(|entry| {
            let hides = entry.first().is_some_and(|flag| flag.is_ascii_lowercase() || *flag == b'S');
            let path = || self.folder.join(OsStr::from_bytes(&entry[2..]));
            hides && path().symlink_metadata().is_ok_and(|about| !about.is_dir())
        });
        Ok(hidden.count())
    }

    /// Folders of submodules that hold something although no repository is there: git does not look into
    /// them.
    async fn in_submodules_that_are_not_there(&self, known: &BTreeSet<PathBuf>) -> Result<usize, Error> {
        let said = self.git()?.args(["ls-files", "--stage", "-z"]).run().await?;
        let entries = said.split(|byte| *byte == 0).filter(|entry| entry.starts_with(b"160000 "));
        let folders = entries.filter_map(|entry| {
            let name = entry.splitn(2, |byte| *byte == b'\t').nth(1)?;
            Some(self.folder.join(OsStr::from_bytes(name)))
        });
        Ok(folders.filter(|folder| !known.contains(folder) && !is_empty(folder)).count())
    }
}

/// Adds how many of something there are, if any.
pub(crate) fn count(found: &mut Vec<String>, number: usize, what: &str, one: &str, many: &str) {
    match number {
        0 => {}
        1 => found.push(format!("1 {what} {one}")),
        n if what == "file or folder" => found.push(format!("{n} files or folders {many}")),
        n => found.push(format!("{n} {what}s {many}")),
    }
}

/// Whether there is nothing at this path, or a folder with nothing in it.
pub(crate) fn is_empty(folder: &Path) -> bool {
    folder.symlink_metadata().is_err()
        || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
