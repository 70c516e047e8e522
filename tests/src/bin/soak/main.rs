//! The soak: everything at once, on a real cluster, for as long as one likes, while a nemesis breaks
//! everything that can break.
//!
//! Real members of etcd behind proxies, real processes `planlease run`, and clients of the library that own
//! plans, wait in queues, work for others, meddle as operators, import and delete. Calls and answers
//! are recorded; an independent watch records the whole history. At the end everything heals, all
//! plans have to come to their end by themselves, and the answers are checked against what happened.
//!
//! `cargo run -p planlease-tests --bin soak -- --minutes 10 --seed 1`; build the program first (`cargo build
//! -p planlease-cli`). The exit status is 1 if anything was found that must not be.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod actions;
mod clients;
mod clock;
mod cluster;
mod figures;
mod finish;
mod fleet;
mod importer;
mod nemesis;
mod operator;
mod owner;
mod plans;
mod recorder;
mod sabotage;
mod verdict;
mod watching;
mod work;
mod worker;
mod world;

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use crate::{
    finish::{Crews, finish},
    sabotage::Sabotage,
    verdict::Verdict,
    world::World,
};

/// Everything at once on a real cluster, while a nemesis breaks everything that can break.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// For how long things are broken; healing and judging come on top
    #[arg(long, default_value_t = 3)]
    minutes: u64,
    /// From which all faults, and all decisions of the clients, are drawn [default: a new one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How many members the cluster has
    #[arg(long, default_value_t = 3, value_parser = members)]
    members: usize,
    /// The etcd to run [default: the one of the test suites]
    #[arg(long, value_name = "PATH")]
    etcd: Option<PathBuf>,
    /// Writes all figures into this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Breaks something that the soak has to find
    #[arg(long, hide = true)]
    sabotage: Option<Sabotage>,
    /// That of the process which found out what it takes to run
    #[arg(long, hide = true)]
    prepared: bool,
}

fn members(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("a cluster of 1 or 3".to_owned()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !args.prepared {
        return prepare(&args);
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("threads and files are at hand");
    let verdict = runtime.block_on(soak(&args));
    runtime.shutdown_background();
    println!("{verdict}");
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&verdict.json()).expect("counts and texts");
        std::fs::write(path, json)
            .unwrap_or_else(|error| eprintln!("cannot write {}: {error}", path.display()));
    }
    if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Restarts with what the harness reads from its environment, and with a seed.
fn prepare(args: &Args) -> ExitCode {
    let own = std::env::current_exe().expect("Linux knows where this program is");
    let mut again = std::process::Command::new(&own);
    again.args(std::env::args_os().skip(1)).arg("--prepared");
    if args.seed.is_none() {
        again.arg(format!("--seed={}", uuid::Uuid::new_v4().as_u64_pair().0 >> 32));
    }
    let program = std::env::var_os("PLANLEASE_TEST_PROGRAM").map(PathBuf::from);
    let program = program.unwrap_or_else(|| own.with_file_name("planlease"));
    if !program.is_file() {
        eprintln!("there is no {}: run `cargo build -p planlease-cli`", program.display());
        return ExitCode::FAILURE;
    }
    again.env("PLANLEASE_TEST_PROGRAM", program);
    if let Some(etcd) = &args.etcd {
        again.env("PLANLEASE_TEST_ETCD", etcd);
    }
    eprintln!("cannot run {}: {}", own.display(), again.exec());
    ExitCode::FAILURE
}

async fn soak(args: &Args) -> Verdict {
    let world = World::start(args).await;
    let mut crews = Crews::default();
    recorder::start(&world, &mut crews.watchers);
    figures::start(&world, &mut crews.watchers);
    watching::start(&world, &mut crews.watchers);
    importer::start(&world, &mut crews.writers);
    owner::start(&world, &mut crews.writers);
    worker::start(&world, &mut crews.writers);
    operator::start(&world, &mut crews.writers);
    fleet::start(&world, &mut crews.writers);
    nemesis::start(&world, &mut crews.nemesis);
    let length = Duration::from_secs(args.minutes * 60);
    let storm = async {
        match args.sabotage {
            None => world.pause(length).await,
            Some(sabotage) => {
                world.pause(length / 2).await;
                sabotage.commit(&world).await;
                world.pause(length / 2).await;
            }
        }
    };
    tokio::select! {
        biased; // Without one of them it is not the soak that was asked for.
        problem = crews.failure() => world.figures.violation(problem),
        () = storm => {}
    }
    finish(&world, crews).await;
    Verdict::of(&world, args)
}
