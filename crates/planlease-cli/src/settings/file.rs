//! The configuration file: contexts, which are named sets of settings, and which of them is the current one.
//!
//! ```toml
//! current = "prod"
//! commands = "exec"
//!
//! [contexts.prod]
//! endpoints = ["https://etcd-1:2379", "https://etcd-2:2379"]
//! cacert = "/etc/planlease/ca.pem"
//! user = "planlease"
//! password_file = "/etc/planlease/password"
//! ```
//!
//! Files that it names are found relative to the working directory, so they should be named from the root.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use serde::Deserialize;

use super::origin::{Origin, Sourced};
use crate::{connection::ConnectionArgs, environment::Environment, exit::Exit, failure::Failure};

/// The longest file that is read.
const LONGEST: u64 = 1024 * 1024;

/// The context that is always there: the user's own local server.
pub(crate) const LOCAL: &str = "local";

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The context that is used if none is asked for.
    pub(crate) current: Option<String>,
    /// Whose commands `run` executes, where no context says otherwise.
    pub(crate) commands: Option<String>,
    /// All contexts.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
    /// Where the file is.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

/// One named set of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    endpoints: Option<OneOrMany>,
    cacert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    server_name: Option<String>,
    user: Option<String>,
    password_file: Option<String>,
    namespace: Option<String>,
    root: Option<String>,
    timeout: Option<String>,
    ttl: Option<String>,
    commands: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Context {
    /// The text of a setting, by the name of its flag.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        match name {
            "endpoints" => self.endpoints.as_ref().map(|endpoints| match endpoints {
                OneOrMany::One(text) => text.clone(),
                OneOrMany::Many(texts) => texts.join(","),
            }),
            "cacert" => self.cacert.clone(),
            "cert" => self.cert.clone(),
            "key" => self.key.clone(),
            "server-name" => self.server_name.clone(),
            "user" => self.user.clone(),
            "password-file" => self.password_file.clone(),
            "namespace" => self.namespace.clone(),
            "root" => self.root.clone(),
            "timeout" => self.timeout.clone(),
            "ttl" => self.ttl.clone(),
            "commands" => self.commands.clone(),
            _ => None,
        }
    }
}

/// Where the file is, or would be; `None` for a user without a home.
pub(crate) fn path(flags: &ConnectionArgs, environment: &Environment) -> Option<Sourced<PathBuf>> {
    if let Some(path) = &flags.config {
        return Some(Sourced { value: path.into(), origin: Origin::Flag("config") });
    }
    if let Some(path) = environment.get("PLANLEASE_CONFIG") {
        return Some(Sourced { value: path.into(), origin: Origin::Variable("PLANLEASE_CONFIG".to_owned()) });
    }
    let folder = environment.xdg("XDG_CONFIG_HOME", ".config")?;
    Some(Sourced { value: folder.join("planlease/config.toml"), origin: Origin::Default })
}

impl ConfigFile {
    /// Reads the file; `None` if it is not there, unless it was asked for.
    pub(crate) fn read(path: &Path, asked_for: bool) -> Result<Option<Self>, Failure> {
        match Self::text(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !asked_for => Ok(None),
            Err(error) => {
                let what = format!("cannot read the configuration {}: {error}", path.display());
                Err(Failure::new(Exit::UnreadableFile, what))
            }
        }
    }

    /// The text of the file, which is read more than once: so it is no pipe.
    pub(crate) fn text(path: &Path) -> io::Result<String> {
        let kind = std::fs::metadata(path)?.file_type();
        if kind.is_fifo() || kind.is_socket() {
            return Err(io::Error::other("it is a pipe or a socket, which cannot be read again"));
        }
        let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LONGEST {
            return Err(io::Error::other("it has more than 1 MiB"));
        }
        Ok(text)
    }

    /// Reads the text of a file.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let file: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| position(text, span.start)).unwrap_or_default();
            Failure::usage(format!("{}{at}: {}", path.display(), error.message()))
                .remedy("See `planlease context --help` for what the file may say.")
        })?;
        if file.contexts.contains_key(LOCAL) {
            return Err(Failure::usage(format!(
                "{}: the context {LOCAL:?} cannot be defined",
                path.display()
            ))
            .meaning("It always means your own local server."));
        }
        Ok(Self { path: path.to_owned(), ..file })
    }
}

/// `:line:column` of an offset.
fn position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(":{line}:{column}")
}

/// The text of the file with another current context; everything else, comments too, stays as it is.
pub(crate) fn with_current(text: &str, name: &str) -> String {
    let setting = format!("current = {}", toml::Value::String(name.to_owned()));
    let mut lines: Vec<&str> = text.lines().collect();
    let head = lines.iter().position(|line| line.trim_start().starts_with('[')).unwrap_or(lines.len());
    let is_current = |line: &&str| {
        line.trim_start().strip_prefix("current").is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    match lines[..head].iter().position(is_current) {
        Some(at) => lines[at] = &setting,
        None => lines.insert(0, &setting),
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_reported_with_its_place() {
        let failure =
            ConfigFile::parse(Path::new("c.toml"), "[contexts.a]\nendpoint = \"x:1\"\n").unwrap_err();
        let line = failure.lines().next().unwrap_or_default().to_owned();
        assert!(line.starts_with("c.toml:2:1: unknown field `endpoint`"), "{line}");
        assert!(ConfigFile::parse(Path::new("c.toml"), "[contexts.local]").is_err());
    }

    #[test]
    fn the_current_context_is_changed_and_nothing_else() {
        let text = "# mine\ncurrent = \"a\" # old\n\n[contexts.a]\n# current = \"x\"\n";
        assert_eq!(with_current(text, "b"), "# mine\ncurrent = \"b\"\n\n[contexts.a]\n# current = \"x\"\n");
        assert_eq!(with_current("[contexts.a]\n", "a"), "current = \"a\"\n[contexts.a]\n");
        assert_eq!(with_current("", "local"), "current = \"local\"\n");
    }
}
