//! The nemesis: breaks one thing after the other, as the seed says, and mends it again. Of the cluster at
//! most a minority is broken at a time, but for a total outage now and then; processes and clocks are broken
//! besides.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease_tests::proxy::{Direction, GoAway, Way};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{
    fleet,
    world::{Crew, Phase, World},
};

/// What can be done to the cluster.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Pause,
    Cut,
    Reset,
    Silence,
    FreezeConnections,
    LoseAnswers,
    LoseRequests,
    Deaf,
    Mute,
    Delay,
    Throttle,
    HoldRequest,
    GoAway,
    Isolate,
    Deafen,
    MoveLeader,
    Compact,
    CompactBehindWatchers,
    OutageMute,
    OutageCut,
    OutagePause,
    OutageKill,
}

/// With how often each is drawn.
const FAULTS: [(Fault, u32); 23] = [
    (Fault::Kill, 4),
    (Fault::Pause, 4),
    (Fault::Cut, 3),
    (Fault::Reset, 3),
    (Fault::Silence, 3),
    (Fault::FreezeConnections, 3),
    (Fault::LoseAnswers, 6),
    (Fault::LoseRequests, 2),
    (Fault::Deaf, 3),
    (Fault::Mute, 3),
    (Fault::Delay, 3),
    (Fault::Throttle, 1),
    (Fault::HoldRequest, 5),
    (Fault::GoAway, 2),
    (Fault::Isolate, 3),
    (Fault::Deafen, 3),
    (Fault::MoveLeader, 3),
    (Fault::Compact, 2),
    (Fault::CompactBehindWatchers, 4),
    (Fault::OutageMute, 2),
    (Fault::OutageCut, 2),
    (Fault::OutagePause, 2),
    (Fault::OutageKill, 2),
];

/// The requests whose answers are lost, or that are held up.
const METHODS: [&str; 4] = ["KV/Txn", "KV/Txn", "KV/Range", "Lease/LeaseGrant"];

pub(crate) fn start(world: &World, crew: &mut Crew) {
    crew.join("the nemesis of the cluster", break_cluster(world.clone()));
    crew.join("the nemesis of processes", break_processes(world.clone()));
}

async fn break_cluster(world: World) {
    let mut random = world.random("nemesis", 0);
    pause(&world, &mut random, 3000..6000).await;
    while world.phase() == Phase::Storm {
        let fault = draw(&mut random);
        let member = random.random_range(0..world.cluster.members().len());
        world.figures.count("fault of the cluster", format!("{fault:?}"));
        inflict(&world, &mut random, fault, member).await;
        world.cluster.heal();
        pause(&world, &mut random, 500..6000).await;
    }
}

fn draw(random: &mut StdRng) -> Fault {
    FAULTS.choose_weighted(random, |(_, weight)| *weight).expect("weights above 0").0
}

async fn pause(world: &World, random: &mut StdRng, ms: std::ops::Range<u64>) {
    world.pause(Duration::from_millis(random.random_range(ms))).await;
}

/// Until it is repaired, but for what the proxies do.
async fn inflict(world: &World, random: &mut StdRng, fault: Fault, member: usize) {
    let cluster = &world.cluster;
    let victim = &cluster.members()[member];
    let all = 0..cluster.members().len();
    match fault {
        Fault::Kill => {
            victim.kill();
            pause(world, random, 500..10_000).await;
            cluster.restart([member]);
        }
        Fault::Pause => {
            victim.pause();
            pause(world, random, 500..10_000).await;
            victim.resume();
        }
        Fault::MoveLeader => {
            cluster.move_leader(member).await;
        }
        Fault::Compact => compact(world).await,
        Fault::CompactBehindWatchers => {
            cluster.cut_watchers();
            pause(world, random, 2000..8000).await;
            compact(world).await;
        }
        Fault::Isolate => {
            cluster.etcd.isolate(member);
            pause(world, random, 1000..10_000).await;
        }
        Fault::Deafen => {
            for other in all.filter(|other| *other != member) {
                cluster.etcd.deafen(other, member);
            }
            pause(world, random, 1000..10_000).await;
        }
        Fault::OutageMute => {
            // All requests are carried out, and no answer arrives.
            for member in cluster.members() {
                member.proxy().set(Direction::ToClient, Way::Swallowed);
            }
            pause(world, random, 1000..8000).await;
        }
        Fault::OutageCut => {
            cluster.members().iter().for_each(|member| member.proxy().cut());
            pause(world, random, 2000..15_000).await;
        }
        Fault::OutagePause => {
            cluster.members().iter().for_each(planlease_tests::etcd::Member::pause);
            pause(world, random, 2000..12_000).await;
            cluster.members().iter().for_each(planlease_tests::etcd::Member::resume);
        }
        Fault::OutageKill => {
            cluster.members().iter().for_each(planlease_tests::etcd::Member::kill);
            pause(world, random, 500..5000).await;
            cluster.restart(all);
        }
        fault => meddle(world, random, fault, member).await,
    }
}

/// Not beyond what is recorded: the history is what everything is judged by.
async fn compact(world: &World) {
    let done = world.cluster.compact(world.history.recorded()).await;
    world.figures.count("compaction", if done { "done" } else { "not done" });
}

/// What a proxy does to the clients of one member.
async fn meddle(world: &World, random: &mut StdRng, fault: Fault, member: usize) {
    let proxy = world.cluster.members()[member].proxy();
    match fault {
        Fault::Reset => return proxy.reset_connections(),
        Fault::GoAway => {
            let how = if random.random_bool(0.5) { GoAway::Graceful } else { GoAway::TooManyPings };
            return proxy.go_away(how);
        }
        Fault::Cut => proxy.cut(),
        Fault::Silence => proxy.silence(),
        Fault::FreezeConnections => proxy.freeze_connections(),
        Fault::Deaf => proxy.set(Direction::ToServer, held_or_swallowed(random)),
        Fault::Mute => proxy.set(Direction::ToClient, held_or_swallowed(random)),
        Fault::Delay => {
            proxy.set(Direction::ToServer, Way::Delayed(Duration::from_millis(random.random_range(10..800))));
            proxy.set(Direction::ToClient, Way::Delayed(Duration::from_millis(random.random_range(10..800))));
        }
        Fault::Throttle => proxy.set(Direction::ToClient, Way::Throttled(random.random_range(2_000..50_000))),
        Fault::HoldRequest => return hold_requests(world, random).await,
        _ => return lose(world, random, fault).await,
    }
    pause(world, random, 500..12_000).await;
}

fn held_or_swallowed(random: &mut StdRng) -> Way {
    if random.random_bool(0.5) { Way::Held } else { Way::Swallowed }
}

/// Single answers, or requests, are lost, of any client.
async fn lose(world: &World, random: &mut StdRng, fault: Fault) {
    for _ in 0..random.random_range(2..12) {
        let proxy = world.cluster.members().choose(random).expect("a member").proxy();
        let method = METHODS.choose(random).expect("a method");
        // What is not sprung until then is gone with the next healing.
        let _trap = match fault {
            Fault::LoseRequests => proxy.lose_request(method),
            _ => proxy.lose_answer(method),
        };
        pause(world, random, 50..1500).await;
    }
}

/// Single requests arrive long after their senders gave up on them.
async fn hold_requests(world: &World, random: &mut StdRng) {
    let mut traps = Vec::new();
    for _ in 0..random.random_range(1..5) {
        let proxy = world.cluster.members().choose(random).expect("a member").proxy();
        traps.push(proxy.hold_request("KV/Txn"));
        pause(world, random, 50..1000).await;
    }
    pause(world, random, 1000..10_000).await;
    for trap in traps.iter().filter(|trap| trap.has_sprung()) {
        trap.deliver();
    }
}

async fn break_processes(world: World) {
    let mut random = world.random("nemesis", 1);
    while world.phase() == Phase::Storm {
        pause(&world, &mut random, 2000..12_000).await;
        if world.phase() != Phase::Storm {
            break;
        }
        let n = random.random_range(0..100);
        let what = match random.random_range(0..10) {
            0..3 => world.fleet.kill(n).then_some("kill -9 of an orchestrator"),
            3..6 => {
                let long = Duration::from_millis(random.random_range(200..14_000));
                world.fleet.stop(n, long).then_some("an orchestrator is stopped for a while")
            }
            6 | 7 => kill_one(&world, &mut random).then_some("kill -9 of any process of the fleet"),
            _ => {
                jump(&world, &mut random);
                Some("a clock jumps")
            }
        };
        if let Some(what) = what {
            world.figures.count("fault of a process", what);
        }
    }
    world.fleet.resume(true);
}

/// Supervisors and commands too; they are distinguished from orchestrators, whose death has to be known of.
fn kill_one(world: &World, random: &mut StdRng) -> bool {
    let chosen = fleet::processes(world).choose(random).copied();
    let Some(pid) = chosen.filter(|pid| !fleet::is_orchestrator(*pid)) else { return false };
    kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() // It may have ended meanwhile.
}

fn jump(world: &World, random: &mut StdRng) {
    let clocks = world.clocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(clock) = clocks.choose(random) else { return };
    if random.random_bool(0.5) {
        clock.sleep(Duration::from_millis(random.random_range(500..60_000)));
    } else {
        clock.set_wall(random.random_range(-3_600_000..3_600_000));
    }
}
