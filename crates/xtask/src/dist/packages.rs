//! The packages of other systems around the same program: Debian's, Python's, npm's.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::{Dist, copy, make};
use super::tools;
use crate::run::{Failure, Result, cargo, output, root};

/// A Debian package; what is in it stands in `crates/planlease-cli/Cargo.toml`.
pub(super) fn debian(dist: &Dist) -> Result<PathBuf> {
    let unit = fs::read_to_string(root().join("docs/systemd/planlease-sidecar.service"))
        .map_err(Failure::because)?;
    let unit = unit
        .replace("/usr/local/bin/", "/usr/bin/")
        .replace("/etc/systemd/system/", "/usr/lib/systemd/system/");
    fs::write(dist.stage.join("planlease-sidecar.service"), unit).map_err(Failure::because)?;
    let mut deb = cargo();
    deb.env("PATH", tools::subcommand(tools::DEB)?).env("SOURCE_DATE_EPOCH", &dist.epoch);
    deb.args([
        "deb",
        "--no-build",
        "--no-strip",
        "--locked",
        "-p",
        "planlease-cli",
        "--target",
        &dist.target,
    ]);
    output(deb.arg("--output").arg(&dist.out))?;
    only(&dist.out, "deb")
}

/// A wheel: the Python client, and the program beside the environment's Python.
pub(super) fn wheel(dist: &Dist) -> Result<PathBuf> {
    let python = tools::python()?;
    let work = dist.stage.join("wheel");
    make(&work.join("packed"))?;
    // A copy, since the build writes beside its sources.
    output(dist.command("cp").arg("-r").arg(root().join("clients/python")).arg(work.join("source")))?;
    let run = |arguments: &[&str]| {
        let mut command = dist.command(&python);
        output(command.arg("-m").args(arguments).current_dir(&work))
    };
    run(&[
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "pure",
        "./source",
    ])?;
    let pure = only(&work.join("pure"), "whl")?;
    run(&["wheel", "unpack", "--dest", "unpacked", &pure.to_string_lossy()])?;
    let name = format!("planlease-{}", dist.version);
    copy(&dist.program(), &work.join("unpacked").join(&name).join(format!("{name}.data/scripts/planlease")))?;
    run(&["wheel", "pack", "--dest-dir", "packed", &format!("unpacked/{name}")])?;
    let platform = format!("manylinux_2_17_{0}.manylinux2014_{0}", dist.machine());
    let packed = only(&work.join("packed"), "whl")?;
    run(&["wheel", "tags", "--remove", "--platform-tag", &platform, &packed.to_string_lossy()])?;
    let tagged = only(&work.join("packed"), "whl")?;
    let wheel = dist.out.join(tagged.file_name().unwrap_or_default());
    copy(&tagged, &wheel)?;
    Ok(wheel)
}

/// An npm package: the Node client, and the program as its command.
pub(super) fn npm(dist: &Dist) -> Result<PathBuf> {
    let folder = dist.stage.join("npm");
    output(dist.command("cp").arg("-r").arg(root().join("clients/node")).arg(&folder))?;
    copy(&dist.program(), &folder.join("bin/planlease"))?;
    let cpu = match dist.machine() {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let set = ["bin.planlease=bin/planlease".to_owned(), "os[0]=linux".to_owned(), format!("cpu[0]={cpu}")];
    output(dist.command("npm").args(["pkg", "set"]).args(set).current_dir(&folder))?;
    // The one entry whose place is not known: `files` has them already.
    output(dist.command("npm").args(["pkg", "set", "files[]=bin/planlease"]).current_dir(&folder))?;
    let pack = ["pack", "--silent", "--pack-destination"];
    output(dist.command("npm").args(pack).arg(&dist.out).current_dir(&folder))?;
    only(&dist.out, "tgz")
}

/// The only file of this kind in a folder.
pub(super) fn only(folder: &Path, extension: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder)
        .map_err(|error| Failure::because(format_args!("{}: {error}", folder.display())))?;
    let mut found = entries.flatten().map(|entry| entry.path());
    found
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .ok_or_else(|| Failure::because(format_args!("no .{extension} was made in {}", folder.display())))
}
