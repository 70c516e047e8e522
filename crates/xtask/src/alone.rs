//! `cargo xtask alone`: each published library is built by itself, with the features that it names. In a
//! build of the workspace it gets those that other crates have named as well, and does not miss its own.

use std::fs;

use clap::Args;

use crate::rotation;
use crate::run::{Failure, Result, cargo, root, run, step};

/// Flags of `cargo xtask alone`.
#[derive(Args, Default)]
pub(crate) struct Alone {
    /// Only a quarter of the libraries, chosen by the commit.
    #[arg(long)]
    pub(crate) quarter: bool,
}

/// Builds the published packages, one after the other.
pub(crate) fn alone(options: &Alone) -> Result {
    let mut packages = published()?;
    let all = packages.len();
    if options.quarter {
        packages = rotation::quarter(packages)?;
        step(format_args!("{} of {all} packages alone; `cargo xtask alone` builds them all", packages.len()));
    }
    packages.iter().try_for_each(|name| run(cargo().args(["check", "--package", name])))
}

/// The names of the packages that are published, in order.
fn published() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("crates")).map_err(Failure::because)? {
        let folder = entry.map_err(Failure::because)?.path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let manifest: toml::Table = manifest.parse().map_err(Failure::because)?;
        let package = &manifest["package"];
        if package.get("publish").and_then(toml::Value::as_bool) != Some(false) {
            names.extend(package["name"].as_str().map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_published_and_this_program_is_not() {
        let names = published().unwrap();
        assert!(names.contains(&"planlease".to_owned()));
        assert!(names.contains(&"planlease-watcher".to_owned()));
        assert!(!names.contains(&"xtask".to_owned()));
    }
}
