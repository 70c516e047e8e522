//! `cargo xtask`: set-up, checks and fixes of this repository, on a machine with nothing but a Rust
//! toolchain.
//!
//! It reads files and runs `cargo`, `apt-get`, `pip` and `npm`; it depends on no crate of planlease, so that
//! it works while they do not compile.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod alone;
mod apt;
mod bench;
mod binaries;
mod checks;
mod console;
mod dist;
mod etcd;
mod outside;
mod peers;
mod rotation;
mod run;
mod simulation;
mod summary;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, checks and fixes of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = r#"Examples:
  cargo xtask test                      every test, on the embedded server and on a real etcd
  cargo xtask test on_embedded          the tests whose name contains `on_embedded`
  cargo xtask test --no-etcd-download   with an etcd that is here already, else without
  eval "$(cargo xtask etcd)"            so that a plain `cargo test` finds the servers too
  cargo xtask simulate --seed 17        one seed of the simulation
  cargo xtask bugs guard                puts deliberate bugs into the code, and has them found
  cargo xtask soak --minutes 60         faults on a real cluster, and further seeds, for an hour
  cargo xtask outside                   schemathesis, helm, docker, where they can be had
  cargo xtask console --update          build the console's page, and its pictures for the documentation
  cargo xtask dist                      what people install, built and tried: target/dist
  cargo xtask bench contention          what it costs, and that nothing is lost: one part of it
  cargo xtask bench race                8 processes claim one task: planlease, and other tools from npm
  cargo xtask ci                        what must pass before a change is merged
  cargo xtask fix                       format, and apply clippy's own suggestions

Environment:
  PLANLEASE_TEST_ETCD      path of an etcd 3.5.13 or later to test on, instead of one found or downloaded
  PLANLEASE_TEST_ETCD_3_4  path of an etcd 3.4 to test on as well
  CI=true                  a test that could not be run is a failure"#;

/// One subcommand each.
#[derive(Subcommand)]
enum Command {
    /// Run all tests; get an etcd to run them on first, if there is none.
    Test(test::Options),
    /// Run the simulation: the real code on a simulated network, one run per seed.
    Simulate(simulation::Simulate),
    /// Put deliberate bugs into a copy of the code, one by one, and see that the simulation finds each.
    Bugs(simulation::Bugs),
    /// Faults on a real cluster, and further seeds of the simulation, for a long time.
    Soak(simulation::Soak),
    /// Check the sidecar's description, the chart and the containers by tools from outside, where they can be
    /// had.
    Outside,
    /// Build the console's page again and compare it; try it in a real browser.
    Console(console::Options),
    /// Build each published library by itself, with the features that it names.
    Alone(alone::Alone),
    /// Build what people install, and try each of it.
    Dist(dist::Options),
    /// Measure what planlease costs, on servers that sync every write to disk.
    Bench(bench::Options),
    /// Get the servers to test on, and print the variables by which single tests find them.
    Etcd,
    /// Everything that must pass before a change is merged: format, clippy, rustdoc, tidy, test.
    Ci,
    /// The structural checks: the arrows between crates, what is absent from which crate, house style.
    Tidy,
    /// The first four checks of `ci`: all but the tests.
    Check,
    /// Format the code and apply clippy's own suggestions.
    Fix,
}

fn main() -> ExitCode {
    run::elapsed();
    let result = match Cli::parse().command {
        Command::Test(options) => test::test(&options),
        Command::Simulate(options) => simulation::simulate(&options),
        Command::Bugs(options) => simulation::bugs(&options),
        Command::Soak(options) => simulation::soak(&options),
        Command::Outside => outside::outside(),
        Command::Console(options) => console::console(&options),
        Command::Alone(options) => alone::alone(&options),
        Command::Dist(options) => dist::dist(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Etcd => etcd_variables(),
        Command::Ci => checks::check().and_then(|()| test::test(&test::Options::default())),
        Command::Tidy => checks::tidy(),
        Command::Check => checks::check(),
        Command::Fix => checks::fix(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                eprintln!("xtask: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints lines for a shell to evaluate; everything else goes to standard error.
fn etcd_variables() -> run::Result {
    let current = etcd::current(true)?;
    println!("export {}={:?}", etcd::VARIABLE, current.path);
    match etcd::version_3_4(true) {
        Ok(old) => println!("export {}={:?}", etcd::VARIABLE_3_4, old.path),
        Err(failure) => eprintln!("xtask: no etcd 3.4: {}", failure.message().unwrap_or_default()),
    }
    Ok(())
}
