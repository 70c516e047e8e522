//! What removing a worktree would destroy, in every place where git keeps it; and what must not keep it from
//! being removed.

use planlease_tests::{TestEnv, case};
use std::{fs, path::Path, process::Command};

use crate::worktree::{DONE, HAS_WORK, PLAN, Yard, names};

/// A worktree, and what a shell does in it.
type Action = (&'static str, &'static str);

impl Yard {
    /// Adds a submodule, which has one of its own, to the repository's main branch.
    fn with_submodules(&self) {
        let script = r#"
            for name in inner sub; do
              git init -q -b main "$OUT/$name"; cd "$OUT/$name"
              echo x > x; echo ignored > .gitignore; git add .; git commit -q -m first
              if [ "$name" = sub ]; then git submodule --quiet add "$OUT/inner" inner; git commit -q -m inner; fi
              git checkout -q --detach; git commit -q --allow-empty -m off; git tag off; git checkout -q main
            done
            cd "$ORIGIN"; git submodule --quiet add "$OUT/sub" sub; git commit -q -m sub
            git -C "$REPO" fetch -q; git -C "$REPO" reset -q --hard origin/main
        "#;
        self.shell(self.env.folder(), "setup", script);
    }

    /// Runs a script in a folder, with git as a user has it.
    fn shell(&self, folder: &Path, name: &str, script: &str) {
        let out = self.env.path("out");
        fs::create_dir_all(&out).unwrap();
        let settings = [
            ("user.email", "somebody@example.org"),
            ("user.name", "somebody"),
            ("protocol.file.allow", "always"),
            ("commit.gpgsign", "false"),
        ];
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(folder);
        command.env("NAME", name).env("OUT", &out).env("TREE", folder).env("TREES", self.env.path("trees"));
        command.env("REPO", self.env.path("repo")).env("ORIGIN", self.env.path("origin"));
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (n, (key, value)) in settings.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&ended.stdout));
    }

    /// git's folder of the worktree.
    fn admin(&self, name: &str) -> Vec<String> {
        names(&self.env.path("repo/.git/worktrees").join(name))
    }

    /// Cleans, and expects that nothing but the record changed.
    async fn is_kept(&self, name: &str) {
        let before = (self.admin(name), names(&self.path(name)), self.git(&["for-each-ref"]));
        self.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
        let shown = self.json(&["worktree", "show", name]).await;
        assert_eq!(shown["state"], "quarantined", "{name}");
        let refused = self.program.run_to(HAS_WORK, ["worktree", "remove", name]).await;
        assert!(
            refused.stderr.contains("Found: ") || refused.stderr.contains("its folder is not there"),
            "{name}: {}",
            refused.stderr
        );
        let after = (self.admin(name), names(&self.path(name)), self.git(&["for-each-ref"]));
        assert_eq!(before, after, "{name}: {}", shown["why"]);
    }

    /// Cleans, and is killed when the removal is recorded and nothing was removed.
    async fn begin_to_remove(&self, name: &str) {
        for n in 1..200 {
            let killed = self.killed("KILL_BEFORE", n).run(["worktree", "remove", name]).await;
            assert_eq!(killed.code, None, "{}", killed.stderr);
            if self.json(&["worktree", "show", name]).await["state"] == "removing" {
                return;
            }
        }
        panic!("{name} was never being removed");
    }

    /// Cleans, and expects that the worktree is gone.
    async fn is_removed(&self, name: &str) {
        let done = self.json(&["worktree", "clean", "--execute"]).await;
        let all = done["worktrees"].as_array().unwrap();
        let action = &all.iter().find(|one| one["name"] == name).unwrap()["action"];
        assert_eq!(action, "remove", "{name}: {done}");
        assert!(!self.path(name).exists() && self.admin(name).is_empty(), "{name}");
    }
}

const COMMITTED_AND_PUSHED: &str = r#"
    commit() { echo "$1" > "$1"; git add "$1"; git commit -q -m "$1 of $NAME"; }
    pushed() { commit "$1"; git push -q origin "HEAD:refs/heads/pushed-$NAME"; }
"#;

/// What holds work.
const WORK: [Action; 21] = [
    (
        "autostash",
        "pushed c; echo work >> a; GIT_SEQUENCE_EDITOR='sed -i s/^pick/edit/' git rebase -q -i --autostash HEAD~1",
    ),
    ("stash-only", "commit c; echo work >> a; git stash -q"),
    (
        "merging",
        "pushed c; git merge -q --no-ff --no-commit -s ours origin/main~0 || true; git checkout -q --detach; \
        git merge -q --no-ff --no-commit -s ours $(git commit-tree -p HEAD~1 -m other HEAD^{tree})",
    ),
    ("bisecting", "pushed c; git bisect start; git bisect bad"),
    ("own-reference", "git update-ref refs/worktree/mine $(git commit-tree -m mine HEAD^{tree})"),
    ("own-file", "git commit-tree -m mine HEAD^{tree} > $(git rev-parse --git-dir)/MINE"),
    ("alias", "commit c; git symbolic-ref refs/heads/alias refs/heads/$NAME"),
    ("replaced", "commit c; git replace --graft origin/main HEAD"),
    ("notes-only", "commit c; git update-ref refs/notes/mine HEAD"),
    (
        "hidden-bytes",
        "pushed \"$(printf 'n\\377')\"; git update-index --assume-unchanged n*; echo work >> n*",
    ),
    ("intent", "echo work > new; git add -N new"),
    ("locked", "git worktree unlock .; git worktree lock --reason mine ."),
    ("locked-silently", "git worktree unlock .; git worktree lock ."),
    ("no-fence", "rm $TREES/.$NAME.planlease; echo work >> a"),
    ("nested", "git init -q ignored; cd ignored; commit c"),
    ("nested-changed", "git clone -q $ORIGIN ignored; echo work >> ignored/a"),
    ("nested-stash", "git clone -q $ORIGIN ignored; cd ignored; echo work >> a; git stash -q"),
    (
        "nested-bare",
        "git clone -q --bare $TREE ignored; cd ignored; git update-ref refs/heads/x $(git commit-tree -m x HEAD^{tree})",
    ),
    ("others-worktree", "git clone -q $ORIGIN $OUT/other; git -C $OUT/other worktree add -q $TREE/ignored"),
    ("removed-file", "git rm -q --cached a"),
    ("mode", "chmod +x a"),
];

#[case]
async fn work_that_only_the_worktree_has_survives(env: TestEnv) {
    let yard = Yard::new(env).await;
    for (name, script) in WORK {
        yard.add_owned(name).await;
        yard.shell(&yard.path(name), name, &format!("{COMMITTED_AND_PUSHED}{script}"));
        yard.is_kept(name).await;
        if name == "replaced" {
            yard.shell(&yard.env.path("repo"), name, "git replace -d $(git replace -l)");
        }
    }
}

#[case]
async fn work_in_submodules_survives(env: TestEnv) {
    let yard = Yard::new(env).await;
    yard.with_submodules();
    let all: [Action; 12] = [
        ("sub-commit", "cd sub; git checkout -q main; commit c; git checkout -q --detach origin/main"),
        (
            "sub-detached",
            "cd sub; commit c; cd ..; git commit -q -a -m sub; git push -q origin HEAD:refs/heads/x",
        ),
        ("sub-stash", "cd sub; echo work >> x; git stash -q"),
        ("sub-tag", "cd sub; commit c; git tag mine; git checkout -q --detach origin/main"),
        ("sub-changed", "git config submodule.sub.ignore all; echo work >> sub/x"),
        ("sub-unknown", "echo work > sub/new"),
        ("sub-hidden", "cd sub; git update-index --skip-worktree x; echo work >> x"),
        ("sub-reset", "cd sub; commit c; git reset -q --hard HEAD~1"),
        ("inner-commit", "cd sub/inner; commit c; git checkout -q --detach HEAD~1"),
        ("inner-nested", "cd sub/inner; git init -q ignored; cd ignored; commit c"),
        (
            "sub-gone",
            "cd sub; git checkout -q main; commit c; cd ..; git checkout -q --detach origin/main~1; rm -rf sub",
        ),
        ("sub-no-git", "rm sub/.git; echo work > sub/new"),
    ];
    for (name, script) in all {
        yard.add_owned(name).await;
        let begin =
            format!("{COMMITTED_AND_PUSHED} git submodule --quiet update --init --recursive; {script}");
        yard.shell(&yard.path(name), name, &begin);
        yard.is_kept(name).await;
    }
    // Never checked out: git itself does not look into the folder.
    yard.add_owned("not-there").await;
    yard.shell(&yard.path("not-there"), "not-there", "echo work > sub/mine");
    yard.is_kept("not-there").await;
}

/// Two repositories that git ignores, each of which has the other's commit on a remote branch.
const EACH_OTHER: &str = r#"
    mkdir ignored; git init -q -b main ignored/A; (cd ignored/A; commit precious)
    git clone -q ignored/A ignored/B; (cd ignored/A; git remote add o ../B; git fetch -q o)
"#;

#[case]
async fn nested_repositories_do_not_vouch_for_each_other(env: TestEnv) {
    let yard = Yard::new(env).await;
    let all: [Action; 10] = [
        ("relative", ""),
        ("file-url", "git -C ignored/A remote set-url o file://$TREE/ignored/B; git -C ignored/A fetch -q o"),
        (
            "instead-of",
            "cd ignored/A; git config url.$TREE/ignored/.insteadOf https://example.org/; \
            git remote set-url o https://example.org/B; git fetch -q o",
        ),
        (
            "symlink",
            "ln -s $TREE/ignored $OUT/$NAME; git -C ignored/A remote set-url o $OUT/$NAME/B; \
            git -C ignored/A fetch -q o",
        ),
        (
            "pushed-inside",
            "git init -q --bare ignored/C; cd ignored/A; git remote set-url o https://example.org/C; \
            git remote set-url --push o ../C; git push -q o main; rm -rf ../B",
        ),
        (
            "borrowed",
            "git clone -q --shared ignored/A $OUT/$NAME; git -C ignored/A remote set-url o $OUT/$NAME; \
            git -C ignored/A fetch -q o",
        ),
        (
            "shallow",
            "(cd ignored/A; commit more); git clone -q --depth 1 file://$TREE/ignored/A $OUT/$NAME; \
            git -C ignored/A remote set-url o $OUT/$NAME; git -C ignored/A fetch -q o",
        ),
        ("other-gone", "git -C ignored/A tag mine; git -C ignored/B fetch -q --tags; rm -rf ignored/A"),
        (
            "remote-gone",
            "mv ignored/A $OUT/$NAME; rm -rf ignored; git clone -q $OUT/$NAME ignored; rm -rf $OUT/$NAME",
        ),
        (
            "fetch-head",
            "mv ignored/A $OUT/$NAME; rm -rf ignored; git clone -q $ORIGIN ignored; \
            git -C ignored fetch -q $OUT/$NAME HEAD; rm -rf $OUT/$NAME",
        ),
    ];
    for (name, script) in all {
        yard.add_owned(name).await;
        let script = format!("{COMMITTED_AND_PUSHED}{EACH_OTHER}{script}");
        yard.shell(&yard.path(name), name, &script);
        yard.is_kept(name).await;
    }
}

#[case]
async fn repositories_outside_vouch_for_nested_ones(env: TestEnv) {
    let yard = Yard::new(env).await;
    let out = "git init -q --bare $OUT/$NAME.git; cd ignored/A; git remote add out ";
    let all = [
        ("outside", format!("{out} $OUT/$NAME; git push -q out main")),
        ("outside-relative", format!("{out} ../../../../out/$NAME.git; git push -q out main")),
        (
            "moved-out",
            "mv ignored/A $OUT/$NAME; git -C ignored/B remote set-url origin $OUT/$NAME".to_owned(),
        ),
        (
            "network", // As after a push there.
            "cd ignored/A; git remote set-url o https://example.org/a; git fetch -q ../B HEAD".to_owned(),
        ),
        (
            "own-repository",
            "rm -rf ignored; git clone -q . ignored/A; git clone -q ignored/A ignored/B".to_owned(),
        ),
    ];
    for (name, script) in all {
        yard.add_owned(name).await;
        let script = format!("{COMMITTED_AND_PUSHED}{EACH_OTHER}{script}");
        yard.shell(&yard.path(name), name, &script);
        yard.is_removed(name).await;
    }
}

#[case]
async fn a_worktree_that_is_elsewhere_is_left_alone(env: TestEnv) {
    let yard = Yard::new(env).await;
    let all: [Action; 8] = [
        ("moved", "git worktree unlock .; git worktree move . $OUT/$NAME"),
        ("moved-locked", "git worktree move -f -f . $OUT/$NAME"),
        ("repaired", "mv $TREE $OUT/$NAME; git -C $OUT/$NAME worktree repair"),
        (
            "repaired-unlocked",
            "git worktree unlock .; mv $TREE $OUT/$NAME; git -C $OUT/$NAME worktree repair",
        ),
        ("moved-only", "mv $TREE $OUT/$NAME"),
        ("linked", "mv $TREE $OUT/$NAME; ln -s $OUT/$NAME $TREE"),
        ("clone-instead", "mv $TREE $OUT/$NAME; git clone -q $ORIGIN $TREE"),
        (
            "moved-and-other",
            "git worktree move -f -f . $OUT/$NAME; git -C $REPO worktree add -q --detach $TREE",
        ),
    ];
    for (name, script) in all {
        yard.add_owned(name).await;
        yard.shell(&yard.path(name), name, script);
        yard.is_kept(name).await;
        // It is as usable as before.
        let usable = "git -C $OUT/$NAME status; git -C $OUT/$NAME commit -q --allow-empty -m more";
        yard.shell(yard.env.folder(), name, usable);
    }
    // Once an operator has removed it there, its record goes.
    yard.shell(&yard.env.path("repo"), "moved", "git worktree remove -f -f $OUT/$NAME; git branch -D $NAME");
    yard.program.run_to(DONE, ["worktree", "remove", "moved"]).await;
}

#[case]
async fn a_worktree_without_work_is_removed(env: TestEnv) {
    let yard = Yard::new(env).await;
    yard.with_submodules();
    let all: [Action; 12] = [
        (
            "embedded",
            "git clone -q $ORIGIN inside; git -c advice.addEmbeddedRepo=false add inside; git commit -q -m inside; \
            git push -q origin HEAD:refs/heads/embedded",
        ),
        ("submodules", "git submodule --quiet update --init --recursive"),
        (
            "sub-moved-on",
            "git submodule --quiet update --init; cd sub; git checkout -q main; commit c; \
            git push -q origin HEAD:refs/heads/c; git checkout -q --detach; cd ..; git commit -q -a -m c; \
            git push -q origin HEAD:refs/heads/sub-moved-on",
        ),
        ("sub-not-there", "git checkout -q --detach origin/main"),
        ("clone", "git clone -q $ORIGIN ignored"),
        ("clone-of-tag", "git clone -q $OUT/sub ignored; git -C ignored checkout -q off"),
        ("pushed", "pushed c; git checkout -q --detach"),
        ("sparse", "git sparse-checkout set --no-cone b"),
        ("bisected", "pushed c; git bisect start; git bisect bad; git bisect reset; git checkout -q $NAME"),
        (
            "rebased",
            "pushed c; git rebase -q --force-rebase HEAD~1; git push -q -f origin HEAD:refs/heads/rebased",
        ),
        ("renamed", "commit c; git branch -m renamed-branch"),
        ("ignored-file", "echo built > ignored"),
    ];
    for (name, script) in all {
        yard.add_owned(name).await;
        yard.shell(&yard.path(name), name, &format!("{COMMITTED_AND_PUSHED}{script}"));
        yard.is_removed(name).await;
    }
    assert!(yard.git(&["log", "--format=%s", "-1", "renamed-branch"]).contains("c of renamed"));
    assert!(
        names(&yard.env.path("repo/.git")).iter().all(|name| !name.contains("removed")),
        "nothing is left"
    );
}

#[case]
async fn replaced_commits_outlive_the_worktree(env: TestEnv) {
    let yard = Yard::new(env).await;
    let all: [Action; 4] = [
        (
            "fetched",
            "git init -q -b main ../o2; (cd ../o2; commit f); git fetch -q ../o2 HEAD; \
            git rev-parse FETCH_HEAD > $OUT/$NAME; rm -rf ../o2",
        ),
        (
            "amended",
            "commit c; git rev-parse HEAD > $OUT/$NAME; git commit -q --amend -m better; \
            git push -q origin HEAD:refs/heads/amended",
        ),
        (
            "reset",
            "commit c; git rev-parse HEAD > $OUT/$NAME; git reset -q --hard HEAD~1; git reflog expire --expire=now --all",
        ),
        ("base-gone", "git rev-parse HEAD > $OUT/$NAME"),
    ];
    for (name, script) in all {
        if name == "base-gone" {
            let lost = "git commit-tree -m lost HEAD^{tree} > $OUT/base";
            yard.shell(&yard.env.path("repo"), name, lost);
            let base = yard.env.text("out/base");
            let mut args = yard.add_args(name);
            args.truncate(5); // Without the base.
            args.extend(["--base", base.trim(), "--plan", PLAN].map(str::to_owned));
            yard.program.run_to(DONE, args).await;
        } else {
            yard.add_owned(name).await;
        }
        yard.shell(&yard.path(name), name, &format!("{COMMITTED_AND_PUSHED}{script}"));
        yard.program.run_to(DONE, ["worktree", "remove", name]).await;
        let check = "git gc -q --prune=now; git cat-file -e $(cat $OUT/$NAME)";
        yard.shell(&yard.env.path("repo"), name, check);
    }
    yard.add_owned("settings").await;
    yard.git(&["config", "extensions.worktreeConfig", "true"]);
    yard.shell(&yard.path("settings"), "settings", "git config --worktree user.name agent-7");
    yard.is_removed("settings").await;
    let kept = yard.git(&["for-each-ref", "--format=%(refname)", "refs/planlease/removed"]);
    assert_eq!(kept.lines().count(), 5, "{kept}");
    let settings = "git for-each-ref --format='%(refname)' refs/planlease/removed | while read -r name; do \
        git cat-file -p $name:config.worktree 2>/dev/null || true; done | grep -q agent-7";
    yard.shell(&yard.env.path("repo"), "settings", settings);
    // After a month it is forgotten, as it would be in a reflog.
    let age = "old=\"@$(($(date +%s) - 31 * 86400)) +0000\"; for name in $(git for-each-ref --format='%(refname)' refs/planlease/removed); do \
        git update-ref $name $(GIT_COMMITTER_DATE=\"$old\" git commit-tree -m old -p $name $name^{tree}); done";
    yard.shell(&yard.env.path("repo"), "age", age);
    yard.add_owned("next").await;
    yard.is_removed("next").await;
    assert_eq!(yard.git(&["for-each-ref", "refs/planlease"]), "");
}

#[case]
async fn a_branch_that_others_need_stays(env: TestEnv) {
    let yard = Yard::new(env).await;
    let all: [Action; 3] = [
        ("elsewhere", "git checkout -q --detach; git worktree add -q $OUT/$NAME $NAME"),
        (
            "rebasing",
            "git checkout -q --detach; git worktree add -q $OUT/$NAME $NAME; cd $OUT/$NAME; \
            GIT_SEQUENCE_EDITOR='echo break >' git rebase -q -i HEAD",
        ),
        (
            "symbolic",
            "git checkout -q --detach; git branch other-main; git symbolic-ref refs/heads/$NAME refs/heads/other-main",
        ),
    ];
    for (name, script) in all {
        yard.add_owned(name).await;
        yard.shell(&yard.path(name), name, script);
        yard.is_removed(name).await;
        yard.git(&["rev-parse", "--verify", &format!("refs/heads/{name}")]);
    }
    yard.git(&["rev-parse", "--verify", "refs/heads/other-main"]);
}

#[case]
async fn a_removal_with_submodules_that_is_killed_is_finished(env: TestEnv) {
    let yard = Yard::new(env).await;
    yard.with_submodules();
    let begin = "git submodule --quiet update --init --recursive";
    let mut kills = 0;
    for n in yard.kill_points(7) {
        yard.add_owned("one").await;
        yard.shell(&yard.path("one"), "one", begin);
        let ended = yard.killed("KILL_AFTER", n).run(["worktree", "clean", "--execute"]).await;
        if ended.code.is_some() {
            break;
        }
        kills += 1;
        yard.program.run_to(DONE, ["worktree", "clean", "--execute"]).await;
        assert!(!yard.path("one").exists() && yard.admin("one").is_empty(), "{n}");
    }
    assert!(kills >= 4, "{kills}");
    // Half of the files are gone, and the rest is cleared away; unless something came up.
    for (n, work) in ["", "echo work > sub/new"].into_iter().enumerate() {
        let name = format!("half-{n}");
        yard.add_owned(&name).await;
        yard.shell(&yard.path(&name), &name, begin);
        let state = yard.env.path("repo/.git/worktrees").join(&name).join("planlease-removing");
        yard.begin_to_remove(&name).await;
        fs::write(state, "").unwrap();
        yard.shell(&yard.path(&name), &name, &format!("rm -rf a .git sub/.git sub/inner/x; {work}"));
        let done = yard.json(&["worktree", "clean", "--execute"]).await;
        let action = if work.is_empty() { "remove" } else { "quarantine" };
        let all = done["worktrees"].as_array().unwrap();
        assert!(all.iter().any(|one| one["name"] == name.as_str() && one["action"] == action), "{done}");
    }
}

#[case]
async fn a_removal_that_has_not_begun_is_not_taken_for_half_done(env: TestEnv) {
    let yard = Yard::new(env).await;
    yard.add_owned("one").await;
    yard.begin_to_remove("one").await;
    yard.shell(&yard.path("one"), "one", "rm a");
    yard.is_kept("one").await;
}
