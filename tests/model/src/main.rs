//! The program: checks the models within bounds of one's choice, or prints the counterexample of a flaw.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::{fmt::Debug, hash::Hash, process::ExitCode, time::Instant};

use clap::Parser;
use planlease_model::{
    bounds::{Bounds, SCENARIOS, SECONDS},
    check::{self, Finding},
    flaws::{Flaw, Protocol},
    model::Ownership,
    story::Narrated,
    time::Session,
};

/// Checks every reachable state of the protocol, within bounds
#[derive(Parser)]
#[command(name = "planlease-model", version)]
struct Args {
    #[command(flatten)]
    bounds: Bounds,
    /// How many seconds of a session are looked at
    #[arg(long, default_value_t = SECONDS, value_parser = clap::value_parser!(u8).range(3..=60))]
    seconds: u8,
    /// Threads that check; the counterexamples are found by one, so that they are the same each time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Checks the scenarios of the test run instead of the bounds
    #[arg(long)]
    scenarios: bool,
    /// Leaves one thing out of the protocol, and prints the shortest run that goes wrong, within bounds of
    /// its own
    #[arg(long, value_name = "NAME", conflicts_with = "scenarios")]
    flaw: Option<Flaw>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(flaw) = args.flaw {
        print!("{}", flaw.counterexample().1);
        return ExitCode::SUCCESS;
    }
    let threads = usize::from(args.threads);
    let ownership =
        |what: &str, bounds: Bounds| report(what, &Ownership { protocol: Protocol::SOUND, bounds }, threads);
    let sound = if args.scenarios {
        SCENARIOS.map(|scenario| ownership(scenario.name, scenario.bounds)).iter().all(|sound| *sound)
    } else {
        println!("{:?}", args.bounds);
        ownership("ownership and writes", args.bounds)
    };
    let session = Session { protocol: Protocol::SOUND, seconds: args.seconds };
    let in_time = report("a session in time", &session, threads);
    if sound && in_time { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checks a model and prints what comes of it; whether nothing is broken.
fn report<M>(what: &str, model: &M, threads: usize) -> bool
where
    M: Narrated + Clone + Send + Sync + 'static,
    M::State: Hash + Send + Sync + Clone + PartialEq + Debug,
    M::Action: Clone + PartialEq + Debug,
{
    #[expect(clippy::disallowed_methods, reason = "how fast it is, is shown to people")]
    let begin = Instant::now();
    let verdict = check::exhaust(model.clone(), threads);
    let seconds = begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate that is shown to people")]
    let rate = verdict.looked_at as f64 / seconds;
    println!(
        "{what}: {} states, {} looked at, at most {} steps away, {seconds:.1} s, {rate:.0} states/s",
        verdict.unique, verdict.looked_at, verdict.depth
    );
    for (name, finding) in &verdict.properties {
        let found = match finding {
            Finding::Always => "always",
            Finding::Broken => "BROKEN",
            Finding::Sometimes => "sometimes",
            Finding::Never => "never here",
        };
        println!("  {found:<12}{name}");
    }
    if verdict.found(Finding::Broken).is_empty() {
        return true;
    }
    if let Some((_, story)) = check::shortest(model, verdict.depth) {
        print!("\n{story}");
    }
    false
}
