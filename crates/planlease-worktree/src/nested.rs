//! The repositories that would go with a worktree: submodules at any depth, checked out or not, and clones
//! inside of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    admin::{Admin, linked_folder, plain},
    error::Error,
    files::{Tree, count},
    git::{Git, line},
    reach::{self, Reference},
};

/// What a reflog says of a commit that was not made in the repository, but only looked at there.
const LOOKED_AT: [&str; 5] = ["checkout:", "clone:", "reset:", "branch:", "fetch"];

/// A repository inside of a worktree, or inside of git's folder of it.
#[derive(Clone, Debug)]
struct Nested {
    git_dir: PathBuf,
    /// Its checkout, if that is there.
    tree: Option<PathBuf>,
}

/// All repositories that go with one worktree.
#[derive(Debug)]
pub(crate) struct Nest<'a> {
    root: &'a Path,
    all: Vec<Nested>,
    /// What was found in their place, a line each.
    found: Vec<String>,
}

impl<'a> Nest<'a> {
    /// Those of this worktree. Also looks for what must not be removed with a folder: other worktrees, other
    /// file systems.
    pub(crate) async fn of(root: &'a Path, admin: &Admin) -> Result<Self, Error> {
        let mut nest = Self { root, all: Vec::new(), found: Vec::new() };
        let mut modules = vec![admin.path().join("modules")];
        nest.walk(&mut modules)?;
        nest.follow(modules).await?;
        nest.all.sort_by(|one, other| one.tree.cmp(&other.tree));
        Ok(nest)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Where checkouts of submodules and clones are.
    pub(crate) fn trees(&self) -> BTreeSet<PathBuf> {
        self.all.iter().filter_map(|nested| nested.tree.clone()).collect()
    }

    /// Goes through the worktree for repositories. `modules`: where repositories of submodules are.
    fn walk(&mut self, modules: &mut Vec<PathBuf>) -> Result<(), Error> {
        let Ok(about) = self.root.symlink_metadata() else { return Ok(()) };
        let mut links = Vec::new();
        let mut folders = vec![self.root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(Error::io("cannot read", &folder))? {
                let entry = entry.map_err(Error::io("cannot read", &folder))?;
                let (path, kind) = (entry.path(), entry.file_type());
                let kind = kind.map_err(Error::io("cannot look at", &path))?;
                let is_git = entry.file_name() == ".git";
                if is_git && folder == self.root {
                    continue; // The worktree's own.
                }
                if kind.is_dir() && path.metadata().is_ok_and(|inner| inner.dev() != about.dev()) {
                    self.found.push(format!("another file system, mounted at {}", self.shown(&path)));
                } else if kind.is_dir() && (is_git || is_bare(&path)) {
                    modules.push(path.join("modules"));
                    let tree = is_git.then(|| folder.clone());
                    self.all.push(Nested { git_dir: path, tree });
                } else if kind.is_dir() {
                    folders.push(path);
                } else if is_git {
                    links.push(path);
                }
            }
        }
        for link in links {
            let target = linked_folder(&link);
            if !target.is_some_and(|target| modules.iter().any(|modules| target.starts_with(modules))) {
                let at = self.shown(link.parent().unwrap_or(&link));
                self.found.push(format!("another worktree at {at}"));
            }
        }
        Ok(())
    }

    /// Takes the repositories of submodules, and of theirs.
    async fn follow(&mut self, mut modules: Vec<PathBuf>) -> Result<(), Error> {
        while let Some(folder) = modules.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("cannot read", folder)(error)),
            };
            for entry in entries {
                let path = entry.map_err(Error::io("cannot read", &folder))?.path();
                if !path.join("HEAD").is_file() {
                    if path.is_dir() {
                        modules.push(path); // Names of submodules have slashes.
                    }
                    continue;
                }
                modules.push(path.join("modules"));
                let at = Git::of(&path, None)?.args(["config", "--get", "core.worktree"]).ask().await?;
                let tree = at.map(|at| plain(&path.join(line(&at))));
                match tree {
                    Some(tree) if !tree.starts_with(self.root) => {
                        self.found.push(format!("a submodule that is checked out at {}", tree.display()));
                    }
                    tree => {
                        let tree = tree.filter(|tree| tree.is_dir());
                        self.all.push(Nested { git_dir: path, tree });
                    }
                }
            }
        }
        Ok(())
    }

    /// What in them is nowhere else, a line each. `common`, `base`: the worktree's repository, and the commit
    /// at which its branch began: a commit that this one names for a submodule was in the submodule's remote
    /// repository.
    pub(crate) async fn look(self, common: &Path, base: &str, half: bool) -> Result<Vec<String>, Error> {
        let trees = self.trees();
        let mut found = self.found.clone();
        let mut bases = BTreeMap::from([(self.root.to_owned(), (common.to_owned(), Some(base.to_owned())))]);
        for nested in &self.all {
            let base = match &nested.tree {
                Some(tree) => {
                    let base = pinned(&bases, tree).await?;
                    bases.insert(tree.clone(), (nested.git_dir.clone(), base.clone()));
                    base
                }
                None => None,
            };
            let shown = self.shown(nested.tree.as_deref().unwrap_or(&nested.git_dir));
            match nested.look(&trees, base.as_deref(), half).await {
                Ok(lines) => found.extend(lines.iter().map(|line| format!("{line} in {shown}"))),
                Err(Error::Git { .. }) => found.push(format!("a repository that git cannot read in {shown}")),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(self.root).unwrap_or(path).to_string_lossy();
        path.replace(char::is_control, "\u{fffd}")
    }
}

impl Nested {
    async fn look(
        &self,
        trees: &BTreeSet<PathBuf>,
        base: Option<&str>,
        half: bool,
    ) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        if let Some(operation) = Admin::operation(&self.git_dir).await? {
            found.push(format!("a {operation} that is under way"));
        }
        if self.git_dir.join("worktrees").read_dir().is_ok_and(|mut trees| trees.next().is_some()) {
            found.push("a repository that has worktrees elsewhere".to_owned());
        }
        if let Some(folder) = &self.tree {
            found.extend(Tree { git_dir: &self.git_dir, folder, half }.look(trees).await?);
        }
        let commits = self.commits_of_its_own(base, &mut found).await?;
        count(&mut found, commits, "commit", "that no remote branch has", "that no remote branch has");
        Ok(found)
    }

    /// How many commits would be lost with the repository: those that no remote branch has. A tag that was
    /// fetched counts as the remote's too, which one of a commit that was made here (its reflog says so) does
    /// not.
    async fn commits_of_its_own(&self, base: Option<&str>, found: &mut Vec<String>) -> Result<usize, Error> {
        let all = reach::references(&self.git_dir, &[]).await?;
        let below = |prefix: &str, reference: &Reference| reference.name.starts_with(prefix);
        let (remote, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|reference| below("refs/remotes/", reference));
        let (tags, own): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|reference| below("refs/tags/", reference));
        if own.iter().any(|reference| !reference.has_history()) {
            found.push("a reference to something that is no commit".to_owned());
        }
        let head = Git::of(&self.git_dir, None)?.args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        let mut tips: Vec<String> = head.ask().await?.map(|head| line(&head)).into_iter().collect();
        tips.extend(own.into_iter().filter(Reference::has_history).map(|reference| reference.object));
        let stashed = reach::reflog(&self.git_dir, "refs/stash").await?;
        tips.extend(stashed.into_iter().map(|(id, _)| id));
        let safe: Vec<&str> = remote.iter().map(|reference| reference.object.as_str()).chain(base).collect();
        let is_logged = self.tree.is_some() && self.git_dir.join("logs/HEAD").exists();
        let fetched = tags.iter().filter(|_| is_logged).map(|tag| tag.object.as_str());
        let known: Vec<&str> = safe.iter().copied().chain(fetched).collect();
        let mut lost = reach::unreached(&self.git_dir, tips.iter().map(String::as_str), known).await?;
        let made = reach::reflog(&self.git_dir, "--all").await?;
        let made = made.iter().filter(|(_, why)| !LOOKED_AT.iter().any(|looked| why.starts_with(looked)));
        lost.extend(reach::unreached(&self.git_dir, made.map(|(id, _)| id.as_str()), safe).await?);
        if !is_logged {
            let tagged = tags.iter().filter(|tag| tag.has_history()).map(|tag| tag.object.as_str());
            let safe = remote.iter().map(|reference| reference.object.as_str()).chain(base);
            lost.extend(reach::unreached(&self.git_dir, tagged, safe).await?);
        }
        Ok(lost.into_iter().filter_map(|node| node.into_iter().next()).collect::<BTreeSet<_>>().len())
    }
}

/// The commit that the base of the repository around it names for this submodule.
async fn pinned(
    bases: &BTreeMap<PathBuf, (PathBuf, Option<String>)>,
    tree: &Path,
) -> Result<Option<String>, Error> {
    let Some((around, (git_dir, Some(base)))) =
        tree.ancestors().skip(1).find_map(|folder| bases.get_key_value(folder))
    else {
        return Ok(None);
    };
    let Ok(name) = tree.strip_prefix(around) else { return Ok(None) };
    let list = Git::of(git_dir, None)?.args(["--literal-pathspecs", "ls-tree", base, "--"]);
    let Some(said) = list.args([name]).ask().await? else { return Ok(None) };
    let said = line(&said);
    let id = said.strip_prefix("160000 commit ").and_then(|rest| rest.split('\t').next());
    Ok(id.map(str::to_owned))
}

/// Whether a folder is a git folder without a tree.
fn is_bare(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}
