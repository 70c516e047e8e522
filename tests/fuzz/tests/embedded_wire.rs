//! The embedded server's connections: with any bytes that come in, the server stays, the connection is let
//! go, and others are served meanwhile.

use std::{io, time::Duration};

use bolero::{TypeGenerator, check};
use planlease_embedded::{Options, Server};
use planlease_fuzz::{
    INPUT_BYTES,
    deadline::{Deadline, EACH},
    grpc::framed,
    panics,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// With what every client begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2 with anything in it.
#[derive(Clone, Debug, TypeGenerator)]
struct Piece {
    kind: u8,
    flags: u8,
    stream: u8,
    payload: Payload,
    /// What its length is said to be, if not what it is.
    claims: Option<u32>,
}

#[derive(Clone, Debug, TypeGenerator)]
enum Payload {
    Any(Vec<u8>),
    /// The headers of a request to one of the methods.
    Headers(u8),
    /// A message, whole or claiming another length.
    Message(Vec<u8>, Option<u32>),
    Numbers(u32, u32),
}

const PATHS: &[&str] = &[
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.KV/Txn",
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/",
    "*",
    "/etcdserverpb.KV/%00",
];

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).expect("the texts are short"));
    bytes.extend_from_slice(text.as_bytes());
}

/// The compressed headers of a gRPC request (RFC 7541: indexed fields, and literals without an index).
fn headers(path: &str) -> Vec<u8> {
    let mut bytes = vec![0x83, 0x86, 0x04];
    text(&mut bytes, path);
    bytes.extend([0x01, 9]);
    bytes.extend_from_slice(b"localhost");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        // Mostly the kinds that exist, and streams that a client may open.
        let kind = if self.kind < 200 { self.kind % 10 } else { self.kind };
        let (kind, flags, payload) = match &self.payload {
            Payload::Any(bytes) => (kind, self.flags, bytes.clone()),
            Payload::Headers(path) => {
                (1, 4 | (self.flags & 1), headers(PATHS[usize::from(*path) % PATHS.len()]))
            }
            Payload::Message(message, None) => (0, self.flags & 1, framed(message).to_vec()),
            Payload::Message(message, Some(length)) => {
                (0, self.flags & 1, planlease_fuzz::grpc::framed_as(*length, message).to_vec())
            }
            Payload::Numbers(a, b) => (kind, self.flags, [a.to_be_bytes(), b.to_be_bytes()].concat()),
        };
        let length = self.claims.unwrap_or(u32::try_from(payload.len()).unwrap_or(0));
        let mut bytes = length.to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, self.stream % 16]);
        bytes.extend(payload);
        bytes
    }
}

/// Serves, and gives each piece of a test its own connection.
struct Serving {
    server: Server,
    connections: mpsc::UnboundedSender<io::Result<DuplexStream>>,
}

impl Serving {
    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        self.connections.send(Ok(theirs)).expect("it serves");
        ours
    }

    /// Writes the bytes and reads what comes, until the server has nothing more to say.
    async fn say(&self, bytes: &[u8]) -> DuplexStream {
        let mut connection = self.connect();
        let mut answer = vec![0; 4096];
        for part in bytes.chunks(1024) {
            // Refused in the middle is refused; and one that is not read must not be waited for.
            let written = timeout(Duration::from_secs(1), connection.write_all(part)).await;
            let read = timeout(Duration::from_millis(10), connection.read(&mut answer)).await;
            if !matches!(written, Ok(Ok(()))) || matches!(read, Ok(Ok(0) | Err(_))) {
                break;
            }
        }
        connection
    }

    fn open(&self) -> usize {
        self.server.activity().borrow().connections
    }
}

fn run(test: impl AsyncFnOnce(&Serving)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    panics::none_in(|| {
        runtime.expect("a runtime").block_on(async {
            let server = Server::open(Options::in_memory(1)).await.expect("it is in memory");
            let (connections, incoming) = mpsc::unbounded_channel();
            let served = server.serve(UnboundedReceiverStream::new(incoming), std::future::pending());
            let serving = Serving { server, connections };
            tokio::select! {
                biased; // The end of the serving would be the finding.
                served = served => panic!("it serves no more: {served:?}"),
                () = test(&serving) => {}
            }
            let mut client = serving.server.client().await;
            client.put("still", "here", None).await.expect("it serves others");
        });
    });
}

/// Says it, goes away, and expects that the server lets the connection go.
fn said(bytes: &[u8]) {
    run(async |serving| {
        let connection = serving.say(bytes).await;
        drop(connection);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(serving.open(), 0, "a connection whose peer is gone is kept");
    });
}

#[test]
fn arbitrary_bytes_on_a_connection_do_no_harm() {
    let deadline = Deadline::of(EACH);
    check!().for_each(|bytes: &[u8]| {
        deadline.within(bytes.to_vec(), || {
            said(bytes);
            said(&[PREFACE, bytes].concat());
        });
    });
}

#[test]
fn arbitrary_frames_on_a_connection_do_no_harm() {
    let deadline = Deadline::of(EACH);
    check!().with_max_len(INPUT_BYTES).with_type::<Vec<Piece>>().for_each(|pieces| {
        deadline.within(pieces.clone(), || {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let frames: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
            said(&[PREFACE, &settings, &frames].concat());
        });
    });
}

#[test]
fn a_call_that_is_cut_anywhere_does_no_harm() {
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let call = [
        Piece { kind: 1, flags: 0, stream: 1, payload: Payload::Headers(0), claims: None },
        Piece {
            kind: 0,
            flags: 1,
            stream: 1,
            payload: Payload::Message(b"\x0a\x01a".to_vec(), None),
            claims: None,
        },
    ];
    let frames: Vec<u8> = call.iter().flat_map(Piece::bytes).collect();
    let whole = [PREFACE, &settings, &frames].concat();
    for length in 0..=whole.len() {
        said(&whole[..length]);
    }
}

#[test]
fn a_connection_that_never_becomes_one_is_let_go() {
    for begun in [&b""[..], &PREFACE[..10], PREFACE] {
        run(async |serving| {
            let connection = serving.say(begun).await;
            sleep(Duration::from_secs(3600)).await;
            assert_eq!(serving.open(), 0, "an hour after {begun:?}");
            drop(connection);
        });
    }
}
