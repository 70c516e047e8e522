//! `hold`, between its turn and its command.

use std::time::Duration;

use planlease::Outcome;
use planlease_core::record::Ending;
use planlease_tests::{
    cases,
    program::Process,
    proxy::Proxy,
    room::{Room, acquired, in_line, plan_name, task_id},
    suite::{Case, Fixture},
    wait::SOON,
};

use crate::spec::spec;

pub(crate) fn cases() -> Vec<Case> {
    cases![who_is_cut_off_before_the_command_begins_goes_back_into_the_line]
}

const TTL: Duration = Duration::from_secs(5);

async fn who_is_cut_off_before_the_command_begins_goes_back_into_the_line(fixture: Fixture) {
    let room = Room::new(fixture, TTL);
    let (coordinator, plan) = (room.coordinator().await, plan_name("cut-off"));
    coordinator.import(&plan, &spec(1, "true"), |_| {}).await.unwrap();
    let session = room.session("first").await;
    let first = acquired(&session, &plan).await;
    let view = coordinator.plan(&plan).await.unwrap();
    let started = first.authority().start(&view, &task_id("1")).await.unwrap();
    assert!(matches!(started, Outcome::Committed(_)), "{started:?}");

    let server = room.fixture.server.endpoints()[0].trim_start_matches("http://").parse().unwrap();
    let proxy = Proxy::before(server);
    let program = room.program().clone().variable("PLANLEASE_ENDPOINTS", proxy.endpoint());
    let mut hold = Process::start(
        program.command(["hold", plan.as_str(), "--", "sh", "-c", "echo begun"]),
        &room.path("hold"),
    );
    in_line(&coordinator, &plan, 2).await;
    // From now on its first transaction is the takeover, and the second one recovers the task.
    let cut = proxy.crash_at("KV/Txn", 2);
    first.release().await.unwrap();
    cut.sprung().await;
    hold.until_said("waiting in line again", SOON).await;
    proxy.heal();
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
    assert_eq!(hold.said().matches("begun").count(), 1, "{}", hold.said());

    let terms = coordinator.past_terms(&plan).await.unwrap();
    let ended: Vec<_> = terms.into_iter().map(|term| term.ended.map(|end| end.how)).collect();
    assert_eq!(ended, [Ending::Clean, Ending::Unclean, Ending::Clean].map(Some));
    room.audit().await;
}
