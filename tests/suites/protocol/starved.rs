//! A program that blocks every thread of its runtime: what becomes of its session, and when it learns of it.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use planlease::{Config, Coordinator, Identity, Loss, Ownership, RenewalRuntime};
use planlease_core::{
    session::{LossReason, Status},
    transition::Change,
};
use planlease_tests::{TestEnv, case};

use crate::helpers::{TTL, audit, id, imported, plan, try_acquire};

/// How many threads the program's runtime has, besides the one that waits for it.
const WORKERS: usize = 2;

/// For longer than any session lives that is not renewed.
const BLOCKED: Duration = TTL.saturating_mul(2);

/// A program of its own that owns the plan.
fn program<T: Send + 'static, F: Future<Output = T>>(
    config: Config,
    work: impl FnOnce(Ownership) -> F + Send + 'static,
) -> impl Future<Output = T> {
    let program = thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(WORKERS).enable_all().build().unwrap();
        runtime.block_on(async {
            let coordinator = Coordinator::connect(config).await.unwrap();
            let session = coordinator.open_session(Identity::of_process()).await.unwrap();
            work(*try_acquire(&session).await.unwrap()).await
        })
    });
    async { tokio::task::spawn_blocking(|| program.join().unwrap()).await.unwrap() }
}

/// Blocks all threads of this runtime until the given function returns `true`.
#[expect(clippy::disallowed_methods, reason = "to block is the point, and no task is left to run")]
fn starve(until: impl Fn() -> bool + Clone + Send + 'static) {
    let all_blocked = Arc::new(Barrier::new(WORKERS + 1));
    let block = move || {
        all_blocked.wait();
        while !until() {
            thread::sleep(Duration::from_millis(20));
        }
    };
    for _ in 0..WORKERS {
        let block = block.clone();
        tokio::spawn(async move { block() });
    }
    block();
}

#[expect(clippy::disallowed_methods, reason = "tokio's time is that of the runtime that is blocked")]
fn passed(time: Duration) -> impl Fn() -> bool + Clone + Send + 'static {
    let began = Instant::now();
    move || began.elapsed() >= time
}

#[case]
async fn a_starved_runtime_keeps_its_session(env: TestEnv) {
    imported(&env).await;
    let kept = program(env.config.clone(), async |owner| {
        starve(passed(BLOCKED));
        let status = owner.session().status();
        let view = owner.session().coordinator().plan(&plan()).await.unwrap();
        let outcome = owner.authority().start(&view, &id("1")).await;
        (status, outcome, owner.release().await)
    });
    let (status, outcome, released) = kept.await;
    assert!(matches!(status, Status::Live { .. }), "{status:?}");
    assert!(matches!(outcome, Ok(planlease::Outcome::Committed(_))), "{outcome:?}");
    released.unwrap();
    audit(&env).await;
}

/// As every session did before renewals had a thread of their own.
#[case]
async fn a_starved_runtime_loses_a_session_that_it_renews_itself(env: TestEnv) {
    imported(&env).await;
    let config = env.config.clone().renewals(RenewalRuntime::Ambient);
    let lost = program(config, async |owner| {
        starve(passed(BLOCKED));
        let refused = owner.authority().modify(&id("1"), |_| Some(Change::Start)).await;
        (owner.lost().await, refused)
    });
    let (loss, refused) = lost.await;
    assert!(matches!(loss, Loss::Session(LossReason::DeadlinePassed | LossReason::LeaseGone)), "{loss:?}");
    assert!(!matches!(refused, Ok(planlease::Outcome::Committed(_))), "{refused:?}");
    audit(&env).await;
}

/// Renewals end, since no progress is noted. That is there to be seen before the runtime runs again, and
/// what waits for it is notified as soon as it does.
#[case]
async fn a_loss_is_published_while_the_runtime_is_starved(env: TestEnv) {
    imported(&env).await;
    let lost = program(env.config.clone(), async |owner| {
        let progress = owner.session().require_progress(TTL / 3);
        let (status, too_late) = (owner.session().watch_status(), passed(BLOCKED * 2));
        let published = move || matches!(*status.borrow(), Status::Lost(_)) || too_late();
        starve(published);
        let status = *owner.session().watch_status().borrow();
        drop(progress);
        (status, owner.lost().await)
    });
    let (status, loss) = lost.await;
    assert_eq!(status, Status::Lost(LossReason::NoProgress));
    assert_eq!(loss, Loss::Session(LossReason::NoProgress));
    audit(&env).await;
}
