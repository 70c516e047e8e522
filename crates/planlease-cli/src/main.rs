//! The binary `planlease`. The only part of the project that reads the environment, prints, and ends the
//! process.

mod args;
mod command;
mod completion;
mod confirm;
mod connection;
mod descriptors;
mod duration;
mod environment;
mod exit;
mod failure;
mod invocation;
mod lines;
mod logging;
mod messages;
mod names;
mod output;
mod panics;
mod progress;
mod reason;
mod replace;
mod secrets;
mod settings;
mod signals;
mod streams;
mod traces;

use std::process::ExitCode;

use crate::{environment::Environment, exit::Exit, failure::Failure, invocation::Invocation};

fn main() -> ExitCode {
    panics::report();
    if let Some(code) = command::plumbing::run(std::env::args_os()) {
        return code; // A helper process of our own: no runtime, no thread, nothing else.
    }
    completion::answer();
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    cli.command.before_threads();
    if cli.command.needs_descriptors() {
        descriptors::raise();
    }
    let environment = Environment::of_process();
    cli.global.color.apply();
    let traces = logging::start(cli.global.verbose, &environment, cli.command.logs_to());
    args::warn_of_unknown_variables(&environment);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a process its threads");
    {
        let _within = runtime.enter();
        signals::survive_large_files();
    }
    let invocation = Invocation::new(cli.global.connection, environment);
    let only_reads = cli.command.only_reads();
    let ended = runtime.block_on(command::run(cli.command, &invocation, args::definition));
    runtime.shutdown_background(); // Nothing is waited for here: the owner of a task has waited for it.
    if let Some(traces) = traces {
        traces.finish();
    }
    lines::finish();
    let ended = ended.map_err(|failure| failure.in_store(|| Some(invocation.store().ok()?.to_string())));
    let ended = ended.map_err(|failure| if only_reads { failure.of_reading() } else { failure });
    with_output(ended).unwrap_or_else(|failure| failure.report()).into()
}

/// The end of a program of which output is lost: never the status of success, and another one stays.
fn with_output(ended: Result<Exit, Failure>) -> Result<Exit, Failure> {
    let Some(lost) = streams::take_loss().map(|why| Failure::output_lost(&why)) else { return ended };
    match ended {
        Ok(Exit::Done) => Err(lost),
        Err(failure) if failure.exit() == Exit::OutputLost => Err(lost),
        ended => {
            let _status = lost.report();
            ended
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
