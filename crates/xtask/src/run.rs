//! Running another program: says what it runs, and turns an exit status into a result.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Why a subcommand failed. The message is for a person; `Reported` was printed before.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What went wrong, for the last line of the output.
    Because(String),
    /// The output has said it all.
    Reported,
}

impl Failure {
    pub(crate) fn because(message: impl fmt::Display) -> Self {
        Self::Because(message.to_string())
    }

    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Because(message) => Some(message),
            Self::Reported => None,
        }
    }
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// The folder of the workspace: two levels above this package.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("crates/xtask lies two levels below the root").to_path_buf()
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The program as the suites use it, where cargo builds it.
pub(crate) fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug/planlease")
}

/// Says what happens next, set apart from the output of the programs, and how long this process has run.
pub(crate) fn step(what: impl fmt::Display) {
    let (minutes, seconds) = (elapsed().as_secs() / 60, elapsed().as_secs() % 60);
    eprintln!("==> [{minutes}:{seconds:02}] {what}");
}

/// How long this process has run, counted from the first call.
#[expect(clippy::disallowed_methods, reason = "xtask shows how long its steps take; nothing depends on it")]
pub(crate) fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The command line as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Runs the command with our own output and fails unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result {
    step(shown(command));
    let status = command
        .status()
        .map_err(|error| Failure::because(format_args!("cannot start `{}`: {error}", shown(command))))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::because(format_args!("`{}` failed: {status}", shown(command))))
    }
}

/// Runs the command quietly and gives its standard output; its standard error only if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| Failure::because(format_args!("cannot start `{}`: {error}", shown(command))))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    Err(Failure::because(format_args!("`{}` failed: {}\n{said}", shown(command), output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_is_missing_is_named() {
        let failed = run(&mut Command::new("false")).unwrap_err();
        assert!(failed.message().unwrap().starts_with("`false` failed"));
        let missing = output(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(missing.message().unwrap().contains("cannot start `no-such-program-here`"));
    }

    #[test]
    fn the_root_is_the_workspace() {
        assert!(root().join("crates/xtask/Cargo.toml").is_file());
    }
}
