//! A site: what one worktree is to be, as its record says it. And what a path is good for.

use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use nix::sys::statvfs::statvfs;
use uuid::Uuid;

use crate::{error::Error, repository::absolute};

/// What one worktree is to be, or is, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Identifies it among all worktrees ever made.
    pub id: Uuid,
    /// Its folder; see [`settled`].
    pub path: PathBuf,
    /// The branch that is made for it, without `refs/heads/`.
    pub branch: String,
    /// The commit at which the branch begins.
    pub base: String,
}

impl Site {
    /// The branch by its full name.
    pub(crate) fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }

    /// What git keeps as the reason why the worktree is locked: the proof that git's folder of it was made
    /// for this site.
    pub(crate) fn reason(&self) -> String {
        format!("planlease worktree {}", self.id)
    }
}

/// The path in its only form: without symbolic links, as far as it is there.
///
/// # Errors
/// [`Error::BadPath`] if it is not absolute, or goes up, or is no text; [`Error::Io`].
pub fn settled(path: &Path) -> Result<PathBuf, Error> {
    absolute(path)?;
    let bad = |why| Err(Error::BadPath { path: path.to_owned(), why });
    if path.components().any(|part| part == Component::ParentDir) {
        return bad("contains `..`");
    }
    if path.to_str().is_none_or(|text| text.chars().any(char::is_control)) {
        return bad("is not plain text");
    }
    if path.file_name().is_none() {
        return bad("names no folder");
    }
    let (there, rest) = existing(path.parent().unwrap_or(path));
    let mut settled = there.canonicalize().map_err(Error::io("cannot find", there))?;
    settled.extend(rest.into_iter().rev());
    settled.extend(path.file_name());
    Ok(settled)
}

/// How many bytes an ordinary user can still write where this path is, or will be.
///
/// # Errors
/// [`Error::Io`].
pub fn free_bytes(path: &Path) -> Result<u64, Error> {
    let (there, _) = existing(path);
    let about =
        statvfs(there).map_err(|errno| Error::io("cannot look at the disk of", there)(errno.into()))?;
    Ok(about.blocks_available().saturating_mul(about.fragment_size()))
}

/// The part of a path that is there, and the names of what is not, the last one first.
fn existing(path: &Path) -> (&Path, Vec<OsString>) {
    let mut rest = Vec::new();
    let mut there = path;
    while !there.exists() {
        let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else { break };
        rest.push(name.to_owned());
        there = parent;
    }
    (there, rest)
}
