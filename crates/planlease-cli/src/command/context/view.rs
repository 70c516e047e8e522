//! `context list` and `context show`: the settings, and where each comes from.

use planlease::core::WallTime;
use serde::Serialize;

use crate::{
    output::{Cell, Document, Table, Tabular, each},
    settings::{ConfigFile, LOCAL, Settings, Sourced},
};

/// All contexts.
#[derive(Debug, Serialize)]
pub(crate) struct ContextList {
    contexts: Vec<Context>,
}

#[derive(Debug, Serialize)]
struct Context {
    context: String,
    /// Whether it is used if nothing else is asked for.
    current: bool,
    endpoints: Option<String>,
    namespace: Option<String>,
}

impl ContextList {
    /// Those of the file, and the local one.
    pub(crate) fn new(file: Option<&ConfigFile>) -> Self {
        let current = file.and_then(|file| file.current.as_deref()).unwrap_or(LOCAL);
        let local = Context {
            context: LOCAL.to_owned(),
            current: current == LOCAL,
            endpoints: None,
            namespace: None,
        };
        let named = file.into_iter().flat_map(|file| &file.contexts).map(|(name, context)| Context {
            context: name.clone(),
            current: current == name,
            endpoints: context.get("endpoints"),
            namespace: context.get("namespace"),
        });
        Self { contexts: std::iter::once(local).chain(named).collect() }
    }
}

impl Document for ContextList {
    const SCHEMA: Option<&'static str> = Some("planlease.contexts.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.context.v1", &self.contexts)
    }
}

impl Tabular for ContextList {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["", "CONTEXT", "ENDPOINTS", "NAMESPACE"]);
        for context in &self.contexts {
            table.row([
                Cell::text(if context.current { "*" } else { "" }),
                Cell::text(&context.context),
                Cell::text(context.endpoints.as_deref().unwrap_or("your own local server")),
                Cell::text(context.namespace.as_deref().unwrap_or("default")),
            ]);
        }
        table.render("")
    }
}

/// The settings in use.
#[derive(Debug, Serialize)]
pub(crate) struct SettingsView {
    settings: Vec<Setting>,
}

#[derive(Debug, Serialize)]
struct Setting {
    setting: &'static str,
    value: Option<String>,
    from: String,
}

impl From<&Settings> for SettingsView {
    fn from(settings: &Settings) -> Self {
        let endpoints = settings
            .endpoints
            .value
            .as_ref()
            .map(|endpoints| endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let text = |duration: std::time::Duration| Some(format!("{duration:?}"));
        let all = [
            setting("context", &settings.context, Clone::clone),
            setting("endpoints", &settings.endpoints, |_| endpoints),
            setting("cacert", &settings.cacert, path),
            setting("cert", &settings.cert, path),
            setting("key", &settings.key, path),
            setting("server-name", &settings.server_name, Clone::clone),
            setting("user", &settings.user, Clone::clone),
            setting("password-file", &settings.password_file, path),
            setting("namespace", &settings.namespace, |namespace| Some(namespace.to_string())),
            setting("root", &settings.root, |root| Some(root.clone())),
            setting("timeout", &settings.timeout, |timeout| text(*timeout)),
            setting("ttl", &settings.ttl, |ttl| text(*ttl)),
            setting("commands", &settings.commands, |commands| Some(commands.as_str().to_owned())),
        ];
        Self { settings: all.into() }
    }
}

fn setting<T>(name: &'static str, setting: &Sourced<T>, show: impl FnOnce(&T) -> Option<String>) -> Setting {
    Setting { setting: name, value: show(&setting.value), from: setting.origin.to_string() }
}

impl Document for SettingsView {
    const SCHEMA: Option<&'static str> = Some("planlease.settings.v1");

    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        each("planlease.setting.v1", &self.settings)
    }
}

impl Tabular for SettingsView {
    fn table(&self, _now: WallTime) -> String {
        let mut table = Table::new(["SETTING", "VALUE", "FROM"]);
        for setting in &self.settings {
            table.row([
                setting.setting.into(),
                Cell::text(setting.value.as_deref().unwrap_or("-")),
                Cell::text(&setting.from),
            ]);
        }
        table.render("")
    }
}
