//! The process's environment as a value, so that what depends on it can be tested.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Holds the delegated right ([`planlease::Delegation`] as JSON) of a command that `run` or `hold` started.
pub(crate) const OWNERSHIP: &str = planlease_orchestrator::env::OWNERSHIP;

/// Holds a filter for the log, as `planlease=debug`.
pub(crate) const LOG: &str = "PLANLEASE_LOG";

/// Says how the log is written, `text` or `json`, in commands without a flag for it.
pub(crate) const LOG_FORMAT: &str = "PLANLEASE_LOG_FORMAT";

/// Names the configuration file.
pub(crate) const CONFIG: &str = "PLANLEASE_CONFIG";

/// The beginning of the names of all variables that mean something to planlease.
const PREFIX: &str = "PLANLEASE_";

/// Variables that are set for commands, and so are not read as flags.
pub(crate) const SET_FOR_COMMANDS: [&str; 11] = {
    use planlease_orchestrator::env;
    [
        env::HELD,
        env::OWNERSHIP,
        env::PLAN,
        env::TASK,
        env::DESCRIPTION,
        env::ATTEMPT,
        env::LAST_PROGRESS,
        env::INPUTS,
        env::FENCING_TOKEN,
        env::LOCK,
        env::LOCK_TOKEN,
    ]
};

/// The beginnings of names that other programs read or write: commands of hooks, clients of the sidecar, and
/// the tests of this project.
const FOR_PROGRAMS: [&str; 5] = ["EVENT", "SIDECAR", "TEST_", "BENCH_", "FUZZ_"];

/// Whether a variable is for other programs: by its name, or since Kubernetes sets it for a service that is
/// called `planlease` or begins so.
pub(crate) fn is_for_programs(name: &str) -> bool {
    let Some(name) = name.strip_prefix(PREFIX) else { return true };
    let parts: Vec<&str> = name.split('_').collect();
    let of_service = parts.windows(2).any(|parts| match parts {
        ["SERVICE", "HOST" | "PORT"] => true,
        ["PORT", number] => number.parse::<u16>().is_ok(),
        _ => false,
    });
    of_service || parts.last() == Some(&"PORT") || FOR_PROGRAMS.iter().any(|begin| name.starts_with(begin))
}

/// Variables by name. Empty ones count as not set; those whose name is no text are none of ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable as text; what is no text is replaced by marks, so that it will not go
    /// unnoticed.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// The folder for files that last as long as a command: the user's own for such, or that for all users.
    pub(crate) fn folder_for_inputs(&self) -> PathBuf {
        let folder = self.get("XDG_RUNTIME_DIR").or_else(|| self.get("TMPDIR"));
        let folder = folder.map(PathBuf::from).filter(|folder| folder.is_dir());
        folder.unwrap_or_else(|| PathBuf::from("/tmp"))
    }

    /// The folders in which programs are looked up.
    pub(crate) fn search_path(&self) -> OsString {
        self.get("PATH").unwrap_or(OsStr::new("/bin:/usr/bin")).to_owned()
    }

    /// The names of planlease's variables that a command must not inherit: a flag of ours (`PLANLEASE_LABEL`)
    /// would be taken for one of a planlease that the command starts. What says which task or lock it is for
    /// stays.
    pub(crate) fn not_for_commands(&self) -> impl Iterator<Item = &str> {
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| name.starts_with(PREFIX) && !SET_FOR_COMMANDS.contains(name))
    }

    /// The names of all variables that begin like planlease's and are not empty.
    pub(crate) fn names_of_ours(&self) -> impl Iterator<Item = &str> {
        let set = self.0.iter().filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty());
        set.map(|(name, _)| name.as_str())
    }

    /// A folder of the XDG base directories, found as the local server's is.
    pub(crate) fn xdg(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        planlease::local::user_folder(self.get(variable), self.get("HOME"), below_home)
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_none() {
        let environment = Environment::from_iter([("A", ""), ("B", "b")]);
        assert_eq!((environment.get("A"), environment.text("B")), (None, Some("b".to_owned())));
    }

    #[test]
    fn a_command_inherits_what_it_is_for_and_no_flags() {
        let names =
            ["HOME", "PLANLEASE_LABEL", "PLANLEASE_LOG", "PLANLEASE_LOCK", "PLANLEASE_TASK", "PLANLEASE"];
        let environment = Environment::from_iter(names.map(|name| (name, "x")));
        assert_eq!(environment.not_for_commands().collect::<Vec<_>>(), ["PLANLEASE_LABEL", "PLANLEASE_LOG"]);
    }

    #[test]
    fn a_relative_xdg_folder_is_not_used() {
        let environment = Environment::from_iter([("XDG_CONFIG_HOME", "here"), ("HOME", "/home/me")]);
        assert_eq!(environment.xdg("XDG_CONFIG_HOME", ".config"), Some("/home/me/.config".into()));
        let environment = Environment::from_iter([("XDG_CONFIG_HOME", "/etc/x"), ("HOME", "/home/me")]);
        assert_eq!(environment.xdg("XDG_CONFIG_HOME", ".config"), Some("/etc/x".into()));
    }
}
