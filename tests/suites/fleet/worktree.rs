//! Worktrees, with real git: made by many at once, interrupted in each step, full of work, in the way of
//! another.
//!
//! git is reached through a script of the test, which can kill the program right before or right after one of
//! its calls.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use planlease_core::{
    HostName, WorktreeName,
    record::{WorktreeRecord, WorktreeState},
};
use planlease_tests::{
    TestEnv,
    backend::Backend,
    case,
    program::{Ended, Process, Program},
    test_env::{acquired, path_text, plan_name},
    wait::{SOON, until},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{shortage::start_limited, spec::spec};

const TTL: Duration = Duration::from_secs(5);
pub(crate) const PLAN: &str = "release";

/// The documented exit statuses.
pub(crate) const DONE: i32 = 0;
const USAGE: i32 = 2;
const NO_SPACE: i32 = 20;
pub(crate) const HAS_WORK: i32 = 21;
const GIT_FAILED: i32 = 22;
const TAKEN: i32 = 24;
const OWNED: i32 = 100;
const AUTHORITY_LOST: i32 = 101;

/// Where git is killed, or not at all.
const SCRIPT: &str = r#"#!/bin/sh
n=$(($(cat "$YARD/calls" 2>/dev/null || echo 0) + 1))
echo "$n" > "$YARD/calls"
echo "$PPID" > "$YARD/program"
echo "$n $*" >> "$YARD/log"
if [ "$n" = "${KILL_BEFORE:-}" ]; then kill -9 "$PPID"; exit 1; fi
case "$*" in
  *'worktree add'*) echo begins >> "$YARD/turns"; sleep "${SLOW:-0}" ;;
  *'worktree remove'*) eval "${MEANWHILE:-}" ;;
esac
"$REAL_GIT" "$@"
status=$?
case "$*" in *'worktree add'*) echo ends >> "$YARD/turns" ;; esac
if [ "$n" = "${KILL_AFTER:-}" ]; then kill -9 "$PPID"; fi
exit "$status"
"#;

/// An environment with a repository, a plan, and git in between.
pub(crate) struct Yard {
    pub(crate) env: TestEnv,
    pub(crate) program: Program,
}

impl Yard {
    pub(crate) async fn new(env: TestEnv) -> Self {
        let env = env.with_ttl(TTL);
        let bin = env.path("bin");
        fs::create_dir(&bin).unwrap();
        fs::write(bin.join("git"), SCRIPT).unwrap();
        fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        let real = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file());
        let program = env
            .program()
            .clone()
            .variable("PATH", format!("{}:{path}", path_text(&bin)))
            .variable("REAL_GIT", real.unwrap())
            .variable("YARD", env.folder())
            // What would lead git elsewhere.
            .variable("GIT_DIR", "/nowhere")
            .variable("GIT_INDEX_FILE", "/nowhere")
            .variable("GIT_WORK_TREE", "/nowhere");
        env.coordinator().await.admin().import(&plan_name(PLAN), &spec(1, "true"), |_| {}).await.unwrap();
        let yard = Self { env, program };
        yard.repository("origin");
        let origin = yard.env.path("origin");
        git(yard.env.folder(), &["clone", "-q", path_text(&origin), "repo"]);
        // What would make every new branch follow another one.
        yard.git(&["config", "branch.autoSetupMerge", "always"]);
        yard.git(&["config", "user.email", "somebody@example.org"]);
        yard.git(&["config", "user.name", "somebody"]);
        yard
    }

    /// A repository with one commit.
    fn repository(&self, name: &str) {
        let folder = self.env.path(name);
        git(self.env.folder(), &["init", "-q", "-b", "main", name]);
        fs::write(folder.join("a"), "a\n").unwrap();
        fs::write(folder.join("b"), "b\n").unwrap();
        fs::write(folder.join(".gitignore"), "ignored\n").unwrap();
        git(&folder, &["add", "."]);
        git(&folder, &["commit", "-q", "-m", "first"]);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.env.path("repo"), args)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.env.path("trees").join(name)
    }

    pub(crate) fn add_args(&self, name: &str) -> Vec<String> {
        let (path, repository) = (self.path(name), self.env.path("repo"));
        ["worktree", "add", path_text(&path), "-r", path_text(&repository), "--base", "origin/main"]
            .map(str::to_owned)
            .into()
    }

    /// By an operator.
    pub(crate) async fn add(&self, program: &Program, name: &str, more: &[&str]) -> Ended {
        let mut args = self.add_args(name);
        args.extend(["--plan", PLAN].iter().chain(more).map(|arg| (*arg).to_owned()));
        program.run(args).await
    }

    /// By an owner, whose ownership is over when this returns.
    pub(crate) async fn add_owned(&self, name: &str) {
        let own = planlease_tests::program::planlease();
        let mut args = vec!["hold".to_owned(), PLAN.to_owned(), "--".to_owned(), path_text(&own).to_owned()];
        args.extend(self.add_args(name));
        self.program.run_to(DONE, args).await;
    }

    pub(crate) async fn json(&self, args: &[&str]) -> Value {
        let ended = self.program.run_to(DONE, args.iter().chain(&["-o", "json"])).await;
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// The program, which is killed at this call of git from now on.
    pub(crate) fn killed(&self, when: &str, n: usize) -> Program {
        let _ = fs::remove_file(self.env.path("calls"));
        self.program.clone().variable(when, n.to_string())
    }

    /// Before or after which calls of git the program is killed: every second one. The suite's other server
    /// has those in between; git is the same on both.
    pub(crate) fn kill_points(&self, step: usize) -> impl Iterator<Item = usize> + use<> {
        let first = if self.env.server.backend() == Backend::Etcd { 1 } else { 1 + step };
        (first..400).step_by(2 * step)
    }

    /// Nothing is left of any worktree: no record, no branch, no folder of git's, no file beside a path.
    async fn is_bare(&self, after: &str) {
        let listed = self.json(&["worktree", "list"]).await;
        assert_eq!(listed["worktrees"], serde_json::json!([]), "{after}");
        let branches = self.git(&["for-each-ref", "--format=%(refname)", "refs/heads"]);
        assert_eq!(branches, "refs/heads/main\n", "{after}");
        assert_eq!(names(&self.env.path("repo/.git/worktrees")), [""; 0], "{after}");
        assert_eq!(names(&self.env.path("trees")), [""; 0], "{after}");
    }
}

pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let who = ["-c", "user.email=somebody@example.org", "-c", "user.name=somebody"];
    let output = command.current_dir(folder).args(who).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[case]
async fn eight_at_once_in_one_repository_all_succeed(env: TestEnv) {
    let yard = Yard::new(env).await;
    let started: Vec<String> = (0..8).map(|n| format!("tree-{n}")).collect();
    let start = |name: &String| {
        let mut args = yard.add_args(name);
        args.extend(["--plan".to_owned(), PLAN.to_owned()]);
        // Long enough for the others to come by.
        let program = yard.program.clone().variable("SLOW", "0.2");
        Process::start(program.gated(args), &yard.env.path(&format!("said-{name}")))
    };
    let mut adding: Vec<Process> = started.iter().map(start).collect();
    adding.iter_mut().for_each(|process| process.say("go"));
    for process in &mut adding {
        assert_eq!(process.until_ended(SOON).await, Some(DONE), "{}", process.said());
    }
    let listed = yard.json(&["worktree", "list", "--plan", PLAN]).await;
    let trees = listed["worktrees"].as_array().unwrap();
    assert_eq!(trees.len(), 8);
    assert!(trees.iter().all(|tree| tree["state"] == "ready" && tree["abandoned"] == false), "{listed}");
    for name in &started {
        assert_eq!(git(&yard.path(name), &["status", "--porcelain"]), "");
        assert_eq!(git(&yard.path(name), &["branch", "--show-current"]), format!("{name}\n"));
        assert_eq!(fs::read_to_string(yard.path(name).join("a")).unwrap(), "a\n");
    }
    assert_eq!(yard.env.text("turns"), "begins\nends\n".repeat(8), "one at a time");
    let config = fs::read_to_string(yard.env.path("repo/.git/config")).unwrap();
    assert!(!config.contains("tree-"), "no branch follows another one: {config}");
    yard.env.audit().await;
}

#[case]
async fn an_add_that_is_killed_in_any_step_leaves_nothing_in_the_way(env: TestEnv) {
    let yard = Yard::new(env).await;
    let mut kills = 0;
    for when in ["KILL_BEFORE", "KILL_AFTER"] {
        for n in yard.kill_points(1) {
            let first = yard.add(&yard.killed(when, n), "one", &[]).await;
            if first.code.is_some() {
                assert_eq!(first.code, Some(DONE), "{}", first.stderr);
                yard.program.run_to(DONE, ["worktree", "remove", "one"]).await;
                break;
            }
            kills += 1;
            let after = format!("{when} {n}");
            let again = yard.add(&yard.program, "one", &[]).await;
            assert_eq!(again.code, Some(DONE), "{after}: {}", again.stderr);
            let shown = yard.json(&["worktree", "show", "one"]).await;
            assert_eq!(shown["state"], "ready", "{after}");
            assert_eq!(git(&yard.path("one"), &["status", "--porcelain"]), "", "{after}");
            yard.program.run_to(DONE, ["worktree", "remove", "one"]).await;
            yard.is_bare(&after).await;

            let second = yard.add(&yard.killed(when, n), "one", &[]).await;
            assert_eq!(second.code, None, "{after}");
            yard.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
            yard.is_bare(&format!("{after}, cleaned")).await;
        }
        yard.is_bare(when).await;
    }
    assert!(kills >= 6, "add calls git six times at least: {kills}");
    yard.env.audit().await;
}

#[case]
async fn a_removal_that_is_killed_before_any_step_is_finished(env: TestEnv) {
    a_killed_removal_is_finished(env, "remove", "KILL_BEFORE").await;
}

#[case]
async fn a_removal_that_is_killed_after_any_step_is_finished(env: TestEnv) {
    a_killed_removal_is_finished(env, "remove", "KILL_AFTER").await;
}

#[case]
async fn a_clean_that_is_killed_after_any_step_is_finished(env: TestEnv) {
    a_killed_removal_is_finished(env, "clean", "KILL_AFTER").await;
}

/// Kills the command at its first call of git, its second one, and so on, until it needs no more.
async fn a_killed_removal_is_finished(env: TestEnv, how: &str, when: &str) {
    let yard = Yard::new(env).await;
    let mut kills = 0;
    for n in yard.kill_points(1) {
        let args = match how {
            "remove" => {
                assert_eq!(yard.add(&yard.program, "one", &[]).await.code, Some(DONE));
                ["worktree", "remove", "one"]
            }
            _ => {
                yard.add_owned("one").await;
                ["worktree", "clean", "--execute"]
            }
        };
        let first = yard.killed(when, n).run(args).await;
        let after = format!("{how} {when} {n}");
        if first.code.is_some() {
            assert_eq!(first.code, Some(DONE), "{}", first.stderr);
            yard.is_bare(&after).await;
            break;
        }
        kills += 1;
        if n % 4 < 2 {
            // What was being removed is finished by the next add, the rest is as it was.
            let next = yard.add(&yard.program, "two", &[]).await;
            assert_eq!(next.code, Some(DONE), "{after}: {}", next.stderr);
            yard.program.run_to(DONE, ["worktree", "remove", "two"]).await;
        }
        let left = yard.json(&["worktree", "list"]).await;
        if left["worktrees"][0]["state"] == "ready" {
            assert_eq!(git(&yard.path("one"), &["status", "--porcelain"]), "", "{after}: nothing was begun");
            yard.program.run_to(DONE, ["worktree", "remove", "one"]).await;
        }
        yard.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
        yard.is_bare(&after).await;
    }
    assert!(kills >= 4, "removing calls git often: {kills}");
}

#[case]
async fn a_killed_removal_is_finished_unless_work_appeared(env: TestEnv) {
    let yard = Yard::new(env).await;
    for (n, work) in ["", "echo work > new;"].into_iter().enumerate() {
        let name = format!("tree-{n}");
        yard.add_owned(&name).await;
        let tree = yard.path(&name);
        // As far as git might have come. Without `.git` it would look for a repository further up.
        let half =
            format!("(cd '{}' && rm b .git && {work} true); kill -9 \"$PPID\"; exit 1", path_text(&tree));
        let program = yard.program.clone().variable("MEANWHILE", half);
        assert_eq!(program.run(["worktree", "clean", "--execute"]).await.code, None);
        assert_eq!(names(&tree)[..2], [".gitignore", "a"]);
        let done = yard.json(&["worktree", "clean", "--execute"]).await;
        if work.is_empty() {
            assert_eq!(done["worktrees"][0]["action"], "remove", "{done}");
            yard.is_bare(&name).await;
        } else {
            assert_eq!(done["worktrees"][0]["action"], "quarantine", "{done}");
            assert_eq!(fs::read_to_string(tree.join("new")).unwrap(), "work\n");
        }
    }
}

#[case]
async fn a_checkout_that_is_killed_is_waited_for_and_cleared_away(env: TestEnv) {
    let yard = Yard::new(env).await;
    let filter = yard.env.path("filter");
    // Kills the program in the middle of a checkout; then goes on slowly, or takes git along.
    let script = r#"#!/bin/sh
if how=$(cat "$YARD/kill" 2>/dev/null); then
  kill -9 "$(cat "$YARD/program")"
  case $how in slow) sleep 1; echo over > "$YARD/slept" ;; all) kill -9 0 ;; esac
fi
cat
"#;
    fs::write(&filter, script).unwrap();
    fs::set_permissions(&filter, fs::Permissions::from_mode(0o755)).unwrap();
    yard.git(&["config", "filter.trap.smudge", path_text(&filter)]);
    yard.git(&["config", "filter.trap.clean", "cat"]);
    fs::write(yard.env.path("repo/.git/info/attributes"), "b filter=trap\n").unwrap();
    for how in ["slow", "all"] {
        fs::write(yard.env.path("kill"), how).unwrap();
        let killed = yard.add(&yard.program, "one", &[]).await;
        assert_eq!(killed.code, None, "{how}: {}", killed.stderr);
        fs::remove_file(yard.env.path("kill")).unwrap();
        let half = fs::read_to_string(yard.path("one").join("a")).unwrap_or_default();
        assert!(how == "slow" || half == "a\n", "the checkout had begun");
        if how == "all" {
            let done = yard.json(&["worktree", "clean", "--execute"]).await;
            assert_eq!(done["worktrees"][0]["action"], "remove", "{done}");
            yard.is_bare(how).await;
        } else {
            let again = yard.add(&yard.program, "one", &[]).await;
            assert_eq!(again.code, Some(DONE), "{}", again.stderr);
            assert_eq!(yard.env.text("slept"), "over\n", "the next process waited for the git that was left");
            assert!(again.stderr.contains("cleared away"), "{}", again.stderr);
            yard.program.run_to(DONE, ["worktree", "remove", "one"]).await;
            yard.is_bare(how).await;
        }
    }
    fs::write(yard.env.path("kill"), "all").unwrap();
    assert_eq!(yard.add(&yard.program, "one", &[]).await.code, None);
    fs::remove_file(yard.env.path("kill")).unwrap();
    fs::write(yard.path("one").join("mine"), "work").unwrap();
    let done = yard.json(&["worktree", "clean", "--execute"]).await;
    assert_eq!(done["worktrees"][0]["action"], "quarantine", "{done}");
    assert_eq!(fs::read_to_string(yard.path("one").join("mine")).unwrap(), "work");
}

fn record(yard: &Yard, name: &str, state: WorktreeState) -> WorktreeRecord {
    WorktreeRecord {
        v: Default::default(),
        id: Uuid::new_v4(),
        state,
        path: path_text(&yard.path(name)).to_owned(),
        repository: path_text(&yard.env.path("repo/.git").canonicalize().unwrap()).to_owned(),
        branch: name.to_owned(),
        base: yard.git(&["rev-parse", "HEAD"]).trim().to_owned(),
        plan: plan_name(PLAN),
        task: None,
        token: None,
        guard: None,
        by: "somebody".to_owned(),
        since: planlease_core::WallTime(0),
        why: None,
        op_id: Uuid::new_v4(),
        extra: planlease_core::Extra::default(),
    }
}

#[case]
async fn a_record_of_which_nothing_was_made_goes(env: TestEnv) {
    let yard = Yard::new(env).await;
    let coordinator = yard.env.coordinator().await;
    // A folder and a branch of that name, which another process made.
    yard.git(&["branch", "theirs"]);
    fs::create_dir_all(yard.path("theirs")).unwrap();
    fs::write(yard.path("theirs").join("file"), "theirs").unwrap();
    for state in [WorktreeState::Adding, WorktreeState::Removing] {
        let plan = coordinator.plan(&plan_name(PLAN)).await.unwrap();
        let authority = coordinator.operator(&plan, "somebody").unwrap();
        let host = HostName::new("here").unwrap();
        for name in ["nothing", "theirs"] {
            let record = record(&yard, name, state);
            let name = WorktreeName::new(name).unwrap();
            let written = authority.add_worktree(&host, &name, &record).await.unwrap();
            assert!(matches!(written, planlease::WorktreeWrite::Written(_)), "{written:?}");
        }
        let done = yard.json(&["worktree", "clean", "--execute", "--host", "here"]).await;
        assert_eq!(done["worktrees"].as_array().unwrap().len(), 2, "{done}");
        assert_eq!(coordinator.worktrees().list().await.unwrap().items, [], "{state}");
        assert_eq!(fs::read_to_string(yard.path("theirs").join("file")).unwrap(), "theirs");
        assert!(yard.git(&["branch", "--list", "theirs"]).contains("theirs"));
    }
}

/// Something that is done in a worktree.
type Work = fn(&Path);

#[case]
async fn work_of_any_kind_survives_cleaning(env: TestEnv) {
    let yard = Yard::new(env).await;
    let kinds: [(&str, Work); 7] = [
        ("changed", |tree| fs::write(tree.join("a"), "work").unwrap()),
        ("unknown", |tree| fs::write(tree.join("new"), "work").unwrap()),
        ("staged", |tree| {
            fs::write(tree.join("new"), "work").unwrap();
            git(tree, &["add", "new"]);
        }),
        ("deleted", |tree| fs::remove_file(tree.join("b")).unwrap()),
        ("committed", |tree| drop(git(tree, &["commit", "-q", "--allow-empty", "-m", "work"]))),
        ("detached", |tree| {
            git(tree, &["checkout", "-q", "--detach"]);
            // Of other words than the one above: made within one second, they would be one commit.
            git(tree, &["commit", "-q", "--allow-empty", "-m", "detached work"]);
        }),
        ("hidden", |tree| {
            git(tree, &["update-index", "--assume-unchanged", "a"]);
            fs::write(tree.join("a"), "work").unwrap();
        }),
    ];
    for (kind, work) in kinds {
        yard.add_owned(kind).await;
        let tree = yard.path(kind);
        work(&tree);
        let before = (git(&tree, &["rev-parse", "HEAD"]), names(&tree), fs::read(tree.join("a")).unwrap());
        let shown = yard.json(&["worktree", "clean"]).await;
        let planned = shown["worktrees"].as_array().unwrap().iter().find(|one| one["name"] == kind).unwrap();
        assert_eq!((&planned["action"], &shown["executed"]), (&"quarantine".into(), &false.into()), "{kind}");
        assert_eq!(yard.json(&["worktree", "show", kind]).await["state"], "ready", "nothing was done yet");
        yard.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
        let refused = yard.program.run_to(HAS_WORK, ["worktree", "remove", kind]).await;
        assert!(refused.stderr.contains("planlease worktree quarantine"), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 3, "{}", refused.stderr);
        yard.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
        let now = yard.json(&["worktree", "show", kind]).await;
        assert_eq!(now["state"], "quarantined", "{kind}");
        assert!(!now["why"].as_str().unwrap().is_empty(), "{kind}");
        let after = (git(&tree, &["rev-parse", "HEAD"]), names(&tree), fs::read(tree.join("a")).unwrap());
        assert_eq!(before, after, "{kind}");
    }
    // A name that is quarantined is not given out again, nor is its path.
    let refused = yard.add(&yard.program, "changed", &[]).await;
    assert_eq!(refused.code, Some(TAKEN), "{}", refused.stderr);
    let refused = yard.add(&yard.program, "changed", &["--name", "other"]).await;
    assert_eq!(refused.code, Some(TAKEN), "{}", refused.stderr);
    // Commits are safe on a branch that is kept; a file that an operator removes is no work any more.
    yard.program.run_to(DONE, ["worktree", "remove", "committed", "--keep-branch"]).await;
    assert!(!yard.path("committed").exists());
    assert!(yard.git(&["log", "--format=%s", "-1", "committed"]).contains("work"));
    fs::remove_file(yard.path("unknown").join("new")).unwrap();
    yard.program.run_to(DONE, ["worktree", "remove", "unknown"]).await;
    assert_eq!(yard.git(&["branch", "--list", "unknown"]), "");
}

#[case]
async fn work_that_appears_during_a_removal_survives(env: TestEnv) {
    let yard = Yard::new(env).await;
    yard.add_owned("one").await;
    let tree = yard.path("one");
    // Between the look and the removal.
    let meanwhile = format!("echo work > '{}/new'", path_text(&tree));
    let program = yard.program.clone().variable("MEANWHILE", meanwhile);
    let done = program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
    assert!(done.stdout.contains("quarantined"), "{}", done.stdout);
    assert_eq!(fs::read_to_string(tree.join("new")).unwrap(), "work\n");
    fs::remove_file(tree.join("new")).unwrap();
    let commit = format!(
        "unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE; \"$REAL_GIT\" -C '{}' commit -q --allow-empty -m work",
        path_text(&tree)
    );
    let program = yard.program.clone().variable("MEANWHILE", commit);
    program.run_to(DONE, ["worktree", "remove", "one"]).await;
    assert!(yard.git(&["log", "--format=%s", "-1", "one"]).contains("work"), "the commit is on its branch");
}

#[case]
async fn a_worktree_whose_work_is_elsewhere_is_removed(env: TestEnv) {
    let yard = Yard::new(env).await;
    yard.add_owned("pushed").await;
    let tree = yard.path("pushed");
    git(&tree, &["commit", "-q", "--allow-empty", "-m", "work"]);
    git(&tree, &["push", "-q", "origin", "HEAD:refs/heads/pushed"]);
    fs::write(tree.join("ignored"), "made by a build").unwrap();
    yard.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
    yard.is_bare("pushed").await;
    assert!(git(&yard.env.path("origin"), &["log", "--format=%s", "-1", "pushed"]).contains("work"));
}

#[case]
async fn a_live_owners_worktree_is_kept(env: TestEnv) {
    let yard = Yard::new(env).await;
    let mut shell = "\"$PROGRAM\"".to_owned();
    for arg in yard.add_args("one") {
        shell.push_str(&format!(" '{arg}'"));
    }
    shell.push_str(" && read -r _ && \"$PROGRAM\" worktree remove one");
    let mut hold = Process::start(
        yard.program.command(["hold", PLAN, "--", "sh", "-c", &shell]),
        &yard.env.path("hold"),
    );
    hold.until_said("made by", SOON).await;
    yard.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
    let refused = yard.program.run_to(OWNED, ["worktree", "remove", "one"]).await;
    assert!(refused.stderr.contains("planlease owner release"), "{}", refused.stderr);
    let shown = yard.json(&["worktree", "show", "one"]).await;
    assert_eq!(
        (&shown["state"], &shown["abandoned"], &shown["token"]),
        (&"ready".into(), &false.into(), &"1.1".into())
    );
    assert_eq!(yard.json(&["worktree", "abandoned"]).await["worktrees"], serde_json::json!([]));
    hold.say("go");
    assert_eq!(hold.until_ended(SOON).await, Some(DONE), "its owner may: {}", hold.said());
    yard.is_bare("by its owner").await;
    yard.env.audit().await;
}

#[case]
async fn a_former_owner_makes_nothing(env: TestEnv) {
    let yard = Yard::new(env).await;
    let authority = yard.env.path("right");
    let shell = format!("printenv PLANLEASE_OWNERSHIP > '{}'", path_text(&authority));
    yard.program.run_to(DONE, ["hold", PLAN, "--", "sh", "-c", &shell]).await;
    let former = yard.program.clone().variable("PLANLEASE_OWNERSHIP", yard.env.text("right").trim());
    let refused = former.run(yard.add_args("one")).await;
    assert_eq!(refused.code, Some(AUTHORITY_LOST), "{}", refused.stderr);
    yard.is_bare("a former owner").await;
    yard.env.audit().await;
}

#[case]
async fn an_owner_that_loses_authority_makes_no_worktree(env: TestEnv) {
    let yard = Yard::new(env).await;
    let mut args = yard.add_args("one");
    args.extend(["--plan", PLAN].map(str::to_owned));
    let program = yard.program.clone().variable("SLOW", "2");
    let mut adding = Process::start(program.command(args), &yard.env.path("adding"));
    until("git at work", SOON, async || {
        let turns = yard.env.text("turns");
        if turns.is_empty() { Err(turns) } else { Ok(()) }
    })
    .await;
    // An operator's authority ends when the plan gets an owner.
    let session = yard.env.session("owner").await;
    let ownership = acquired(&session, &plan_name(PLAN)).await;
    assert_eq!(adding.until_ended(SOON).await, Some(AUTHORITY_LOST), "{}", adding.said());
    yard.is_bare("it lost the authority").await;
    ownership.release().await.unwrap();
    session.close().await.unwrap();
    yard.env.audit().await;
}

#[case]
async fn a_failed_worktree_is_rolled_back(env: TestEnv) {
    let yard = Yard::new(env).await;
    let hook = yard.env.path("repo/.git/hooks/post-checkout");
    fs::write(&hook, "#!/bin/sh\necho no room on this disk >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let failed = yard.add(&yard.program, "one", &[]).await;
    assert_eq!(failed.code, Some(GIT_FAILED), "{}", failed.stderr);
    assert!(failed.stderr.contains("no room on this disk"), "{}", failed.stderr);
    yard.is_bare("a hook said no").await;
    fs::remove_file(hook).unwrap();

    yard.git(&["branch", "theirs"]);
    fs::create_dir_all(yard.path("theirs")).unwrap();
    let taken = yard.add(&yard.program, "theirs", &["--branch", "other"]).await;
    assert_eq!(taken.code, Some(TAKEN), "also an empty folder: {}", taken.stderr);
    let taken = yard.add(&yard.program, "one", &["--branch", "theirs"]).await;
    assert_eq!(taken.code, Some(TAKEN), "{}", taken.stderr);
    for usage in ["relative", "/a/../b"] {
        let (repository, plan) = (yard.env.path("repo"), ["--plan", PLAN]);
        let args = ["worktree", "add", usage, "-r", path_text(&repository)];
        yard.program.run_to(USAGE, args.iter().chain(&plan)).await;
    }
    assert_eq!(yard.add(&yard.program, "one", &["--branch=--all"]).await.code, Some(USAGE));
    let mut args = yard.add_args("one");
    args.retain(|arg| !["--base", "origin/main"].contains(&arg.as_str()));
    args.extend(["--plan", PLAN, "--base", "nowhere"].map(str::to_owned));
    yard.program.run_to(GIT_FAILED, args).await;
    yard.git(&["branch", "-D", "theirs"]);
    fs::remove_dir(yard.path("theirs")).unwrap();
    yard.is_bare("nothing was begun").await;
}

#[case]
async fn a_path_of_another_store_is_refused(env: TestEnv) {
    let yard = Yard::new(env).await;
    assert_eq!(yard.add(&yard.program, "one", &["--host", "a"]).await.code, Some(DONE));
    let other = yard.program.clone().variable("PLANLEASE_NAMESPACE", "other");
    let plan = yard.env.path("release.toml");
    fs::write(&plan, "title = \"R\"\n[[task]]\nid = \"1\"\ndescription = \"x\"\n").unwrap();
    other.run_to(DONE, ["plan", "import", path_text(&plan), "--name", PLAN]).await;
    // Another host of the same fleet, and another fleet; also if the folder itself is away at the moment.
    let away = yard.env.path("away");
    for moved in [false, true] {
        if moved {
            fs::rename(yard.path("one"), &away).unwrap();
        }
        for program in [&yard.program, &other] {
            let refused = yard.add(program, "one", &["--host", "b", "--branch", "b"]).await;
            assert_eq!(refused.code, Some(TAKEN), "{}", refused.stderr);
            assert!(refused.stderr.contains("worktree one of host a in /"), "{}", refused.stderr);
        }
    }
    fs::rename(&away, yard.path("one")).unwrap();
    other.run_to(DONE, ["worktree", "clean", "--execute", "--host", "b"]).await;
    yard.program.run_to(DONE, ["worktree", "clean", "--execute", "--host", "b"]).await;
    assert_eq!(git(&yard.path("one"), &["status", "--porcelain"]), "");
    assert_eq!(yard.git(&["branch", "--list", "b"]), "", "nothing was made");
    assert_eq!(yard.json(&["worktree", "list"]).await["worktrees"].as_array().unwrap().len(), 1);
}

#[case]
async fn limits_refuse_before_anything_is_made_and_can_be_waited_for(env: TestEnv) {
    let yard = Yard::new(env).await;
    for limit in [["--max-host", "0"], ["--max-repository", "0"], ["--min-free", "900000T"]] {
        let refused = yard.add(&yard.program, "one", &limit).await;
        assert_eq!(refused.code, Some(NO_SPACE), "{}", refused.stderr);
        yard.is_bare("no space").await;
    }
    assert_eq!(yard.add(&yard.program, "one", &["--max-repository", "1"]).await.code, Some(DONE));
    let mut args = yard.add_args("two");
    args.extend(["--plan", PLAN, "--max-repository", "1", "--wait", "60s"].map(str::to_owned));
    let log = yard.env.path("log");
    let calls = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let before = calls();
    let mut waiting = Process::start(yard.program.command(args), &yard.env.path("waiting"));
    until("a look for space", SOON, async || if calls() > before { Ok(()) } else { Err(calls()) }).await;
    assert!(waiting.ended().is_none(), "{}", waiting.said());
    yard.program.run_to(DONE, ["worktree", "remove", "one"]).await;
    assert_eq!(waiting.until_ended(SOON).await, Some(DONE), "{}", waiting.said());
}

/// As the commands of `run`: what says which plan it is for and where the store is, no flag of ours, and the
/// limit of open files as it was.
#[case]
async fn hooks_of_git_inherit_what_commands_do(env: TestEnv) {
    let yard = Yard::new(env).await;
    let hook = yard.env.path("repo/.git/hooks/post-checkout");
    fs::write(&hook, "#!/bin/sh\n{ ulimit -Sn; env | grep ^PLANLEASE_; } > \"$YARD/hook\"\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let program = yard
        .program
        .clone()
        .variable("PLANLEASE_LABEL", "gpu")
        .variable("PLANLEASE_NO_WAIT", "1")
        .variable("PLANLEASE_LOCK", "the-lock")
        .variable("PLANLEASE_TASK", "7");
    let mut args = yard.add_args("one");
    args.extend(["--plan", PLAN].map(str::to_owned));
    let mut added = start_limited(&program, &yard.env, "ulimit -Sn 100", &args, "added");
    assert_eq!(added.until_ended(SOON).await, Some(DONE), "{}", added.said());
    let inherited = fs::read_to_string(yard.env.path("hook")).unwrap();
    assert_eq!(inherited.lines().next(), Some("100"), "{inherited}");
    for unwanted in ["PLANLEASE_LABEL", "PLANLEASE_NO_WAIT"] {
        assert!(!inherited.contains(unwanted), "{inherited}");
    }
    let endpoints = format!("PLANLEASE_ENDPOINTS={}", yard.env.server.endpoints().join(","));
    for wanted in [&endpoints, "PLANLEASE_LOCK=the-lock", "PLANLEASE_TASK=7"] {
        assert!(inherited.contains(wanted), "no {wanted}: {inherited}");
    }
}

#[case]
async fn a_worktree_goes_once_git_has_forgotten_its_folder(env: TestEnv) {
    let yard = Yard::new(env).await;
    assert_eq!(yard.add(&yard.program, "one", &[]).await.code, Some(DONE));
    fs::remove_dir_all(yard.path("one")).unwrap();
    let refused = yard.program.run_to(HAS_WORK, ["worktree", "remove", "one"]).await;
    for words in
        ["cannot remove worktree one: its folder is not there", "it was made at", "git worktree prune"]
    {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    yard.git(&["worktree", "unlock", path_text(&yard.path("one"))]);
    yard.git(&["worktree", "prune"]);
    yard.program.run_to(DONE, ["worktree", "remove", "one"]).await;
    yard.is_bare("removed").await;
}
