//! Whether errors are to be JSON: where the output is, also for a command line that cannot be understood.

use std::ffi::{OsStr, OsString};

use clap::{ArgMatches, Command, error::ErrorKind};

use crate::failure::Failure;

/// Whether the output is JSON, by the flag `-o` of the command that was given, or its variable.
pub(super) fn is_wanted(definition: &Command, matches: &ArgMatches) -> bool {
    let (mut command, mut matches) = (definition, matches);
    while let Some((name, below)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        (command, matches) = (found, below);
    }
    let output = command.get_arguments().find(|arg| arg.get_short() == Some('o'));
    let typed = output.and_then(|arg| matches.get_raw(arg.get_id().as_str()));
    typed.is_some_and(|mut values| values.next().is_some_and(is_json))
}

/// Whether it looks so, in a command line that may be wrong, or by the variable.
pub(super) fn is_typed(args: &[OsString]) -> bool {
    let ours = || args.iter().take_while(|arg| *arg != "--").filter_map(|arg| arg.to_str());
    let joined = ["--output=", "-o=", "-o"].iter();
    let joined = joined.flat_map(|flag| ours().filter_map(move |arg| arg.strip_prefix(*flag)));
    let split = ours().zip(ours().skip(1)).filter(|(flag, _)| matches!(*flag, "-o" | "--output"));
    let mut typed = joined.chain(split.map(|(_, value)| value)).map(OsStr::new);
    typed.any(is_json) || std::env::var_os("PLANLEASE_OUTPUT").is_some_and(|value| is_json(&value))
}

fn is_json(value: &OsStr) -> bool {
    value == "json" || value == "jsonl"
}

/// The error of a command line: the first paragraph says what happened, the others what to do.
pub(super) fn usage(error: &clap::Error) -> Failure {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("a command is missing").remedy("`planlease --help` lists the commands.");
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    let what = paragraphs.next().unwrap_or_default();
    let failure = Failure::usage(what.strip_prefix("error: ").unwrap_or(&what));
    let remedy: Vec<String> = paragraphs.filter(|paragraph| !paragraph.is_empty()).collect();
    if remedy.is_empty() { failure } else { failure.remedy(remedy.join(". ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn typed(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn wanted(line: &str) -> bool {
        let matches = args::definition().try_get_matches_from(typed(line)).unwrap();
        is_wanted(&args::definition(), &matches)
    }

    #[test]
    fn errors_are_json_where_the_output_is() {
        for line in
            ["planlease status -o json", "planlease plan list -ojsonl", "planlease task list p --output=json"]
        {
            assert!(wanted(line) && is_typed(&typed(line)), "{line}");
        }
        for line in ["planlease status", "planlease export p", "planlease status -o table"] {
            assert!(!wanted(line), "{line}");
        }
        // What a command below is given is not ours.
        assert!(
            !wanted("planlease hold p -- prog -o json")
                && !is_typed(&typed("planlease hold p -- prog -o json"))
        );
    }

    #[test]
    fn a_usage_error_says_what_is_wrong_first() {
        let error = args::definition().try_get_matches_from(typed("planlease statsu -o json")).unwrap_err();
        let failure = usage(&error);
        assert_eq!(failure.what(), "unrecognized subcommand 'statsu'");
        assert!(failure.lines().nth(1).is_some_and(|line| line.contains("status")), "{failure:?}");
    }
}
