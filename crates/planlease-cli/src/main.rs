//! The binary `planlease`. The only part of the project that reads the environment, prints, and ends the
//! process.

mod args;
mod command;
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
mod progress;
mod replace;
mod secrets;
mod settings;
mod signals;
mod streams;

use std::process::ExitCode;

use crate::{environment::Environment, exit::Exit, invocation::Invocation};

fn main() -> ExitCode {
    if let Some(code) = command::plumbing::run(std::env::args_os()) {
        return code; // A helper process of our own: no runtime, no thread, nothing else.
    }
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    cli.command.before_threads();
    descriptors::raise();
    let environment = Environment::of_process();
    cli.global.color.apply();
    logging::start(cli.global.verbose, &environment, cli.command.logs_to());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a process its threads");
    let invocation = Invocation::new(cli.global.connection, environment);
    let ended = runtime.block_on(command::run(cli.command, &invocation, args::definition));
    runtime.shutdown_background(); // Nothing is waited for here: the owner of a task has waited for it.
    lines::finish();
    let ended = ended.map_err(|failure| failure.in_store(|| Some(invocation.store().ok()?.to_string())));
    ended.unwrap_or_else(|failure| failure.report()).into()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
