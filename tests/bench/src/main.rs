//! The benchmarks: what planlease costs, on servers that sync every write to disk.
//!
//! `cargo xtask bench` builds it and the program for release, and runs it. Absolute figures are those of the
//! machine; what can be compared are the ratios in one run. The exit status is 1 if anything that was
//! acknowledged was lost.
#![expect(clippy::unwrap_used, reason = "a benchmark fails where it stands")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod charts;
mod contention;
mod cost;
mod events;
mod large;
mod ownership;
mod peers;
mod program;
mod quick;
mod race;
mod report;
mod scale;
mod server;
mod sidecar;
mod site;
mod takeover;
mod updates;
mod watch;

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};
use planlease_tests::{http, owner, writer};

use crate::{report::Report, site::Servers};

/// What planlease costs, on servers that sync every write to disk.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// Which parts [default: all]
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// How often each thing is measured; medians are reported, with the least and the most
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many rounds the race has for each tool
    #[arg(long, default_value_t = 100, value_name = "N")]
    races: usize,
    /// Measures each section for a moment, in less than three minutes in all, and prints what it came to
    /// against its limit; the exit status is 1 if a limit is passed. On one etcd, unless --on says otherwise
    #[arg(long, conflicts_with_all = ["charts", "rounds"])]
    quick: bool,
    /// Only with so many updates in flight [default: 1, 16, 64 and 256 in turn]
    #[arg(long, value_name = "N")]
    in_flight: Option<usize>,
    /// Only on these servers [default: all; the three members serve the updates alone]
    #[arg(long, value_enum, value_name = "SERVER", value_delimiter = ',')]
    on: Vec<Servers>,
    /// Where servers have their data [default: the folder for temporary files]; say where a real disk is
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Writes all figures into this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the charts of the documentation into this folder
    #[arg(long, value_name = "FOLDER")]
    charts: Option<PathBuf>,
    /// Measures nothing: draws the charts from what an earlier run wrote with `--json`
    #[arg(long, value_name = "FILE", requires = "charts")]
    from: Option<PathBuf>,
    /// That of the process which found the program
    #[arg(long, hide = true)]
    prepared: bool,
    /// Runs a command and prints the most memory that it had
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    memory_of: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// 16 processes complete different tasks of one plan: by commands, and by the library in a tight loop
    Contention,
    /// Events of a sidecar to 2,000 subscribers, 200 changes a second for a minute
    Events,
    /// Plans of 1,000, 3,000 and 10,000 tasks: import, status, next
    Large,
    /// Ownership: acquire and release, from a release or a crash to the next owner
    Ownership,
    /// The program's usual commands as whole processes: time, memory, size
    Program,
    /// 8 processes claim one task at once: by planlease, Backlog.md, Taskmaster and beads, where they run
    Race,
    /// 100,000 tasks, 1,000 sessions with 10,000 plans, 200 owners that die at once
    Scale,
    /// The local server against etcd, on the same work by the same client
    Server,
    /// From the SIGKILL of an owner to the next one, by its companion, and the memory of companions
    Takeover,
    /// Task updates with 1, 16, 64 and 256 in flight, against etcd's own transactions
    Updates,
    /// Changes to 1, 100, 1,000 and 10,000 subscribers in one process, against as many watches
    Watch,
}

impl Args {
    fn measures_on(&self, servers: Servers) -> bool {
        self.on.is_empty() || self.on.contains(&servers)
    }

    /// As they are for this section.
    fn of(&self, section: Section) -> Self {
        let mut args = self.clone();
        if self.quick {
            args.rounds = 1;
            // One section measures the one against the other.
            if args.on.is_empty() && section == Section::Server {
                args.on = vec![Servers::Local, Servers::Etcd];
            } else if args.on.is_empty() {
                args.on = vec![Servers::Etcd];
            }
        }
        args
    }

    /// The larger one of two sizes, or the smaller one for a quick run.
    fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    if let Some(orders) = std::env::var_os(writer::ORDERS) {
        return writer::run(&orders);
    }
    if let Some(orders) = std::env::var_os(owner::ORDERS) {
        return owner::run(&orders);
    }
    if let Some(orders) = std::env::var_os(http::PROGRAM) {
        return http::run(&orders);
    }
    let args = Args::parse();
    if !args.memory_of.is_empty() {
        return program::memory_of(&args.memory_of);
    }
    if let (Some(from), Some(folder)) = (&args.from, &args.charts) {
        let drawn = std::fs::read(from).and_then(|run| charts::draw(&run, folder));
        return drawn.map_or_else(
            |error| {
                eprintln!("cannot draw the charts of {}: {error}", from.display());
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    if !args.prepared {
        return prepare(&args);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut report = Report::default();
    runtime.block_on(async {
        let all = Section::value_variants().iter();
        for section in all.filter(|one| args.sections.is_empty() || args.sections.contains(one)) {
            let args = args.of(*section);
            match section {
                Section::Contention => contention::measure(&args, &mut report).await,
                Section::Events => events::measure(&args, &mut report).await,
                Section::Large => large::measure(&args, &mut report).await,
                Section::Ownership => ownership::measure(&args, &mut report).await,
                Section::Program => program::measure(&args, &mut report).await,
                Section::Race => race::measure(&args, &mut report).await,
                Section::Scale => scale::measure(&args, &mut report).await,
                Section::Server => server::measure(&args, &mut report).await,
                Section::Takeover => takeover::measure(&args, &mut report).await,
                Section::Updates => updates::measure(&args, &mut report).await,
                Section::Watch => watch::measure(&args, &mut report).await,
            }
            // After each part: what was measured is not lost if a later one fails.
            if let Some(path) = &args.json {
                std::fs::write(path, report.json()).unwrap();
            }
        }
    });
    println!("\n{report}");
    if let Some(folder) = &args.charts {
        charts::draw(&report.json(), folder).unwrap();
    }
    let within = !args.quick || quick::judged(&report);
    if report.is_good() && within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Restarts with what the harness reads from its environment: where the program is, and where data go.
fn prepare(args: &Args) -> ExitCode {
    let own = std::env::current_exe().unwrap();
    let program = std::env::var_os("PLANLEASE_TEST_PROGRAM").map(PathBuf::from);
    let program = program.unwrap_or_else(|| own.with_file_name("planlease"));
    if !program.is_file() {
        eprintln!("there is no {}: run `cargo xtask bench`, which builds it", program.display());
        return ExitCode::FAILURE;
    }
    let mut again = std::process::Command::new(&own);
    again.args(std::env::args_os().skip(1)).arg("--prepared").env("PLANLEASE_TEST_PROGRAM", program);
    if let Some(data) = &args.data {
        again.env("TMPDIR", data);
    }
    eprintln!("cannot run {}: {}", own.display(), again.exec());
    ExitCode::FAILURE
}
