//! The command line. Texts stay texts here; `settings` and the commands decide what they mean, so that a bad
//! name or endpoint is reported in one way wherever it comes from.

mod json;
mod unknown;
mod variables;

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use clap::{Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

use crate::{
    command::Command,
    connection::ConnectionArgs,
    environment::Environment,
    exit::Exit,
    failure::{self, Failure},
    output::{self, Printable},
    streams,
};

/// Plans that exactly one orchestrator owns at a time, and tasks that are updated exactly once, on etcd.
///
/// With no endpoint given, everything happens on a server of your own, which is started on first use.
#[derive(Debug, Parser)]
#[command(
    name = "planlease",
    version,
    max_term_width = 110,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    after_long_help = after_long_help(),
)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  planlease plan import docs/release.md        make a plan of a checklist
  planlease run release --jobs 4               own it and run its tasks
  planlease status release                     look how far it is
  planlease hold release -- ./my-agent         own it while a program of yours runs
  planlease --endpoints etcd-1:2379,etcd-2:2379 status";

fn after_long_help() -> String {
    format!(
        "{EXAMPLES}\n\n{}\n\nEvery flag can be given as a variable: --expect-revision as PLANLEASE_EXPECT_REVISION. A flag beats \
         a variable, a variable the context of the configuration file, that the default.",
        Exit::table()
    )
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Say more on standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Where etcd is, and how to talk to it. Last, since its heading would go on over what follows.
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Makes it so for everything that is printed from now on.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => return,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// The command line's definition, with a variable for every flag.
pub(crate) fn definition() -> clap::Command {
    let command = Cli::command().color(ColorChoice::Auto);
    // `planlease help plan import` is enough: below it, `help` would be one more command in each list.
    variables::with_variables(command).mut_subcommands(|command| command.disable_help_subcommand(true))
}

/// Warns of variables that begin like planlease's and mean nothing.
pub(crate) fn warn_of_unknown_variables(environment: &Environment) {
    for warning in unknown::warnings(environment, definition) {
        output::tell(&format!("warning: {warning}"));
    }
}

/// Reads the command line. What is wrong with it, or the help that was asked for, is printed here.
///
/// # Errors
/// The status to end with.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.into_iter().collect();
    failure::print_as_json(json::is_typed(&args)); // Until it is known what the words mean.
    let definition = definition();
    let parsed = definition.clone().try_get_matches_from(args).and_then(|matches| {
        failure::print_as_json(json::is_wanted(&definition, &matches));
        Cli::from_arg_matches(&matches)
    });
    parsed.map_err(|error| {
        if error.use_stderr() && failure::is_json() {
            return json::usage(&error).report().into();
        }
        let (text, ends) = (error.render(), error.use_stderr());
        // What was typed is in the text of an error, and its escapes look like clap's: so there are
        // no colours if there is something to be replaced.
        let plain = text.to_string();
        let typed = std::env::args_os().chain(std::env::vars_os().map(|(_, value)| value));
        let hostile = typed
            .map(|text| text.to_string_lossy().into_owned())
            .any(|text| ends && Printable::of_others(&text).as_str() != text);
        match (hostile, ends) {
            (true, _) => output::tell_last(&plain),
            (false, true) => drop(error.print()), // That nothing reads it is no reason to end otherwise.
            (false, false) => {
                if let Err(error) = error.print().and_then(|()| output::stdout().flush()) {
                    streams::note_loss(&error);
                }
            }
        }
        match streams::take_loss() {
            Some(why) => Failure::output_lost(&why).report().into(),
            None if ends => Exit::Usage.into(),
            None => Exit::Done.into(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn the_help_of_a_command_is_its_whole_description() {
        let mut definition = definition();
        for (command, part) in [
            ("run", "PLANLEASE_TASK_DESCRIPTION"),
            ("hold", "the owner's authority"),
            ("lock", "PLANLEASE_LOCK_TOKEN"),
            ("sidecar", "At SIGTERM"),
            ("mirror", "status 26"),
            ("mcp", "`reject`"),
            ("watch", "planlease.changes.v1"),
        ] {
            let help = definition.find_subcommand_mut(command).unwrap().render_long_help().to_string();
            assert!(help.contains(part), "{command} --help lacks {part}:\n{help}");
        }
    }

    #[test]
    fn help_is_a_command_too() {
        for words in [&["help"][..], &["help", "run"], &["help", "plan", "import"]] {
            let ended = definition().try_get_matches_from([&["planlease"], words].concat());
            assert_eq!(ended.unwrap_err().kind(), clap::error::ErrorKind::DisplayHelp, "{words:?}");
        }
        let ended = definition().try_get_matches_from(["planlease", "plan", "help"]);
        assert_eq!(ended.unwrap_err().kind(), clap::error::ErrorKind::InvalidSubcommand);
    }

    // clap waives what `requires` asks for if it conflicts with what is there.
    #[test]
    fn flags_for_all_plans_are_refused_with_named_ones() {
        use clap::error::ErrorKind;
        for flags in [&["--select", "team=a"][..], &["--until-idle"]] {
            let kind = |words: &[&str]| {
                let words = [&["planlease", "run"][..], words, flags].concat();
                definition().try_get_matches_from(words).err().map(|error| error.kind())
            };
            assert_eq!(kind(&["release"]), Some(ErrorKind::ArgumentConflict), "{flags:?}");
            assert_eq!(kind(&[]), Some(ErrorKind::MissingRequiredArgument), "{flags:?}");
            assert_eq!(kind(&["--all"]), None, "{flags:?}");
        }
    }

    #[test]
    fn the_examples_in_help_are_of_its_command_and_can_be_typed() {
        use clap::error::ErrorKind;
        for (name, examples) in examples() {
            assert!(examples.contains(&name), "{name} --help shows other commands:\n{examples}");
            for call in examples.lines().filter(|line| line.starts_with("  ")).flat_map(calls) {
                let Some(words) = shlex::split(call) else { continue }; // It ends inside of a quote.
                let known = |word: String| if word.starts_with('$') { "1.7".to_owned() } else { word };
                let parsed = definition().try_get_matches_from(words.into_iter().map(known));
                let kind = parsed.err().map(|error| error.kind());
                let wrong = matches!(
                    kind,
                    Some(
                        ErrorKind::UnknownArgument
                            | ErrorKind::InvalidSubcommand
                            | ErrorKind::MissingSubcommand
                            | ErrorKind::MissingRequiredArgument
                    )
                );
                assert!(!wrong, "{name} --help: {call}: {kind:?}");
            }
        }
    }

    /// The examples of all commands, each with the words that call the command.
    fn examples() -> Vec<(String, String)> {
        let (mut found, mut below) = (Vec::new(), vec![("planlease".to_owned(), definition())]);
        while let Some((name, command)) = below.pop() {
            let named = |one: &clap::Command| (format!("{name} {}", one.get_name()), one.clone());
            below.extend(command.get_subcommands().map(named));
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            if let Some((_, examples)) = help.split_once("Examples:\n") {
                found.push((name, examples.to_owned()));
            }
        }
        assert!(found.len() > 50, "only {} commands have examples", found.len());
        found
    }

    /// The calls of planlease in a line, each without what follows it in the shell, or explains it.
    fn calls(line: &str) -> Vec<&str> {
        const ENDS: [&str; 7] = [" && ", " || ", " | ", " > ", " >> ", " < ", "  "];
        let begins = line.match_indices("planlease ").map(|(at, _)| at);
        let calls = begins.filter(|at| line[..*at].ends_with([' ', '\''])).map(|at| &line[at..]);
        calls
            .map(|call| &call[..ENDS.iter().filter_map(|end| call.find(*end)).min().unwrap_or(call.len())])
            .collect()
    }

    #[test]
    fn the_help_lists_the_exit_statuses() {
        let help = definition().render_long_help().to_string();
        assert!(help.contains("102  no server answers"), "{help}");
    }
}
