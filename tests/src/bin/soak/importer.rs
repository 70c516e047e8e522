//! The importer: brings new plans in, one after the other, sometimes large ones, sometimes two at once under
//! one name, and deletes finished ones.

use planlease::{Coordinator, PlanView, core::PlanName};
use rand::{RngExt as _, seq::IndexedRandom as _};

use crate::{
    actions::{Reply, What},
    clients::Member,
    plans,
    work::{patiently, words},
    world::{Crew, Phase, World},
};

/// How many plans are unfinished at one time.
const OPEN: usize = 6;

/// How many finished ones are kept.
const FINISHED: usize = 4;

/// How many names are used again and again, after what had them was deleted. Others are used once.
const NAMES: usize = 12;

pub(crate) fn start(world: &World, crew: &mut Crew) {
    crew.join("the importer", bring(world.clone()));
}

async fn bring(world: World) {
    let (mut one, mut other) = (Member::new(&world, "importer", 0), Member::new(&world, "importer", 1));
    let mut count = 0_usize;
    while world.phase() == Phase::Storm
        && let (Some(coordinator), Some(second)) = (one.coordinator().await, other.coordinator().await)
    {
        let Ok(there) = coordinator.plans().await else {
            one.breathe(500..1500).await;
            continue;
        };
        let (finished, open): (Vec<_>, Vec<_>) = there.iter().partition(|plan| plan.summary().is_finished());
        if open.len() < OPEN {
            count += 1;
            let name = name(&mut one, count, &there);
            let rivals = one.random.random_bool(0.1);
            let imports = async {
                let first = import(&mut one, &coordinator, &name, count);
                if rivals {
                    tokio::join!(first, import(&mut other, &second, &name, count));
                } else {
                    first.await;
                }
            };
            imports.await;
        }
        if finished.len() > FINISHED {
            delete(&mut one, &coordinator, &finished).await;
        }
        one.breathe(500..2500).await;
    }
}

fn name(member: &mut Member, count: usize, there: &[PlanView]) -> PlanName {
    let again = PlanName::new(format!("again-{}", member.random.random_range(0..NAMES))).unwrap();
    if member.random.random_bool(0.4) && !there.iter().any(|plan| *plan.name() == again) {
        return again;
    }
    PlanName::new(format!("plan-{count:04}")).unwrap()
}

async fn import(member: &mut Member, coordinator: &Coordinator, name: &PlanName, count: usize) {
    let who = member.name();
    let title = words(&who);
    let spec = plans::draw(&title, count.is_multiple_of(15), &mut member.random);
    let entered = member.world.actions.enter(&who, name, What::Import(title));
    let import = coordinator.admin().import(name, &spec, |_| {});
    let Some(answer) = patiently(&mut member.random, import).await else {
        return member.world.figures.count("import", "dropped");
    };
    member.world.figures.answer("import", &answer);
    entered.reported(Reply::of(&answer, |_| None));
}

async fn delete(member: &mut Member, coordinator: &Coordinator, finished: &[&PlanView]) {
    let Some(plan) = finished.choose(&mut member.random) else { return };
    let entered = member.world.actions.enter(&member.name(), plan.name(), What::Delete);
    let answer = coordinator.admin().delete(plan.name()).await;
    member.world.figures.answer("delete a plan", &answer);
    entered.reported(Reply::of(&answer, |()| None));
}
