//! The commits of a repository inside of a worktree: which it names, and which of them stay elsewhere.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    elsewhere::{Gone, Outside, Remotes, fetched_locally},
    error::Error,
    git::{Git, line},
    reach::{self, Reference},
};

/// What a reflog says of a commit that was not made in the repository, but only looked at there.
const LOOKED_AT: [&str; 5] = ["checkout:", "clone:", "reset:", "branch:", "fetch"];

/// The commits of one repository.
#[derive(Debug)]
pub(crate) struct Commits {
    /// What stays elsewhere.
    stay: Vec<String>,
    /// What its references name, but for those that only say what a remote has.
    tips: Vec<String>,
    /// What was made in it, as its reflogs say.
    made: Vec<String>,
    /// Tags that were fetched from the network. One of a commit that was made here counts for nothing.
    tags: Vec<String>,
    /// Whether it has a reference to something that is no commit.
    pub(crate) is_odd: bool,
}

impl Commits {
    /// Those of this repository. `base`: a commit that its remote is known to have had. `main`: the
    /// repository of the worktree.
    pub(crate) async fn of(
        git_dir: &Path,
        tree: Option<&Path>,
        base: Option<&str>,
        gone: &Gone,
        main: &Outside,
    ) -> Result<Self, Error> {
        let remotes = Remotes::of(git_dir, tree, gone).await?;
        let is_logged = tree.is_some() && git_dir.join("logs/HEAD").exists();
        let are_tags_fetched = is_logged && remotes.are_on_the_network();
        let (mut stay, mut tips, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_odd = false;
        for reference in reach::references(git_dir, &[]).await? {
            let has_history = reference.has_history();
            let Reference { object, name, .. } = reference;
            let (is_remote, is_tag) = (name.starts_with("refs/remotes/"), name.starts_with("refs/tags/"));
            match has_history {
                true if is_remote && remotes.vouch_for(&name) => stay.push(object),
                true if is_tag && are_tags_fetched => tags.push(object),
                true => tips.push(object),
                false => is_odd |= !is_remote && !is_tag,
            }
        }
        let head = Git::of(git_dir, None)?.args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        tips.extend(head.ask().await?.map(|head| line(&head)));
        let stashed = reach::reflog(git_dir, "refs/stash").await?;
        tips.extend(stashed.into_iter().map(|(id, _)| id));
        tips.extend(reach::commits(git_dir, &beside_head(git_dir, is_logged, gone)?).await?);
        stay.extend(base.map(str::to_owned));
        stay.extend(remotes.hold(&tips, gone, main).await?);
        let made = reach::reflog(git_dir, "--all").await?.into_iter();
        let made = made.filter(|(_, why)| !LOOKED_AT.iter().any(|looked| why.starts_with(looked)));
        Ok(Self { stay, tips, made: made.map(|(id, _)| id).collect(), tags, is_odd })
    }

    /// Those that would be lost with the repository, as far as it knows itself.
    pub(crate) async fn lost(&self, git_dir: &Path) -> Result<BTreeSet<String>, Error> {
        let known = texts(&self.stay).chain(texts(&self.tags));
        let mut lost = reach::unreached(git_dir, texts(&self.tips), known).await?;
        lost.extend(reach::unreached(git_dir, texts(&self.made), texts(&self.stay)).await?);
        Ok(lost.into_iter().filter_map(|node| node.into_iter().next()).collect())
    }

    /// What of the repository stays elsewhere.
    pub(crate) fn staying(&self, git_dir: &Path) -> Outside {
        Outside::new(git_dir, self.stay.clone())
    }
}

/// The objects that files like FETCH_HEAD name. ORIG_HEAD is in the reflog too, if there is one.
fn beside_head(git_dir: &Path, is_logged: bool, gone: &Gone) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(git_dir).map_err(Error::io("cannot read", git_dir))? {
        let path = entry.map_err(Error::io("cannot read", git_dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.ends_with("_HEAD") || (is_logged && name == "ORIG_HEAD") || !path.is_file() {
            continue;
        }
        let text = fs::read(&path).map_err(Error::io("cannot read", &path))?;
        found.extend(match name == "FETCH_HEAD" {
            true => fetched_locally(&text, gone),
            false => reach::ids(&text),
        });
    }
    Ok(found)
}

fn texts(ids: &[String]) -> impl Iterator<Item = &str> {
    ids.iter().map(String::as_str)
}
