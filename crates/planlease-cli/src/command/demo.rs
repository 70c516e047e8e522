//! `demo`: the whole of planlease at work on this machine: a server, real plans, a fleet of orchestrator
//! processes, a crash, a takeover, and the audit of everything that happened.

mod fleet;
mod left;
mod picture;
mod stage;
mod story;

use std::time::Duration;

use clap::Args;
use planlease::{
    Coordinator,
    core::{PlanName, counted, spec::PlanSpec},
};
use planlease_watcher::{Delivery, Filter, Subscription, Watcher};
use tokio::time::Instant;

use self::{
    fleet::{Crew, Fleet},
    picture::Picture,
    stage::Stage,
    story::Story,
};
use crate::{exit::Exit, failure::Failure, invocation::Invocation, output::AuditReport, signals::Signals};

/// Show planlease at work: a fleet, a crash, a takeover, and the audit of it
///
/// Starts a server inside this process, imports plans, starts several orchestrator processes that compete for
/// them and run a command per task, kills the owner of the first plan with SIGKILL in the middle of its work,
/// stops the next one with SIGSTOP, shows each time which one takes over and how long that took, and at the
/// end replays the whole history to check it.
///
/// With --endpoints it does the same on that etcd, in a separate namespace, which is emptied afterwards.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// A plan file to execute instead of the ones that planlease ships; several times for several plans
    #[arg(long, value_name = "FILE")]
    plan: Vec<String>,
    /// How many orchestrator processes to start
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=16))]
    orchestrators: u8,
    /// How many tasks each of them runs at once
    #[arg(short, long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// What a task runs if its plan does not say so
    #[arg(long, default_value = "sleep 0.4", value_name = "COMMAND")]
    exec: String,
    /// Kill and stop no orchestrator
    #[arg(long)]
    no_crash: bool,
    /// How long the whole may take
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = crate::duration::parse)]
    within: Duration,
}

const EXAMPLES: &str = "\
Examples:
  planlease demo
  planlease demo --plan docs/my-plan.md --orchestrators 5
  planlease --endpoints 127.0.0.1:2379 demo";

/// How long the orchestrators may take to end after the last task has.
const LEAVE: Duration = Duration::from_secs(20);

/// How long they may take when the demo is ended, and then what they have started; what is left is killed.
const END: Duration = Duration::from_secs(5);

impl DemoArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let plans = self.plans()?;
        let mut signals = Signals::take()?;
        let stage = Stage::set(invocation).await?;
        let mut fleet = Fleet::default();
        let shown = tokio::select! {
            biased; // A signal ends it; everything is taken down below.
            () = signals.next() => Err(Failure::new(Exit::Stopped, "stopped by a signal")),
            shown = self.show(invocation, &stage, &plans, &mut fleet) => shown,
        };
        fleet.end(END).await;
        left::end(stage.folder(), END).await;
        let keep = match &shown {
            Ok(exit) => *exit != Exit::Done,
            Err(failure) => failure.exit() != Exit::Stopped,
        };
        stage.strike(keep).await;
        shown
    }

    /// The plans to execute: those that were given, or the ones that come with planlease.
    fn plans(&self) -> Result<Vec<(PlanName, PlanSpec)>, Failure> {
        if self.plan.is_empty() {
            return stage::shipped_plans();
        }
        let read = |path: &String| {
            let spec = super::plan::file::load(path, &super::plan::file::ReadArgs::default())?
                .map_err(|problems| super::plan::file::refused(path, &problems))?
                .spec;
            let name = planlease_formats::plan_name(path)
                .map_err(|error| Failure::new(Exit::BadName, format!("{error}: {}", error.reason)))?;
            Ok((name, spec))
        };
        self.plan.iter().map(read).collect()
    }

    async fn show(
        &self,
        invocation: &Invocation,
        stage: &Stage,
        plans: &[(PlanName, PlanSpec)],
        fleet: &mut Fleet,
    ) -> Result<Exit, Failure> {
        let coordinator = Coordinator::connect(stage.config().clone()).await?;
        let mut picture = Picture::new();
        picture.say(&format!("server     {}", stage.describe()));
        for (name, spec) in plans {
            coordinator.admin().import(name, spec, |_| {}).await?;
            picture.say(&format!(
                "plan       {name}: {} in {}",
                counted(spec.tasks.len(), "task"),
                counted(spec.phases.len(), "phase")
            ));
        }
        let watcher = Watcher::start(coordinator.clone());
        let news = watcher.subscribe(Filter::default(), None).await.map_err(|error| failed(&error))?;
        let crew = Crew { orchestrators: self.orchestrators, jobs: self.jobs, exec: &self.exec };
        fleet.start(stage, invocation.environment(), &crew, plans)?;
        picture.say(&format!("fleet      {}", fleet.describe()));
        let names: Vec<PlanName> = plans.iter().map(|(name, _)| name.clone()).collect();
        let mut story = Story::new(names, Instant::now());
        let followed =
            tokio::time::timeout(self.within, self.follow(&mut story, fleet, &mut picture, news)).await;
        picture.end();
        match followed {
            Ok(followed) => followed?,
            Err(_) => return Err(stage.gave_up(&format!("not done within {:?}", self.within))),
        }
        fleet.leave(LEAVE).await.map_err(|left| stage.gave_up(&format!("{left} did not end")))?;
        drop(watcher.close().await);
        self.judge(invocation, &coordinator, &story, &mut picture).await
    }

    /// Shows what happens until every task has ended; meanwhile kills the first plan's owner, and stops the
    /// next one.
    async fn follow(
        &self,
        story: &mut Story,
        fleet: &mut Fleet,
        picture: &mut Picture,
        mut news: Subscription,
    ) -> Result<(), Failure> {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while !story.is_over() {
            tokio::select! {
                biased; // What happened before how it looks.
                delivery = news.next() => match delivery {
                    Some(Delivery::Snapshot(snapshot, _)) => {
                        for line in story.begin(snapshot) {
                            picture.say(&line);
                        }
                    }
                    Some(Delivery::Changes(set)) => {
                        for line in story.tell(&set) {
                            picture.say(&line);
                        }
                    }
                    None => return Err(Failure::new(Exit::Unexpected, "the watcher ended")),
                },
                _ = tick.tick() => {
                    if let Some(dead) = fleet.died_by_itself() {
                        return Err(Failure::new(Exit::Unexpected, dead));
                    }
                    picture.draw(&story.scene(fleet));
                }
            }
            if !self.no_crash
                && let Some((victim, blow)) = story.victim()
                && fleet.strike(&victim, blow)
            {
                picture.say(&story.struck(&victim, blow));
            }
            if story.is_passed_on()
                && let Some(resumed) = fleet.resume()
            {
                picture.say(&story.resumed(&resumed));
            }
        }
        picture.draw(&story.scene(fleet));
        Ok(())
    }

    async fn judge(
        &self,
        invocation: &Invocation,
        coordinator: &Coordinator,
        story: &Story,
        picture: &mut Picture,
    ) -> Result<Exit, Failure> {
        for line in story.epilogue() {
            picture.say(&line);
        }
        let audited = coordinator.admin().audit(|_| {}).await?;
        picture.say("");
        invocation.show(crate::output::Format::Table, &AuditReport::new(&audited))?;
        let clean = audited.report.violations_found == 0;
        Ok(if clean && story.all_tasks_ended() { Exit::Done } else { Exit::FoundProblems })
    }
}

fn failed(error: &planlease_watcher::Error) -> Failure {
    Failure::new(Exit::Unexpected, error.to_string())
}
