//! What a removal keeps for a while: commits that only a reflog, ORIG_HEAD or FETCH_HEAD knows, and settings
//! of the worktree alone.
//!
//! They are no work, as for git itself: they were replaced (amended, rebased, reset), or fetched. git would
//! forget them after a month; so does this, which has them below `refs/planlease/removed/`, each by the id of
//! its worktree.

use std::collections::BTreeSet;

use crate::{
    admin::Admin,
    error::Error,
    git::{Git, line},
    locked::Locked,
    reach::{self, SAFE},
    site::Site,
};

/// Where it is kept.
const KEPT: &str = "refs/planlease/removed";

/// How long, as git says it: its own bound for commits that only a reflog has.
const WHILE: &str = "30.days.ago";

/// Settings of a worktree that git writes by itself.
const GITS_OWN: [&str; 5] =
    ["core.bare", "core.worktree", "core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse"];

impl Locked {
    /// Keeps what would be forgotten with the worktree, and with its branch if that `goes` too. Can be called
    /// again.
    pub(crate) async fn keep(&self, site: &Site, admin: Option<&Admin>, goes: bool) -> Result<(), Error> {
        let common = self.repository().common();
        let mut dropped = BTreeSet::from([site.base.clone()]);
        if let Some(admin) = admin {
            let log = reach::reflog(admin.path(), "HEAD").await?;
            dropped.extend(log.into_iter().map(|(id, _)| id));
            let original =
                Git::of(admin.path(), None)?.args(["rev-parse", "--verify", "--quiet", "ORIG_HEAD"]);
            dropped.extend(original.ask().await?.map(|id| line(&id)));
            dropped.extend(reach::commits(common, &admin.fetched()?).await?);
        }
        if goes {
            let log = reach::reflog(common, &site.reference()).await?;
            dropped.extend(log.into_iter().map(|(id, _)| id));
        }
        let mut safe = self.safe(site, goes).await?;
        safe.extend(self.heads_of_others(site).await?);
        let kept = format!("{KEPT}/{}", site.id);
        let before = self.tip(&kept).await?;
        safe.extend(before.clone());
        let lost =
            reach::unreached(common, dropped.iter().map(String::as_str), safe.iter().map(String::as_str))
                .await?;
        let settings = match admin {
            Some(admin) => self.settings(admin).await?,
            None => String::new(),
        };
        if lost.is_empty() && (settings.is_empty() || before.is_some()) {
            return Ok(());
        }
        // The newest ones: the others are reached from them.
        let inner: BTreeSet<&String> = lost.iter().flat_map(|node| node.iter().skip(1)).collect();
        let newest = lost.iter().filter_map(|node| node.first()).filter(|id| !inner.contains(id));
        let tree = Git::of(common, None)?.args(["mktree"]).input(settings.into_bytes()).run().await?;
        let mut commit = self.git()?.args(["commit-tree"]);
        for who in ["AUTHOR", "COMMITTER"] {
            commit = commit.variable(&format!("GIT_{who}_NAME"), "planlease");
            commit = commit.variable(&format!("GIT_{who}_EMAIL"), "planlease@localhost");
        }
        let about = format!(
            "removed worktree {} of branch {}\n\nCommits that only its reflog or a fetch had, and settings.",
            site.path.display(),
            site.branch
        );
        for parent in newest.chain(&before) {
            commit = commit.args(["-p", parent]);
        }
        let commit = commit.args(["-m", &about, &line(&tree)]).run().await?;
        self.git()?.args(["update-ref", &kept, &line(&commit)]).run().await.map(drop)
    }

    /// Forgets what was kept long enough.
    pub(crate) async fn forget_expired(&self) -> Result<(), Error> {
        let common = self.repository().common();
        let all = reach::references(common, &[KEPT]).await?;
        if all.is_empty() {
            return Ok(());
        }
        let before = format!("--before={WHILE}");
        let glob = format!("--glob={KEPT}/*");
        let said =
            Git::of(common, None)?.args(["rev-list", "--no-walk=unsorted", &before, &glob]).run().await?;
        let old = String::from_utf8_lossy(&said).into_owned();
        let old: BTreeSet<&str> = old.lines().collect();
        for reference in all.iter().filter(|reference| old.contains(reference.object.as_str())) {
            let forget = ["update-ref", "--no-deref", "-d", &reference.name, &reference.object];
            self.git()?.args(forget).run().await?;
        }
        Ok(())
    }

    /// The tips of all references that count as safe; the site's own branch only if it does not go.
    pub(crate) async fn safe(&self, site: &Site, goes: bool) -> Result<Vec<String>, Error> {
        let own = site.reference();
        let all = reach::references(self.repository().common(), &SAFE).await?;
        let all = all.into_iter().filter(|reference| reference.has_history());
        Ok(all.filter(|reference| !goes || reference.name != own).map(|reference| reference.object).collect())
    }

    /// What the other worktrees of the repository are at, the main one among them.
    async fn heads_of_others(&self, site: &Site) -> Result<Vec<String>, Error> {
        let said = self.git()?.args(["worktree", "list", "--porcelain"]).run().await?;
        let text = String::from_utf8_lossy(&said).into_owned();
        let own = format!("worktree {}", site.path.display());
        let others = text.split("\n\n").filter(|entry| entry.lines().next() != Some(own.as_str()));
        let heads = others.filter_map(|entry| entry.lines().find_map(|line| line.strip_prefix("HEAD ")));
        Ok(heads.filter(|id| id.bytes().any(|byte| byte != b'0')).map(str::to_owned).collect())
    }

    /// The settings of the worktree alone as an entry of a tree, if there are others than git's own.
    async fn settings(&self, admin: &Admin) -> Result<String, Error> {
        let file = admin.path().join("config.worktree");
        if !file.exists() {
            return Ok(String::new());
        }
        let list = self.git()?.args(["config", "--file"]).args([&file]).args(["--list", "--name-only"]);
        let names = list.ask().await?;
        let names = names.map(|names| String::from_utf8_lossy(&names).into_owned());
        // What git cannot read was not written by git.
        if names.is_some_and(|names| names.lines().all(|name| GITS_OWN.contains(&name))) {
            return Ok(String::new());
        }
        let blob = self.git()?.args(["hash-object", "-w", "--no-filters", "--"]).args([&file]).run().await?;
        Ok(format!("100644 blob {}\tconfig.worktree\n", line(&blob)))
    }
}
