//! The harness itself: what is done to a member is done to that one, and the others go on.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use planlease_tests::etcd::{Etcd, Member};
use planlease_tests::plain;
use planlease_tests::wait::{SOON, until};

async fn client(member: &Member) -> Client {
    let options = ConnectOptions::new().with_timeout(Duration::from_secs(1));
    Client::connect([member.endpoint()], Some(options)).await.unwrap()
}

/// Reads `a` until the member answers.
async fn value(member: &Member) -> Option<Vec<u8>> {
    let client = client(member).await;
    let answer = until("answer", SOON, async || client.clone().get("a", None).await).await;
    answer.kvs().first().map(|kv| kv.value().to_vec())
}

#[plain(on_etcd)]
async fn a_killed_member_comes_back_with_its_data() {
    let etcd = Etcd::builder().start().await;
    let member = &etcd.members()[0];
    client(member).await.put("a", "1", None).await.unwrap();
    member.kill();
    client(member).await.get("a", None).await.expect_err("there is no server to answer");
    member.restart().await;
    assert_eq!(value(member).await.as_deref(), Some(&b"1"[..]));
}

#[plain(on_etcd)]
async fn a_paused_member_is_silent_until_it_goes_on() {
    let etcd = Etcd::builder().start().await;
    let member = &etcd.members()[0];
    client(member).await.put("a", "1", None).await.unwrap();
    member.pause();
    client(member).await.get("a", None).await.expect_err("a stopped process does not answer");
    member.resume();
    assert_eq!(value(member).await.as_deref(), Some(&b"1"[..]));
}

#[plain(on_three_members)]
async fn two_of_three_members_go_on_without_their_leader() {
    let etcd = Etcd::builder().members(3).start().await;
    let leader = etcd.leader().await;
    client(leader).await.put("a", "1", None).await.unwrap();
    leader.kill();
    let other = etcd.members().iter().find(|member| member.endpoint() != leader.endpoint()).unwrap();
    let writer = client(other).await;
    until("write without the old leader", SOON, async || writer.clone().put("a", "2", None).await).await;
    leader.restart().await;
    assert_eq!(value(leader).await.as_deref(), Some(&b"2"[..]));
}
