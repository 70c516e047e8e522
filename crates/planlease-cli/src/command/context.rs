//! `context`: several clusters in one configuration file.

mod view;

use std::{fs, io};

use clap::{Args, Subcommand};

use self::view::{ContextList, SettingsView};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, OutputArgs},
    replace,
    settings::{ConfigFile, LOCAL, Origin, config_path, with_current},
};

const EXAMPLE: &str = r#"The configuration file (planlease/config.toml below ~/.config):
  current = "prod"
  commands = "exec"                         # whose commands `run` executes: plan, exec, none

  [contexts.prod]
  endpoints = ["https://etcd-1:2379", "https://etcd-2:2379"]
  cacert = "/etc/planlease/ca.pem"          # also: cert, key, server_name
  user = "planlease"
  password_file = "/etc/planlease/password"
  namespace = "ops"                         # also: root, timeout, ttl, commands

The context `local` is always there: your own local server."#;

/// What to do with contexts.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLE)]
pub(crate) enum ContextCommand {
    /// List the contexts of the configuration file
    List(ListArgs),
    /// Make a context the current one
    Use(UseArgs),
    /// Show the settings in use, and where each comes from
    Show(ShowArgs),
}

/// `context list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

/// `context use`.
#[derive(Debug, Args)]
pub(crate) struct UseArgs {
    /// The context; `local` for the local server
    #[arg(id = "context-name", value_name = "CONTEXT")]
    name: String,
}

/// `context show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl ContextCommand {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Show(args) => {
                let settings = invocation.settings()?;
                invocation.show(args.output.format, &SettingsView::from(&settings))?;
            }
            Self::List(args) => {
                let file = match config_path(invocation.connection(), invocation.environment()) {
                    Some(path) => ConfigFile::read(&path.value, path.origin != Origin::Default)?,
                    None => None,
                };
                invocation.show(args.output.format, &ContextList::new(file.as_ref()))?;
            }
            Self::Use(args) => choose(invocation, &args.name)?,
        }
        Ok(Exit::Done)
    }
}

/// Writes the current context into the file, which otherwise stays as it is.
fn choose(invocation: &Invocation, name: &str) -> Result<(), Failure> {
    let path = config_path(invocation.connection(), invocation.environment())
        .ok_or_else(|| {
            Failure::usage("there is no place for a configuration file").remedy("Say --config FILE.")
        })?
        .value;
    let text = match ConfigFile::text(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(Failure::new(
                Exit::UnreadableFile,
                format!("cannot read {}: {error}", path.display()),
            ));
        }
    };
    let file = ConfigFile::parse(&path, &text)?;
    if name != LOCAL && !file.contexts.contains_key(name) {
        let known = file.contexts.keys().map(String::as_str).chain([LOCAL]).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("{} has no context {name:?}", path.display()))
            .meaning("Nothing was changed.")
            .remedy(format!("There are: {known}.")));
    }
    let changed = with_current(&text, name);
    ConfigFile::parse(&path, &changed)?; // What we write, we can read.
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|error| Failure::system(&format!("cannot make {}", folder.display()), &error))?;
    }
    replace::private_file(&path, changed.as_bytes())?;
    output::tell(&format!("{name} is the current context now ({})", path.display()));
    Ok(())
}
