//! What every command is given: the settings, the way to etcd, the ways to say something.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use planlease::{
    Config, Coordinator, EntryPoint, Error,
    clock::{Clock as _, SystemClock},
    core::WallTime,
    local::{Launch, LocalServer},
};

use crate::{
    command::plumbing::COMPANION,
    connection::ConnectionArgs,
    environment::Environment,
    exit::Exit,
    failure::Failure,
    output::{Format, StoreView, Tabular},
    progress::Progress,
    settings::Settings,
};

/// How long the program is silent when no server answers.
const SILENCE: Duration = Duration::from_secs(1);

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Invocation {
    connection: ConnectionArgs,
    environment: Environment,
}

impl Invocation {
    /// With what was typed and what is in the environment.
    pub(crate) fn new(connection: ConnectionArgs, environment: Environment) -> Self {
        Self { connection, environment }
    }

    /// The environment.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The flags of the connection, as typed.
    pub(crate) fn connection(&self) -> &ConnectionArgs {
        &self.connection
    }

    /// The settings, from flags, variables, the configuration file and defaults. Read when they are needed: a
    /// command that needs none works with a broken file.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        Settings::read(&self.connection, &self.environment)
    }

    /// The coordinator's configuration. With no endpoint given it is that of the local server, which is
    /// started if it does not run.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        self.settings()?.config(&local_server())
    }

    /// Connects to etcd, or to the local server.
    pub(crate) async fn connect(&self) -> Result<Coordinator, Failure> {
        self.connect_with(None).await
    }

    /// Connects for commands that hold something: their sessions have companions.
    pub(crate) async fn connect_to_hold(&self) -> Result<Coordinator, Failure> {
        self.connect_with(Some(EntryPoint::of_this_program(COMPANION))).await
    }

    async fn connect_with(&self, companion: Option<EntryPoint>) -> Result<Coordinator, Failure> {
        let settings = self.settings()?;
        let config = settings.config(&local_server())?.companion(companion);
        let connecting = Coordinator::connect(config);
        let connected = tokio::select! {
            biased; // A connection is better than a word about it.
            connected = connecting => connected,
            never = keep_company(&settings) => match never {},
        };
        connected.map_err(|error| match error {
            // To connect is to read: whether the question arrived does not matter to anybody.
            Error::Unreachable(cause) | Error::OutcomeUnknown(cause) => {
                unreachable(&settings, &cause.to_string())
            }
            error => error.into(),
        })
    }

    /// Which store that leads to.
    pub(crate) fn store(&self) -> Result<StoreView, Failure> {
        let settings = self.settings()?;
        let endpoints = settings.endpoints.value.unwrap_or_default();
        Ok(StoreView {
            endpoints: endpoints.iter().map(ToString::to_string).collect(),
            namespace: settings.namespace.value.to_string(),
            context: settings.context.value,
        })
    }

    /// Shows what was read, on standard output.
    pub(crate) fn show<D: Tabular>(&self, format: Format, document: &D) -> Result<(), Failure> {
        crate::output::show(format, document, self.now())
    }

    /// The time that people read.
    #[expect(clippy::unused_self, reason = "the one place from which commands get the time")]
    pub(crate) fn now(&self) -> WallTime {
        SystemClock.wall()
    }

    /// Who the person at the keyboard is: `user@host`.
    pub(crate) fn operator(&self) -> String {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
        let user = user.or_else(|| self.environment.text("USER")).unwrap_or_else(|| "unknown".to_owned());
        format!("{user}@{}", planlease::Identity::of_process().host)
    }
}

/// The user's own server, started by this very program, which says so.
pub(crate) fn local_server() -> LocalServer {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("planlease"));
    LocalServer::of_user().launched_by(Launch { program, announce })
}

/// A process that goes on living is not started in silence. Said once, however often the start is tried.
fn announce(folder: &Path) {
    static SAID: Once = Once::new();
    let line = format!("starting the local server in {} (`planlease dev stop` stops it)", folder.display());
    SAID.call_once(|| crate::output::tell(&line));
}

/// What the local server last said: if it cannot start, that is why.
fn last_words(server: &LocalServer) -> String {
    let log = std::fs::read_to_string(server.log()).unwrap_or_default();
    match log.lines().rev().find(|line| line.contains("error: ")) {
        Some(line) => format!("Nothing was changed. It last said: {line}"),
        None => "Nothing was changed.".to_owned(),
    }
}

/// Shows a waiting person what the program waits for.
async fn keep_company(settings: &Settings) -> Infallible {
    tokio::time::sleep(SILENCE).await;
    let mut progress = Progress::new();
    progress.say(|| match &settings.endpoints.value {
        Some(_) => format!("etcd does not answer yet; trying for {:?} …", settings.timeout.value),
        None => "waiting for the local server …".to_owned(),
    });
    std::future::pending().await
}

/// No server answers: one line that names what was tried, and what to do.
fn unreachable(settings: &Settings, cause: &str) -> Failure {
    match &settings.endpoints.value {
        Some(endpoints) => {
            let tried = endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let cause = cause.strip_prefix(&format!("{tried}: ")).unwrap_or(cause); // They are named already.
            Failure::new(Exit::Unreachable, format!("etcd cannot be reached at {tried}: {cause}"))
                .meaning(format!(
                    "Nothing was changed. The endpoints come from {}.",
                    settings.endpoints.origin
                ))
                .remedy("Check that etcd runs there; without endpoints a local server is used.")
        }
        None => Failure::new(Exit::Unreachable, format!("the local server does not answer: {cause}"))
            .meaning(last_words(&local_server()))
            .remedy(format!("Its log is {}.", local_server().log().display())),
    }
}
