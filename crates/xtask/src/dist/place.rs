//! What is made for which system, and where: the folders, names and times that all parts share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::run::{Failure, Result, output, root};

/// What is made, and what it is made of.
pub(super) struct Dist {
    /// The version of the workspace.
    pub(super) version: String,
    /// The target, `x86_64-unknown-linux-gnu`.
    pub(super) target: String,
    /// The commit's time, in seconds since 1970.
    pub(super) epoch: String,
    /// Where the results go.
    pub(super) out: PathBuf,
    /// Where they are put together.
    pub(super) stage: PathBuf,
    pub(super) profile: String,
}

impl Dist {
    pub(super) fn new(profile: &str) -> Result<Self> {
        let out = root().join("target/dist");
        if out.exists() {
            fs::remove_dir_all(&out)
                .map_err(|error| Failure::because(format_args!("{}: {error}", out.display())))?;
        }
        let stage = out.join("stage");
        make(&stage)?;
        let rustc = output(Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV"))?;
        let target =
            rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        let mut git = Command::new("git");
        let epoch = output(git.current_dir(root()).args(["log", "-1", "--format=%ct"]))?.trim().to_owned();
        let version = version()?;
        Ok(Self { version, target, epoch, out, stage, profile: profile.to_owned() })
    }

    /// The machine, as file names have it: `x86_64`, `aarch64`.
    pub(super) fn machine(&self) -> &str {
        self.target.split('-').next().unwrap_or_default()
    }

    /// The program, as it was built.
    pub(super) fn program(&self) -> PathBuf {
        self.stage.join("planlease")
    }

    /// A command whose results do not depend on when it runs.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SOURCE_DATE_EPOCH", &self.epoch).env("TZ", "UTC").env("LC_ALL", "C").current_dir(root());
        command
    }
}

/// The version in the workspace's manifest.
fn version() -> Result<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).map_err(Failure::because)?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| Failure::because("Cargo.toml states no version"))
}

pub(super) fn make(folder: &Path) -> Result {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::because(format_args!("{}: {error}", folder.display())))
}

/// Copies one file, and makes the folder that it goes to.
pub(super) fn copy(from: &Path, to: &Path) -> Result {
    make(to.parent().unwrap_or(to))?;
    let failed = |error| Failure::because(format_args!("{} to {}: {error}", from.display(), to.display()));
    fs::copy(from, to).map(drop).map_err(failed)
}
