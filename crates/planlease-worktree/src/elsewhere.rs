//! Repositories outside of a folder that is removed, and which commits they have: by the remotes of a
//! repository inside of it.
//!
//! A local repository is asked. A remote on the network is not: its remote branches are taken at their word.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use crate::{
    admin::linked_folder,
    error::Error,
    git::{Git, line},
    reach,
};

/// The folders that a removal deletes, without symbolic links.
#[derive(Clone, Debug)]
pub(crate) struct Gone(Vec<PathBuf>);

impl Gone {
    pub(crate) fn new<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        let settled = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Self(folders.into_iter().map(settled).collect())
    }

    /// Whether what is at this path goes with them. What is not there does.
    fn has(&self, path: &Path) -> bool {
        path.canonicalize().map_or(true, |path| self.0.iter().any(|gone| path.starts_with(gone)))
    }

    /// Whether a text names one of them.
    fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|gone| gone.to_str().is_some_and(|gone| text.contains(gone)))
    }

    /// Whether a folder of objects is below them, or borrows from one that is.
    pub(crate) fn lends_to(&self, objects: &Path) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![objects.to_owned()]);
        while let Some(objects) = open.pop() {
            let Ok(objects) = objects.canonicalize() else { continue }; // git does without it.
            if self.has(&objects) {
                return true;
            }
            if !seen.insert(objects.clone()) {
                continue;
            }
            let listed = fs::read(objects.join("info/alternates")).unwrap_or_default();
            for path in listed.split(|byte| *byte == b'\n').filter(|path| !path.is_empty()) {
                if path.starts_with(b"\"") {
                    return true; // Quoted, as git writes an unusual path: not read here.
                }
                open.push(objects.join(OsStr::from_bytes(path)));
            }
        }
        false
    }
}

/// A repository that stays, or what stays of it.
#[derive(Debug)]
pub(crate) struct Outside {
    git_dir: PathBuf,
    /// The tips that stay.
    tips: Vec<String>,
}

impl Outside {
    pub(crate) fn new(git_dir: &Path, tips: Vec<String>) -> Self {
        Self { git_dir: git_dir.to_owned(), tips }
    }

    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The repository at this path; `None` if there is none, if it goes too, if it lacks files of its
    /// commits, or if it is `main`, of which not every branch stays.
    async fn at(path: &Path, gone: &Gone, main: &Self) -> Result<Option<Self>, Error> {
        let Some(git_dir) = git_dir_at(path) else { return Ok(None) };
        let folders = ["rev-parse", "--path-format=absolute", "--git-common-dir", "--git-path", "objects"];
        let Some(said) = Git::of(&git_dir, None)?.args(folders).ask().await? else { return Ok(None) };
        let said = line(&said);
        let Some((common, objects)) = said.split_once('\n') else { return Ok(None) };
        let (common, objects) = (Path::new(common), Path::new(objects));
        let goes = gone.has(common) || gone.has(&common.join("refs")) || gone.lends_to(objects);
        let Ok(git_dir) = common.canonicalize() else { return Ok(None) };
        if goes || git_dir == main.git_dir || is_partial(&git_dir) {
            return Ok(None);
        }
        let all = reach::references(&git_dir, &[]).await?.into_iter();
        let tips = all.filter(reach::Reference::has_history).map(|reference| reference.object).collect();
        Ok(Some(Self { git_dir, tips }))
    }

    /// Whether it lacks what is before some of its commits.
    fn is_shallow(&self) -> bool {
        self.git_dir.join("shallow").exists()
    }

    /// As [`Outside::holds`], where all that is before a commit stays too.
    async fn holds_with_history(&self, ids: &[String]) -> Result<Vec<String>, Error> {
        if self.is_shallow() { Ok(Vec::new()) } else { self.holds(ids).await }
    }

    /// Those of these objects that it has as commits which stay.
    pub(crate) async fn holds(&self, ids: &[String]) -> Result<Vec<String>, Error> {
        let there = reach::commits(&self.git_dir, ids).await?;
        let (wanted, tips) = (there.iter().map(String::as_str), self.tips.iter().map(String::as_str));
        let lost = reach::unreached(&self.git_dir, wanted, tips).await?;
        let lost: BTreeSet<String> = lost.into_iter().filter_map(|node| node.into_iter().next()).collect();
        Ok(there.into_iter().filter(|id| !lost.contains(id)).collect())
    }
}

/// Where a URL leads.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Network,
    Folder(PathBuf),
    Unclear,
}

/// A remote of a repository.
#[derive(Debug)]
struct Remote {
    /// The references that its branches are fetched into, with at most one `*` each.
    into: Vec<String>,
    /// Where it is fetched from and pushed to.
    places: Vec<Place>,
}

impl Remote {
    fn has(&self, reference: &str) -> bool {
        self.into.iter().any(|into| match into.split_once('*') {
            Some((before, after)) => reference.starts_with(before) && reference.ends_with(after),
            None => reference == into,
        })
    }

    fn is_on_the_network(&self) -> bool {
        !self.places.is_empty() && self.places.iter().all(|place| *place == Place::Network)
    }
}

/// The remotes of a repository, by name.
#[derive(Debug)]
pub(crate) struct Remotes(BTreeMap<String, Remote>);

impl Remotes {
    /// Those of this repository. `tree`: its checkout, from which relative paths lead.
    pub(crate) async fn of(git_dir: &Path, tree: Option<&Path>, gone: &Gone) -> Result<Self, Error> {
        let list = Git::of(git_dir, None)?.args(["config", "--null", "--get-regexp", r"^(remote|url)\."]);
        let said = list.ask().await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&said).into_owned();
        let (mut all, mut is_pushed_elsewhere) = (BTreeMap::new(), false);
        for entry in text.split('\0') {
            let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
            is_pushed_elsewhere |= key.ends_with(".pushurl") || key.ends_with(".pushinsteadof");
            let rest = key.strip_prefix("remote.").and_then(|rest| rest.rsplit_once('.'));
            let Some((name, key)) = rest else { continue };
            let remote = all.entry(name.to_owned()).or_insert_with(|| Remote {
                into: vec![format!("refs/remotes/{name}/*")],
                places: Vec::new(),
            });
            if let ("fetch", Some((_, into))) = (key, value.split_once(':')) {
                remote.into.push(into.to_owned());
            }
        }
        for (name, remote) in &mut all {
            let ways = [&["--all"][..], &["--push", "--all"][..]];
            for which in &ways[..1 + usize::from(is_pushed_elsewhere)] {
                let urls = Git::of(git_dir, None)?.args(["remote", "get-url"]).args(*which);
                let said = urls.args(["--", name.as_str()]).ask().await?.unwrap_or_default();
                let text = String::from_utf8_lossy(&said).into_owned();
                remote.places.extend(text.lines().map(|url| place(url, tree.unwrap_or(git_dir), gone)));
            }
        }
        Ok(Self(all))
    }

    /// Whether this remote branch is one of a remote on the network, and of no other remote.
    pub(crate) fn vouch_for(&self, reference: &str) -> bool {
        let mut having = self.0.values().filter(|remote| remote.has(reference)).peekable();
        having.peek().is_some() && having.all(Remote::is_on_the_network)
    }

    /// Whether all of them are on the network, and there are some.
    pub(crate) fn are_on_the_network(&self) -> bool {
        !self.0.is_empty() && self.0.values().all(Remote::is_on_the_network)
    }

    /// The commits among these objects that a local repository has, with all that is before them: one of the
    /// remotes, if it stays, or `main`.
    pub(crate) async fn hold(
        &self,
        ids: &[String],
        gone: &Gone,
        main: &Outside,
    ) -> Result<Vec<String>, Error> {
        let mut held = main.holds_with_history(ids).await?;
        let places = self.0.values().flat_map(|remote| &remote.places);
        let folders = places.filter_map(|place| match place {
            Place::Folder(folder) => Some(folder),
            Place::Network | Place::Unclear => None,
        });
        for folder in folders.collect::<BTreeSet<_>>() {
            let found = match Outside::at(folder, gone, main).await {
                Ok(Some(outside)) => outside.holds_with_history(ids).await,
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => held.extend(found),
                Err(Error::Git { .. }) => {} // It cannot be read, so it vouches for nothing.
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }
}

/// The objects that a FETCH_HEAD names, but for those that came from the network.
pub(crate) fn fetched_locally(text: &[u8], gone: &Gone) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let local = text.lines().filter(|line| {
        let from = line.splitn(3, '\t').nth(2).unwrap_or_default();
        let url = from.split_once("' of ").map_or(from, |(_, url)| url);
        place(url, Path::new("/"), gone) != Place::Network
    });
    local.filter_map(|line| reach::ids(line.as_bytes()).into_iter().next()).collect()
}

/// Where a URL leads, as git reads it. `from`: where a relative path leads from.
fn place(url: &str, from: &Path, gone: &Gone) -> Place {
    if let Some((helper, rest)) = url.split_once("::").filter(|(helper, _)| is_scheme(helper)) {
        // `ext` and `fd` lead anywhere.
        return if matches!(helper, "ext" | "fd") { Place::Unclear } else { place(rest, from, gone) };
    }
    if let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        return match scheme.eq_ignore_ascii_case("file") {
            true => Place::Folder(from.join(decoded(rest))),
            false => on_the_network(url, gone),
        };
    }
    match (url.find(':'), url.find('/')) {
        (Some(colon), slash) if slash.is_none_or(|slash| colon < slash) => on_the_network(url, gone),
        _ => Place::Folder(from.join(url)),
    }
}

/// Whether a text can be the scheme of a URL.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The network, unless the URL may lead back to this host.
fn on_the_network(url: &str, gone: &Gone) -> Place {
    if gone.is_in(url) { Place::Unclear } else { Place::Network }
}

/// The path of a URL, whose unusual bytes are written as `%20`.
fn decoded(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The git folder that git takes a path for when it fetches from it.
fn git_dir_at(path: &Path) -> Option<PathBuf> {
    ["/.git", "", ".git/.git", ".git"].into_iter().find_map(|suffix| {
        let mut at = path.as_os_str().to_owned();
        at.push(suffix);
        let at = PathBuf::from(at);
        if at.is_file() {
            linked_folder(&at).filter(|target| target.join("HEAD").is_file())
        } else {
            is_bare(&at).then_some(at)
        }
    })
}

/// Whether a repository is set to leave files of its commits to another one.
fn is_partial(git_dir: &Path) -> bool {
    let settings = fs::read(git_dir.join("config")).unwrap_or_default().to_ascii_lowercase();
    let settings = String::from_utf8_lossy(&settings);
    settings.contains("promisor") || settings.contains("partialclone")
}

/// Whether a folder is a git folder without a tree.
pub(crate) fn is_bare(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_where_git_takes_them() {
        let gone = Gone(vec![PathBuf::from("/trees/one")]);
        let folder = |path: &str| Place::Folder(PathBuf::from(path));
        for (url, expected) in [
            ("https://example.org/a.git", Place::Network),
            ("git@example.org:a.git", Place::Network),
            ("[::1]:a.git", Place::Network),
            ("codecommit::eu-west-1://a", Place::Network),
            ("ssh://localhost/trees/one/ignored/a", Place::Unclear),
            ("localhost:/trees/one/ignored/a", Place::Unclear),
            ("ext::git %s a", Place::Unclear),
            ("../b", folder("/a/../b")),
            ("/srv/b:c", folder("/srv/b:c")),
            ("file:///srv/a%20b%2", folder("/srv/a b%2")),
            ("hg::/srv/a", folder("/srv/a")),
        ] {
            assert_eq!(place(url, Path::new("/a"), &gone), expected, "{url}");
        }
    }

    #[test]
    fn a_fetch_from_the_network_needs_no_keeping() {
        let (here, there) = ("a".repeat(40), "b".repeat(40));
        let text = format!(
            "{here}\t\t/srv/a\n{here}\tnot-for-merge\tbranch 'x' of ../a of b:c\n\
             {there}\t\thttps://example.org/a\n{there}\t\t'refs/pull/1/head' of example.org:a\n"
        );
        assert_eq!(fetched_locally(text.as_bytes(), &Gone(Vec::new())), [here.clone(), here]);
    }
}
