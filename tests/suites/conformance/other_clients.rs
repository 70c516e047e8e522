//! What clients in other languages do that ours does not: half-closed streams, compressed messages, passwords
//! where there are no users, locks and elections of the server, health checks, plain HTTP.

use std::time::Duration;

use etcd_client::proto::{
    PbAuthenticateRequest, PbAuthenticateResponse, PbPutRequest, PbPutResponse, PbRangeRequest,
    PbRangeResponse, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp, PbTxnResponse, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse,
};
use etcd_client::{CampaignResponse, LockOptions};
use planlease_tests::backend::Backend;
use planlease_tests::wait::SOON;
use planlease_tests::{TestEnv, case};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Status, Streaming};

use crate::probe::{as_sent, put, value};
use crate::raw::Raw;

/// The request for a watch of one key; the stream of requests ends after it.
fn watch_once(key: &str, start_revision: i64) -> impl Stream<Item = PbWatchRequest> + Send + 'static {
    let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
    if let PbWatchRequestUnion::CreateRequest(create) = &mut union {
        create.key = key.as_bytes().to_vec();
        create.start_revision = start_revision;
    }
    tokio_stream::once(PbWatchRequest { request_union: Some(union) })
}

/// The next so many values that a watch reports.
async fn values(stream: &mut Streaming<PbWatchResponse>, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        let message = timeout(SOON, stream.next()).await.expect("an event in time");
        let message = message.expect("the stream goes on").expect("no error");
        let kvs = message.events.into_iter().filter_map(|event| event.kv);
        values.extend(kvs.map(|kv| String::from_utf8(kv.value).expect("text")));
    }
    values
}

const WATCH: &str = "/etcdserverpb.Watch/Watch";

#[case]
async fn a_half_closed_watch_gets_every_event(env: TestEnv) {
    let key = env.key("a");
    let raw = Raw::connect(&env.server).await;
    let mut stream: Streaming<PbWatchResponse> = raw.stream(WATCH, watch_once(&key, 0)).await.unwrap();
    let created = timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap();
    assert!(created.created, "{created:?}");
    for number in 0..3 {
        put(&env.client, &key, &number.to_string()).await;
    }
    assert_eq!(values(&mut stream, 3).await, ["0", "1", "2"]);
    timeout(Duration::from_millis(200), stream.next()).await.expect_err("it goes on until it is cancelled");
}

#[case]
async fn a_half_closed_watch_catches_up_from_history(env: TestEnv) {
    let key = env.key("a");
    let first = put(&env.client, &key, "0").await;
    for number in 1..400 {
        put(&env.client, &key, &number.to_string()).await;
    }
    let raw = Raw::connect(&env.server).await;
    let mut stream = raw.stream(WATCH, watch_once(&key, first)).await.unwrap();
    let seen = values(&mut stream, 400).await;
    assert_eq!(seen, (0..400).map(|number| number.to_string()).collect::<Vec<_>>());
    put(&env.client, &key, "and on").await;
    assert_eq!(values(&mut stream, 1).await, ["and on"]);
}

#[case]
async fn a_half_closed_lease_stream_answers_and_ends(mut env: TestEnv) {
    use etcd_client::proto::{PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse};
    let id = env.client.lease_grant(60, None).await.unwrap().id();
    let raw = Raw::connect(&env.server).await;
    let requests = tokio_stream::once(PbLeaseKeepAliveRequest { id });
    let mut stream: Streaming<PbLeaseKeepAliveResponse> =
        raw.stream("/etcdserverpb.Lease/LeaseKeepAlive", requests).await.unwrap();
    let renewed = timeout(SOON, stream.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((renewed.id, renewed.ttl), (id, 60));
    assert!(timeout(SOON, stream.next()).await.unwrap().is_none(), "there is nothing more to renew");
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, text: &str) {
    let status = result.unwrap_err();
    assert_eq!((as_sent(status.code(), code), status.message()), (code, text));
}

#[case]
async fn unknown_methods_are_named(env: TestEnv) {
    let raw = Raw::connect(&env.server).await;
    let method = raw.call::<(), ()>("/etcdserverpb.KV/Frobnicate", ()).await;
    refused(method, Code::Unimplemented, "unknown method Frobnicate for service etcdserverpb.KV");
    let method = raw.call::<(), ()>("/etcdserverpb.Auth/Frobnicate", ()).await;
    refused(method, Code::Unimplemented, "unknown method Frobnicate for service etcdserverpb.Auth");
    let service = raw.call::<(), ()>("/frob.Nicate/Range", ()).await;
    refused(service, Code::Unimplemented, "unknown service frob.Nicate");
}

#[case]
async fn an_oversized_message_exhausts_a_resource(env: TestEnv) {
    let raw = Raw::connect(&env.server).await;
    let bytes = 5 * 1024 * 1024;
    let request =
        PbPutRequest { key: env.key("a").into_bytes(), value: vec![b'x'; bytes], ..Default::default() };
    let sent = prost::Message::encoded_len(&request);
    let put = raw.call::<_, PbPutResponse>("/etcdserverpb.KV/Put", request).await;
    let text = format!("grpc: received message larger than max ({sent} vs. 2097152)");
    refused(put, Code::ResourceExhausted, &text);
    assert_eq!(value(&env.client, &env.key("a")).await, None);
}

#[case]
async fn compressed_messages_are_understood(env: TestEnv) {
    if env.server.backend() == Backend::Etcd34 {
        return; // It knows no compression.
    }
    let raw = Raw::connect(&env.server).await.with_gzip();
    let (key, value) = (env.key("a").into_bytes(), vec![b'x'; 100_000]);
    let request = PbPutRequest { key: key.clone(), value: value.clone(), ..Default::default() };
    raw.call::<_, PbPutResponse>("/etcdserverpb.KV/Put", request).await.unwrap();
    let request = PbRangeRequest { key, ..Default::default() };
    let answer: PbRangeResponse = raw.call("/etcdserverpb.KV/Range", request).await.unwrap();
    assert_eq!(answer.kvs[0].value, value);
}

/// The answer about authentication; etcd-client does not export it.
#[derive(Clone, PartialEq, prost::Message)]
struct AuthStatus {
    #[prost(bool, tag = "2")]
    enabled: bool,
    #[prost(uint64, tag = "3")]
    auth_revision: u64,
}

#[case]
async fn a_password_is_refused_where_there_are_no_users(env: TestEnv) {
    let raw = Raw::connect(&env.server).await;
    let request = PbAuthenticateRequest { name: "ann".into(), password: "secret".into() };
    let answer = raw.call::<_, PbAuthenticateResponse>("/etcdserverpb.Auth/Authenticate", request).await;
    refused(answer, Code::FailedPrecondition, "etcdserver: authentication is not enabled");
    if env.server.backend() != Backend::Etcd34 {
        let status: AuthStatus = raw.call("/etcdserverpb.Auth/AuthStatus", ()).await.unwrap();
        assert_eq!(status, AuthStatus { enabled: false, auth_revision: 1 });
    }
}

#[case]
async fn a_transaction_that_reads_a_negative_revision_writes_nothing(env: TestEnv) {
    let raw = Raw::connect(&env.server).await;
    let key = env.key("a").into_bytes();
    let op = |request| PbTxnRequestOp { request: Some(request) };
    let put = PbPutRequest { key: key.clone(), value: b"1".to_vec(), ..Default::default() };
    let range = PbRangeRequest { key, revision: -2, ..Default::default() };
    let success = vec![op(PbTxnOpRequest::RequestPut(put)), op(PbTxnOpRequest::RequestRange(range))];
    let request = PbTxnRequest { success, ..Default::default() };
    let answer = raw.call::<_, PbTxnResponse>("/etcdserverpb.KV/Txn", request).await;
    refused(answer, Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted");
    assert_eq!(value(&env.client, &env.key("a")).await, None);
}

#[case]
async fn a_lock_is_given_to_one_at_a_time(mut env: TestEnv) {
    let name = env.key("lock");
    let mut lease = async || env.client.lease_grant(60, None).await.unwrap().id();
    let (first, second, gone) = (lease().await, lease().await, lease().await);
    let lock = |lease: i64| {
        let (mut client, name) = (env.client.clone(), name.clone());
        async move { client.lock(name, Some(LockOptions::new().with_lease(lease))).await }
    };
    let held = lock(first).await.unwrap();
    assert_eq!(held.key(), format!("{name}/{first:x}").as_bytes());
    assert_eq!(lock(first).await.unwrap().key(), held.key(), "the lease that holds it holds it");
    let (mut waiting, mut dying) = (Box::pin(lock(second)), Box::pin(lock(gone)));
    timeout(Duration::from_millis(200), &mut waiting).await.expect_err("it is held");
    timeout(Duration::from_millis(200), &mut dying).await.expect_err("and there is a queue");
    env.client.clone().lease_revoke(gone).await.unwrap();
    env.client.clone().unlock(held.key()).await.unwrap();
    let next = timeout(SOON, waiting).await.expect("it is free").unwrap();
    assert_eq!(next.key(), format!("{name}/{second:x}").as_bytes());
    env.client.clone().unlock(next.key()).await.unwrap();
    let outcome = timeout(SOON, dying).await.expect("its turn");
    // etcd 3.4 does not look whether the lease of a waiter is still there.
    if env.server.backend() != Backend::Etcd34 {
        let status = outcome.expect_err("its lease is gone").to_string();
        assert!(status.contains("session is expired"), "{status}");
    }
    let unknown = lock(12_345).await.expect_err("there is no such lease").to_string();
    assert!(unknown.contains("requested lease not found"), "{unknown}");
}

#[case]
async fn an_election_has_one_leader_after_the_other(mut env: TestEnv) {
    let name = env.key("election");
    let mut lease = async || env.client.lease_grant(60, None).await.unwrap().id();
    let (first, second) = (lease().await, lease().await);
    let mut client = env.client.clone();
    let none = client.leader(name.clone()).await.unwrap_err().to_string();
    assert!(none.contains("election: no leader"), "{none}");
    let elected = client.campaign(name.clone(), "one", first).await.unwrap();
    let (mut other, theirs) = (env.client.clone(), name.clone());
    let mut waiting = Box::pin(async move { other.campaign(theirs, "two", second).await });
    timeout(Duration::from_millis(200), &mut waiting).await.expect_err("there is a leader");
    let mut seen = client.observe(name.clone()).await.unwrap();
    let mut next = async || {
        let leader = timeout(SOON, seen.message()).await.unwrap().unwrap().unwrap();
        leader.kv().unwrap().value_str().unwrap().to_owned()
    };
    assert_eq!(next().await, "one");
    let key = |elected: &CampaignResponse| elected.leader().unwrap().clone();
    let options = etcd_client::ProclaimOptions::new().with_leader(key(&elected));
    client.proclaim("one again", Some(options.clone())).await.unwrap();
    assert_eq!(next().await, "one again");
    client.resign(Some(etcd_client::ResignOptions::new().with_leader(key(&elected)))).await.unwrap();
    let elected = timeout(SOON, waiting).await.expect("the leader resigned").unwrap();
    assert_eq!(next().await, "two");
    let leader = client.leader(name).await.unwrap();
    assert_eq!(leader.kv().unwrap().key(), elected.leader().unwrap().key());
    let late = client.proclaim("three", Some(options)).await.unwrap_err().to_string();
    assert!(late.contains("election: not leader"), "{late}");
}

/// The answer to a health check: 1 is "serving".
#[derive(Clone, PartialEq, prost::Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[case]
async fn the_health_of_the_server_can_be_asked_for(env: TestEnv) {
    let raw = Raw::connect(&env.server).await;
    let health: Health = raw.call("/grpc.health.v1.Health/Check", ()).await.unwrap();
    assert_eq!(health.status, 1);
}

#[case]
async fn health_and_version_are_served_over_http(env: TestEnv) {
    let endpoint = env.server.endpoints()[0].clone();
    let health = get(&endpoint, "/health").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.contains(r#""health":"true""#), "{health}");
    let version = get(&endpoint, "/version").await;
    assert!(version.starts_with("HTTP/1.1 200") && version.contains(r#""etcdserver":"3."#), "{version}");
    let metrics = get(&endpoint, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("etcd_server_has_leader 1"), "{metrics}");
}

/// The whole answer to a plain HTTP request.
async fn get(endpoint: &str, path: &str) -> String {
    let address = endpoint.strip_prefix("http://").expect("a server without TLS");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    answer
}
