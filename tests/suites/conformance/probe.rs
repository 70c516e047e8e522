//! Small ways to ask and to look, shared by the tests: errors, revisions, operations, watches.

use etcd_client::{
    Client, Compare, CompareOp, Error, Event, EventType, GetResponse, ResponseHeader, Txn, TxnOp,
    TxnOpResponse, TxnResponse, WatchOptions, WatchResponse, WatchStream,
};
use planlease_tests::backend::Backend;
use planlease_tests::suite::backend;
use planlease_tests::wait::SOON;
use tokio::time::timeout;
use tonic::Code;

/// etcd's refusal: its code and its text.
#[track_caller]
pub(crate) fn refusal<T>(result: Result<T, Error>) -> (Code, String) {
    match result {
        Ok(_) => panic!("this was to be refused, and was accepted"),
        Err(Error::GRpcStatus(status)) => (status.code(), status.message().to_owned()),
        Err(other) => panic!("not a status of the server: {other}"),
    }
}

/// Checks code and text of a refusal.
#[track_caller]
pub(crate) fn refused<T>(result: Result<T, Error>, code: Code, text: &str) {
    let (found, said) = refusal(result);
    assert_eq!((as_sent(found, code), said.as_str()), (code, text));
}

/// The code of a refusal as etcd sent it: its own proxy passes on the text alone, of most requests.
pub(crate) fn as_sent(found: Code, expected: Code) -> Code {
    if backend() == Some(Backend::Proxied) && found == Code::Unknown { expected } else { found }
}

/// The revision in an answer's header.
#[track_caller]
pub(crate) fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.expect("every answer has a header").revision()
}

/// Puts and returns the revision.
pub(crate) async fn put(client: &Client, key: &str, value: &str) -> i64 {
    let answer = client.clone().put(key, value, None).await.unwrap();
    revision(answer.header())
}

/// The value of a key, if there is one.
pub(crate) async fn value(client: &Client, key: &str) -> Option<String> {
    let answer = client.clone().get(key, None).await.unwrap();
    answer.kvs().first().map(|kv| kv.value_str().unwrap().to_owned())
}

/// Keys of an answer without the test's prefix, in the order of the answer.
pub(crate) fn names<'a>(answer: &'a GetResponse, prefix: &str) -> Vec<&'a str> {
    answer.kvs().iter().map(|kv| kv.key_str().unwrap().strip_prefix(prefix).unwrap()).collect()
}

/// A transaction of three parts.
pub(crate) fn txn(
    when: impl Into<Vec<Compare>>,
    then: impl Into<Vec<TxnOp>>,
    otherwise: impl Into<Vec<TxnOp>>,
) -> Txn {
    let (when, then, otherwise) = (when.into(), then.into(), otherwise.into());
    let mut txn = Txn::new();
    // The client refuses to be given an empty part.
    if !when.is_empty() {
        txn = txn.when(when);
    }
    if !then.is_empty() {
        txn = txn.and_then(then);
    }
    if !otherwise.is_empty() {
        txn = txn.or_else(otherwise);
    }
    txn
}

/// A put as a part of a transaction.
pub(crate) fn put_op(key: impl Into<Vec<u8>>, value: &str) -> TxnOp {
    TxnOp::put(key, value, None)
}

/// True while the key is not there.
pub(crate) fn absent(key: impl Into<Vec<u8>>) -> Compare {
    Compare::create_revision(key, CompareOp::Equal, 0)
}

/// True once the key is there.
pub(crate) fn present(key: impl Into<Vec<u8>>) -> Compare {
    Compare::create_revision(key, CompareOp::Greater, 0)
}

/// The answer of the nested transaction with this number.
#[track_caller]
pub(crate) fn inner(answer: &TxnResponse, number: usize) -> TxnResponse {
    match answer.op_responses().swap_remove(number) {
        TxnOpResponse::Txn(inner) => inner,
        other => panic!("not the answer of a transaction: {other:?}"),
    }
}

/// The answer of the read with this number.
#[track_caller]
pub(crate) fn read(answer: &TxnResponse, number: usize) -> GetResponse {
    match answer.op_responses().swap_remove(number) {
        TxnOpResponse::Get(read) => read,
        other => panic!("not the answer of a read: {other:?}"),
    }
}

/// A watch that has been created.
pub(crate) struct Watch {
    stream: WatchStream,
    /// The number that the server gave it.
    pub(crate) id: i64,
    /// The server's revision when it was created.
    pub(crate) revision: i64,
}

impl Watch {
    /// Begins to watch; the server has confirmed it when this returns.
    pub(crate) async fn begin(client: &Client, key: &str, options: WatchOptions) -> Self {
        let stream = client.clone().watch(key, Some(options)).await.unwrap();
        let mut watch = Self { stream, id: 0, revision: 0 };
        let created = watch.message().await;
        assert!(created.created() && created.events().is_empty(), "{created:?}");
        watch.id = created.watch_id();
        watch.revision = revision(created.header());
        watch
    }

    /// The stream itself, to send requests on it.
    pub(crate) fn stream(&mut self) -> &mut WatchStream {
        &mut self.stream
    }

    /// The next message; it comes soon.
    pub(crate) async fn message(&mut self) -> WatchResponse {
        let message = timeout(SOON, self.stream.message()).await.expect("no message from the watch");
        message.unwrap().expect("the watch's stream has ended")
    }

    /// The next so many events, however they are distributed over messages.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let message = self.message().await;
            assert!(!message.canceled(), "{message:?}");
            events.extend(message.events().iter().cloned());
        }
        assert_eq!(events.len(), count, "{events:?}");
        events
    }

    /// The next so many events in short: `+key=value` or `-key`, without the prefix.
    pub(crate) async fn seen(&mut self, count: usize, prefix: &str) -> Vec<String> {
        self.events(count).await.iter().map(|event| in_short(event, prefix)).collect()
    }
}

/// An event in short: `+key=value` or `-key`.
pub(crate) fn in_short(event: &Event, prefix: &str) -> String {
    let kv = event.kv().expect("every event has a key");
    let key = kv.key_str().unwrap().strip_prefix(prefix).expect("the watch has a prefix").to_owned();
    match event.event_type() {
        EventType::Put => format!("+{key}={}", kv.value_str().unwrap()),
        EventType::Delete => format!("-{key}"),
    }
}
