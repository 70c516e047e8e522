//! Workers: claim tasks of plans that others own, under their registrations, and die over them now
//! and then.

use std::time::Duration;

use planlease::core::session::Status;
use rand::RngExt as _;
use tokio::time::Instant;

use crate::{
    clients::{Life, Member},
    work::{self, Step},
    world::{Crew, Phase, World},
};

/// How many there are.
const WORKERS: usize = 2;

pub(crate) fn start(world: &World, crew: &mut Crew) {
    for n in 0..WORKERS {
        crew.join("a worker", work(Member::new(world, "worker", n + 1)));
    }
}

async fn work(mut member: Member) {
    while let Some(life) = member.life().await {
        live(&mut member, &life).await;
        if member.random.random_bool(0.5) && member.world.phase() == Phase::Storm {
            member.world.figures.count("close a session", "dropped");
            continue; // Its claims become orphans when its lease expires.
        }
        let closed = life.session.close().await;
        member.world.figures.answer("close a session", &closed);
    }
}

async fn live(member: &mut Member, life: &Life) {
    let end = Instant::now() + Duration::from_secs(member.random.random_range(15..90));
    loop {
        let phase = member.world.phase();
        let old = phase == Phase::Storm && Instant::now() >= end;
        if phase >= Phase::Still || old || !matches!(life.session.status(), Status::Live { .. }) {
            return;
        }
        visit(member, life).await;
        member.breathe(500..2500).await;
    }
}

/// Does some work of one plan.
async fn visit(member: &mut Member, life: &Life) {
    let coordinator = life.session.coordinator();
    let Some(plan) = member.unfinished(coordinator).await else { return };
    let Ok(authority) = coordinator.worker(&life.session, plan.name()) else { return };
    let mut stale = None;
    for _ in 0..member.random.random_range(1..12) {
        if member.world.phase() >= Phase::Still
            || work::step(member, life, &authority, &mut stale).await != Step::Done
        {
            return;
        }
        member.breathe(200..900).await;
    }
}
