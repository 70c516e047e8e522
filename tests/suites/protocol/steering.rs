//! What operators ask of the fleet, where several of them ask.

use std::time::Duration;

use planlease::{Halted, Reason};
use planlease_core::steering::Eligibility;
use planlease_tests::{TestEnv, case};

use crate::helpers::{audit, imported, plan, try_acquire};

/// The first one's request is spent when the plan has moved, and another operator's takes its place.
#[case]
async fn a_withdrawal_spares_the_request_of_another_operator(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (admin, deadline) = (coordinator.admin(), Duration::from_mins(1));
    let (ann, bob) = (Reason::by("ann").because("a new host"), Reason::by("bob").because("a larger host"));
    let (one, two, three) = (env.session("one").await, env.session("two").await, env.session("three").await);
    let owner = try_acquire(&one).await.unwrap();
    let first = admin.request_move(&plan(), None, two.id(), deadline, &ann).await.unwrap();
    owner.release().await.unwrap();
    let owner = try_acquire(&two).await.unwrap();
    let second = admin.request_move(&plan(), None, three.id(), deadline, &bob).await.unwrap();
    assert!(!admin.withdraw_move(&plan(), Some(&first)).await.unwrap());
    let (steering, _) = coordinator.steering().await.unwrap();
    assert_eq!(steering.moves.get(&plan()), Some(&second));
    assert!(admin.withdraw_move(&plan(), Some(&second)).await.unwrap());
    assert!(!admin.withdraw_move(&plan(), None).await.unwrap(), "nothing is asked any more");
    admin.request_move(&plan(), None, three.id(), deadline, &bob).await.unwrap();
    assert!(admin.withdraw_move(&plan(), None).await.unwrap(), "whatever is asked");
    assert!(coordinator.steering().await.unwrap().0.moves.is_empty());
    owner.release().await.unwrap();
    audit(&env).await;
}

#[case]
async fn decisions_of_operators_stand_until_they_are_ended(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (admin, reason) = (coordinator.admin(), Reason::by("ann").because("maintenance"));
    let session = env.session("one").await;
    let paused = admin.pause_fleet(&reason).await.unwrap();
    assert!(matches!(paused, Halted::Done(_)), "{paused:?}");
    let again = admin.pause_fleet(&Reason::by("bob").because("tea")).await.unwrap();
    assert!(matches!(&again, Halted::Unchanged(by) if by.by == "ann"), "{again:?}");
    admin.cordon(session.id(), &reason).await.unwrap();
    admin.drain(session.id(), Duration::from_secs(7), &reason).await.unwrap();
    let written = coordinator.raw().snapshot(&coordinator.layout().steering()).await.unwrap();
    assert_eq!(written.entries.len(), 2);
    assert!(written.entries.iter().all(|(_, entry)| entry.lease.is_none()), "they hang on nothing");
    let (steering, _) = coordinator.steering().await.unwrap();
    assert_eq!(steering.eligibility(session.id()), Eligibility::Draining);
    for there_was_one in [true, false] {
        assert_eq!(admin.resume_fleet().await.unwrap(), there_was_one);
        assert_eq!(admin.uncordon(session.id()).await.unwrap(), there_was_one);
    }
    audit(&env).await;
}
