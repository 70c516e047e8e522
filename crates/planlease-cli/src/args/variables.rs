//! Gives every flag a variable: `--expect-revision` can be given as `PLANLEASE_EXPECT_REVISION`.

use clap::{Arg, ArgAction, Command, builder::FalseyValueParser};

use crate::{environment::SET_FOR_COMMANDS, settings};

/// The command with a variable for every flag, in it and in all that is below it. Hidden commands have none:
/// they are started by programs, which say what they mean.
pub(super) fn with_variables(command: Command) -> Command {
    command
        .mut_args(with_variable)
        .mut_subcommands(|command| if command.is_hide_set() { command } else { with_variables(command) })
}

fn with_variable(arg: Arg) -> Arg {
    let Some(long) = arg.get_long() else { return arg };
    let variable = name(long);
    if SET_FOR_COMMANDS.contains(&variable.as_str()) || arg.is_hide_set() {
        return arg;
    }
    if settings::is_setting(long) {
        // Read where all sources of a setting are put together, which knows where each came from.
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        return arg.help(format!("{help} [env: {variable}]"));
    }
    if std::env::var_os(&variable).is_some_and(|value| value.is_empty()) {
        return arg; // Set to nothing is not set.
    }
    match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(FalseyValueParser::new()).env(variable).hide_env_values(true),
        _ => arg.env(variable).hide_env_values(true),
    }
}

/// The variable of a flag.
pub(crate) fn name(long: &str) -> String {
    format!("PLANLEASE_{}", long.replace('-', "_").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn every_flag_can_be_given_as_a_variable() {
        let missing = missing(&args::definition(), "planlease");
        assert_eq!(missing, Vec::<String>::new());
    }

    /// The flags that have no variable.
    fn missing(command: &Command, path: &str) -> Vec<String> {
        let own = command.get_arguments().filter(|arg| {
            let Some(long) = arg.get_long() else { return false };
            let documented = arg.get_help().is_some_and(|help| help.to_string().contains("[env: "));
            arg.get_env().is_none() && !documented && !SET_FOR_COMMANDS.contains(&name(long).as_str())
        });
        let own = own.map(|arg| format!("{path} --{}", arg.get_id())).collect::<Vec<_>>();
        let below = command.get_subcommands().filter(|command| !command.is_hide_set());
        let below = below.flat_map(|command| missing(command, &format!("{path} {}", command.get_name())));
        own.into_iter().chain(below).collect()
    }
}
