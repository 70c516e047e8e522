//! What the program is made of, as a CycloneDX document.

use std::path::PathBuf;

use super::place::{Dist, copy, make};
use super::tools;
use crate::run::{Result, cargo, output, root};

pub(super) fn list(dist: &Dist) -> Result<PathBuf> {
    // The tool writes beside each manifest, so it gets a copy of the sources.
    let sources = dist.stage.join("sources");
    make(&sources)?;
    let unpack = "git archive HEAD | tar -x -C \"$1\"";
    output(dist.command("sh").args(["-c", unpack, "sh"]).arg(&sources).current_dir(root()))?;
    let manifest = sources.join("crates/planlease-cli/Cargo.toml");
    let mut list = cargo();
    list.env("PATH", tools::subcommand(tools::CYCLONEDX)?).env("SOURCE_DATE_EPOCH", &dist.epoch);
    list.args([
        "cyclonedx",
        "--quiet",
        "--format",
        "json",
        "--describe",
        "binaries",
        "--target",
        &dist.target,
    ]);
    output(list.arg("--manifest-path").arg(&manifest).current_dir(&sources))?;
    let made = manifest.with_file_name("planlease_bin.cdx.json");
    let document = dist.out.join(format!("planlease-{}-{}-linux.cdx.json", dist.version, dist.machine()));
    copy(&made, &document)?;
    Ok(document)
}
