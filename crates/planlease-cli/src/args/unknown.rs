//! Variables that begin like ours and mean nothing: most are misspelt, and would be ignored in silence.

use std::collections::BTreeSet;

use clap::Command;

use super::variables::name;
use crate::{
    command::completions,
    environment::{CONFIG, Environment, LOG, LOG_FORMAT, SET_FOR_COMMANDS, is_for_programs},
};

/// How similar a known name has to be to be the one that was meant, by Jaro and Winkler.
const SIMILAR: f64 = 0.7;

/// A warning for each of these variables that means nothing to this program.
pub(crate) fn warnings(environment: &Environment, definition: fn() -> Command) -> Vec<String> {
    let unsure: Vec<&str> = environment
        .names_of_ours()
        .filter(|name| !SET_FOR_COMMANDS.contains(name) && !is_for_programs(name))
        .collect();
    if unsure.is_empty() {
        return Vec::new();
    }
    let mut known: BTreeSet<String> =
        [CONFIG, LOG, LOG_FORMAT, completions::VARIABLE].map(str::to_owned).into();
    add_known(&definition(), &mut known);
    let unknown = unsure.into_iter().filter(|name| !known.contains(*name));
    unknown.map(|name| warning(name, &known)).collect()
}

/// The variables of a command's flags, and of those of the commands below it.
fn add_known(command: &Command, known: &mut BTreeSet<String>) {
    for arg in command.get_arguments() {
        known.extend(arg.get_long().map(name));
        known.extend(arg.get_env().and_then(|name| name.to_str()).map(str::to_owned));
    }
    for command in command.get_subcommands() {
        add_known(command, known);
    }
}

fn warning(variable: &str, known: &BTreeSet<String>) -> String {
    // Without what all have in common, which would make all alike.
    let part = |name: &str| name.strip_prefix("PLANLEASE_").unwrap_or(name).to_owned();
    let similarity = |known: &String| strsim::jaro_winkler(&part(known), &part(variable));
    let nearest = known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    let hint = match nearest.filter(|known| similarity(known) >= SIMILAR) {
        Some(known) => format!("did you mean {known}?"),
        None => "`planlease help COMMAND` lists the variables of a command".to_owned(),
    };
    format!("the variable {variable} is ignored, since planlease knows none of this name; {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn warned(names: &[&str]) -> Vec<String> {
        warnings(&Environment::from_iter(names.iter().map(|name| (*name, "x"))), args::definition)
    }

    #[test]
    fn a_misspelt_variable_is_reported_with_the_nearest_name() {
        for (typed, meant) in [
            ("PLANLEASE_ENDPOINT", "PLANLEASE_ENDPOINTS"),
            ("PLANLEASE_NAMESPCE", "PLANLEASE_NAMESPACE"),
            ("PLANLEASE_TIME_OUT", "PLANLEASE_TIMEOUT"),
            ("PLANLEASE_LOGFORMAT", "PLANLEASE_LOG_FORMAT"),
            ("PLANLEASE_JOB", "PLANLEASE_JOBS"),
        ] {
            let said = warned(&[typed]);
            assert_eq!(said.len(), 1, "{typed}");
            assert!(
                said[0].contains(typed) && said[0].contains(&format!("did you mean {meant}?")),
                "{said:?}"
            );
        }
        let said = warned(&["PLANLEASE_ZZZ_9"]);
        assert!(said[0].contains("PLANLEASE_ZZZ_9") && !said[0].contains("did you mean"), "{said:?}");
    }

    #[test]
    fn variables_that_mean_something_are_not_reported() {
        let names = [
            "PATH",
            "PLANLEASE",
            "PLANLEASE_ENDPOINTS",
            "PLANLEASE_LOG",
            "PLANLEASE_LOG_FORMAT",
            "PLANLEASE_CONFIG",
            "PLANLEASE_COMPLETE",
            "PLANLEASE_EXPECT_REVISION",
            "PLANLEASE_HISTORY_AGE",
            "PLANLEASE_EVENT_PLAN",
            "PLANLEASE_SIDECAR",
            "PLANLEASE_TEST_ETCD",
            // Kubernetes sets these for a service called `planlease`, and for one called `planlease-gateway`.
            "PLANLEASE_SERVICE_HOST",
            "PLANLEASE_SERVICE_PORT_HTTP",
            "PLANLEASE_PORT",
            "PLANLEASE_PORT_7420_TCP_ADDR",
            "PLANLEASE_GATEWAY_SERVICE_PORT",
            "PLANLEASE_GATEWAY_PORT_7420_TCP",
        ];
        assert_eq!(warned(&[&names[..], &SET_FOR_COMMANDS[..]].concat()), Vec::<String>::new());
        assert_eq!(
            warnings(&Environment::from_iter([("PLANLEASE_ENDPOINT", "")]), args::definition).len(),
            0
        );
    }
}
