//! `cargo xtask simulate`, `bugs` and `soak`: the simulation, the simulation of deliberately broken code, and
//! the long form of both it and the faults on a real cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::etcd;
use crate::rotation;
use crate::run::{Failure, Result, cargo, output, root, run, shown, step};

/// How it is built: see `Cargo.toml`.
const PROFILE: [&str; 4] = ["--profile", "simulation", "--package", "planlease-simulation"];

/// Without it tokio draws from a generator that no seed reaches.
const FLAGS: (&str, &str) = ("RUSTFLAGS", "--cfg tokio_unstable");

/// How many seeds belong to every run of all tests.
pub(crate) const SEEDS: u64 = 200;

/// Where broken code lies.
const PLACE: &str = "target/bugs";

/// Flags of `cargo xtask simulate`.
#[derive(Args)]
pub(crate) struct Simulate {
    /// What to pass on, `--seed 17`, say; `--help` says what there is.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the simulation.
pub(crate) fn simulate(options: &Simulate) -> Result {
    run(cargo().env(FLAGS.0, FLAGS.1).arg("run").args(PROFILE).arg("--").args(&options.arguments))
}

/// Runs the seeds that belong to every run of all tests, and some of them twice.
pub(crate) fn short() -> Result {
    let simulate = |arguments: &[&str]| {
        simulate(&Simulate { arguments: arguments.iter().map(ToString::to_string).collect() })
    };
    simulate(&[&format!("--seeds={SEEDS}")])?;
    simulate(&["--twice", "--seeds=5"])
}

/// Flags of `cargo xtask bugs`.
#[derive(Args, Default)]
pub(crate) struct Bugs {
    /// Only those whose name contains this.
    pub(crate) filter: Option<String>,
    /// Only every fourth one; the commit decides which, so that some commits in a row cover them.
    #[arg(long)]
    pub(crate) quarter: bool,
}

/// Puts each deliberate bug into a copy of the code, and fails unless the simulation finds it within the
/// seeds that its file states.
pub(crate) fn bugs(options: &Bugs) -> Result {
    let mut patches: Vec<PathBuf> = entries(&root().join("tests/bugs"))?;
    patches.retain(|patch| {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy();
        patch.extension().is_some_and(|extension| extension == "patch")
            && options.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    });
    patches.sort();
    let all = patches.len();
    if options.quarter {
        patches = rotation::quarter(patches)?;
        step(format_args!(
            "{} of the {all} deliberate bugs; `cargo xtask bugs` runs them all",
            patches.len()
        ));
    }
    let tree = root().join(PLACE).join("tree");
    copy_sources(&tree)?;
    let mut missed = Vec::new();
    for patch in &patches {
        let bug = Bug::read(patch)?;
        let found = bug.find(&tree)?;
        match found {
            Some(seed) => println!("found: {}, by seed {seed} (stated: below {})", bug.name, bug.seeds),
            None => {
                println!("NOT FOUND within {} seeds: {}: {}", bug.seeds, bug.name, bug.what);
                missed.push(bug.name);
            }
        }
    }
    println!("bugs: {} passed, {} failed", patches.len() - missed.len(), missed.len());
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::because(format_args!("the simulation does not find {}", missed.join(", "))))
    }
}

/// A deliberate bug.
struct Bug {
    name: String,
    what: String,
    seeds: u64,
    patch: PathBuf,
}

impl Bug {
    /// Reads a patch: what is wrong, within how many seeds it is found, and the change.
    fn read(patch: &Path) -> Result<Self> {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(patch).map_err(Failure::because)?;
        let mut lines = text.lines();
        let what = lines.next().unwrap_or_default().to_owned();
        let seeds = lines.find_map(|line| line.strip_prefix("Seeds: ")?.parse().ok());
        let seeds = seeds.ok_or_else(|| {
            Failure::because(format_args!(
                "{} does not state within how many seeds it is found",
                patch.display()
            ))
        })?;
        Ok(Self { name, what, seeds, patch: patch.to_path_buf() })
    }

    /// The first seed that finds it.
    fn find(&self, tree: &Path) -> Result<Option<u64>> {
        step(format_args!("{}: {}", self.name, self.what));
        self.apply(tree, &[])?;
        let found = self.run(tree);
        self.apply(tree, &["--reverse"])?;
        found
    }

    fn apply(&self, tree: &Path, how: &[&str]) -> Result {
        let mut git = Command::new("git");
        // The copy lies within the repository, whose files `git apply` would take it for otherwise.
        git.current_dir(tree)
            .env("GIT_CEILING_DIRECTORIES", root().join(PLACE))
            .arg("apply")
            .args(how)
            .arg(&self.patch);
        output(&mut git).map(drop).map_err(|failure| {
            let why = failure.message().unwrap_or_default().to_owned();
            Failure::because(format_args!(
                "{} does not fit the code any more: remake it\n{why}",
                self.patch.display()
            ))
        })
    }

    fn run(&self, tree: &Path) -> Result<Option<u64>> {
        // The same as for the simulation itself: what the code under test is made of is there already.
        let target = root().join("target");
        let mut build = cargo();
        build.current_dir(tree).env("CARGO_TARGET_DIR", &target).env(FLAGS.0, FLAGS.1);
        output(build.args(["build", "--quiet"]).args(PROFILE))?;
        let mut simulation = Command::new(target.join("simulation/planlease-simulation"));
        simulation.arg(format!("--seeds={}", self.seeds)).stderr(Stdio::null());
        let ran = simulation.output().map_err(|error| {
            Failure::because(format_args!("cannot start `{}`: {error}", shown(&simulation)))
        })?;
        let said = String::from_utf8_lossy(&ran.stdout);
        let seed = said.lines().find_map(|line| line.strip_prefix("seed ")?.split(':').next()?.parse().ok());
        let violation = said.lines().find(|line| line.starts_with("  ")).unwrap_or_default();
        println!("{}", violation.chars().take(240).collect::<String>());
        match (ran.status.success(), seed) {
            (true, _) => Ok(None),
            (false, Some(seed)) => Ok(Some(seed)),
            (false, None) => Err(Failure::because(format_args!("the simulation crashed: {}", ran.status))),
        }
    }
}

/// The workspace's manifest, with another version. To cargo, members of two workspaces are the same if name,
/// version and place in the workspace are; in a shared target folder it would take the one that is built for
/// the other.
fn of_another_version(manifest: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(manifest).replacen("version = \"0.1.0\"", "version = \"0.1.999\"", 1).into_bytes()
}

/// Copies what git knows of; what is the same already is left alone, so that cargo does not build it again.
fn copy_sources(tree: &Path) -> Result {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for name in output(&mut git)?.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root().join(name), tree.join(name));
        let Ok(mut bytes) = fs::read(&from) else { continue }; // Deleted, but not yet from git's list.
        if name == "Cargo.toml" {
            bytes = of_another_version(&bytes);
        }
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(tree)).map_err(Failure::because)?;
        // With its permissions: a script has to stay one.
        fs::copy(&from, &to).and_then(|_| fs::write(&to, bytes)).map_err(Failure::because)?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)
        .map_err(|error| Failure::because(format_args!("cannot read {}: {error}", folder.display())))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Flags of `cargo xtask soak`.
#[derive(Args)]
pub(crate) struct Soak {
    /// How long.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// The first seed, of both.
    #[arg(long, default_value_t = 1_000_000)]
    seed: u64,
}

/// Faults on a real cluster of three members, and beside it one seed of the simulation after the other.
pub(crate) fn soak(options: &Soak) -> Result {
    let etcd = etcd::current(true)?;
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    run(cargo().env(FLAGS.0, FLAGS.1).arg("build").args(PROFILE))?;
    let Soak { minutes, seed } = options;
    let mut real = Command::new(root().join("target/debug/soak"));
    real.env(etcd::VARIABLE, etcd.path).args([format!("--minutes={minutes}"), format!("--seed={seed}")]);
    let mut simulated = Command::new(root().join("target/simulation/planlease-simulation"));
    simulated.args([format!("--minutes={minutes}"), format!("--from={seed}"), "--keep-going".to_owned()]);
    let start = |command: &mut Command| {
        step(shown(command));
        command
            .spawn()
            .map_err(|error| Failure::because(format_args!("cannot start `{}`: {error}", shown(command))))
    };
    let (mut one, mut other) = (start(&mut real)?, start(&mut simulated)?);
    let ended = [one.wait(), other.wait()];
    if ended.iter().all(|status| status.as_ref().is_ok_and(std::process::ExitStatus::success)) {
        Ok(())
    } else {
        Err(Failure::because("the soak found something: see above"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deliberate_bug_says_what_it_is_and_when_it_is_found() {
        let patches = entries(&root().join("tests/bugs")).unwrap();
        assert!(patches.len() >= 15, "{}", patches.len());
        let listed = fs::read_to_string(root().join("docs/failure-model.md")).unwrap();
        for patch in patches {
            let bug = Bug::read(&patch).unwrap();
            assert!(bug.what.ends_with('.') && bug.seeds > 0, "{}", bug.name);
            let row = format!("| `{}` | {} |", bug.name, bug.what);
            assert!(listed.contains(&row), "docs/failure-model.md lacks the row {row}");
        }
    }

    #[test]
    fn a_bug_that_states_no_bound_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "Something is wrong.\n--- a/x\n+++ b/x\n").unwrap();
        let refused = Bug::read(file.path()).err().unwrap();
        assert!(refused.message().unwrap().contains("within how many seeds"));
    }
}
