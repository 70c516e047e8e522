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
    commits::Commits,
    elsewhere::{Gone, Outside, is_bare},
    error::Error,
    files::{Tree, count},
    git::{Git, line},
};

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
    gone: Gone,
    all: Vec<Nested>,
    /// What was found in their place, a line each.
    found: Vec<String>,
}

impl<'a> Nest<'a> {
    /// Those of this worktree. Also looks for what must not be removed with a folder: other worktrees, other
    /// file systems.
    pub(crate) async fn of(root: &'a Path, admin: &Admin) -> Result<Self, Error> {
        let gone = Gone::new([root, admin.path()]);
        let mut nest = Self { root, gone, all: Vec::new(), found: Vec::new() };
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

    /// What in them is nowhere else, a line each. `main`, `base`: the worktree's repository, and the commit
    /// at which its branch began: a commit that this one names for a submodule was in the submodule's
    /// remote repository.
    pub(crate) async fn look(self, main: &Outside, base: &str, half: bool) -> Result<Vec<String>, Error> {
        let trees = self.trees();
        let mut found = self.found.clone();
        if self.gone.lends_to(&main.git_dir().join("objects")) {
            found.push("objects that its repository borrows".to_owned());
        }
        let main_tree = (main.git_dir().to_owned(), Some(base.to_owned()));
        let mut bases = BTreeMap::from([(self.root.to_owned(), main_tree)]);
        let mut all = Vec::new();
        for nested in &self.all {
            let base = match &nested.tree {
                Some(tree) => {
                    let base = pinned(&bases, tree).await?;
                    bases.insert(tree.clone(), (nested.git_dir.clone(), base.clone()));
                    base
                }
                None => None,
            };
            let looked = async {
                let lines = nested.look(&trees, half).await?;
                let (git_dir, tree) = (&nested.git_dir, nested.tree.as_deref());
                let commits = Commits::of(git_dir, tree, base.as_deref(), &self.gone, main).await?;
                Ok::<_, Error>((lines, commits))
            };
            match looked.await {
                Ok((lines, commits)) => {
                    found.extend(lines.iter().map(|line| format!("{line} in {}", self.place(nested))));
                    all.push((nested, commits));
                }
                Err(Error::Git { .. }) => found.push(self.unreadable(nested)),
                Err(error) => return Err(error),
            }
        }
        self.look_at_commits(&all, main, &mut found).await?;
        Ok(found)
    }

    /// Commits that no repository has which stays. What stays of one repository inside of the worktree stays
    /// of all of them.
    async fn look_at_commits(
        &self,
        all: &[(&Nested, Commits)],
        main: &Outside,
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        let nowhere = "that no repository outside of the worktree has";
        for (n, (nested, commits)) in all.iter().enumerate() {
            if commits.is_odd {
                let what = "a reference to something that is no commit";
                found.push(format!("{what} in {}", self.place(nested)));
            }
            let lost = match commits.lost(&nested.git_dir).await {
                Ok(lost) => without_what_others_keep(lost, n, all, main).await,
                Err(error) => Err(error),
            };
            match lost {
                Ok(lost) => {
                    let mut lines = Vec::new();
                    count(&mut lines, lost.len(), "commit", nowhere, nowhere);
                    found.extend(lines.iter().map(|line| format!("{line} in {}", self.place(nested))));
                }
                Err(Error::Git { .. }) => found.push(self.unreadable(nested)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn unreadable(&self, nested: &Nested) -> String {
        format!("a repository that git cannot read in {}", self.place(nested))
    }

    fn place(&self, nested: &Nested) -> String {
        self.shown(nested.tree.as_deref().unwrap_or(&nested.git_dir))
    }

    fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(self.root).unwrap_or(path).to_string_lossy();
        path.replace(char::is_control, "\u{fffd}")
    }
}

impl Nested {
    /// What it holds besides commits.
    async fn look(&self, trees: &BTreeSet<PathBuf>, half: bool) -> Result<Vec<String>, Error> {
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
        Ok(found)
    }
}

/// Those of these commits of one repository that stay nowhere by way of the others either.
async fn without_what_others_keep(
    mut lost: BTreeSet<String>,
    of: usize,
    all: &[(&Nested, Commits)],
    main: &Outside,
) -> Result<BTreeSet<String>, Error> {
    if lost.is_empty() {
        return Ok(lost);
    }
    let ids: Vec<String> = lost.iter().cloned().collect();
    let mut kept: BTreeSet<String> = main.holds(&ids).await?.into_iter().collect();
    for (n, (nested, commits)) in all.iter().enumerate() {
        if n != of {
            kept.extend(commits.staying(&nested.git_dir).holds(&ids).await?);
        }
    }
    lost.retain(|id| !kept.contains(id));
    Ok(lost)
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
