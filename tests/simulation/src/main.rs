//! `simulate`: runs seeds, and says how to run one again.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use planlease_simulation::{
    REPEATABLE,
    options::Options,
    run::{Outcome, run},
    watchdog::Watchdog,
};

/// Runs planlease's real code on a simulated network with faults, one run per seed.
///
/// A run that breaks an invariant prints what it was and the command that repeats it; the exit status is 1
/// then.
#[derive(Parser)]
#[command(after_help = EXAMPLES)]
struct Arguments {
    /// Run this seed alone, and print its options first.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Run the scenarios that have found something instead: what is spelled out, not drawn.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "from", "minutes"])]
    scenarios: bool,
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run seeds until this many minutes have gone by.
    #[arg(long, conflicts_with_all = ["seed", "seeds"])]
    minutes: Option<u64>,
    /// Go on after a violation, and say at the end which seeds had one.
    #[arg(long)]
    keep_going: bool,
    /// Run each seed twice, and fail if the two runs differ in anything.
    #[arg(long)]
    twice: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  simulate                          the first 200 seeds
  simulate --from 1000 --seeds 500  others
  simulate --seed 17                one of them, with its options
  RUST_LOG=planlease=debug simulate --seed 17   and with everything that the code says";

#[expect(clippy::disallowed_methods, reason = "how long a person wants to wait is not simulated")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    if !REPEATABLE {
        eprintln!(
            "built without `--cfg tokio_unstable`: a seed is not the same run each time; use `cargo xtask simulate`"
        );
    }
    let watchdog = Watchdog::start();
    if arguments.scenarios {
        return scenarios(&watchdog);
    }
    let seeds =
        arguments.seed.map_or(arguments.from..arguments.from + arguments.seeds, |seed| seed..seed + 1);
    let seeds = if arguments.minutes.is_some() { arguments.from..u64::MAX } else { seeds };
    let until = arguments.minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60));
    let mut total: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut simulated = Duration::ZERO;
    let mut broken = Vec::new();
    let (first, mut ran) = (seeds.start, 0_u64);
    for seed in seeds {
        let options = Options::draw(seed);
        if arguments.seed.is_some() {
            println!("{options:#?}");
        }
        watchdog.begin(format!("seed {seed}"));
        let mut outcome = run(&options);
        if arguments.twice && run(&options).digest != outcome.digest {
            outcome.violations.push(("repeatable", "the second run of the seed was another one".to_owned()));
        }
        ran += 1;
        simulated += outcome.simulated;
        for (name, number) in &outcome.figures {
            *total.entry(name).or_default() += number;
        }
        if !outcome.violations.is_empty() {
            report(seed, &options, &outcome);
            broken.push(seed);
            if !arguments.keep_going {
                break;
            }
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        if ran.is_multiple_of(50) {
            eprintln!("{ran} seeds from {first} on, {} with violations", broken.len());
        }
    }
    total.insert("seeds", ran);
    total.insert("seeds with violations", u64::try_from(broken.len()).unwrap_or(u64::MAX));
    total.insert("simulated seconds", simulated.as_secs());
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&total).unwrap_or_default());
    } else {
        for (name, number) in &total {
            println!("{number:>12}  {name}");
        }
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs what has found something.
fn scenarios(watchdog: &Watchdog) -> ExitCode {
    let mut broken = 0;
    for scenario in planlease_simulation::scenarios::all() {
        watchdog.begin(scenario.found);
        let outcome = run(&scenario.options);
        println!("{}: {} violations", scenario.found, outcome.violations.len());
        for (invariant, violation) in outcome.violations.iter().take(5) {
            println!("  {invariant}: {violation}");
        }
        broken += usize::from(!outcome.violations.is_empty());
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(seed: u64, options: &Options, outcome: &Outcome) {
    println!("seed {seed}: {} violations after {:?}", outcome.violations.len(), outcome.simulated);
    println!("{options:?}");
    for (invariant, violation) in outcome.violations.iter().take(20) {
        println!("  {invariant}: {violation}");
    }
    println!("repeat it: cargo xtask simulate --seed {seed}");
}
