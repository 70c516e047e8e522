//! Where the demo takes place: a server inside this process, or an etcd of the user's, in a namespace of its
//! own.

use std::{path::Path, sync::Arc, time::Duration};

use planlease::{
    Config, Coordinator, Endpoint,
    clock::{Clock as _, SystemClock},
    connect::SocketConnector,
    core::{Namespace, PlanName, spec::PlanSpec},
};
use planlease_embedded::{Listen, Options, Server};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{exit::Exit, failure::Failure, invocation::Invocation, settings::Settings};

/// The time to live of the orchestrators' sessions: short, so that the takeover comes soon.
pub(super) const TTL: Duration = Duration::from_secs(4);

/// The plans that planlease ships, as files of the formats that it reads.
const SHIPPED: [(&str, &str); 2] = [
    ("release-service.md", include_str!("plans/release-service.md")),
    ("host-checkup.md", include_str!("plans/host-checkup.md")),
];

/// The demo's server, plans and folder.
pub(super) struct Stage {
    config: Config,
    settings: Settings,
    folder: TempDir,
    embedded: Option<Embedded>,
}

/// The server inside this process.
struct Embedded {
    server: Server,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Stage {
    /// Sets it up.
    pub(super) async fn set(invocation: &Invocation) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("planlease-demo-")
            .map_err(|error| Failure::system("cannot make a temporary folder", &error))?;
        let mut settings = invocation.settings()?;
        let now = SystemClock.boot().as_duration().as_millis();
        settings.namespace.value = Namespace::new(format!("demo-{}-{now}", std::process::id()))?;
        settings.ttl.value = TTL;
        let embedded = match &settings.endpoints.value {
            Some(_) => None,
            None => {
                let (embedded, endpoint) = serve(folder.path()).await?;
                settings.endpoints.value = Some(vec![endpoint]);
                Some(embedded)
            }
        };
        let config = settings.config(&crate::invocation::local_server())?;
        let config = config.connector(Arc::new(SocketConnector));
        Ok(Self { config, settings, folder, embedded })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the orchestrators' output goes.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn describe(&self) -> String {
        let at = self.config.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match &self.embedded {
            Some(_) => "embedded, in this process, durable in a temporary folder".to_owned(),
            None => format!("etcd at {at}, namespace {}", self.config.namespace.as_str()),
        }
    }

    /// It did not come to its end: says where to look.
    pub(super) fn gave_up(&self, why: &str) -> Failure {
        Failure::new(Exit::TimedOut, format!("the demo was given up: {why}"))
            .remedy(format!("What the orchestrators said is kept in {}.", self.folder.path().display()))
    }

    /// Takes it down; what the orchestrators said is kept if a person may want to read it.
    pub(super) async fn strike(self, keep: bool) {
        if self.embedded.is_none() {
            drop(empty(self.config).await); // What is left there does no harm: it has a namespace of its own.
        }
        if let Some(embedded) = self.embedded {
            embedded.stop.cancel();
            drop(tokio::time::timeout(Duration::from_secs(5), embedded.serving).await);
            embedded.server.close().await;
        }
        if keep {
            let _kept = self.folder.keep();
        }
    }
}

/// Deletes the demo's plans.
async fn empty(config: Config) -> Result<(), planlease::Error> {
    let coordinator = Coordinator::connect(config).await?;
    for plan in coordinator.plans().await? {
        coordinator.admin().delete(plan.name()).await?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the stage owns the task: it stops it and waits for it")]
async fn serve(folder: &Path) -> Result<(Embedded, Endpoint), Failure> {
    let cannot =
        |error: &dyn std::error::Error| Failure::new(Exit::CannotServe, format!("cannot serve: {error}"));
    let seed = SystemClock.boot().as_duration().as_nanos();
    let options = Options::in_folder(folder.join("data"), u64::try_from(seed).unwrap_or(u64::MAX));
    let server = Server::open(options).await.map_err(|error| cannot(&error))?;
    let path = folder.join("run").join("etcd.sock"); // Its folder is closed to other users.
    let bound = Listen::Unix { path: path.clone() }.bind().await.map_err(|error| cannot(&error))?;
    let stop = CancellationToken::new();
    let serve = server.serve_on(bound, stop.clone().cancelled_owned());
    let serving = tokio::spawn(async move { drop(serve.await) });
    Ok((Embedded { server, stop, serving }, Endpoint::Unix(path)))
}

/// The plans that planlease ships.
pub(super) fn shipped_plans() -> Result<Vec<(PlanName, PlanSpec)>, Failure> {
    let read = |(file, text): &(&str, &str)| {
        let parsed = planlease_formats::parse(file, text.as_bytes())
            .map_err(|_| Failure::new(Exit::BadPlanFile, format!("{file} has problems")))?;
        let name = planlease_formats::plan_name(file)
            .map_err(|error| Failure::new(Exit::BadName, error.to_string()))?;
        Ok((name, parsed.spec))
    };
    SHIPPED.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_plans_are_sound() {
        let plans = shipped_plans().unwrap();
        assert!(plans.iter().all(|(_, spec)| spec.problems().is_empty()));
        assert!(plans[0].1.tasks.len() > 10, "there is a middle in which to crash");
    }
}
