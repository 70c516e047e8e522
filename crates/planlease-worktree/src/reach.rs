//! Which commits no reference reaches that stays: what would be lost with the references that go.

use std::path::Path;

use crate::{error::Error, git::Git};

/// The references whose commits count as safe.
pub(crate) const SAFE: [&str; 3] = ["refs/heads", "refs/remotes", "refs/tags"];

/// A reference of a repository. Symbolic ones are left out: they keep nothing by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) object: String,
    /// `commit`, `tag`, `tree` or `blob`.
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl Reference {
    /// Whether it leads to commits, as far as its own object says.
    pub(crate) fn has_history(&self) -> bool {
        matches!(self.kind.as_str(), "commit" | "tag")
    }
}

/// The references below these prefixes, or all.
pub(crate) async fn references(git_dir: &Path, below: &[&str]) -> Result<Vec<Reference>, Error> {
    let format = "--format=%(objectname) %(objecttype) %(refname) %(symref)";
    let said = Git::of(git_dir, None)?.args(["for-each-ref", format]).args(below).run().await?;
    let text = String::from_utf8_lossy(&said).into_owned();
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut parts = line.split(' ');
            let (object, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
            let symbolic = parts.next().is_some_and(|target| !target.is_empty());
            (!symbolic).then(|| Reference { object: object.into(), kind: kind.into(), name: name.into() })
        })
        .collect())
}

/// A commit with its parents.
pub(crate) type Node = Vec<String>;

/// The commits that `tips` reach and `kept` does not. Replacements and grafts, which are of this clone only,
/// do not count.
pub(crate) async fn unreached<'a>(
    git_dir: &Path,
    tips: impl IntoIterator<Item = &'a str>,
    kept: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Node>, Error> {
    let mut input = String::new();
    for tip in tips {
        input.push_str(&format!("{tip}\n"));
    }
    if input.is_empty() {
        return Ok(Vec::new());
    }
    for kept in kept {
        input.push_str(&format!("^{kept}\n"));
    }
    let git = Git::of(git_dir, None)?.variable("GIT_NO_REPLACE_OBJECTS", "1");
    let git = git.variable("GIT_GRAFT_FILE", "/dev/null").input(input.into_bytes());
    let said = git.args(["rev-list", "--ignore-missing", "--parents", "--stdin"]).run().await?;
    let text = String::from_utf8_lossy(&said).into_owned();
    Ok(text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect())
}

/// The commits of the repository that these ids name, by themselves or by a tag.
pub(crate) async fn commits(git_dir: &Path, ids: &[String]) -> Result<Vec<String>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let format = "--batch-check=%(objectname) %(objecttype)";
    let input: String = ids.iter().map(|id| format!("{id}^{{commit}}\n")).collect();
    // What a partial clone does not have, it does not get now.
    let git = Git::of(git_dir, None)?.variable("GIT_NO_LAZY_FETCH", "1");
    let said = git.args(["cat-file", format]).input(input.into_bytes()).run().await?;
    let text = String::from_utf8_lossy(&said).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_suffix(" commit")).map(str::to_owned).collect())
}

/// The commits that the reflog of a reference names; with what each entry was written for.
pub(crate) async fn reflog(git_dir: &Path, of: &str) -> Result<Vec<(String, String)>, Error> {
    let log = Git::of(git_dir, None)?.args(["log", "--walk-reflogs", "--format=%H %gs", of, "--"]);
    let Some(said) = log.ask().await? else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&said).into_owned();
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(id, _)| is_id(id))
        .map(|(id, why)| (id.to_owned(), why.to_owned()))
        .collect())
}

/// Whether this could be the id of an object.
pub(crate) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The object ids that a text contains.
pub(crate) fn ids(text: &[u8]) -> Vec<String> {
    let words = text.split(|byte| !byte.is_ascii_hexdigit());
    words
        .filter_map(|word| std::str::from_utf8(word).ok())
        .filter(|word| is_id(word))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_any_text() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("pick {id} words\n{id}\tx {id}f abc");
        assert_eq!(ids(text.as_bytes()), [id, id]);
        assert!(is_id(&"a".repeat(64)) && !is_id(&"a".repeat(41)) && !is_id(&"g".repeat(40)));
    }
}
