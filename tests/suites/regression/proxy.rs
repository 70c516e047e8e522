//! A way to the server that ends after a number of requests, together with the process that went it.
//!
//! What is counted are the HTTP/2 frames that carry what a client asks; a large request is several of them.
//! So the place of the end is a place in the conversation, however fast that goes, and also in the middle of
//! a request.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use planlease_tests::{program::Process, test_env::background};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// What a client says before its first frame.
const PREFACE: usize = 24;

/// The head of a frame: length in three bytes, type, flags, stream.
const HEAD: usize = 9;

/// The type of the frames that carry what is asked.
const DATA: u8 = 0;

/// A way to the server that ends after a number of requests. Dropping it closes the way.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    way: Arc<Way>,
    accepting: JoinHandle<()>,
}

struct Way {
    server: String,
    /// How many frames may pass.
    limit: usize,
    passed: AtomicUsize,
    /// The process that dies at the next one; 0 for none.
    victim: AtomicI32,
    closed: CancellationToken,
}

impl Proxy {
    pub(crate) async fn start(server: &str, limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let way = Arc::new(Way {
            server: server.trim_start_matches("http://").to_owned(),
            limit,
            passed: AtomicUsize::new(0),
            victim: AtomicI32::new(0),
            closed: CancellationToken::new(),
        });
        let accepting = background(accept(listener, Arc::clone(&way)));
        Self { endpoint, way, accepting }
    }

    /// Who goes this way. To be said before it can have said anything.
    pub(crate) fn leads(&self, process: &Process) {
        self.way.victim.store(process.id(), Ordering::Relaxed);
    }

    /// How many frames have passed.
    pub(crate) fn passed(&self) -> usize {
        self.way.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.way.closed.cancel();
    }
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    while let Ok((client, _)) = listener.accept().await {
        background(Arc::clone(&way).lead(client)); // Ends with the connection, or when the way is closed.
    }
}

impl Way {
    async fn lead(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.server).await?;
        let (mut answers, requests) = server.into_split();
        let (asked, mut answered) = client.into_split();
        tokio::select! {
            biased; // Once the way is closed nothing passes any more.
            () = self.closed.cancelled() => Ok(()),
            ended = self.requests(asked, requests) => ended,
            ended = copy(&mut answers, &mut answered) => ended.map(drop),
        }
    }

    async fn requests(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let mut preface = [0; PREFACE];
        from.read_exact(&mut preface).await?;
        to.write_all(&preface).await?;
        loop {
            let mut frame = vec![0; HEAD];
            from.read_exact(&mut frame).await?;
            let length = usize::try_from(u32::from_be_bytes([0, frame[0], frame[1], frame[2]])).unwrap();
            frame.resize(HEAD + length, 0);
            from.read_exact(&mut frame[HEAD..]).await?;
            if frame[3] == DATA {
                if self.passed() == self.limit {
                    self.close();
                    return Ok(());
                }
                self.passed.fetch_add(1, Ordering::Relaxed);
            }
            to.write_all(&frame).await?;
        }
    }

    fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    /// Kills who goes the way, and closes it.
    fn close(&self) {
        self.closed.cancel();
        let victim = self.victim.swap(0, Ordering::Relaxed);
        if victim != 0 {
            let _ = kill(Pid::from_raw(victim), Signal::SIGKILL); // It has just sent something, so it is there.
        }
    }
}
