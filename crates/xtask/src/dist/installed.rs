//! Tries what was made as those do who install it: on a root file system with nothing else, by `dpkg`, in a
//! fresh Python environment and a fresh folder of npm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::{Dist, make};
use crate::run::{Failure, Result, output, root, step};

/// Enters the root file system, which is the first argument, and runs the others there.
const ENTER: &str =
    r#"mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && exec chroot "$0" "$@""#;

/// A plan, for what is to be shown: that the program reads files and speaks to its own server.
const PLAN: &str = "# Trial\n\n- [ ] 1. Try\n- [ ] 2. Install\n";

pub(super) fn check(dist: &Dist, made: &[PathBuf; 5]) -> Result {
    let [archive, deb, wheel, npm, parts] = made;
    let trial = dist.stage.join("trial");
    step("trying the archive on an empty root file system");
    let root = trial.join("archive");
    make(&root)?;
    output(dist.command("tar").args(["--strip-components=1", "-C"]).arg(&root).arg("-xf").arg(archive))?;
    on_root(dist, &root)?;
    step("trying the Debian package on an empty root file system");
    debian(dist, deb, &trial.join("deb"))?;
    step("trying the wheel in a fresh environment");
    python(dist, wheel, &trial.join("python"))?;
    step("trying the npm package in a fresh folder");
    node(dist, npm, &trial.join("node"))?;
    let document = fs::read_to_string(parts).map_err(Failure::because)?;
    expect("the list of parts", &document, "\"bomFormat\": \"CycloneDX\"")?;
    expect("the list of parts", &document, "\"name\": \"etcd-client\"")
}

/// Uses the program that is alone with its root file system.
fn on_root(dist: &Dist, root: &Path) -> Result {
    for folder in ["tmp", "home", "dev", "proc"] {
        make(&root.join(folder))?;
    }
    fs::write(root.join("home/trial.md"), PLAN).map_err(Failure::because)?;
    let inside = |arguments: &[&str]| {
        // A user namespace, so that no rights are needed; what every system mounts is there.
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", ENTER]).arg(root);
        let folder = if root.join("bin/planlease").is_file() { "/bin" } else { "/usr/bin" };
        command.arg(format!("{folder}/planlease")).args(arguments);
        command.env_clear().env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin").env("HOME", "/home");
        output(&mut command)
    };
    expect("--version", &inside(&["--version"])?, &dist.version)?;
    inside(&["plan", "import", "/home/trial.md"])?;
    inside(&["task", "skip", "trial", "1", "--reason", "tried"])?;
    expect("status", &inside(&["status", "trial", "-o", "json"])?, "\"skipped\"")?;
    inside(&["dev", "stop", "--force"]).map(drop)
}

fn debian(dist: &Dist, deb: &Path, root: &Path) -> Result {
    let state = root.join("var/lib/dpkg");
    make(&state.join("info"))?;
    make(&state.join("updates"))?;
    fs::write(state.join("status"), "").map_err(Failure::because)?;
    let mut dpkg = dist.command("dpkg");
    // What the package's own script calls is there without a root of its own.
    dpkg.arg(format!("--root={}", root.display()));
    dpkg.args(["--force-not-root", "--force-bad-path", "--force-script-chrootless", "--install"]);
    output(dpkg.arg(deb))?;
    for file in [
        "usr/share/bash-completion/completions/planlease",
        "usr/share/man/man1/planlease.1.gz",
        "usr/lib/systemd/system/planlease-sidecar.service",
        "etc/planlease/environment",
    ] {
        if !root.join(file).is_file() {
            return Err(Failure::because(format_args!("the Debian package has no {file}")));
        }
    }
    on_root(dist, root)
}

fn python(dist: &Dist, wheel: &Path, folder: &Path) -> Result {
    output(dist.command("python3").args(["-m", "venv"]).arg(folder))?;
    let bin = folder.join("bin");
    output(
        dist.command(bin.join("python")).args(["-m", "pip", "install", "--quiet", "--no-index"]).arg(wheel),
    )?;
    let version = output(dist.command(bin.join("planlease")).arg("--version"))?;
    expect("the wheel's program", &version, &dist.version)?;
    let import = "import planlease; print(planlease.Client.__name__)";
    expect("the wheel's client", &output(dist.command(bin.join("python")).args(["-c", import]))?, "Client")
}

fn node(dist: &Dist, package: &Path, folder: &Path) -> Result {
    make(folder)?;
    let npm =
        |program: &str, arguments: &[&str]| output(dist.command(program).args(arguments).current_dir(folder));
    npm("npm", &["install", "--silent", "--no-audit", "--no-fund", "--offline", &package.to_string_lossy()])?;
    let version = npm("npx", &["--no-install", "planlease", "--version"])?;
    expect("the npm package's program", &version, &dist.version)?;
    let import = "import('planlease').then((client) => console.log(typeof client.Client))";
    expect("the npm package's client", &npm("node", &["-e", import])?, "function")
}

fn expect(what: &str, said: &str, part: &str) -> Result {
    if said.contains(part) {
        return Ok(());
    }
    let said: String = said.chars().take(400).collect();
    Err(Failure::because(format_args!("{what} says {said:?}, and not {part:?}; see {}", root().display())))
}
