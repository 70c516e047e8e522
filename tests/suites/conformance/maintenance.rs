//! What operators and clients ask a server about itself.

use etcd_client::{AlarmAction, AlarmType, GetOptions};
use planlease_tests::cases;
use planlease_tests::suite::{Case, Fixture};

use crate::probe::put;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        status_returns_version_leader_and_size,
        members_are_listed_with_their_addresses,
        no_alarm_is_raised,
        every_header_names_the_cluster_the_member_and_the_term,
        the_hash_of_the_keys_can_be_asked_for,
    ]
}

async fn status_returns_version_leader_and_size(mut fixture: Fixture) {
    put(&fixture.client, &fixture.key("a"), "1").await;
    let status = fixture.client.status().await.unwrap();
    assert!(status.version().starts_with("3."), "{}", status.version());
    assert_ne!(status.leader(), 0);
    assert!(status.db_size() > 0, "{status:?}");
    assert!(status.raft_term() > 0 && status.raft_index() > 0, "{status:?}");
    assert!(status.errors().is_empty(), "{status:?}");
}

async fn members_are_listed_with_their_addresses(mut fixture: Fixture) {
    let answer = fixture.client.member_list().await.unwrap();
    let members = answer.members();
    let own = answer.header().unwrap().member_id();
    assert!(members.iter().any(|member| member.id() == own), "{members:?}");
    let count = fixture.server.etcd().map_or(1, |etcd| etcd.members().len());
    assert_eq!(members.len(), count);
    for member in members {
        assert!(
            !member.client_urls().is_empty() && !member.name().is_empty() && !member.is_learner(),
            "{member:?}"
        );
    }
}

async fn no_alarm_is_raised(mut fixture: Fixture) {
    let answer = fixture.client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap();
    assert!(answer.alarms().is_empty());
}

async fn every_header_names_the_cluster_the_member_and_the_term(mut fixture: Fixture) {
    let answer = fixture.client.get(fixture.key("a"), Some(GetOptions::new())).await.unwrap();
    let first = answer.header().unwrap();
    let answer = fixture.client.lease_grant(60, None).await.unwrap();
    let second = answer.header().unwrap();
    assert_ne!(first.cluster_id(), 0);
    assert_ne!(first.member_id(), 0);
    assert_ne!(first.raft_term(), 0);
    assert_eq!((first.cluster_id(), first.member_id()), (second.cluster_id(), second.member_id()));
}

async fn the_hash_of_the_keys_can_be_asked_for(mut fixture: Fixture) {
    let at = put(&fixture.client, &fixture.key("a"), "1").await;
    let answer = fixture.client.hash_kv(at).await.unwrap();
    assert_ne!(answer.hash(), 0);
}
