//! What happens in the demo, in words: from the watcher's changes to lines, and to the scene that is drawn.

use std::{collections::BTreeMap, time::Duration};

use planlease::core::{FencingToken, OrchestratorId, PlanName, TermNumber, counted, transition::TaskStatus};
use planlease_watcher::{Change, ChangeSet, OwnershipChange, PlanView, Snapshot};
use tokio::time::Instant;

use super::{
    fleet::{Blow, Fleet, State},
    picture::{Row, Scene},
    stage::TTL,
};
use crate::output::Style;

/// What is done to the owners of the first plan, each when so much of it is done.
const BLOWS: [(f64, Blow); 2] = [(0.25, Blow::Kill), (0.5, Blow::Stop)];

const GOOD: Style = Style::BoldGreen;
const BAD: Style = Style::BoldRed;
const NAME: Style = Style::Cyan;

/// What the demo has shown so far.
pub(super) struct Story {
    plans: Vec<PlanName>,
    began: Instant,
    now: Option<Snapshot>,
    struck: Vec<Struck>,
    /// Tasks that were taken back from a lost claimant, by plan.
    recovered: BTreeMap<PlanName, usize>,
    /// The last acquisition of each plan that was reported.
    acquired: BTreeMap<PlanName, FencingToken>,
}

/// What was done to an owner, and what came of it.
struct Struck {
    blow: Blow,
    plan: PlanName,
    victim: OrchestratorId,
    term: Option<TermNumber>,
    at: Instant,
    successor: Option<(OrchestratorId, Duration)>,
}

impl Story {
    pub(super) fn new(plans: Vec<PlanName>, began: Instant) -> Self {
        Self {
            plans,
            began,
            now: None,
            struck: Vec::new(),
            recovered: BTreeMap::new(),
            acquired: BTreeMap::new(),
        }
    }

    /// Takes in everything as it is; the lines that report who has acquired a plan by then.
    pub(super) fn begin(&mut self, snapshot: Snapshot) -> Vec<String> {
        let owners = self.plans.iter().filter_map(|name| {
            let (owner, term) = snapshot.plan(name)?.queue().owner()?;
            Some((name.clone(), owner.record.as_ref()?.orchestrator.clone(), term.token()))
        });
        let unreported: Vec<_> =
            owners.filter(|(name, _, token)| self.acquired.get(name) != Some(token)).collect();
        self.now = Some(snapshot);
        let acquired = unreported.into_iter().filter_map(|(plan, owner, token)| {
            self.ownership(&plan, &OwnershipChange::Acquired { owner, token })
        });
        let lines = acquired.collect();
        self.timed(lines)
    }

    /// Applies what changed; returns the lines that report it.
    pub(super) fn tell(&mut self, set: &ChangeSet) -> Vec<String> {
        if let Some(now) = &mut self.now {
            now.apply(set);
        }
        let lines = set.changes.iter().filter_map(|change| self.line(change)).collect();
        self.timed(lines)
    }

    fn timed(&self, lines: Vec<String>) -> Vec<String> {
        let at = self.began.elapsed().as_secs_f64();
        lines.into_iter().map(|line| format!("{at:>6.1}s    {line}")).collect()
    }

    fn line(&mut self, change: &Change) -> Option<String> {
        match change {
            Change::Ownership { plan, what, .. } => self.ownership(plan, what),
            Change::Task { plan, task, before } => {
                let lost = task.record.lost > before.as_ref().map_or(0, |before| before.record.lost);
                if lost {
                    *self.recovered.entry(plan.clone()).or_default() += 1;
                    return Some(format!(
                        "{NAME}{plan}{NAME:#} {} was in progress: back to {}",
                        task.id, task.record.status
                    ));
                }
                let error = task.record.error.as_deref().unwrap_or_default();
                (task.record.status == TaskStatus::Failed)
                    .then(|| format!("{NAME}{plan}{NAME:#} {} {BAD}failed{BAD:#}: {error}", task.id))
            }
            _ => None,
        }
    }

    fn ownership(&mut self, plan: &PlanName, what: &OwnershipChange) -> Option<String> {
        match what {
            OwnershipChange::Acquired { owner, token } => {
                self.acquired.insert(plan.clone(), *token);
                let mut line = format!("{NAME}{plan}{NAME:#} acquired by {owner}, token {token}");
                if let Some(struck) = self.struck.last_mut()
                    && struck.plan == *plan
                    && struck.successor.is_none()
                    && struck.victim != *owner
                {
                    let took = struck.at.elapsed();
                    struck.successor = Some((owner.clone(), took));
                    let after = match struck.blow {
                        Blow::Kill => "crash",
                        Blow::Stop => "stop",
                    };
                    line += &format!(": {GOOD}takeover {} after the {after}{GOOD:#}", time(took));
                }
                Some(line)
            }
            OwnershipChange::Released { owner, .. } => {
                Some(format!("{NAME}{plan}{NAME:#} released by {owner}"))
            }
            OwnershipChange::Expired { owner, .. } => {
                Some(format!("{NAME}{plan}{NAME:#} the session of {owner} expired"))
            }
            _ => None,
        }
    }

    /// The owner of the first plan, and what to do to it, once so much is done as each of the [`BLOWS`] waits
    /// for.
    pub(super) fn victim(&self) -> Option<(OrchestratorId, Blow)> {
        let (done, blow) = *BLOWS.get(self.struck.len())?;
        let plan = self.plan(self.plans.first()?)?;
        let summary = plan.summary();
        let (owner, _) = plan.queue().owner()?;
        #[expect(clippy::cast_precision_loss, reason = "a share of some tasks")]
        let middle = summary.ended() as f64 >= done * summary.total as f64;
        let busy = summary.in_progress > 0 && !summary.is_finished();
        let id = owner.record.as_ref().map(|record| record.orchestrator.clone());
        id.filter(|_| middle && busy && self.is_passed_on()).map(|id| (id, blow))
    }

    /// Whether another owner has what the last victim had.
    pub(super) fn is_passed_on(&self) -> bool {
        self.struck.last().is_none_or(|struck| struck.successor.is_some())
    }

    /// This was done to the victim just now.
    pub(super) fn struck(&mut self, victim: &OrchestratorId, blow: Blow) -> String {
        let Some(plan) = self.plans.first().cloned() else { return String::new() };
        let state = self.plan(&plan);
        let running = state.map_or(0, |state| state.summary().in_progress);
        let term = state.and_then(|state| state.queue().owner().map(|(_, term)| term.number));
        let at = self.began.elapsed().as_secs_f64();
        let signal = match blow {
            Blow::Kill => "SIGKILL",
            Blow::Stop => "SIGSTOP",
        };
        let line = format!(
            "{at:>6.1}s    {BAD}{signal}{BAD:#} to {victim}, owner of {NAME}{plan}{NAME:#} with {} in progress",
            tasks(running)
        );
        let (victim, at) = (victim.clone(), Instant::now());
        self.struck.push(Struck { blow, plan, victim, term, at, successor: None });
        line
    }

    /// The process that was stopped goes on.
    pub(super) fn resumed(&self, id: &OrchestratorId) -> String {
        let at = self.began.elapsed().as_secs_f64();
        format!("{at:>6.1}s    SIGCONT to {id}, which has lost the plan and its commands")
    }

    /// Whether every plan has come to its end: all tasks ended, and it has no owner any more.
    pub(super) fn is_over(&self) -> bool {
        self.now.is_some() && self.plans.iter().all(|name| self.plan(name).is_some_and(is_over))
    }

    pub(super) fn all_tasks_ended(&self) -> bool {
        self.plans.iter().all(|name| self.plan(name).is_some_and(|plan| plan.summary().is_finished()))
    }

    /// What came of it all.
    pub(super) fn epilogue(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        for name in &self.plans {
            let Some(plan) = self.plan(name) else { continue };
            let summary = plan.summary();
            let failed =
                if summary.failed > 0 { format!(", {} failed", summary.failed) } else { String::new() };
            lines.push(format!(
                "{NAME}{name}{NAME:#}: {} of {} tasks completed{failed}",
                summary.completed, summary.total
            ));
        }
        for crash in &self.struck {
            let took = crash.successor.as_ref().map_or_else(
                || "no process had to take over".to_owned(),
                |(successor, took)| {
                    let term = crash
                        .term
                        .map_or_else(String::new, |term| format!(", whose term {term} counts as unclean"));
                    let how = match crash.blow {
                        Blow::Kill => "it was killed: its companion freed the plan",
                        Blow::Stop => "it was stopped: its session expired",
                    };
                    let (victim, took) = (&crash.victim, time(*took));
                    format!("{successor} took over from {victim}{term}, after {took} ({how}; TTL {TTL:?})")
                },
            );
            lines.push(took);
        }
        if !self.struck.is_empty() {
            let recovered = self.recovered.values().sum();
            lines.push(format!("{} recovered", tasks(recovered)));
        }
        lines
    }

    /// What is to be drawn.
    pub(super) fn scene(&self, fleet: &Fleet) -> Scene {
        let rows = self.plans.iter().filter_map(|name| self.plan(name).map(row));
        let fleet = fleet.members().map(|(id, _, state)| {
            let what = match state {
                State::Stopped => format!("{BAD}stopped{BAD:#}"),
                State::Killed => format!("{BAD}killed{BAD:#}"),
                State::Ended => "done".to_owned(),
                State::Running => self.doing(id),
            };
            format!("{id}: {what}")
        });
        Scene { rows: rows.collect(), fleet: fleet.collect() }
    }

    fn doing(&self, id: &OrchestratorId) -> String {
        let mut waits = false;
        for plan in self.plans.iter().filter_map(|name| self.plan(name)) {
            for (n, candidate) in plan.queue().candidates().iter().enumerate() {
                if candidate.record.as_ref().is_some_and(|record| record.orchestrator == *id) {
                    if n == 0 {
                        return format!("owns {NAME}{}{NAME:#}", plan.name());
                    }
                    waits = true;
                }
            }
        }
        if waits { "waits in the queue".to_owned() } else { "-".to_owned() }
    }

    fn plan(&self, name: &PlanName) -> Option<&PlanView> {
        self.now.as_ref()?.plan(name).map(AsRef::as_ref)
    }
}

/// A time to be compared with others of its kind: `8 ms`, `3.9 s`.
fn time(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

fn tasks(n: usize) -> String {
    counted(n, "task")
}

fn is_over(plan: &PlanView) -> bool {
    let summary = plan.summary();
    let nothing_left = summary.is_finished() || (summary.in_progress == 0 && plan.ready().next().is_none());
    nothing_left && plan.queue().candidates().is_empty()
}

fn row(plan: &PlanView) -> Row {
    let summary = plan.summary();
    let owner =
        plan.queue().owner().map(|(candidate, term)| format!("{}, token {}", candidate.name(), term.token()));
    let running = plan.tasks().values().filter(|task| task.record.status == TaskStatus::InProgress);
    Row {
        name: plan.name().to_string(),
        done: summary.ended(),
        total: summary.total,
        owner: owner
            .unwrap_or_else(|| if summary.is_finished() { "finished".into() } else { "no owner".into() }),
        running: running.map(|task| task.id.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use planlease::{
        Config, Coordinator, Endpoint, Identity, TryAcquire,
        core::{
            TaskId,
            spec::{PlanSpec, TaskSpec},
        },
    };
    use planlease_embedded::{Listen, Options, Server};
    use planlease_watcher::{Delivery, Filter, Watcher};

    use super::*;

    /// Acquired before anything was watched, and after it: each is reported, once.
    #[tokio::test]
    async fn every_acquisition_is_reported_once() {
        let server = Server::open(Options::in_memory(7)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run").join("etcd.sock");
        let bound = Listen::Unix { path: path.clone() }.bind().await.unwrap();
        let serving = server.serve_on(bound, std::future::pending::<()>());
        let story = async {
            let config = Config::with_endpoints(vec![Endpoint::Unix(path)]);
            let coordinator = Coordinator::connect(config).await.unwrap();
            let plan = PlanName::new("p").unwrap();
            let tasks = vec![TaskSpec::new(TaskId::new("1").unwrap(), "work")];
            coordinator
                .admin()
                .import(&plan, &PlanSpec { tasks, ..PlanSpec::default() }, |_| {})
                .await
                .unwrap();
            let session = coordinator.open_session(Identity::of_process()).await.unwrap();
            let acquire = async || match session.try_acquire(&plan).await.unwrap() {
                TryAcquire::Acquired(owner) => owner,
                busy => panic!("{busy:?}"),
            };
            let first = acquire().await;
            let watcher = Watcher::start(coordinator.clone());
            let mut news = watcher.subscribe(Filter::default(), None).await.unwrap();
            let Some(Delivery::Snapshot(snapshot, _)) = news.next().await else { panic!("no snapshot") };
            let mut story = Story::new(vec![plan.clone()], Instant::now());
            let lines = story.begin(snapshot.clone());
            assert!(lines.len() == 1 && lines[0].contains("token 1.1"), "{lines:?}");
            assert_eq!(story.begin(snapshot), Vec::<String>::new());
            first.release().await.unwrap();
            let _second = acquire().await;
            let mut lines = Vec::new();
            while !lines.iter().any(|line: &String| line.contains("token 1.2")) {
                let Some(Delivery::Changes(set)) = news.next().await else { panic!("no changes") };
                lines.extend(story.tell(&set));
            }
            assert_eq!(lines.iter().filter(|line| line.contains("acquired")).count(), 1, "{lines:?}");
        };
        tokio::select! {
            biased; // The story ends first.
            () = story => {}
            _ = serving => panic!("the server ended"),
        }
    }
}
