//! `cargo xtask test`: gets the servers, runs every test, the checks by tools from outside, the short form of
//! the simulation and a third of the deliberate bugs that it has to find, and says what was not run and why.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use clap::Args;

use crate::etcd;
use crate::outside;
use crate::run::{Failure, Result, cargo, run, shown, step};
use crate::simulation;
use crate::summary::Summary;

/// Flags of `cargo xtask test`.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Download no etcd; use one that is here, or leave the tests on etcd out.
    #[arg(long)]
    no_etcd_download: bool,
    /// Run only the tests whose name contains this.
    filter: Option<String>,
}

/// Tests that were left out, by the part of their names, and why.
struct LeftOut {
    names: &'static [&'static str],
    what: &'static str,
    why: String,
}

/// Runs all tests. Fails if one failed, and with `CI=true` also if some were left out.
pub(crate) fn test(options: &Options) -> Result {
    let mut left_out = Vec::new();
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    let download = !options.no_etcd_download;
    match etcd::current(download) {
        Ok(etcd) => {
            command.env(etcd::VARIABLE, etcd.path);
        }
        Err(failure) => left_out.push(LeftOut {
            names: &["on_etcd::", "on_three_members::"],
            what: "the tests on a current etcd, of one member and of three",
            why: failure.message().unwrap_or_default().to_owned(),
        }),
    }
    match etcd::version_3_4(download) {
        Ok(etcd) => {
            command.env(etcd::VARIABLE_3_4, etcd.path);
        }
        Err(failure) => left_out.push(LeftOut {
            names: &["on_etcd_3_4::"],
            what: "the tests on etcd 3.4",
            why: failure.message().unwrap_or_default().to_owned(),
        }),
    }
    // The suites start the program itself, which cargo builds for no test.
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    command.arg("--");
    command.arg(format!("--test-threads={}", threads()));
    command.args(&options.filter);
    for name in left_out.iter().flat_map(|left_out| left_out.names) {
        command.args(["--skip", name]);
    }
    let (finished, summary) = run_and_count(&mut command)?;
    step("all suites have run");
    let simulated = match options.filter {
        Some(_) => Ok(()), // A run of one test needs no simulation.
        None => outside::outside()
            .and(simulation::short())
            .and_then(|()| simulation::bugs(&simulation::Bugs { third: true, ..Default::default() })),
    };
    report(finished, summary, &left_out).and(simulated)
}

/// Most tests wait for a server, not for a core.
fn threads() -> usize {
    thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).clamp(4, 16))
}

/// Runs cargo, passes its output on as it comes, and adds up the results. The first value says whether cargo
/// itself was content: a build that fails has no results to count.
fn run_and_count(command: &mut Command) -> Result<(bool, Summary)> {
    step(shown(command));
    let cannot = |error: std::io::Error| Failure::because(format_args!("cannot run the tests: {error}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    let output = child.stdout.take().expect("standard output was asked for as a pipe");
    let mut summary = Summary::default();
    #[expect(clippy::disallowed_methods, reason = "cargo's own output, passed on as it is")]
    let mut terminal = std::io::stdout().lock();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(cannot)? > 0 {
        // A reader that has gone away must not stop the count, nor the tests.
        let _ = terminal.write_all(&line);
        summary.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait().map_err(cannot)?;
    Ok((status.success(), summary))
}

fn report(finished: bool, summary: Summary, left_out: &[LeftOut]) -> Result {
    println!();
    for LeftOut { what, why, .. } in left_out {
        println!("NOT RUN: {what}, since no server for them could be had.\n  {}", why.replace('\n', "\n  "));
    }
    println!("{summary}");
    let strict = env::var("CI").is_ok_and(|value| value == "true");
    match verdict(finished, summary, left_out.len(), strict) {
        Ok(()) => Ok(()),
        Err(None) => Err(Failure::Reported),
        Err(Some(why)) => {
            eprintln!("xtask: {why}");
            Err(Failure::Reported)
        }
    }
}

/// What the run as a whole means: an error with its reason, unless the summary line has given it.
fn verdict(
    finished: bool,
    summary: Summary,
    left_out: usize,
    strict: bool,
) -> std::result::Result<(), Option<&'static str>> {
    if summary.failed > 0 {
        return Err(None);
    }
    if !finished {
        return Err(Some("cargo test failed before or between the tests: see above"));
    }
    if left_out > 0 && strict {
        return Err(Some("some tests were not run, and CI=true makes that a failure"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Summary = Summary { passed: 3, failed: 0, filtered: 0 };

    #[test]
    fn failed_tests_failed_builds_and_ci_skips_are_failures() {
        assert_eq!(verdict(true, GOOD, 0, true), Ok(()));
        assert_eq!(verdict(true, GOOD, 1, false), Ok(()));
        assert!(verdict(true, GOOD, 1, true).is_err());
        assert!(verdict(false, GOOD, 0, false).is_err());
        assert!(verdict(false, Summary { failed: 1, ..GOOD }, 0, false).is_err());
    }

    #[test]
    fn output_is_counted_while_it_passes() {
        let line = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let (finished, summary) = run_and_count(Command::new("echo").arg(line)).unwrap();
        assert!(finished);
        assert_eq!(summary.passed, 2);
        assert!(!run_and_count(&mut Command::new("false")).unwrap().0);
    }
}
