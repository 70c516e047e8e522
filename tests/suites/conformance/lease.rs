//! Leases: grant, keep alive, look at, revoke.

use etcd_client::{LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, TxnOp};
use planlease_tests::{TestEnv, case};
use tonic::Code;

use crate::probe::{put, refused, txn, value};

const NOT_FOUND: &str = "etcdserver: requested lease not found";

async fn granted(env: &mut TestEnv) -> i64 {
    env.client.lease_grant(60, None).await.unwrap().id()
}

async fn put_with(env: &mut TestEnv, key: &str, lease: i64) {
    env.client.put(key, "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
}

/// The keys of a lease, without the test's prefix, sorted.
async fn keys_of(env: &mut TestEnv, lease: i64) -> Vec<String> {
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let answer = env.client.lease_time_to_live(lease, Some(options)).await.unwrap();
    let prefix = env.key("");
    let names = answer.keys().iter().map(|key| String::from_utf8(key.clone()).unwrap());
    let mut names: Vec<String> = names.map(|key| key.strip_prefix(&prefix).unwrap().to_owned()).collect();
    names.sort();
    names
}

#[case]
async fn a_grant_gives_an_id_and_the_ttl_that_holds(mut env: TestEnv) {
    let first = env.client.lease_grant(60, None).await.unwrap();
    let second = env.client.lease_grant(61, None).await.unwrap();
    assert!(first.id() > 0 && second.id() > 0 && first.id() != second.id());
    assert_eq!((first.ttl(), second.ttl(), first.error()), (60, 61, ""));
}

/// With the default election timeout of one second, two seconds: the TTL that a session must expect.
#[case]
async fn the_server_has_a_shortest_ttl_and_says_so(mut env: TestEnv) {
    for asked in [1, 0, -5] {
        assert_eq!(env.client.lease_grant(asked, None).await.unwrap().ttl(), 2, "asked for {asked}");
    }
}

#[case]
async fn a_ttl_beyond_all_bounds_is_refused(mut env: TestEnv) {
    let result = env.client.lease_grant(9_000_000_001, None).await;
    refused(result, Code::OutOfRange, "etcdserver: too large lease TTL");
    env.client.lease_grant(9_000_000_000, None).await.unwrap();
}

#[case]
async fn an_id_may_be_chosen_once(mut env: TestEnv) {
    let id = granted(&mut env).await + 1_000_000;
    let options = || Some(LeaseGrantOptions::new().with_id(id));
    assert_eq!(env.client.lease_grant(60, options()).await.unwrap().id(), id);
    let result = env.client.lease_grant(60, options()).await;
    refused(result, Code::FailedPrecondition, "etcdserver: lease already exists");
    env.client.lease_revoke(id).await.unwrap();
    assert_eq!(env.client.lease_grant(60, options()).await.unwrap().id(), id);
}

#[case]
async fn a_revoked_lease_takes_its_keys_along_in_one_revision(mut env: TestEnv) {
    let lease = granted(&mut env).await;
    let (a, b, c) = (env.key("a"), env.key("b"), env.key("c"));
    put_with(&mut env, &a, lease).await;
    put_with(&mut env, &b, lease).await;
    let before = put(&env.client, &c, "stays").await;
    let watching = etcd_client::WatchOptions::new().with_prefix().with_start_revision(before + 1);
    env.client.lease_revoke(lease).await.unwrap();
    let mut watch = crate::probe::Watch::begin(&env.client, &env.key(""), watching).await;
    let events = watch.events(2).await;
    let revisions: Vec<i64> = events.iter().map(|event| event.kv().unwrap().mod_revision()).collect();
    assert_eq!(revisions[0], revisions[1]);
    assert_eq!(value(&env.client, &a).await, None);
    assert_eq!(value(&env.client, &c).await.as_deref(), Some("stays"));
}

#[case]
async fn a_revoke_of_an_unknown_lease_is_refused(mut env: TestEnv) {
    refused(env.client.lease_revoke(0x0dead).await, Code::NotFound, NOT_FOUND);
}

#[case]
async fn a_keepalive_gives_the_full_ttl_again(mut env: TestEnv) {
    let lease = granted(&mut env).await;
    let (mut keeper, mut answers) = env.client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!((answer.id(), answer.ttl()), (lease, 60));
    assert!(answer.header().unwrap().revision() > 0);
}

#[case]
async fn one_stream_keeps_several_leases_alive(mut env: TestEnv) {
    let mut streams = Vec::new();
    for _ in 0..3 {
        let lease = granted(&mut env).await;
        streams.push((lease, env.client.lease_keep_alive(lease).await.unwrap()));
    }
    for _ in 0..2 {
        for (lease, (keeper, answers)) in &mut streams {
            keeper.keep_alive().await.unwrap();
            let answer = answers.message().await.unwrap().unwrap();
            assert_eq!((answer.id(), answer.ttl()), (*lease, 60));
        }
    }
}

#[case]
async fn a_keepalive_of_a_dead_lease_says_zero(mut env: TestEnv) {
    let lease = granted(&mut env).await;
    let (mut keeper, mut answers) = env.client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 60);
    env.client.lease_revoke(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!((answer.id(), answer.ttl()), (lease, 0));
}

#[case]
async fn time_to_live_returns_the_rest_and_the_keys(mut env: TestEnv) {
    let lease = granted(&mut env).await;
    let (a, b) = (env.key("a"), env.key("b"));
    put_with(&mut env, &b, lease).await;
    put_with(&mut env, &a, lease).await;
    let answer = env.client.lease_time_to_live(lease, None).await.unwrap();
    assert_eq!((answer.id(), answer.granted_ttl(), answer.keys().len()), (lease, 60, 0));
    assert!((50..=60).contains(&answer.ttl()), "{}", answer.ttl());
    assert_eq!(keys_of(&mut env, lease).await, ["a", "b"]);
}

#[case]
async fn time_to_live_of_an_unknown_lease_is_minus_one(mut env: TestEnv) {
    let answer = env.client.lease_time_to_live(0x0dead, None).await.unwrap();
    assert_eq!((answer.id(), answer.ttl(), answer.granted_ttl()), (0x0dead, -1, 0));
}

#[case(alone)]
async fn all_leases_are_listed(mut env: TestEnv) {
    let mut granted = [granted(&mut env).await, granted(&mut env).await, granted(&mut env).await];
    env.client.lease_revoke(granted[1]).await.unwrap();
    granted.swap(1, 2);
    let mut expected = granted[..2].to_vec();
    let answer = env.client.leases().await.unwrap();
    let mut listed: Vec<i64> = answer.leases().iter().map(etcd_client::LeaseStatus::id).collect();
    expected.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, expected);
}

#[case]
async fn a_key_moves_from_lease_to_lease(mut env: TestEnv) {
    let (old, new) = (granted(&mut env).await, granted(&mut env).await);
    let a = env.key("a");
    put_with(&mut env, &a, old).await;
    put_with(&mut env, &a, new).await;
    assert_eq!(keys_of(&mut env, old).await, [""; 0]);
    env.client.lease_revoke(old).await.unwrap();
    assert_eq!(value(&env.client, &a).await.as_deref(), Some("1"));
    env.client.lease_revoke(new).await.unwrap();
    assert_eq!(value(&env.client, &a).await, None);
}

#[case]
async fn a_transaction_attaches_keys_to_leases(mut env: TestEnv) {
    let lease = granted(&mut env).await;
    let (a, b) = (env.key("a"), env.key("b"));
    let leased = TxnOp::put(&*a, "1", Some(PutOptions::new().with_lease(lease)));
    let nested = TxnOp::txn(txn([], [TxnOp::put(&*b, "1", Some(PutOptions::new().with_lease(lease)))], []));
    env.client.txn(txn([], [leased, nested], [])).await.unwrap();
    assert_eq!(keys_of(&mut env, lease).await, ["a", "b"]);
}

#[case]
async fn a_deleted_key_leaves_its_lease(mut env: TestEnv) {
    let lease = granted(&mut env).await;
    let a = env.key("a");
    put_with(&mut env, &a, lease).await;
    env.client.delete(a.as_str(), None).await.unwrap();
    put(&env.client, &a, "immortal").await;
    assert_eq!(keys_of(&mut env, lease).await, [""; 0]);
    env.client.lease_revoke(lease).await.unwrap();
    assert_eq!(value(&env.client, &a).await.as_deref(), Some("immortal"));
}
