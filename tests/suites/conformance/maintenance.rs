//! What operators and clients ask a server about itself.

use etcd_client::{AlarmAction, AlarmType, GetOptions};
use planlease_tests::{TestEnv, case};

use crate::probe::put;

#[case]
async fn status_returns_version_leader_and_size(mut env: TestEnv) {
    put(&env.client, &env.key("a"), "1").await;
    let status = env.client.status().await.unwrap();
    assert!(status.version().starts_with("3."), "{}", status.version());
    assert_ne!(status.leader(), 0);
    assert!(status.db_size() > 0, "{status:?}");
    assert!(status.raft_term() > 0 && status.raft_index() > 0, "{status:?}");
    assert!(status.errors().is_empty(), "{status:?}");
}

#[case]
async fn members_are_listed_with_their_addresses(mut env: TestEnv) {
    let answer = env.client.member_list().await.unwrap();
    let members = answer.members();
    let own = answer.header().unwrap().member_id();
    assert!(members.iter().any(|member| member.id() == own), "{members:?}");
    let count = env.server.etcd().map_or(1, |etcd| etcd.members().len());
    assert_eq!(members.len(), count);
    for member in members {
        assert!(
            !member.client_urls().is_empty() && !member.name().is_empty() && !member.is_learner(),
            "{member:?}"
        );
    }
}

#[case]
async fn no_alarm_is_raised(mut env: TestEnv) {
    let answer = env.client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap();
    assert!(answer.alarms().is_empty());
}

#[case]
async fn every_header_names_the_cluster_the_member_and_the_term(mut env: TestEnv) {
    let answer = env.client.get(env.key("a"), Some(GetOptions::new())).await.unwrap();
    let first = answer.header().unwrap();
    let answer = env.client.lease_grant(60, None).await.unwrap();
    let second = answer.header().unwrap();
    assert_ne!(first.cluster_id(), 0);
    assert_ne!(first.member_id(), 0);
    assert_ne!(first.raft_term(), 0);
    assert_eq!((first.cluster_id(), first.member_id()), (second.cluster_id(), second.member_id()));
}

#[case]
async fn the_hash_of_the_keys_can_be_asked_for(mut env: TestEnv) {
    let at = put(&env.client, &env.key("a"), "1").await;
    let answer = env.client.hash_kv(at).await.unwrap();
    assert_ne!(answer.hash(), 0);
}
