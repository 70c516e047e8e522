//! Completion in shells. The script that a shell loads asks this program at each Tab, so that names of plans,
//! tasks and contexts are completed too, and no script has to be made again for a new flag.

mod names;

use std::ffi::OsStr;

use clap::{Arg, Command};
use clap_complete::{CompleteEnv, CompletionCandidate, engine::ArgValueCompleter};

use self::names::Typed;
use crate::{args, command::completions::VARIABLE};

/// How many names are offered at most. A shell shows them all at once.
const OFFERED_MAX: usize = 1000;

/// Answers a shell that asks what could be typed next, and ends the process. Does nothing else, and returns,
/// if no shell asks.
pub(crate) fn answer() {
    CompleteEnv::with_factory(|| with_names(args::definition())).var(VARIABLE).complete();
}

/// The command line's definition, in which each argument that is a name completes the names that exist.
fn with_names(command: Command) -> Command {
    command.mut_args(with_names_of).mut_subcommands(with_names)
}

fn with_names_of(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "plan" | "plans" => arg.add(completer(|typed| typed.plans())),
        "task" | "tasks" => arg.add(completer(|typed| typed.tasks())),
        "context" | "context-name" => arg.add(completer(|typed| typed.contexts())),
        _ => arg,
    }
}

fn completer(names: fn(&Typed) -> Vec<(String, String)>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let current = current.to_string_lossy();
        let names = names(&Typed::of_process()).into_iter();
        let fitting = names.filter(|(name, _)| name.starts_with(&*current)).take(OFFERED_MAX);
        fitting.map(|(name, help)| CompletionCandidate::new(name).help(Some(help.into()))).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_plan_is_completed() {
        let without = without(&with_names(args::definition()), "planlease");
        assert_eq!(without, Vec::<String>::new());
    }

    /// The arguments that are names of plans or tasks by what the help calls them, and do not complete them.
    fn without(command: &Command, path: &str) -> Vec<String> {
        let named = |arg: &&Arg| {
            let shown = arg.get_value_names().unwrap_or_default();
            shown.iter().any(|name| matches!(name.as_str(), "PLAN" | "PLANS" | "TASK" | "TASKS"))
        };
        let own =
            command.get_arguments().filter(named).filter(|arg| arg.get::<ArgValueCompleter>().is_none());
        let own = own.map(|arg| format!("{path} {}", arg.get_id())).collect::<Vec<_>>();
        let below = command.get_subcommands();
        own.into_iter()
            .chain(below.flat_map(|command| without(command, &format!("{path} {}", command.get_name()))))
            .collect()
    }
}
