//! The environment of the commands that `run`, `hold`, `lock` and `demo` start: a `planlease` inside reaches
//! the same store.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use planlease::Endpoint;

use super::Settings;
use crate::environment::{CONFIG, Environment};

impl Settings {
    /// The changes to the environment of a command: these settings, and no other variable of planlease than
    /// those that say what the command is for, and where the contexts are.
    pub(crate) fn for_commands(&self, environment: &Environment) -> Vec<(OsString, Option<OsString>)> {
        let removed = environment.not_for_commands().map(|name| (OsString::from(name), None));
        let config = environment.get(CONFIG).and_then(|path| std::path::absolute(path).ok());
        let config = config.map(|path| (OsString::from(CONFIG), Some(path.into_os_string())));
        let settings = self.variables().into_iter().map(|(name, value)| (name, Some(value)));
        removed.chain(config).chain(settings).collect()
    }

    /// The variables. Everything is said, so that neither the caller's variables nor a configuration file
    /// change it; what is not set is empty, which counts as not given. Paths are absolute: the command may be
    /// in another folder.
    pub(crate) fn variables(&self) -> Vec<(OsString, OsString)> {
        let path =
            |path: &Option<PathBuf>| path.as_deref().map(absolute).unwrap_or_default().into_os_string();
        let text = |text: &Option<String>| OsString::from(text.clone().unwrap_or_default());
        let endpoints = self
            .endpoints
            .value
            .as_ref()
            .map(|endpoints| endpoints.iter().map(of_endpoint).collect::<Vec<_>>().join(","));
        let millis = |duration: std::time::Duration| OsString::from(format!("{}ms", duration.as_millis()));
        [
            ("PLANLEASE_CONTEXT", if endpoints.is_some() { OsString::new() } else { super::LOCAL.into() }),
            ("PLANLEASE_ENDPOINTS", text(&endpoints)),
            ("PLANLEASE_CACERT", path(&self.cacert.value)),
            ("PLANLEASE_CERT", path(&self.cert.value)),
            ("PLANLEASE_KEY", path(&self.key.value)),
            ("PLANLEASE_SERVER_NAME", text(&self.server_name.value)),
            ("PLANLEASE_USER", text(&self.user.value)),
            ("PLANLEASE_PASSWORD_FILE", path(&self.password_file.value)),
            ("PLANLEASE_NAMESPACE", self.namespace.value.as_str().into()),
            ("PLANLEASE_ROOT", self.root.value.as_str().into()),
            ("PLANLEASE_TIMEOUT", millis(self.timeout.value)),
            ("PLANLEASE_TTL", millis(self.ttl.value)),
        ]
        .map(|(name, value)| (name.into(), value))
        .into()
    }
}

fn of_endpoint(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Unix(path) => Endpoint::Unix(absolute(path)).to_string(),
        other => other.to_string(),
    }
}

/// The path from the root. It stays as it is if there is no working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connection::ConnectionArgs, environment::Environment};

    #[test]
    fn paths_that_are_inherited_are_absolute() {
        let variables = [
            ("PLANLEASE_ENDPOINTS", "unix:etcd.sock,https://a:1"),
            ("PLANLEASE_CACERT", "ca.pem"),
            ("PLANLEASE_CERT", "./c.pem"),
            ("PLANLEASE_KEY", "../k.pem"),
            ("PLANLEASE_USER", "u"),
            ("PLANLEASE_PASSWORD_FILE", "password"),
        ];
        let settings =
            Settings::resolve(&ConnectionArgs::default(), &Environment::from_iter(variables), None).unwrap();
        let inherited: Environment = settings
            .variables()
            .into_iter()
            .map(|(name, value)| (name.into_string().unwrap(), value))
            .collect();
        for name in ["CACERT", "CERT", "KEY", "PASSWORD_FILE"] {
            let path = PathBuf::from(inherited.get(&format!("PLANLEASE_{name}")).unwrap());
            assert!(path.is_absolute(), "{name}: {}", path.display());
        }
        let endpoints = inherited.text("PLANLEASE_ENDPOINTS").unwrap();
        assert!(endpoints.starts_with("unix:/") && endpoints.ends_with(",https://a:1"), "{endpoints}");
    }
}
