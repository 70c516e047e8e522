//! `doctor`: looks at everything that planlease stands on, and says what to do about what is not well.

mod endpoints;
mod records;
mod session;
mod versions;

use clap::Args;
use planlease::{Config, Coordinator, Error, core::Generation};

use crate::{
    confirm::ConfirmArgs,
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, Diagnosis, Finding, OutputArgs},
    settings::Settings,
};

/// Check servers, store and clock, and name the remedies
///
/// Checks the settings, every endpoint, the store and the clock, and opens and closes a session. Ends with
/// status 0 only if all checks pass. Changes nothing else.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease doctor\n  planlease --context prod doctor -o json\n  planlease doctor --adopt-store     after a restore of etcd, see docs/operations.md"
)]
pub(crate) struct DoctorArgs {
    /// Adopt a store that was restored or copied: raises its generation, so that every fencing token from now
    /// on is greater than all before. Only when no process works on the old data any more. Asks first, and is
    /// refused without a terminal unless --yes is given
    #[arg(long)]
    adopt_store: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl DoctorArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let settings = invocation.settings()?;
        let config = invocation.config()?;
        if self.adopt_store {
            let (name, store) = (settings.root.value.as_str(), invocation.store()?);
            self.confirm.by_name(
                name,
                &format!(
                    "this adopts {store}: processes that still work on older data lose what they own there"
                ),
            )?;
            let Generation(generation) = Coordinator::adopt_store(config.clone()).await?;
            output::tell(&format!("the store belongs to this cluster; its generation is {generation}"));
        }
        let mut diagnosis = Diagnosis::default();
        diagnosis.findings.extend(settings_in_use(&settings));
        diagnosis.findings.push(clock(&config));
        // First, since it starts the local server where that is used.
        let connected = Coordinator::connect(config.clone()).await;
        diagnosis.findings.extend(endpoints::look(&config).await?);
        diagnosis.findings.push(store(&connected));
        if let Ok(coordinator) = connected {
            diagnosis.findings.extend(records::look(&coordinator).await);
            diagnosis.findings.extend(session::look(&coordinator).await);
        }
        invocation.show(self.output.format, &diagnosis)?;
        Ok(if diagnosis.is_well() { Exit::Done } else { Exit::FoundProblems })
    }
}

fn settings_in_use(settings: &Settings) -> Vec<Finding> {
    let endpoints = match &settings.endpoints.value {
        Some(endpoints) => endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        None => "your own local server".to_owned(),
    };
    let finding = |what: &str, value: String, origin| Finding::ok(what, format!("{value} (from {origin})"));
    vec![
        finding("endpoints", endpoints, settings.endpoints.origin.to_string()),
        finding("namespace", settings.namespace.value.to_string(), settings.namespace.origin.to_string()),
        finding("ttl", format!("{:?}", settings.ttl.value), settings.ttl.origin.to_string()),
    ]
}

/// Deadlines must count the time that a machine sleeps.
fn clock(config: &Config) -> Finding {
    let since_boot = config.clock.boot().as_duration();
    if cfg!(target_os = "linux") {
        Finding::ok(
            "clock",
            format!("CLOCK_BOOTTIME, which counts time spent suspended; up for {since_boot:.0?}"),
        )
    } else {
        Finding::warning(
            "clock",
            "the system's monotonic clock, which may stand still while the machine sleeps",
            "Do not let machines sleep that own plans.",
        )
    }
}

fn store(connected: &Result<Coordinator, Error>) -> Finding {
    match connected {
        Ok(coordinator) => {
            let Generation(generation) = coordinator.generation();
            Finding::ok("store", format!("belongs to this cluster; generation {generation}"))
        }
        Err(error @ (Error::StoreMoved { .. } | Error::StoreRestored(_))) => Finding::problem(
            "store",
            error.to_string(),
            "Make sure that no process works on the old data, then: planlease doctor --adopt-store",
        ),
        Err(Error::Unreadable(unreadable)) => Finding::problem(
            "store",
            unreadable.to_string(),
            "Use a newer planlease if one wrote it; else restore this key from a backup of etcd.",
        ),
        Err(error) => {
            let failure = planlease::error_chain(error);
            Finding::problem("store", failure, "Fix what is reported about the endpoints first.")
        }
    }
}
