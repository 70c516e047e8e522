//! The fleet: processes `planlease run --all --until-idle`, each started again in its place when it has
//! ended. They end by themselves when nothing is left to be done; new plans need new processes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::sys::signal::Signal;
use planlease::Coordinator;
use planlease_tests::program::{Process, Program, arguments, with_variable};
use tokio::time::Instant;

use crate::world::{Crew, Phase, TTL, World};

/// How many places there are.
const PLACES: usize = 3;

/// How often a free place is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The exit status of a process that has done what it could.
const DONE: [i32; 2] = [0, 10];

/// Those of one that did not reach the cluster: no server answers, no answer came, the time is up.
const NOT_REACHED: [i32; 3] = [102, 103, 118];

/// The variable by which everything that the fleet starts is found. It holds the folder.
pub(crate) const MARK: &str = "SOAK";

/// The places.
#[derive(Debug, Default)]
pub(crate) struct Fleet(Mutex<Vec<Place>>);

#[derive(Debug)]
struct Place {
    process: Option<Process>,
    output: String,
    count: usize,
    started: Phase,
    killed: bool,
    /// Until when it is stopped.
    stopped: Option<Instant>,
}

impl Fleet {
    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills a process as a power cut would; whether there was one.
    pub(crate) fn kill(&self, n: usize) -> bool {
        let mut places = self.lock();
        let count = places.len();
        let Some(place) = places.get_mut(n % count.max(1)) else { return false };
        place.killed = true;
        place.signal(Signal::SIGKILL)
    }

    /// Stops a process for a while.
    pub(crate) fn stop(&self, n: usize, long: Duration) -> bool {
        let mut places = self.lock();
        let count = places.len();
        let Some(place) = places.get_mut(n % count.max(1)) else { return false };
        place.stopped = Some(Instant::now() + long);
        place.signal(Signal::SIGSTOP)
    }

    /// Lets those go on whose time has come; all, if `all`.
    pub(crate) fn resume(&self, all: bool) {
        for place in self.lock().iter_mut() {
            if place.stopped.is_some_and(|until| all || until <= Instant::now()) {
                place.stopped = None;
                place.signal(Signal::SIGCONT);
            }
        }
    }

    /// What is still running.
    pub(crate) fn running(&self) -> Vec<String> {
        let mut places = self.lock();
        let running = places.iter_mut().filter_map(|place| {
            let ended = place.process.as_mut()?.ended();
            ended.is_none().then(|| place.output.clone())
        });
        running.collect()
    }

    /// Ends everything at once.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}

impl Place {
    fn signal(&mut self, signal: Signal) -> bool {
        let Some(process) = &mut self.process else { return false };
        let runs = process.ended().is_none();
        process.signal(signal);
        runs
    }

    /// If its process has ended: what is wrong with how it did.
    fn look(&mut self, world: &World) {
        let Some(process) = &mut self.process else { return };
        let Some(status) = process.ended() else { return };
        let said = process.said();
        let code = status.code();
        let early = self.started == Phase::Storm;
        let outcome = match code {
            None => "killed",
            Some(code) if DONE.contains(&code) => "done",
            Some(code) if NOT_REACHED.contains(&code) => "cluster not reached",
            Some(_) => "other",
        };
        world.figures.count("process", outcome);
        let expected = match outcome {
            "killed" => self.killed,
            "cluster not reached" => early,
            outcome => outcome == "done",
        };
        if !expected || said.contains("panicked at") {
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            world.figures.violation(format!("process {} ended with {status}: {last:?}", self.output));
        }
        self.process = None;
    }
}

pub(crate) fn start(world: &World, crew: &mut Crew) {
    crew.join("the fleet", keep(world.clone()));
}

async fn keep(world: World) {
    for _ in 0..PLACES {
        let place = Place {
            process: None,
            output: String::new(),
            count: 0,
            started: Phase::Storm,
            killed: false,
            stopped: None,
        };
        world.fleet.lock().push(place);
    }
    let mut coordinator: Option<Coordinator> = None;
    while world.phase() < Phase::Still {
        world.fleet.resume(false);
        let free = {
            let mut places = world.fleet.lock();
            places.iter_mut().for_each(|place| place.look(&world));
            places.iter().position(|place| place.process.is_none())
        };
        if let Some(n) = free {
            if coordinator.is_none() {
                coordinator = Coordinator::connect(world.direct_config()).await.ok();
            }
            if is_work_left(coordinator.as_ref()).await && world.phase() < Phase::Still {
                occupy(&world, n);
            }
        }
        world.pause(LOOK).await;
    }
}

async fn is_work_left(coordinator: Option<&Coordinator>) -> bool {
    let Some(coordinator) = coordinator else { return false };
    let plans = coordinator.plans().await.unwrap_or_default();
    plans.iter().any(|plan| !plan.summary().is_finished())
}

fn occupy(world: &World, n: usize) {
    let program = Program::planlease(world.folder())
        .variable("PLANLEASE_ENDPOINTS", world.endpoints(n).join(","))
        .variable("PLANLEASE_ROOT", world.root())
        .variable("PLANLEASE_TTL", format!("{}ms", TTL.as_millis()))
        .variable(MARK, world.folder());
    let mut places = world.fleet.lock();
    let Some(place) = places.get_mut(n) else { return };
    place.count += 1;
    place.output = format!("run-{n}.{}", place.count);
    place.started = world.phase();
    (place.killed, place.stopped) = (false, None);
    let args = ["run", "--all", "--until-idle", "--jobs", "2", "--max-plans", "2", "-o", "jsonl"];
    place.process = Some(Process::start(program.command(args), &world.path(&place.output)));
    world.figures.count("process", "started");
}

/// Everything that the fleet has started: guards and commands too.
pub(crate) fn processes(world: &World) -> Vec<i32> {
    with_variable(MARK, &world.folder().to_string_lossy())
}

/// Whether it is one of the places' own processes, and not a supervisor or a command.
pub(crate) fn is_orchestrator(pid: i32) -> bool {
    arguments(pid).get(1).is_some_and(|argument| argument == "run")
}
