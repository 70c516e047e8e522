//! Owners: acquire plans or wait in the queue for them, recover what others left, work, and let go in every
//! way there is.

use std::time::Duration;

use planlease::{
    AcquireOptions, Error, Ownership, PlanView, TryAcquire,
    core::{OrchestratorId, PlanName},
};
use rand::{RngExt as _, seq::IndexedRandom as _};
use tokio::time::Instant;

use crate::{
    actions::{Reply, What},
    clients::{Life, Member},
    work::{self, Step},
    world::{Crew, Phase, World},
};

/// How many there are.
const OWNERS: usize = 3;

/// How long one stays with a plan at most, as long as others may want it.
const STEPS_MAX: usize = 60;

pub(crate) fn start(world: &World, crew: &mut Crew) {
    for n in 0..OWNERS {
        crew.join("an owner", own(Member::new(world, "owner", n)));
    }
}

/// One session after the other.
async fn own(mut member: Member) {
    while let Some(life) = member.life().await {
        live(&mut member, &life).await;
        if member.random.random_bool(0.3) && member.world.phase() == Phase::Storm {
            member.world.figures.count("close a session", "dropped");
            continue; // As a crash does: its lease expires.
        }
        let closed = life.session.close().await;
        member.world.figures.answer("close a session", &closed);
    }
}

async fn live(member: &mut Member, life: &Life) {
    let end = Instant::now() + Duration::from_secs(member.random.random_range(20..120));
    let is_over = |member: &Member| {
        let phase = member.world.phase();
        let old = phase == Phase::Storm && Instant::now() >= end;
        phase >= Phase::Still
            || old
            || !matches!(life.session.status(), planlease::core::session::Status::Live { .. })
    };
    while !is_over(member) {
        let Some(plan) = member.unfinished(life.session.coordinator()).await else {
            member.breathe(1000..3000).await;
            continue;
        };
        let acquired = acquire(member, life, plan.name()).await;
        if let Some(ownership) = acquired
            && !execute(member, life, ownership).await
        {
            return;
        }
        member.breathe(300..1500).await;
    }
}

async fn acquire(member: &mut Member, life: &Life, plan: &PlanName) -> Option<Ownership> {
    let entered = member.world.actions.enter(&life.name, plan, What::Acquire);
    let way = member.random.random_range(0..10);
    let wait = Duration::from_millis(member.random.random_range(10..8000));
    let answer = match way {
        0..5 => match life.session.try_acquire(plan).await {
            Ok(TryAcquire::Acquired(ownership)) => Ok(*ownership),
            Ok(TryAcquire::HeldBy(_) | TryAcquire::Delayed(_)) => {
                member.world.figures.count("acquire", "held by another");
                entered.reported(Reply::Refused("held by another".to_owned()));
                return None;
            }
            Err(error) => Err(error),
        },
        5..9 => {
            let options = AcquireOptions::default().wait(wait);
            life.session.acquire(plan, options).await
        }
        _ => {
            let waiting = life.session.acquire(plan, AcquireOptions::default());
            match tokio::time::timeout(wait / 4, waiting).await {
                Ok(answer) => answer,
                Err(_) => {
                    member.world.figures.count("acquire", "dropped");
                    return None;
                }
            }
        }
    };
    member.world.figures.answer("acquire", &answer);
    entered.reported(Reply::of(&answer, |ownership| Some(ownership.term().number)));
    answer.ok()
}

/// Works on the plan for a while and lets go. Whether the session is still to be used.
async fn execute(member: &mut Member, life: &Life, ownership: Ownership) -> bool {
    believe(&member.world, &ownership);
    let recovered = life.client.recover(&ownership).await;
    member.world.figures.answer("recover", &recovered);
    let authority = ownership.authority();
    let mut stale = None;
    let mut idle = 0;
    for _ in 0..member.random.random_range(5..STEPS_MAX) {
        if member.world.phase() >= Phase::Still || ownership.deadline().is_none() {
            break;
        }
        match work::step(member, life, &authority, &mut stale).await {
            Step::Done => idle = 0,
            Step::Finished | Step::Gone => break,
            Step::Idle => {
                idle += 1;
                let repaired = idle <= 5 && look_around(member, life, &ownership, stale.as_ref()).await;
                if !repaired && idle > 5 {
                    break;
                }
            }
        }
        believe(&member.world, &ownership);
        member.breathe(200..1000).await;
        believe(&member.world, &ownership);
    }
    let_go(member, life, ownership).await
}

/// Nothing is ready: perhaps because a task failed, or a worker died.
async fn look_around(
    member: &mut Member,
    life: &Life,
    ownership: &Ownership,
    view: Option<&PlanView>,
) -> bool {
    if let Some(view) = view
        && work::repair(member, life, &ownership.authority(), view).await
    {
        return true;
    }
    let recovered = life.client.recover(ownership).await;
    member.world.figures.answer("recover", &recovered);
    recovered.is_ok_and(|(recovered, _)| !recovered.is_empty())
}

/// Notes that the ownership is believed in. The time is taken first: it is believed in then, or later.
fn believe(world: &World, ownership: &Ownership) {
    let now = world.now();
    if ownership.deadline().is_some() {
        world.actions.believed(ownership.plan(), ownership.term().number, now);
    }
}

/// Whether the session is still to be used.
async fn let_go(member: &mut Member, life: &Life, ownership: Ownership) -> bool {
    let (plan, term) = (ownership.plan().clone(), ownership.term().number);
    match member.random.random_range(0..10) {
        0 => {
            member.world.figures.count("release", "dropped");
            drop(ownership); // The session's task releases it.
            true
        }
        1 => {
            member.world.figures.count("release", "crashed");
            member.crash(life).await;
            false // The lease expires, some time after its holder does not believe in it any more.
        }
        2..5 => {
            let Some(to) = has_waiter(member, life, &plan).await else {
                return release(member, life, ownership).await;
            };
            let entered = member.world.actions.enter(&life.name, &plan, What::HandOver(term));
            match ownership.hand_over(&to).await {
                Ok(()) => {
                    entered.reported(Reply::Done(None));
                    member.world.figures.count("hand over", "done");
                    true
                }
                Err(failed) => {
                    let (ownership, error) = failed.into_parts();
                    let answer: Result<(), Error> = Err(error);
                    member.world.figures.answer("hand over", &answer);
                    entered.reported(Reply::of(&answer, |()| None));
                    drop(ownership);
                    true
                }
            }
        }
        _ => release(member, life, ownership).await,
    }
}

async fn release(member: &Member, life: &Life, ownership: Ownership) -> bool {
    let what = What::Release(ownership.term().number);
    let entered = member.world.actions.enter(&life.name, ownership.plan(), what);
    let released = ownership.release().await;
    member.world.figures.answer("release", &released);
    entered.reported(Reply::of(&released, |()| None));
    // A plan that was not released is ours until the session ends: so it has to end.
    released.is_ok()
}

async fn has_waiter(member: &mut Member, life: &Life, plan: &PlanName) -> Option<OrchestratorId> {
    let line = life.session.coordinator().queue(plan).await.ok()?;
    let waiting: Vec<OrchestratorId> = line
        .candidates()
        .iter()
        .skip(1)
        .filter_map(|candidate| Some(candidate.record.as_ref()?.orchestrator.clone()))
        .collect();
    waiting.choose(&mut member.random).cloned()
}
