//! From the crash of an owner to the next owner.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease::AcquireOptions;
use planlease_tests::{
    TestEnv, case,
    program::{Process, is_alive},
    test_env::{background, in_queue, plan_name},
    wait::{SOON, until},
};
use tokio::time::{Instant, sleep};

use crate::{measure, spec::spec};

const TTL: Duration = Duration::from_secs(5);
const CRASHES: usize = 20;

/// What the owners run: it leaves its number, so that it can be seen whether it is still there.
const WORK: &str = "echo $$ > \"$TEST_DIR/work-$PLANLEASE_PLAN\"; exec sleep 1000";

/// 20 processes own a plan each and are killed, spread over the time between two renewals; one waits in
/// each line.
#[case]
async fn every_crash_passes_the_plan_on_within_the_bound(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let mut owners = Vec::new();
    for n in 0..CRASHES {
        coordinator.admin().import(&plan_name(&name(n)), &spec(1, WORK), |_| {}).await.unwrap();
        owners.push(owner(&env, n));
    }
    let mut work = Vec::new();
    for n in 0..CRASHES {
        in_queue(&coordinator, &plan_name(&name(n)), 1).await;
        work.push(work_of(&env, n).await);
    }
    let next = env.session("next").await;
    let mut takeovers = Vec::new();
    for (n, work) in work.into_iter().enumerate() {
        let next = next.clone();
        takeovers.push(background(async move {
            let ownership = next.acquire(&plan_name(&name(n)), AcquireOptions::default()).await.unwrap();
            assert!(!is_alive(work), "the work of the last owner of plan {n} outlived its ownership");
            (Instant::now(), ownership)
        }));
    }
    for n in 0..CRASHES {
        in_queue(&coordinator, &plan_name(&name(n)), 2).await;
    }
    let mut killed = Vec::new();
    for owner in &mut owners {
        killed.push(Instant::now());
        owner.signal(Signal::SIGKILL);
        sleep(TTL / 3 / u32::try_from(CRASHES).unwrap()).await;
    }
    let mut took = Vec::new();
    for (takeover, killed) in takeovers.into_iter().zip(killed) {
        let (owned, ownership) = takeover.await.unwrap();
        took.push(owned - killed);
        ownership.release().await.unwrap();
    }
    measure::report("SIGKILL of an owner to the next owner, TTL 5 s", &env.server.to_string(), &took);
    let bound = TTL + Duration::from_secs(1);
    assert!(took.iter().all(|took| *took <= bound), "{took:?}");
    env.until_empty().await;
    env.audit().await;
}

fn name(n: usize) -> String {
    format!("crash-{n}")
}

/// Both ways to own a plan from the command line.
fn owner(env: &TestEnv, n: usize) -> Process {
    let (name, output) = (name(n), format!("owner-{n}"));
    if n.is_multiple_of(2) {
        env.start(&["run", &name], &output)
    } else {
        env.start(&["hold", &name, "--", "sh", "-c", WORK], &output)
    }
}

/// The process that the owner runs.
async fn work_of(env: &TestEnv, n: usize) -> i32 {
    let file = env.path(&format!("work-{}", name(n)));
    until("work", SOON, async || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        text.trim().parse().map_err(|_| text)
    })
    .await
}
