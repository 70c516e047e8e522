//! The order of precedence: flag, variable, context, default. Pure: what it reads is given to it.

use std::path::PathBuf;

use planlease::Endpoint;
use planlease_orchestrator::CommandSource;

use super::{
    file::{ConfigFile, Context, LOCAL},
    origin::{Origin, Sourced},
};
use crate::{connection::ConnectionArgs, environment::Environment, failure::Failure};

/// The names of the settings: as flags, and with `_` for `-` in the file and (in capitals) as variables.
pub(super) const NAMES: [&str; 11] = [
    "endpoints",
    "cacert",
    "cert",
    "key",
    "server-name",
    "user",
    "password-file",
    "namespace",
    "root",
    "timeout",
    "ttl",
];

/// Everything that settings come from.
pub(super) struct Layers<'a> {
    flags: &'a ConnectionArgs,
    environment: &'a Environment,
    context: Sourced<Option<String>>,
    in_context: Option<(&'a Context, Origin)>,
    file: Option<&'a ConfigFile>,
}

impl<'a> Layers<'a> {
    /// Finds the context.
    ///
    /// Endpoints on the command line or in the environment are another cluster than that of the current
    /// context, so its certificates and password are not for them: then only a context that is asked for just
    /// as expressly is used.
    pub(super) fn new(
        flags: &'a ConnectionArgs,
        environment: &'a Environment,
        file: Option<&'a ConfigFile>,
    ) -> Result<Self, Failure> {
        let mut layers = Self {
            flags,
            environment,
            context: Sourced { value: None, origin: Origin::Default },
            in_context: None,
            file,
        };
        let expressly = layers.said("context");
        let current = file.and_then(|file| {
            let name = file.current.clone()?;
            Some(Sourced { value: name, origin: Origin::File(file.path.clone()) })
        });
        let other_cluster = layers.said("endpoints").is_some();
        let Some(chosen) = expressly.or(if other_cluster { None } else { current }) else {
            return Ok(layers);
        };
        layers.context = Sourced { value: Some(chosen.value.clone()), origin: chosen.origin.clone() };
        if chosen.value == LOCAL {
            return Ok(layers);
        }
        let found = file.and_then(|file| Some((file, file.contexts.get(&chosen.value)?)));
        let (file, context) = found.ok_or_else(|| {
            Failure::usage(format!("there is no context {:?} (asked for by {})", chosen.value, chosen.origin))
                .remedy("`planlease context list` shows those that there are.")
        })?;
        let origin = Origin::Context { name: chosen.value, file: file.path.clone() };
        layers.in_context = Some((context, origin));
        Ok(layers)
    }

    /// The context in use.
    pub(super) fn context(&self) -> Sourced<Option<String>> {
        self.context.clone()
    }

    /// A setting that may be absent.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        meaning: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Sourced<Option<T>>, Failure> {
        let Some(text) = self.text(name) else { return Ok(Sourced { value: None, origin: Origin::Default }) };
        let value = meaning(&text.value)
            .map_err(|reason| Failure::usage(format!("{name} (from {}): {reason}", text.origin)))?;
        Ok(Sourced { value: Some(value), origin: text.origin })
    }

    /// A setting with a default.
    pub(super) fn or<T>(
        &self,
        name: &'static str,
        default: T,
        meaning: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Sourced<T>, Failure> {
        let Sourced { value, origin } = self.optional(name, meaning)?;
        Ok(Sourced { value: value.unwrap_or(default), origin })
    }

    fn text(&self, name: &'static str) -> Option<Sourced<String>> {
        self.said(name).or_else(|| {
            let (context, origin) = self.in_context.as_ref()?;
            Some(Sourced { value: context.get(name)?, origin: origin.clone() })
        })
    }

    /// Whose commands are run. What the file says without a context is meant for this host, whatever store it
    /// works on.
    pub(super) fn commands(&self) -> Result<Sourced<CommandSource>, Failure> {
        let of_file = self.file.and_then(|file| Some((file.commands.as_deref()?, &file.path)));
        let Some((text, path)) = of_file.filter(|_| self.text("commands").is_none()) else {
            return self.or("commands", CommandSource::default(), commands);
        };
        let origin = Origin::File(path.clone());
        let value =
            commands(text).map_err(|reason| Failure::usage(format!("commands (from {origin}): {reason}")))?;
        Ok(Sourced { value, origin })
    }

    /// By flag or variable.
    fn said(&self, name: &'static str) -> Option<Sourced<String>> {
        if let Some(value) = flag(self.flags, name) {
            return Some(Sourced { value: value.to_owned(), origin: Origin::Flag(name) });
        }
        let variable = format!("PLANLEASE_{}", name.replace('-', "_").to_uppercase());
        let value = self.environment.text(&variable)?;
        Some(Sourced { value, origin: Origin::Variable(variable) })
    }
}

fn flag<'a>(flags: &'a ConnectionArgs, name: &str) -> Option<&'a str> {
    let value = match name {
        "context" => &flags.context,
        "endpoints" => &flags.endpoints,
        "cacert" => &flags.cacert,
        "cert" => &flags.cert,
        "key" => &flags.key,
        "server-name" => &flags.server_name,
        "user" => &flags.user,
        "password-file" => &flags.password_file,
        "namespace" => &flags.namespace,
        "root" => &flags.root,
        "timeout" => &flags.timeout,
        "ttl" => &flags.ttl,
        _ => &None,
    };
    value.as_deref()
}

/// Endpoints, separated by commas.
pub(super) fn endpoints(text: &str) -> Result<Vec<Endpoint>, String> {
    let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parse = |part: &str| part.parse().map_err(|error| format!("{error}"));
    // First those with a user and a password, which may have a comma in it: no other message must show a part
    // of it.
    parts().filter(|part| part.contains('@')).try_for_each(|part| parse(part).map(drop::<Endpoint>))?;
    let endpoints: Vec<Endpoint> = parts().map(parse).collect::<Result<_, String>>()?;
    if endpoints.is_empty() { Err("no endpoint is given".to_owned()) } else { Ok(endpoints) }
}

/// Whose commands are run.
fn commands(text: &str) -> Result<CommandSource, String> {
    let all = [CommandSource::Plan, CommandSource::Exec, CommandSource::None];
    all.into_iter()
        .find(|source| source.as_str() == text)
        .ok_or_else(|| format!("{text:?} is none of plan, exec and none"))
}

#[expect(clippy::unnecessary_wraps, reason = "has the form of the other meanings")]
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

#[expect(clippy::unnecessary_wraps, reason = "has the form of the other meanings")]
pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{exit::Exit, settings::Settings};

    fn file() -> ConfigFile {
        let text = r#"
            current = "prod"
            [contexts.prod]
            endpoints = ["https://a:2379", "https://b:2379"]
            cacert = "/etc/ca.pem"
            namespace = "ops"
            timeout = "30s"
            [contexts.test]
            endpoints = "c:2379"
        "#;
        ConfigFile::parse("/cfg.toml".as_ref(), text).unwrap()
    }

    fn resolve(flags: &ConnectionArgs, variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        Settings::resolve(flags, &variables.iter().copied().collect(), Some(&file()))
    }

    fn namespace(flags: &ConnectionArgs, variables: &[(&str, &str)]) -> (String, String) {
        let namespace = resolve(flags, variables).unwrap().namespace;
        (namespace.value.to_string(), namespace.origin.to_string())
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
        let typed = ConnectionArgs { namespace: Some("flag".into()), ..ConnectionArgs::default() };
        let none = ConnectionArgs::default();
        let variable = [("PLANLEASE_NAMESPACE", "variable")];
        let test = [("PLANLEASE_CONTEXT", "test")];
        let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
        assert_eq!(namespace(&typed, &variable), pair("flag", "--namespace"));
        assert_eq!(namespace(&none, &variable), pair("variable", "PLANLEASE_NAMESPACE"));
        assert_eq!(namespace(&none, &[]), pair("ops", "context prod in /cfg.toml"));
        assert_eq!(namespace(&none, &test), pair("default", "default"));
    }

    #[test]
    fn explicit_endpoints_do_not_get_the_contexts_password() {
        let flags = ConnectionArgs { endpoints: Some("x:1".into()), ..ConnectionArgs::default() };
        let settings = resolve(&flags, &[]).unwrap();
        assert_eq!((settings.cacert.value, settings.context.value), (None, None));
        let flags = ConnectionArgs { context: Some("prod".into()), ..flags };
        let settings = resolve(&flags, &[]).unwrap();
        assert_eq!(settings.cacert.value, Some("/etc/ca.pem".into()));
        assert_eq!(settings.endpoints.origin, Origin::Flag("endpoints"));
    }

    #[test]
    fn whose_commands_are_run_is_said_for_the_host_or_a_context() {
        let text = "commands = \"exec\"\n[contexts.a]\ncommands = \"none\"\n[contexts.b]\n";
        let file = ConfigFile::parse("/cfg.toml".as_ref(), text).unwrap();
        let commands = |variables: &[(&str, &str)]| {
            let read = Settings::resolve(
                &ConnectionArgs::default(),
                &variables.iter().copied().collect(),
                Some(&file),
            );
            let found = read.unwrap().commands;
            (found.value, found.origin.to_string())
        };
        let pair = |source, origin: &str| (source, origin.to_owned());
        assert_eq!(commands(&[]), pair(CommandSource::Exec, "/cfg.toml"));
        assert_eq!(commands(&[("PLANLEASE_ENDPOINTS", "x:1")]), pair(CommandSource::Exec, "/cfg.toml"));
        assert_eq!(commands(&[("PLANLEASE_CONTEXT", "b")]), pair(CommandSource::Exec, "/cfg.toml"));
        assert_eq!(
            commands(&[("PLANLEASE_CONTEXT", "a")]),
            pair(CommandSource::None, "context a in /cfg.toml")
        );
        assert_eq!(
            commands(&[("PLANLEASE_COMMANDS", "plan")]),
            pair(CommandSource::Plan, "PLANLEASE_COMMANDS")
        );
        let wrong = ConfigFile::parse("/cfg.toml".as_ref(), "commands = \"some\"").unwrap();
        let failure =
            Settings::resolve(&ConnectionArgs::default(), &Environment::default(), Some(&wrong)).unwrap_err();
        assert!(failure.what().starts_with("commands (from /cfg.toml): \"some\" is none of"), "{failure:?}");
    }

    #[test]
    fn local_is_a_context_that_is_always_there() {
        let settings = resolve(&ConnectionArgs::default(), &[("PLANLEASE_CONTEXT", "local")]).unwrap();
        assert_eq!((settings.endpoints.value, settings.timeout.value), (None, Duration::from_secs(15)));
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_origin() {
        for (variable, value, message) in [
            ("PLANLEASE_TIMEOUT", "soon", "timeout (from PLANLEASE_TIMEOUT): \"soon\" is not a duration"),
            (
                "PLANLEASE_ENDPOINTS",
                "etcd",
                "endpoints (from PLANLEASE_ENDPOINTS): \"etcd\" is not an endpoint",
            ),
            (
                "PLANLEASE_ENDPOINTS",
                "http://me:hunter2,hunter3@etcd:2379",
                "endpoints (from PLANLEASE_ENDPOINTS): \"…@etcd:2379\" is not an endpoint: user and password do not",
            ),
            ("PLANLEASE_NAMESPACE", "a/b", "namespace (from PLANLEASE_NAMESPACE)"),
            ("PLANLEASE_CONTEXT", "nope", "there is no context \"nope\" (asked for by PLANLEASE_CONTEXT)"),
        ] {
            let failure = resolve(&ConnectionArgs::default(), &[(variable, value)]).unwrap_err();
            let line = failure.lines().next().unwrap_or_default().to_owned();
            assert!(line.starts_with(message), "{line}");
            assert_eq!(failure.exit(), Exit::Usage);
        }
    }
}
