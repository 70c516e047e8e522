//! The orchestrator processes of the demo: this very program, started several times as `planlease run`.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease::core::{OrchestratorId, PlanName, spec::PlanSpec};
use tokio::time::Instant;

use super::{left, stage::Stage};
use crate::{environment::Environment, failure::Failure};

/// How many orchestrators to start, and what each runs.
pub(super) struct Crew<'a> {
    pub(super) orchestrators: u8,
    pub(super) jobs: u8,
    pub(super) exec: &'a str,
}

/// The demo's orchestrators. Those that are left are killed when it is dropped.
#[derive(Default)]
pub(super) struct Fleet {
    members: Vec<Member>,
}

/// One of the processes.
struct Member {
    id: OrchestratorId,
    process: Child,
    state: State,
}

/// What the demo does to an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// SIGKILL: it has no chance to report or release anything.
    Kill,
    /// SIGSTOP: it is there, and does nothing.
    Stop,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It runs.
    Running,
    /// It was stopped by the demo.
    Stopped,
    /// It was killed by the demo.
    Killed,
    /// It has ended.
    Ended,
}

impl Member {
    /// Sends it a signal. It was not waited for, so its number is its own.
    fn send(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(pid), signal); // It may have ended.
        }
    }
}

impl Fleet {
    /// Starts the processes. What they say goes to files of the stage's folder, as do their temporary files.
    pub(super) fn start(
        &mut self,
        stage: &Stage,
        environment: &Environment,
        crew: &Crew<'_>,
        plans: &[(PlanName, PlanSpec)],
    ) -> Result<(), Failure> {
        let system = |error: &std::io::Error| Failure::system("cannot start an orchestrator", error);
        for n in 1..=crew.orchestrators {
            let id = OrchestratorId::new(format!("orchestrator-{n}"))?;
            let log =
                File::create(stage.folder().join(format!("{id}.log"))).map_err(|error| system(&error))?;
            let errors = log.try_clone().map_err(|error| system(&error))?;
            let program = std::env::current_exe().map_err(|error| system(&error))?;
            let mut command = Command::new(program);
            for (name, value) in stage.settings().for_commands(environment) {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            let process = command
                .env(left::VARIABLE, stage.folder())
                .env_remove("XDG_RUNTIME_DIR")
                .arg("run")
                .args(plans.iter().map(|(name, _)| name.as_str()))
                .args(["--id", id.as_str(), "--max-plans", "1", "--jobs", &crew.jobs.to_string()])
                .args(["--exec", crew.exec])
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .spawn()
                .map_err(|error| system(&error))?;
            self.members.push(Member { id, process, state: State::Running });
        }
        Ok(())
    }

    pub(super) fn describe(&self) -> String {
        let each =
            self.members.iter().map(|member| format!("{} (process {})", member.id, member.process.id()));
        each.collect::<Vec<_>>().join(", ")
    }

    /// The processes by name, with what is known of them.
    pub(super) fn members(&self) -> impl Iterator<Item = (&OrchestratorId, u32, State)> {
        self.members.iter().map(|member| (&member.id, member.process.id(), member.state))
    }

    /// Kills or stops a process that runs, if another one is left to take over. Whether it did.
    pub(super) fn strike(&mut self, id: &OrchestratorId, blow: Blow) -> bool {
        let others = self.members.iter().any(|member| member.id != *id && member.state == State::Running);
        let victim =
            self.members.iter_mut().find(|member| member.id == *id && member.state == State::Running);
        let Some(member) = victim.filter(|_| others) else { return false };
        match blow {
            Blow::Kill => {
                // A process that has just ended cannot be killed, and need not be.
                drop(member.process.kill());
                drop(member.process.wait());
                member.state = State::Killed;
            }
            Blow::Stop => {
                member.send(Signal::SIGSTOP);
                member.state = State::Stopped;
            }
        }
        true
    }

    /// Lets the process go on that was stopped, if there is one.
    pub(super) fn resume(&mut self) -> Option<OrchestratorId> {
        let member = self.members.iter_mut().find(|member| member.state == State::Stopped)?;
        member.send(Signal::SIGCONT);
        member.state = State::Running;
        Some(member.id.clone())
    }

    /// A process that failed without having been killed.
    pub(super) fn died_by_itself(&mut self) -> Option<String> {
        for member in self.members.iter_mut().filter(|member| member.state == State::Running) {
            if let Ok(Some(status)) = member.process.try_wait() {
                member.state = State::Ended;
                // Some task may have failed: the audit and the story show it. Anything else is a failure of
                // ours.
                if !status.success()
                    && status.code() != Some(i32::from(crate::exit::Exit::TasksFailed.code()))
                {
                    return Some(format!("{} ended with {status}", member.id));
                }
            }
        }
        None
    }

    /// Asks those that are left to end at once, which releases what they have, and waits for that.
    pub(super) async fn end(&mut self, within: Duration) {
        for member in &mut self.members {
            if matches!(member.state, State::Running | State::Stopped) {
                // Two requests: the second one stops what runs. The same signal twice could arrive as one.
                for signal in [Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGCONT] {
                    member.send(signal);
                }
                member.state = State::Running;
            }
        }
        drop(self.leave(within).await); // The others are killed when it is dropped.
    }

    /// Waits until all have ended by themselves; the first one that has not after that time, if any.
    pub(super) async fn leave(&mut self, within: Duration) -> Result<(), OrchestratorId> {
        let deadline = Instant::now() + within;
        for member in &mut self.members {
            while member.state == State::Running {
                if matches!(member.process.try_wait(), Ok(Some(_))) {
                    member.state = State::Ended;
                } else if Instant::now() >= deadline {
                    return Err(member.id.clone());
                } else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &mut self.members {
            if matches!(member.state, State::Running | State::Stopped) {
                drop(member.process.kill());
                drop(member.process.wait());
            }
        }
    }
}
