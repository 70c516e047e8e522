//! Clients of the library within this process: each with connections and a clock of its own, under a new name
//! for each session.

use std::{sync::Arc, time::Duration};

use planlease::{Coordinator, Identity, PlanView, Session, core::OrchestratorId};
use planlease_oracle::Client;
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{
    clock::JumpingClock,
    world::{Phase, TTL, World},
};

/// How long until etcd is asked again that did not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether that is the name of an owner of the soak's own.
pub(crate) fn is_owner(name: &str) -> bool {
    name.starts_with("owner-")
}

/// Whether that is the name of one who takes part, and not of a process.
pub(crate) fn is_own(name: &str) -> bool {
    ["owner-", "worker-", "operator-"].iter().any(|role| name.starts_with(role))
}

/// One who takes part, over all of its sessions.
pub(crate) struct Member {
    pub(crate) world: World,
    pub(crate) random: StdRng,
    role: &'static str,
    n: usize,
    sessions: usize,
    coordinator: Option<Coordinator>,
    clock: Option<Arc<JumpingClock>>,
}

/// A session of one who takes part: as far as etcd can see, a process.
pub(crate) struct Life {
    pub(crate) name: String,
    pub(crate) session: Session,
    pub(crate) client: Client,
}

impl Member {
    pub(crate) fn new(world: &World, role: &'static str, n: usize) -> Self {
        let random = world.random(role, n);
        Self { world: world.clone(), random, role, n, sessions: 0, coordinator: None, clock: None }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.role, self.n)
    }

    /// Until it is connected; `None` at the end.
    pub(crate) async fn coordinator(&mut self) -> Option<Coordinator> {
        while self.world.phase() < Phase::Still {
            if let Some(coordinator) = &self.coordinator {
                return Some(coordinator.clone());
            }
            let (config, clock) = self.world.config(self.role, self.n);
            self.clock = Some(clock);
            let connected = Coordinator::connect(config).await;
            self.world.figures.answer("connect", &connected);
            match connected {
                Ok(coordinator) => self.coordinator = Some(coordinator),
                Err(_) => self.world.pause(AGAIN).await,
            }
        }
        None
    }

    /// Until it has a session; `None` at the end.
    pub(crate) async fn life(&mut self) -> Option<Life> {
        while self.world.phase() < Phase::Still {
            let coordinator = self.coordinator().await?;
            self.sessions += 1;
            let name = format!("{}.{}", self.name(), self.sessions);
            let id = Some(OrchestratorId::new(&name).unwrap());
            let opened = coordinator.open_session(Identity::of_process().id(id)).await;
            self.world.figures.answer("open a session", &opened);
            match opened {
                Ok(session) => {
                    let client = Client::new(&name, self.world.journal.clone());
                    return Some(Life { name, session, client });
                }
                Err(_) => self.world.pause(AGAIN).await,
            }
        }
        None
    }

    /// As a machine does that sleeps for long: the session is lost without notice, and its lease
    /// expires.
    pub(crate) async fn crash(&self, life: &Life) {
        if let Some(clock) = &self.clock {
            clock.sleep(TTL * 10);
            life.session.lost().await;
        }
    }

    /// Waits a while, so that the machine has time for others.
    pub(crate) async fn breathe(&mut self, ms: std::ops::Range<u64>) {
        let long = Duration::from_millis(self.random.random_range(ms));
        self.world.pause(long).await;
    }

    /// A plan that is not finished.
    pub(crate) async fn unfinished(&mut self, coordinator: &Coordinator) -> Option<PlanView> {
        let plans = coordinator.plans().await;
        self.world.figures.answer("read all plans", &plans);
        let open: Vec<PlanView> =
            plans.ok()?.into_iter().filter(|plan| !plan.summary().is_finished()).collect();
        open.choose(&mut self.random).cloned()
    }
}
