//! `cargo xtask test`: gets the servers, runs every test, the checks by tools from outside, the short form of
//! the simulation, a quarter of the deliberate bugs that it has to find and a quarter of the libraries alone,
//! and says what was not run and why.

use std::env;
use std::io::Write as _;
use std::process::Command;
use std::thread;

use clap::Args;

use crate::alone;
use crate::binaries::{self, Finished};
use crate::console;
use crate::etcd;
use crate::outside;
use crate::rotation;
use crate::run::{Failure, Result, cargo, run, step};
use crate::simulation;
use crate::summary::Summary;

/// What says to the suites which server's turn it is.
const TURN: &str = "PLANLEASE_TEST_TURN";

/// Flags of `cargo xtask test`.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Download no etcd; use one that is here, or leave the tests on etcd out.
    #[arg(long)]
    no_etcd_download: bool,
    /// Run each test on every server of its suite. By default the commit decides on which of some a test
    /// runs, so that some commits in a row cover them.
    #[arg(long)]
    every_server: bool,
    /// Run only the tests whose name contains this, on every server.
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
    let mut variables = Vec::new();
    let download = !options.no_etcd_download;
    match etcd::current(download) {
        Ok(etcd) => variables.push((etcd::VARIABLE, etcd.path)),
        Err(failure) => left_out.push(LeftOut {
            names: &["on_etcd::", "on_three_members::"],
            what: "the tests on a current etcd, of one member and of three",
            why: failure.message().unwrap_or_default().to_owned(),
        }),
    }
    match etcd::version_3_4(download) {
        Ok(etcd) => variables.push((etcd::VARIABLE_3_4, etcd.path)),
        Err(failure) => left_out.push(LeftOut {
            names: &["on_etcd_3_4::"],
            what: "the tests on etcd 3.4",
            why: failure.message().unwrap_or_default().to_owned(),
        }),
    }
    // The suites start the program itself, which cargo builds for no test.
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    let built = binaries::build()?;
    step(format_args!("{} test binaries are built", built.len()));
    let mut totals = Totals::default();
    let skipped = left_out.iter().flat_map(|left_out| left_out.names);
    let skipped: Vec<&str> = skipped.flat_map(|name| ["--skip", name]).collect();
    let turn = match options.every_server || options.filter.is_some() {
        true => None,
        false => Some(rotation::turn()?.to_string()),
    };
    let prepare = |command: &mut Command| {
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.envs(turn.iter().map(|turn| (TURN, turn)));
        command.arg(format!("--test-threads={}", threads())).args(&options.filter).args(&skipped);
    };
    binaries::run(built, prepare, |name, finished| totals.take(name, finished));
    let mut examples = cargo();
    examples.args(["test", "--workspace", "--doc", "--no-fail-fast", "--"]).args(&options.filter);
    totals.take("examples in the documentation", binaries::run_one("doctests", &mut examples));
    step("all suites have run");
    let simulated = match options.filter {
        Some(_) => Ok(()), // A run of one test needs no simulation.
        None => outside::outside()
            .and(console::console(&console::Options::default()))
            .and(simulation::short())
            .and_then(|()| simulation::bugs(&simulation::Bugs { quarter: true, ..Default::default() }))
            .and_then(|()| alone::alone(&alone::Alone { quarter: true })),
    };
    report(totals.all_passed, totals.summary, &left_out).and(simulated)
}

/// Most tests wait for a server, not for a core.
fn threads() -> usize {
    thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).clamp(4, 16))
}

/// What has come of the binaries so far.
struct Totals {
    summary: Summary,
    /// A binary that crashes has no results to count, so that the counts alone do not say it.
    all_passed: bool,
}

impl Default for Totals {
    fn default() -> Self {
        Self { summary: Summary::default(), all_passed: true }
    }
}

impl Totals {
    /// Prints what a binary printed, and counts its results.
    fn take(&mut self, name: &str, finished: Result<Finished>) {
        #[expect(clippy::disallowed_methods, reason = "the tests' own output, passed on as it is")]
        let mut terminal = std::io::stdout().lock();
        match finished {
            Ok(Finished { output, passed }) => {
                step(format_args!("{name}{}", if passed { "" } else { ": FAILED" }));
                // A reader that has gone away must not stop the count, nor the tests.
                let _ = terminal.write_all(output.as_bytes());
                output.lines().for_each(|line| self.summary.read(line));
                self.all_passed &= passed;
            }
            Err(failure) => {
                step(format_args!("{name}: {}", failure.message().unwrap_or_default()));
                self.all_passed = false;
            }
        }
    }
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
        return Err(Some("a test binary failed without a failed test: see above"));
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
    fn a_binary_without_results_is_a_failure() {
        let line = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let mut totals = Totals::default();
        totals.take("good", Ok(Finished { output: line.to_owned(), passed: true }));
        assert!(totals.all_passed);
        totals.take("crashed", Ok(Finished { output: String::new(), passed: false }));
        assert!(!totals.all_passed);
        assert_eq!(totals.summary.passed, 2);
    }
}
