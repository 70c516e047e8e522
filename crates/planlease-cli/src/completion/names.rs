//! The names that can be completed, from the store that the words typed so far lead to. A question at a Tab
//! has no second chance: what cannot be found out at once is left out, in silence.

use std::{ffi::OsString, time::Duration};

use clap::FromArgMatches as _;
use planlease::{
    Coordinator, PlanView,
    core::{PlanName, spec::TaskSpec},
    local::LocalServer,
};

use crate::{
    args,
    connection::ConnectionArgs,
    environment::Environment,
    invocation::local_server,
    output::Printable,
    settings::{ConfigFile, LOCAL, Settings, config_path},
};

/// How long a person waits for names at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of a title or description is shown beside its name, in characters.
const HELP_MAX: usize = 60;

/// A command line that is not finished yet.
pub(super) struct Typed {
    words: Vec<OsString>,
    environment: Environment,
}

impl Typed {
    /// The one that the shell asks about: what follows `--` in our own arguments.
    pub(super) fn of_process() -> Self {
        let words = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
        Self { words, environment: Environment::of_process() }
    }

    /// The contexts of the configuration file.
    pub(super) fn contexts(&self) -> Vec<(String, String)> {
        let path = config_path(&self.connection(), &self.environment);
        let file = path.and_then(|path| ConfigFile::read(&path.value, false).ok().flatten());
        let named = file.into_iter().flat_map(|file| file.contexts.into_keys());
        std::iter::once(LOCAL.to_owned()).chain(named).map(|name| (name, String::new())).collect()
    }

    /// The plans of the store, with their titles.
    pub(super) fn plans(&self) -> Vec<(String, String)> {
        let plans = self.ask(async |coordinator| coordinator.plans().await.ok()).unwrap_or_default();
        plans.iter().map(|plan| (plan.name().to_string(), brief(&plan.spec().title))).collect()
    }

    /// The tasks of the first plan that is named in the words so far.
    pub(super) fn tasks(&self) -> Vec<(String, String)> {
        let words: Vec<PlanName> =
            self.words.iter().filter_map(|word| PlanName::new(word.to_str()?).ok()).collect();
        let plan = self.ask(async |coordinator| first_plan(coordinator, &words).await);
        let described = |plan: PlanView| {
            let described = |task: &TaskSpec| (task.id.to_string(), brief(&task.description));
            plan.spec().tasks.iter().map(described).collect()
        };
        plan.map(described).unwrap_or_default()
    }

    /// Asks the store. A local server that does not run is not started for this.
    fn ask<T>(&self, question: impl AsyncFnOnce(&Coordinator) -> Option<T>) -> Option<T> {
        let settings = Settings::read(&self.connection(), &self.environment).ok()?;
        let running = LocalServer::in_folder(local_server().folder());
        let config = settings.config(&running).ok()?;
        let config = config.connect_timeout(PATIENCE).request_timeout(PATIENCE).operation_timeout(PATIENCE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let answered = runtime.block_on(async {
            let answer = async { question(&Coordinator::connect(config).await.ok()?).await };
            tokio::time::timeout(PATIENCE, answer).await.ok().flatten()
        });
        runtime.shutdown_background();
        answered
    }

    /// The flags of the connection among the words. The rest is not finished, and so may be wrong.
    fn connection(&self) -> ConnectionArgs {
        let matches = args::definition().ignore_errors(true).try_get_matches_from(&self.words);
        matches.ok().and_then(|matches| ConnectionArgs::from_arg_matches(&matches).ok()).unwrap_or_default()
    }
}

async fn first_plan(coordinator: &Coordinator, words: &[PlanName]) -> Option<PlanView> {
    for word in words {
        if let Ok(plan) = coordinator.plan(word).await {
            return Some(plan);
        }
    }
    None
}

/// The beginning of a text of others, as one line that a terminal shows as it is.
fn brief(text: &str) -> String {
    let line: String = text.lines().next().unwrap_or_default().chars().take(HELP_MAX).collect();
    Printable::of_others(&line).as_str().to_owned()
}
