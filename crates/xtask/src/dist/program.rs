//! The program itself, static, with the list of its parts in a section of its own (`cargo auditable`), and
//! what it prints for packages: completions and manual pages.

use std::fs;
use std::path::Path;

use super::place::{Dist, copy, make};
use super::tools;
use crate::run::{Failure, Result, cargo, output, root, run};

/// The completions: the shell, and the file below `completions/`.
const SHELLS: [(&str, &str); 3] =
    [("bash", "bash/planlease"), ("zsh", "zsh/_planlease"), ("fish", "fish/planlease.fish")];

pub(super) fn build(dist: &Dist) -> Result {
    let home = std::env::var("CARGO_HOME")
        .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap_or_default()));
    let flags = format!(
        "-C target-feature=+crt-static --remap-path-prefix={}=/planlease --remap-path-prefix={home}=/cargo",
        root().display(),
    );
    let mut build = cargo();
    build.env("PATH", tools::subcommand(tools::AUDITABLE)?).env("RUSTFLAGS", flags);
    // --target, or the flags would hit the build's own programs too.
    build.args(["auditable", "build", "--locked", "-p", "planlease-cli", "--profile", &dist.profile]);
    run(build.args(["--target", &dist.target]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    copy(&target.join(&dist.target).join(&dist.profile).join("planlease"), &dist.program())?;
    completions(dist)?;
    let pages = dist.stage.join("man");
    make(&pages)?;
    output(dist.command(dist.program()).arg("manual").arg(&pages)).map(drop)
}

fn completions(dist: &Dist) -> Result {
    for (shell, file) in SHELLS {
        let to = dist.stage.join("completions").join(file);
        make(to.parent().unwrap_or(Path::new("")))?;
        let script = output(dist.command(dist.program()).args(["completions", shell]))?;
        fs::write(&to, script).map_err(Failure::because)?;
    }
    Ok(())
}
