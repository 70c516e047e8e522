//! How to reach etcd: from flags, variables, a context of the configuration file, and defaults, in this
//! order. What was typed is text; what it means is a [`Settings`], in which each value knows where it came
//! from.

mod file;
mod inherit;
mod origin;
mod resolve;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use planlease::{
    Config, Credentials, Endpoint, KeyPair, Secret, Tls, connect::Unusable, core::Namespace,
    local::LocalServer,
};
use planlease_orchestrator::CommandSource;

use self::resolve::Layers;
pub(crate) use self::{
    file::{ConfigFile, LOCAL, path as config_path, with_current},
    origin::{Origin, Sourced},
};
use crate::{
    connection::ConnectionArgs,
    environment::Environment,
    exit::Exit,
    failure::{Failure, library::USABLE_FOLDER},
    secrets,
};

/// What the settings mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The context in use, if any.
    pub(crate) context: Sourced<Option<String>>,
    /// The servers; `None` for the local one.
    pub(crate) endpoints: Sourced<Option<Vec<Endpoint>>>,
    /// The authorities to trust.
    pub(crate) cacert: Sourced<Option<PathBuf>>,
    /// Our certificate.
    pub(crate) cert: Sourced<Option<PathBuf>>,
    /// Its key.
    pub(crate) key: Sourced<Option<PathBuf>>,
    /// The name in the server's certificate.
    pub(crate) server_name: Sourced<Option<String>>,
    /// The user.
    pub(crate) user: Sourced<Option<String>>,
    /// The file with the user's password.
    pub(crate) password_file: Sourced<Option<PathBuf>>,
    /// The namespace.
    pub(crate) namespace: Sourced<Namespace>,
    /// The key below which everything is.
    pub(crate) root: Sourced<String>,
    /// The timeout of one operation.
    pub(crate) timeout: Sourced<Duration>,
    /// The TTL of sessions.
    pub(crate) ttl: Sourced<Duration>,
    /// Whose commands `run` executes.
    pub(crate) commands: Sourced<CommandSource>,
}

/// Whether this flag is one of the settings that this module puts together.
pub(crate) fn is_setting(flag: &str) -> bool {
    matches!(flag, "config" | "context") || resolve::NAMES.contains(&flag)
}

/// Why the local server is not used.
pub(crate) fn untrusted(error: &std::io::Error) -> Failure {
    if Unusable::of(error).is_some() {
        return Failure::new(Exit::Unreachable, format!("the local server cannot be used: {error}"))
            .meaning("Nothing was changed.")
            .remedy(USABLE_FOLDER);
    }
    Failure::new(Exit::Unreachable, format!("the local server is not trusted: {error}"))
        .meaning(
            "Another user could read and change plans there, and have commands run. Nothing was changed.",
        )
        .remedy("Take the folder away, or name a folder of your own in XDG_STATE_HOME.")
}

impl Settings {
    /// Puts the settings together.
    pub(crate) fn read(flags: &ConnectionArgs, environment: &Environment) -> Result<Self, Failure> {
        let path = config_path(flags, environment);
        let file =
            path.map(|path| ConfigFile::read(&path.value, path.origin != Origin::Default)).transpose()?;
        Self::resolve(flags, environment, file.flatten().as_ref())
    }

    /// As [`Settings::read`], from a file that was read already.
    pub(crate) fn resolve(
        flags: &ConnectionArgs,
        environment: &Environment,
        file: Option<&ConfigFile>,
    ) -> Result<Self, Failure> {
        let layers = Layers::new(flags, environment, file)?;
        Ok(Self {
            context: layers.context(),
            endpoints: layers.optional("endpoints", resolve::endpoints)?,
            cacert: layers.optional("cacert", resolve::path)?,
            cert: layers.optional("cert", resolve::path)?,
            key: layers.optional("key", resolve::path)?,
            server_name: layers.optional("server-name", resolve::text)?,
            user: layers.optional("user", resolve::text)?,
            password_file: layers.optional("password-file", resolve::path)?,
            namespace: layers.or("namespace", Namespace::default(), |text| {
                Namespace::new(text).map_err(|error| error.to_string())
            })?,
            root: layers.or("root", "/planlease".to_owned(), resolve::text)?,
            timeout: layers.or("timeout", Duration::from_secs(15), crate::duration::parse_some)?,
            ttl: layers.or("ttl", Duration::from_secs(15), crate::duration::parse)?,
            commands: layers.commands()?,
        })
    }

    /// The coordinator's configuration; `local` is used if no endpoint is given.
    pub(crate) fn config(&self, local: &LocalServer) -> Result<Config, Failure> {
        let config = match &self.endpoints.value {
            Some(endpoints) => Config::with_endpoints(endpoints.clone()),
            None => {
                local.ensure_short().map_err(|error| {
                    Failure::new(Exit::Unreachable, format!("the local server cannot be reached: {error}"))
                })?;
                local.ensure_ours().map_err(|error| untrusted(&error))?;
                Config::with_local_server(local.clone())
            }
        };
        let timeout = self.timeout.value;
        let (connect, request) = (config.connect_timeout.min(timeout), config.request_timeout.min(timeout));
        let config = config
            .tls(self.tls()?)
            .credentials(self.credentials()?)
            .root(self.root.value.clone())
            .namespace(self.namespace.value.clone())
            .connect_timeout(connect)
            .request_timeout(request)
            .operation_timeout(timeout)
            .ttl(self.ttl.value)
            .state_folder(local.folder().to_owned());
        Ok(config.validate()?)
    }

    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let secret = |setting: &Sourced<Option<PathBuf>>| match &setting.value {
            None => Ok(None),
            Some(path) => readable(path, &setting.origin).map(Some),
        };
        if let Some(key) = &self.key.value {
            secrets::warn_of_readers(key);
        }
        let identity = match (secret(&self.cert)?, secret(&self.key)?) {
            (Some(certificate), Some(key)) => Some(KeyPair { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(Failure::usage("--cert is given without --key")),
            (None, Some(_)) => return Err(Failure::usage("--key is given without --cert")),
        };
        let server_name = self.server_name.value.clone();
        let tls = Tls::default().ca(secret(&self.cacert)?).identity(identity).server_name(server_name);
        Ok((tls.ca.is_some() || tls.identity.is_some() || tls.server_name.is_some()).then_some(tls))
    }

    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        match (&self.user.value, &self.password_file.value) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(Failure::usage("--user is given without --password-file")
                .remedy("Write the password to a file that only you can read; it is never taken from the command line.")),
            (None, Some(_)) => Err(Failure::usage("--password-file is given without --user")),
            (Some(user), Some(path)) => {
                let password = readable(path, &self.password_file.origin)?;
                secrets::warn_of_readers(path);
                secrets::warn_of_listeners(user, self.endpoints.value.as_deref().unwrap_or_default());
                Ok(Some(Credentials::of_user(user).password(password)))
            }
        }
    }
}

/// A file that is read for each new connection. What is wrong with it now is better said now, with its
/// origin.
fn readable(path: &Path, origin: &Origin) -> Result<Secret, Failure> {
    Secret::read_file(path).map_err(|error| {
        let what = format!("cannot read {} ({origin}): {error}", path.display());
        Failure::new(Exit::UnreadableFile, what).meaning("Nothing was changed.").remedy(
            "Correct the path, or let this user read the file; `planlease context show` shows each setting.",
        )
    })?;
    Ok(Secret::File(path.to_owned()))
}
