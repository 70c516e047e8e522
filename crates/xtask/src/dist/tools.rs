//! The tools that make packages, from the registries, into `target/tools`; each is got once.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{Failure, Result, cargo, output, root, step};

/// A cargo subcommand and its version.
pub(super) const AUDITABLE: (&str, &str) = ("cargo-auditable", "0.7.7");
/// Makes Debian packages.
pub(super) const DEB: (&str, &str) = ("cargo-deb", "3.8.0");
/// Lists what a program is made of.
pub(super) const CYCLONEDX: (&str, &str) = ("cargo-cyclonedx", "0.5.9");

/// What packs wheels.
const WHEEL: [&str; 2] = ["wheel==0.48.0", "setuptools>=64"];

/// Gets a cargo subcommand; cargo finds it on the search path that is returned.
pub(super) fn subcommand((name, version): (&str, &str)) -> Result<OsString> {
    let folder = root().join("target/tools/cargo").join(format!("{name}-{version}"));
    if !folder.join("bin").join(name).is_file() {
        step(format_args!("getting {name} {version} into {}", folder.display()));
        let mut install = cargo();
        install
            .args(["install", "--quiet", "--locked", "--version", version, "--root"])
            .arg(&folder)
            .arg(name);
        // What they are built of is of no use for anything else.
        install.env("CARGO_TARGET_DIR", root().join("target/tools/cargo/build")).env_remove("RUSTFLAGS");
        output(&mut install)?;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.join("bin")).chain(env::split_paths(&path));
    env::join_paths(folders).map_err(Failure::because)
}

/// A Python with what packs wheels.
pub(super) fn python() -> Result<PathBuf> {
    let folder = root().join("target/tools/wheel");
    let python = folder.join("bin/python");
    if !folder.join("bin/wheel").is_file() {
        step(format_args!("getting {} into {}", WHEEL.join(", "), folder.display()));
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        output(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(WHEEL))?;
    }
    Ok(python)
}
