//! The archive: unpacked anywhere, it runs.

use std::path::PathBuf;

use super::place::{Dist, copy};
use crate::run::{Result, output, root};

/// What else is in it: where it is here, and there.
const FILES: [(&str, &str); 5] = [
    ("README.md", "README.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("docs/systemd/planlease-sidecar.service", "systemd/planlease-sidecar.service"),
    ("crates/planlease-console/THIRD-PARTY.txt", "THIRD-PARTY.txt"),
];

pub(super) fn make(dist: &Dist) -> Result<PathBuf> {
    let name = format!("planlease-{}-{}-linux", dist.version, dist.machine());
    let folder = dist.stage.join("archive").join(&name);
    copy(&dist.program(), &folder.join("bin/planlease"))?;
    for (here, there) in FILES {
        copy(&root().join(here), &folder.join(there))?;
    }
    for part in ["completions", "man"] {
        output(dist.command("cp").arg("-r").arg(dist.stage.join(part)).arg(folder.join(part)))?;
    }
    let archive = dist.out.join(format!("{name}.tar.gz"));
    let mut tar = dist.command("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rw,go-w,a+rX"]);
    tar.arg(format!("--mtime=@{}", dist.epoch)).arg("--use-compress-program=gzip -n9");
    output(tar.arg("-C").arg(dist.stage.join("archive")).arg("-cf").arg(&archive).arg(&name))?;
    Ok(archive)
}
