//! An owner whose ownership vanishes under it while others wait: the key is deleted manually, the lease is
//! revoked, the server is killed and comes back, soon enough or too late.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease_core::keys::PlanKey;
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::{in_queue, plan_name},
    wait::SOON,
};
use serde_json::Value;

use crate::processes::{AUTHORITY_LOST, audit, number_in, plan_file, until_dead};

/// Sessions outlive everything here but what is done to them. One that is gone is noticed at its next renewal
/// at the latest, which is after a third of that.
const TTL: Duration = Duration::from_secs(15);

/// Those that shall, and that shall not, outlive an absence of the server.
const LONG: &str = "60s";
const SHORT: &str = "3s";

/// What an owner runs: it leaves the authority that it was given, and its number.
const WORK: &str = r#"
    printenv PLANLEASE_OWNERSHIP > "$TEST_DIR/$PLANLEASE_PLAN.right"
    echo $$ > "$TEST_DIR/$PLANLEASE_PLAN.work"
    exec sleep 1000
"#;

/// An owner, what it runs, and two who wait.
struct Contest {
    plan: &'static str,
    owner: Process,
    work: i32,
    next: Process,
    last: Process,
}

#[case(alone, one_at_a_time)]
async fn r07_the_lock_vanishes_while_others_wait_for_it(env: TestEnv) {
    let env = env.with_ttl(TTL);
    the_key_is_deleted(&env).await;
    the_lease_is_revoked(&env).await;
    the_server_is_away(&env).await;
    audit(&env).await;
}

async fn the_key_is_deleted(env: &TestEnv) {
    let mut contest = Contest::new(env, "deleted", &["hold", "deleted", "--", "sh", "-c", WORK], "15s").await;
    let coordinator = env.coordinator().await;
    let line = coordinator.queue(&plan_name(contest.plan)).await.unwrap();
    let key = coordinator.layout().of(&plan_name(contest.plan), &PlanKey::Owner(line.candidates()[0].lease));
    assert_eq!(env.client.clone().delete(key, None).await.unwrap().deleted(), 1);
    contest.next_proceeds(env).await;
    assert_eq!(contest.owner.until_ended(SOON).await, Some(AUTHORITY_LOST), "{}", contest.owner.said());
    contest.end(env, &["unclean", "clean", "clean"]).await;
}

/// The owner is one that goes back into the queue when it has lost a plan.
async fn the_lease_is_revoked(env: &TestEnv) {
    let mut contest = Contest::new(env, "revoked", &["run", "revoked", "-o", "jsonl"], "15s").await;
    let line = env.coordinator().await.queue(&plan_name(contest.plan)).await.unwrap();
    let lease = line.candidates()[0].lease.to_wire();
    env.client.clone().lease_revoke(lease).await.unwrap();
    contest.next_proceeds(env).await;
    contest.owner.until_said(r#""event":"lost""#, SOON).await;
    contest.end(env, &["unclean", "clean", "clean", "clean"]).await;
    assert_eq!(contest.owner.until_ended(SOON).await, Some(0), "{}", contest.owner.said());
    let first = env.json(&["task", "show", contest.plan, "001"]).await;
    assert_eq!(
        (&first["status"], &first["attempt"], &first["lost"]),
        (&"completed".into(), &2.into(), &1.into())
    );
}

/// One owner's session outlives the absence, and so does its place; the other one's does not.
async fn the_server_is_away(env: &TestEnv) {
    let args = |plan| ["hold", plan, "--", "sh", "-c", WORK];
    let mut lasting = Contest::new(env, "lasting", &args("lasting"), LONG).await;
    let mut ending = Contest::new(env, "ending", &args("ending"), SHORT).await;
    env.server.kill();
    until_dead(ending.work).await; // Without a notice: it knows by itself when it must stop.
    assert!(lasting.owner.ended().is_none(), "{}", lasting.owner.said());
    env.server.restart().await;

    ending.next_proceeds(env).await;
    assert_eq!(ending.owner.until_ended(SOON).await, Some(AUTHORITY_LOST), "{}", ending.owner.said());
    ending.next.close_input();
    for one in [&mut ending.next, &mut ending.last] {
        assert_eq!(one.until_ended(SOON).await, Some(0), "{}", one.said());
    }

    let shown = env.json(&["owner", "show", lasting.plan]).await;
    assert_eq!(
        (&shown["owner"]["term"], shown["waiting"].as_array().unwrap().len()),
        (&1.into(), 2),
        "{shown}"
    );
    lasting.owner.signal(Signal::SIGTERM);
    lasting.next_proceeds(env).await;
    lasting.end(env, &["clean", "clean", "clean"]).await;
}

impl Contest {
    /// Starts all three, one after the other.
    async fn new(env: &TestEnv, plan: &'static str, owner: &[&str], ttl: &str) -> Self {
        let script = format!("[ \"$PLANLEASE_TASK$PLANLEASE_ATTEMPT\" = 0011 ] || exit 0\n{WORK}");
        env.import(plan, &plan_file(2, &script)).await;
        let program = env.program().clone().variable("PLANLEASE_TTL", ttl);
        let coordinator = env.coordinator().await;
        let start =
            |args: &[&str], n| Process::start(program.command(args), &env.path(&format!("{plan}-{n}")));
        let owner = start(owner, 1);
        let work = number_in(env, &format!("{plan}.work")).await;
        let next = start(&["hold", plan, "--", "sh", "-c", "echo mine; cat"], 2);
        in_queue(&coordinator, &plan_name(plan), 2).await;
        let last = start(&["hold", plan, "--", "true"], 3);
        in_queue(&coordinator, &plan_name(plan), 3).await;
        assert!(!next.said().contains("mine"), "it waits");
        Self { plan, owner, work, next, last }
    }

    /// One of those who wait owns the plan, nothing of the former owner runs, and it writes nothing any more.
    async fn next_proceeds(&self, env: &TestEnv) {
        self.next.until_said("mine", SOON).await;
        until_dead(self.work).await;
        let before = env.json(&["task", "show", self.plan, "002"]).await;
        let authority = env.text(&format!("{}.right", self.plan));
        let former = env.program().clone().variable("PLANLEASE_OWNERSHIP", authority.trim());
        former.run_to(AUTHORITY_LOST, ["task", "skip", self.plan, "002", "--reason", "late"]).await;
        assert_eq!(env.json(&["task", "show", self.plan, "002"]).await, before);
    }

    /// The next one gives the plan back; the last one has its turn. This is how all terms ended.
    async fn end(&mut self, env: &TestEnv, endings: &[&str]) {
        self.next.close_input();
        for one in [&mut self.next, &mut self.last] {
            assert_eq!(one.until_ended(SOON).await, Some(0), "{}", one.said());
        }
        self.owner.until_ended(SOON).await;
        let terms = env.json(&["owner", "history", self.plan]).await;
        let ended: Vec<&Value> =
            terms["terms"].as_array().unwrap().iter().map(|term| &term["ended"]["how"]).collect();
        assert_eq!(ended, endings, "{terms}");
    }
}
