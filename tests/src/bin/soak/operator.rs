//! Operators: people who meddle. They retry, skip, reopen, do tasks manually, and end ownerships by force.
//! What they began themselves they end: no other actor will.

use planlease::{
    Authority, Outcome, PlanView, Reason, TaskView,
    core::{
        TaskId,
        transition::{Change, TaskStatus},
    },
};
use planlease_oracle::Client;
use rand::{RngExt as _, seq::IndexedRandom as _};

use crate::{
    actions::{Reply, What},
    clients::Member,
    work::words,
    world::{Crew, Phase, World},
};

/// How many there are: they get into each other's way too.
const OPERATORS: usize = 2;

pub(crate) fn start(world: &World, crew: &mut Crew) {
    for n in 0..OPERATORS {
        crew.join("an operator", meddle(Member::new(world, "operator", n)));
    }
}

async fn meddle(mut member: Member) {
    let who = member.name();
    let client = Client::new(&who, member.world.journal.clone());
    while let Some(coordinator) = member.coordinator().await {
        if let Some(plan) = member.unfinished(&coordinator).await
            && let Ok(view) = client.plan(&coordinator, plan.name()).await
        {
            if member.world.phase() == Phase::Storm && member.random.random_bool(0.1) {
                let reason = words(&who);
                let entered = member.world.actions.enter(&who, view.name(), What::Force(reason.clone()));
                let forced = coordinator
                    .admin()
                    .force_release(view.name(), None, &Reason::by(&who).because(&reason))
                    .await;
                member.world.figures.answer("force a release", &forced);
                entered.reported(Reply::of(&forced, |released| released.term));
            } else if let Ok(authority) = coordinator.operator(&view, &who)
                && let Some((kind, seen, change)) = decide(&mut member, &view, &who)
            {
                carry_out(&member, &client, &authority, (kind, &seen, &change), &view).await;
            }
        }
        member.breathe(1000..4000).await;
    }
}

async fn carry_out(
    member: &Member,
    client: &Client,
    authority: &Authority,
    (kind, seen, change): (&'static str, &TaskView, &Change),
    view: &PlanView,
) {
    let answer = match change {
        Change::Start => client.start(authority, view, &seen.id).await,
        _ => client.update(authority, seen, None, change).await,
    };
    member.world.figures.update(kind, &answer);
    if let (Ok(Outcome::Committed(started)), Change::Start) = (&answer, change) {
        let done = Change::Complete(Some(words(&authority.writer().who)));
        let answer = client.update(authority, started, Some(started.record.attempt), &done).await;
        member.world.figures.update("manually: complete", &answer);
    }
}

/// What is to be done about a plan.
fn decide(member: &mut Member, view: &PlanView, who: &str) -> Option<(&'static str, TaskView, Change)> {
    let by_operator =
        |task: &&TaskView| task.record.claim.as_ref().is_some_and(|claim| claim.guard.is_none());
    if let Some(task) = view.tasks().values().find(by_operator) {
        return Some(("manually: complete", task.clone(), Change::Complete(Some(words(who)))));
    }
    let failed = |task: &&TaskView| task.record.status == TaskStatus::Failed;
    if member.world.phase() > Phase::Storm {
        let task = view.tasks().values().find(failed)?;
        return Some(("manually: skip", task.clone(), Change::Skip(words(who))));
    }
    let all: Vec<&TaskView> = view.tasks().values().collect();
    let task = *all.choose(&mut member.random)?;
    let often = member.random.random_bool(0.5);
    let rarely = member.random.random_bool(0.1);
    let ready: Vec<&TaskId> = view.ready().collect();
    let (kind, change) = match task.record.status {
        TaskStatus::Failed if often => ("manually: skip", Change::Skip(words(who))),
        TaskStatus::Failed | TaskStatus::Skipped => ("manually: retry", Change::Retry(words(who))),
        TaskStatus::Completed if rarely => ("manually: reopen", Change::Retry(words(who))),
        TaskStatus::Pending if often && ready.contains(&&task.id) => ("manually: start", Change::Start),
        TaskStatus::Pending if rarely => ("manually: skip", Change::Skip(words(who))),
        // Allowed if its owner is gone; else it has to be refused.
        TaskStatus::InProgress if often => ("manually: return", Change::Return(words(who))),
        _ => return None,
    };
    Some((kind, task.clone(), change))
}
