//! Named locks of a plan.

use planlease::{Coordinator, Error, Lock, LockOptions, Loss, Session, TryLock};
use planlease_core::{LockName, session::LossReason};
use planlease_tests::{
    TestEnv, case,
    wait::{SOON, until},
};

use crate::helpers::{audit, background, execute, imported, plan, try_acquire};

fn git() -> LockName {
    LockName::new("git/repo 1".replace('/', ":")).unwrap()
}

async fn locked(session: &Session) -> Lock {
    match session.try_lock(&plan(), &git()).await.unwrap() {
        TryLock::Locked(lock) => *lock,
        TryLock::HeldBy(holder) => panic!("held by {holder:?}"),
    }
}

/// Waits until the lock's queue is this long.
async fn in_queue(coordinator: &Coordinator, wanted: usize) {
    until("queue of that length", SOON, async || {
        let locks = coordinator.locks(&plan()).await.unwrap();
        let found = locks.first().map_or(0, |view| view.queue.candidates().len());
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await;
}

fn waiting(session: &Session) -> tokio::task::JoinHandle<Lock> {
    let session = session.clone();
    background(async move { session.lock(&plan(), &git(), None).await.unwrap() })
}

#[case]
async fn a_lock_is_had_in_the_order_of_arrival(env: TestEnv) {
    let coordinator = imported(&env).await;
    let mut turns = Vec::new();
    for n in 0..4 {
        let session = env.session(&format!("s{n}")).await;
        turns.push(waiting(&session));
        in_queue(&coordinator, n + 1).await;
    }
    let mut last = None;
    for turn in turns {
        let lock = turn.await.unwrap();
        assert!(last < Some(lock.token()), "{last:?}, {}", lock.token());
        last = Some(lock.token());
        let locks = coordinator.locks(&plan()).await.unwrap();
        assert_eq!(locks[0].queue.candidates()[0].lease, lock.session().lease(), "who has it is first");
        assert_eq!(locks[0].lock, git());
        assert!(lock.deadline().is_some());
        lock.release().await.unwrap();
    }
    assert_eq!(coordinator.locks(&plan()).await.unwrap().items, []);
    let view = coordinator.plan(&plan()).await.unwrap();
    let owner = try_acquire(&env.session("owner").await).await.unwrap();
    execute(&owner.authority(), &view, "1").await;
    audit(&env).await;
}

#[case]
async fn a_lock_is_its_own_and_needs_no_ownership(env: TestEnv) {
    imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let _owner = try_acquire(&second).await.unwrap();
    let lock = locked(&first).await;
    let twice = first.try_lock(&plan(), &git()).await;
    assert!(matches!(twice, Err(Error::LockedLocally { .. })), "{twice:?}");
    let held = second.try_lock(&plan(), &git()).await.unwrap();
    assert!(matches!(&held, TryLock::HeldBy(holder) if holder.candidate.name() == "first"), "{held:?}");
    let timed_out = second.lock(&plan(), &git(), Some(std::time::Duration::from_millis(50))).await;
    assert!(matches!(timed_out, Err(Error::TimedOut(_))), "{timed_out:?}");
    let other = LockName::new("other").unwrap();
    let other = second.lock(&plan(), &other, None).await.unwrap();
    other.release().await.unwrap();
    lock.release().await.unwrap();
    locked(&second).await.release().await.unwrap();
}

#[case]
async fn a_dropped_lock_or_wait_is_given_up(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let third = env.session("third").await;
    let lock = locked(&first).await;
    let left = waiting(&second);
    in_queue(&coordinator, 2).await;
    let next = waiting(&third);
    in_queue(&coordinator, 3).await;
    left.abort();
    in_queue(&coordinator, 2).await;
    drop(lock);
    let lock = next.await.unwrap();
    // And who has dropped something can come again.
    let mut again = Vec::new();
    for (n, session) in [&first, &second].into_iter().enumerate() {
        again.push(waiting(session));
        in_queue(&coordinator, n + 2).await;
    }
    lock.release().await.unwrap();
    for again in again {
        again.await.unwrap().release().await.unwrap();
    }
}

#[case]
async fn a_lock_goes_with_its_session(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let lock = locked(&first).await;
    let next = waiting(&second);
    in_queue(&coordinator, 2).await;
    first.close().await.unwrap();
    assert!(next.await.unwrap().deadline().is_some());
    assert_eq!(lock.lost().await, Loss::Session(LossReason::Closed));
    assert_eq!(lock.deadline(), None);
    let late = lock.release().await;
    assert!(matches!(late, Err(Error::LockLost { .. })), "{late:?}");
}

#[case]
async fn a_lock_goes_with_its_plan(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let lock = locked(&first).await;
    let next = background(async move { second.lock(&plan(), &git(), None).await });
    in_queue(&coordinator, 2).await;
    coordinator.admin().delete(&plan()).await.unwrap();
    assert_eq!(lock.lost().await, Loss::KeyGone);
    let next = next.await.unwrap();
    assert!(matches!(next, Err(Error::PlanNotFound(_))), "{next:?}");
    let gone = coordinator.locks(&plan()).await;
    assert!(matches!(gone, Err(Error::PlanNotFound(_))), "{gone:?}");
    let none = first.try_lock(&plan(), &LockName::new("other").unwrap()).await;
    assert!(matches!(none, Err(Error::PlanNotFound(_))), "{none:?}");
}

#[case]
async fn a_removed_waiter_joins_again_at_the_end(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let third = env.session("third").await;
    let lock = locked(&first).await;
    let next = waiting(&second);
    in_queue(&coordinator, 2).await;
    let last = waiting(&third);
    in_queue(&coordinator, 3).await;
    let key = planlease_core::keys::PlanKey::Lock(git(), second.lease());
    let mut client = env.client.clone();
    client.delete(coordinator.layout().of(&plan(), &key), None).await.unwrap();
    in_queue(&coordinator, 2).await; // It does not know yet: it watches the one before it.
    lock.release().await.unwrap();
    let lock = last.await.unwrap();
    lock.release().await.unwrap();
    next.await.unwrap().release().await.unwrap();
}

/// Takes or waits for a lock of the namespace that this many can have.
fn global(session: &Session, permits: u32) -> tokio::task::JoinHandle<Lock> {
    let session = session.clone();
    let options = LockOptions::default().permits(permits);
    background(async move { session.lock_with(&git(), options).await.unwrap() })
}

async fn in_global_queue(coordinator: &Coordinator, wanted: usize) {
    until("queue of that length", SOON, async || {
        let locks = coordinator.global_locks().await.unwrap();
        let found = locks.first().map_or(0, |view| view.queue.candidates().len());
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await;
}

#[case]
async fn a_lock_of_the_namespace_needs_no_plan(env: TestEnv) {
    let coordinator = imported(&env).await;
    let (first, second) = (env.session("first").await, env.session("second").await);
    let of_plan = locked(&first).await;
    let lock = global(&first, 1).await.unwrap();
    assert_eq!((lock.plan(), lock.permits()), (None, 1), "another lock than the plan's of that name");
    let held = second.try_lock_with(&git(), LockOptions::default()).await.unwrap();
    assert!(matches!(&held, TryLock::HeldBy(holder) if holder.candidate.name() == "first"), "{held:?}");
    let timed_out = LockOptions::default().wait(std::time::Duration::from_millis(50));
    let timed_out = second.lock_with(&git(), timed_out).await;
    assert!(matches!(timed_out, Err(Error::TimedOut(_))), "{timed_out:?}");
    let next = global(&second, 1);
    in_global_queue(&coordinator, 2).await;
    let token = lock.token();
    first.close().await.unwrap(); // A crash releases it.
    let next = next.await.unwrap();
    assert!(token < next.token());
    assert_eq!(of_plan.lost().await, Loss::Session(LossReason::Closed));
    next.release().await.unwrap();
    assert_eq!(coordinator.global_locks().await.unwrap().items, []);
    audit(&env).await;
}

#[case]
async fn a_lock_with_permits_is_had_by_as_many(env: TestEnv) {
    let coordinator = imported(&env).await;
    let mut sessions = Vec::new();
    for n in 0..6 {
        sessions.push(env.session(&format!("s{n}")).await);
    }
    let mut held = Vec::new();
    for session in &sessions[..3] {
        held.push(global(session, 3).await.unwrap());
    }
    let full = sessions[3].try_lock_with(&git(), LockOptions::default().permits(3)).await.unwrap();
    let TryLock::HeldBy(holder) = full else { panic!("{full:?}") };
    let others: Vec<String> = holder.others.iter().map(|other| other.name()).collect();
    assert_eq!((others.len(), holder.waiting), (2, 0), "three have it, and none waits: {others:?}");
    let other = sessions[3].try_lock_with(&git(), LockOptions::default().permits(2)).await;
    assert!(matches!(other, Err(Error::LockPermits { .. })), "{other:?}");
    let other = sessions[3].lock_with(&git(), LockOptions::default()).await;
    assert!(matches!(other, Err(Error::LockPermits { .. })), "{other:?}");
    in_global_queue(&coordinator, 3).await;
    let mut waiting = Vec::new();
    for (n, session) in sessions[3..].iter().enumerate() {
        waiting.push(global(session, 3));
        in_global_queue(&coordinator, 4 + n).await;
    }
    // Whichever holder leaves: the first waiter is next, and a waiter that gives up is not waited for.
    waiting.remove(1).abort();
    in_global_queue(&coordinator, 5).await;
    held.remove(1).release().await.unwrap();
    let fourth = waiting.remove(0).await.unwrap();
    assert!(!waiting[0].is_finished(), "three have it");
    held.remove(0).release().await.unwrap();
    let sixth = waiting.remove(0).await.unwrap();
    assert!(fourth.token() < sixth.token());
    for lock in held.into_iter().chain([fourth, sixth]) {
        lock.release().await.unwrap();
    }
    audit(&env).await;
}
