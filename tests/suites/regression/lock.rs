//! An owner whose ownership vanishes under it while others wait: the key is deleted by hand, the lease is
//! revoked, the server is killed and comes back, soon enough or too late.

use std::time::Duration;

use nix::sys::signal::Signal;
use planlease_core::keys::PlanKey;
use planlease_tests::{
    program::Process,
    room::{Room, in_line, plan_name},
    suite::Fixture,
    wait::SOON,
};
use serde_json::Value;

use crate::processes::{RIGHT_GONE, audit, number_in, plan_file, until_dead};

/// Sessions outlive everything here but what is done to them. One that is gone is noticed at its next renewal
/// at the latest, which is after a third of that.
const TTL: Duration = Duration::from_secs(15);

/// Those that shall, and that shall not, outlive an absence of the server.
const LONG: &str = "60s";
const SHORT: &str = "3s";

/// What an owner runs: it leaves the right that it was given, and its number.
const WORK: &str = r#"
    printenv PLANLEASE_OWNERSHIP > "$ROOM/$PLANLEASE_PLAN.right"
    echo $$ > "$ROOM/$PLANLEASE_PLAN.work"
    exec sleep 1000
"#;

/// An owner, what it runs, and two who wait.
struct Scene {
    plan: &'static str,
    owner: Process,
    work: i32,
    next: Process,
    last: Process,
}

pub(crate) async fn r07_the_lock_vanishes_while_others_wait_for_it(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    the_key_is_deleted(&room).await;
    the_lease_is_revoked(&room).await;
    the_server_is_away(&room).await;
    audit(&room).await;
}

async fn the_key_is_deleted(room: &Room) {
    let mut scene = Scene::new(room, "deleted", &["hold", "deleted", "--", "sh", "-c", WORK], "15s").await;
    let coordinator = room.coordinator().await;
    let line = coordinator.line(&plan_name(scene.plan)).await.unwrap();
    let key = coordinator.layout().of(&plan_name(scene.plan), &PlanKey::Owner(line.candidates()[0].lease));
    assert_eq!(room.fixture.client.clone().delete(key, None).await.unwrap().deleted(), 1);
    scene.next_proceeds(room).await;
    assert_eq!(scene.owner.until_ended(SOON).await, Some(RIGHT_GONE), "{}", scene.owner.said());
    scene.end(room, &["unclean", "clean", "clean"]).await;
}

/// The owner is one that goes back into the line when it has lost a plan.
async fn the_lease_is_revoked(room: &Room) {
    let mut scene = Scene::new(room, "revoked", &["run", "revoked", "-o", "jsonl"], "15s").await;
    let line = room.coordinator().await.line(&plan_name(scene.plan)).await.unwrap();
    let lease = line.candidates()[0].lease.to_wire();
    room.fixture.client.clone().lease_revoke(lease).await.unwrap();
    scene.next_proceeds(room).await;
    scene.owner.until_said(r#""event":"lost""#, SOON).await;
    scene.end(room, &["unclean", "clean", "clean", "clean"]).await;
    assert_eq!(scene.owner.until_ended(SOON).await, Some(0), "{}", scene.owner.said());
    let first = room.json(&["task", "show", scene.plan, "001"]).await;
    assert_eq!(
        (&first["status"], &first["attempt"], &first["lost"]),
        (&"completed".into(), &2.into(), &1.into())
    );
}

/// One owner's session outlives the absence, and so does its place; the other one's does not.
async fn the_server_is_away(room: &Room) {
    let args = |plan| ["hold", plan, "--", "sh", "-c", WORK];
    let mut lasting = Scene::new(room, "lasting", &args("lasting"), LONG).await;
    let mut ending = Scene::new(room, "ending", &args("ending"), SHORT).await;
    room.fixture.server.kill();
    until_dead(ending.work).await; // Nobody has told it: it knows by itself when it must stop.
    assert!(lasting.owner.ended().is_none(), "{}", lasting.owner.said());
    room.fixture.server.restart().await;

    ending.next_proceeds(room).await;
    assert_eq!(ending.owner.until_ended(SOON).await, Some(RIGHT_GONE), "{}", ending.owner.said());
    ending.next.close_input();
    for one in [&mut ending.next, &mut ending.last] {
        assert_eq!(one.until_ended(SOON).await, Some(0), "{}", one.said());
    }

    let shown = room.json(&["owner", "show", lasting.plan]).await;
    assert_eq!(
        (&shown["owner"]["term"], shown["waiting"].as_array().unwrap().len()),
        (&1.into(), 2),
        "{shown}"
    );
    lasting.owner.signal(Signal::SIGTERM);
    lasting.next_proceeds(room).await;
    lasting.end(room, &["clean", "clean", "clean"]).await;
}

impl Scene {
    /// Starts all three, one after the other.
    async fn new(room: &Room, plan: &'static str, owner: &[&str], ttl: &str) -> Self {
        let script = format!("[ \"$PLANLEASE_TASK$PLANLEASE_ATTEMPT\" = 0011 ] || exit 0\n{WORK}");
        room.import(plan, &plan_file(2, &script)).await;
        let program = room.program().clone().variable("PLANLEASE_TTL", ttl);
        let coordinator = room.coordinator().await;
        let start =
            |args: &[&str], n| Process::start(program.command(args), &room.path(&format!("{plan}-{n}")));
        let owner = start(owner, 1);
        let work = number_in(room, &format!("{plan}.work")).await;
        let next = start(&["hold", plan, "--", "sh", "-c", "echo mine; cat"], 2);
        in_line(&coordinator, &plan_name(plan), 2).await;
        let last = start(&["hold", plan, "--", "true"], 3);
        in_line(&coordinator, &plan_name(plan), 3).await;
        assert!(!next.said().contains("mine"), "it waits");
        Self { plan, owner, work, next, last }
    }

    /// One of those who wait owns the plan, nothing of the former owner runs, and it writes nothing any more.
    async fn next_proceeds(&self, room: &Room) {
        self.next.until_said("mine", SOON).await;
        until_dead(self.work).await;
        let before = room.json(&["task", "show", self.plan, "002"]).await;
        let right = room.text(&format!("{}.right", self.plan));
        let former = room.program().clone().variable("PLANLEASE_OWNERSHIP", right.trim());
        former.run_to(RIGHT_GONE, ["task", "skip", self.plan, "002", "--reason", "late"]).await;
        assert_eq!(room.json(&["task", "show", self.plan, "002"]).await, before);
    }

    /// The next one gives the plan back; the last one has its turn. This is how all terms ended.
    async fn end(&mut self, room: &Room, endings: &[&str]) {
        self.next.close_input();
        for one in [&mut self.next, &mut self.last] {
            assert_eq!(one.until_ended(SOON).await, Some(0), "{}", one.said());
        }
        self.owner.until_ended(SOON).await;
        let terms = room.json(&["owner", "history", self.plan]).await;
        let ended: Vec<&Value> =
            terms["terms"].as_array().unwrap().iter().map(|term| &term["ended"]["how"]).collect();
        assert_eq!(ended, endings, "{terms}");
    }
}
