//! One connection through a proxy: two pumps, each of which reads ahead a bounded piece and looks at what is
//! switched before it writes.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http2::{self, Client, Frames, Said};
use super::trap::{self, Kind};
use super::{Direction, GoAway, Shared, Spoken, Way, Ways};

/// How much is read at once, and how many such pieces wait at most in each direction; then the sender has to.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 64;

/// HTTP/2's codes for the end of a connection.
const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 11;

/// By what a member of etcd says who it is, on its connections to others.
const PEER: &[u8] = b"X-Server-From: ";

/// What is known of a connection, and by what it is steered.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ways: watch::Sender<Ways>,
    /// Resets both sides.
    pub(super) cut: CancellationToken,
    /// The member that made it, if it said so.
    pub(super) peer: OnceLock<u64>,
    /// Whether bytes were swallowed, so that it can never go on.
    lossy: AtomicBool,
    /// The stream of the request that is held, or was; 0 for none. From then on the server is kept from
    /// seeing whether the client is still there.
    held_stream: AtomicU32,
    /// The streams whose answers are to be lost.
    victims: Mutex<BTreeMap<u32, Arc<trap::Inner>>>,
    /// The newest stream that the client has opened.
    newest_stream: AtomicU32,
    /// The end that the server is to seem to make.
    going_away: Mutex<Option<GoAway>>,
    go_away: Notify,
}

/// Something that was read, on its way.
struct Piece {
    read_at: Instant,
    what: What,
}

enum What {
    Bytes {
        bytes: Vec<u8>,
        /// Whether a frame of one's own could follow them.
        at_boundary: bool,
    },
    /// The sender has nothing more to say.
    End,
    /// The sender has reset the connection.
    Reset,
}

impl Connection {
    pub(super) fn new(ways: Ways, cut: CancellationToken) -> Self {
        Self {
            ways: watch::Sender::new(ways),
            cut,
            peer: OnceLock::new(),
            lossy: AtomicBool::new(false),
            held_stream: AtomicU32::new(0),
            victims: Mutex::new(BTreeMap::new()),
            newest_stream: AtomicU32::new(0),
            going_away: Mutex::new(None),
            go_away: Notify::new(),
        }
    }

    pub(super) fn heal(&self) {
        if self.lossy.load(Ordering::SeqCst) {
            self.cut.cancel();
        } else {
            self.ways.send_replace(Ways::OPEN);
        }
    }

    pub(super) fn go_away(&self, how: GoAway) {
        *self.going_away.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        self.go_away.notify_one();
    }

    /// What was held goes on to the server, which is to believe that the client is still there.
    pub(super) fn deliver(&self) {
        self.ways.send_replace(Ways::OPEN);
    }

    /// Connects to the server and carries bytes both ways until an end.
    pub(super) async fn run(self: &Arc<Self>, shared: &Shared, client: TcpStream) {
        let server = match TcpStream::connect(shared.upstream).await {
            Ok(server) if !self.cut.is_cancelled() => server,
            _ => {
                let _ = client.set_zero_linger(); // The client sees a reset.
                return;
            }
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let (requests, to_send) = mpsc::channel(PIECES);
        let (answers, to_answer) = mpsc::channel(PIECES);
        let pumps = async {
            tokio::try_join!(
                self.read_requests(shared, &mut from_client, requests),
                self.read_answers(shared, &mut from_server, answers),
                self.write(Direction::ToServer, &mut to_server, to_send),
                self.write(Direction::ToClient, &mut to_client, to_answer),
            )
        };
        let reset = tokio::select! {
            biased; // A cut leaves no time for one more piece.
            () = self.cut.cancelled() => true,
            ended = pumps => ended.is_err_and(|error| error.kind() != io::ErrorKind::ConnectionAborted),
        };
        if reset {
            let _ = (to_client.as_ref().set_zero_linger(), to_server.as_ref().set_zero_linger());
            // They would say good-bye when dropped.
            to_client.forget();
            to_server.forget();
        }
    }

    async fn read_requests(
        self: &Arc<Self>,
        shared: &Shared,
        from: &mut OwnedReadHalf,
        queue: mpsc::Sender<Piece>,
    ) -> io::Result<()> {
        let mut client = Client::new();
        let mut pinged: Option<Instant> = None;
        loop {
            let piece = read(from).await;
            let mut is_last = !matches!(piece.what, What::Bytes { .. });
            if let What::Bytes { bytes, .. } = &piece.what {
                match shared.spoken {
                    Spoken::Raft => self.introduce(shared, bytes),
                    Spoken::Grpc => {
                        for said in client.feed(bytes) {
                            is_last |= self.hear(shared, said, piece.read_at, &mut pinged)?;
                        }
                    }
                }
            }
            if queue.send(piece).await.is_err() {
                return Ok(());
            }
            if is_last {
                // What follows a held request (that it is no longer wanted, the end) never comes; but the
                // client is heard out.
                while self.is_detached() && matches!(read(from).await.what, What::Bytes { .. }) {}
                return Ok(());
            }
        }
    }

    /// A member says who it is on each of its connections; the first time is enough.
    fn introduce(&self, shared: &Shared, bytes: &[u8]) {
        if self.peer.get().is_none()
            && let Some(peer) = peer_of(bytes)
        {
            shared.introduce(self, peer);
        }
    }

    /// Something that the client said; whether it is the last thing that is to be passed on.
    fn hear(
        self: &Arc<Self>,
        shared: &Shared,
        said: Said,
        at: Instant,
        pinged: &mut Option<Instant>,
    ) -> io::Result<bool> {
        match said {
            Said::Request { stream, path } => self.request(shared, stream, &path)?,
            Said::End { stream } => return Ok(self.held_stream.load(Ordering::SeqCst) == stream),
            Said::Ping => {
                if let Some(last) = pinged.replace(at) {
                    shared.pinged(at - last);
                }
            }
        }
        Ok(false)
    }

    /// A request begins: it may spring a trap.
    fn request(self: &Arc<Self>, shared: &Shared, stream: u32, path: &str) -> io::Result<()> {
        self.newest_stream.store(stream, Ordering::SeqCst);
        let Some(trap) = shared.spring(path) else { return Ok(()) };
        match trap.kind {
            Kind::LoseAnswer => {
                self.victims().insert(stream, trap);
            }
            Kind::HoldRequest => {
                self.held_stream.store(stream, Ordering::SeqCst);
                self.ways.send_modify(|ways| ways.set(Direction::ToServer, Way::Held));
                trap.hold(Arc::clone(self));
            }
            Kind::Crash => {
                trap.spring();
                shared.crash();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Kind::LoseRequest => {
                trap.spring();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        Ok(())
    }

    async fn read_answers(
        &self,
        shared: &Shared,
        from: &mut OwnedReadHalf,
        queue: mpsc::Sender<Piece>,
    ) -> io::Result<()> {
        let mut frames = Frames::default();
        loop {
            let mut piece = read(from).await;
            if let What::Bytes { bytes, .. } = &piece.what {
                shared.state().answered += bytes.len() as u64;
            }
            if let (What::Bytes { bytes, at_boundary }, Spoken::Grpc) = (&mut piece.what, shared.spoken) {
                let mut lost = None;
                frames.feed(bytes, |frame, _| {
                    if frame.is_message() && lost.is_none() {
                        lost = self.victims().remove(&frame.stream);
                    }
                });
                if let Some(trap) = lost {
                    trap.spring();
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                *at_boundary = frames.at_boundary();
            }
            let last = !matches!(piece.what, What::Bytes { .. });
            if queue.send(piece).await.is_err() || last {
                return Ok(());
            }
        }
    }

    async fn write(
        &self,
        direction: Direction,
        to: &mut OwnedWriteHalf,
        mut queue: mpsc::Receiver<Piece>,
    ) -> io::Result<()> {
        let mut ways = self.ways.subscribe();
        // Before the server's first frame there is no place for one of ours.
        let mut at_boundary = false;
        loop {
            let piece = tokio::select! {
                biased; // The good-bye first, or a busy server would never say it.
                () = self.go_away.notified(), if at_boundary && direction == Direction::ToClient => {
                    self.say_good_bye(to).await?;
                    continue;
                }
                piece = queue.recv() => piece,
            };
            let piece = match piece {
                Some(piece) => piece,
                None if self.is_detached() => std::future::pending().await,
                None => return Ok(()),
            };
            let way = self.pass(direction, &piece, &mut ways).await;
            match (piece.what, way) {
                (What::Bytes { bytes, at_boundary: boundary }, Some(way)) => {
                    at_boundary = boundary;
                    if let Err(error) = put(to, &bytes, way).await {
                        // What a request was held from has hung up; the server is not to know.
                        if !self.is_detached() || direction == Direction::ToServer {
                            return Err(error);
                        }
                    }
                }
                (What::Bytes { .. }, None) => {}
                // The other side must not see that there was an end.
                (_, None) => std::future::pending().await,
                _ if self.is_detached() => std::future::pending().await,
                (What::End, Some(_)) => return to.shutdown().await,
                (What::Reset, Some(_)) => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    }

    /// Waits until the way is open for a piece; how it may go, or `None` if it is lost.
    async fn pass(
        &self,
        direction: Direction,
        piece: &Piece,
        ways: &mut watch::Receiver<Ways>,
    ) -> Option<Way> {
        loop {
            let way = ways.borrow_and_update().of(direction);
            let due = match way {
                Way::Open | Way::Throttled(_) => return Some(way),
                Way::Swallowed => {
                    self.lossy.store(true, Ordering::SeqCst);
                    return None;
                }
                Way::Held => None,
                Way::Delayed(delay) => Some(piece.read_at + delay),
            };
            tokio::select! {
                biased; // What is switched counts for everything that has not passed yet.
                changed = ways.changed() => if changed.is_err() { return None },
                () = until(due) => return Some(way),
            }
        }
    }

    /// Ends the connection as a server would.
    async fn say_good_bye(&self, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let how = self.going_away.lock().unwrap_or_else(PoisonError::into_inner).take();
        let newest = self.newest_stream.load(Ordering::SeqCst);
        match how {
            None => Ok(()),
            Some(GoAway::Graceful) => to.write_all(&http2::go_away(newest, NO_ERROR, "")).await,
            Some(GoAway::TooManyPings) => {
                to.write_all(&http2::go_away(newest, ENHANCE_YOUR_CALM, "too_many_pings")).await?;
                to.shutdown().await?;
                Err(io::ErrorKind::ConnectionAborted.into()) // Without a reset, which would overtake the frame.
            }
        }
    }

    fn victims(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<trap::Inner>>> {
        self.victims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_detached(&self) -> bool {
        self.held_stream.load(Ordering::SeqCst) != 0
    }
}

async fn read(from: &mut OwnedReadHalf) -> Piece {
    let mut bytes = vec![0; PIECE];
    let what = match from.read(&mut bytes).await {
        Ok(0) => What::End,
        Ok(length) => {
            bytes.truncate(length);
            What::Bytes { bytes, at_boundary: false }
        }
        Err(_) => What::Reset,
    };
    Piece { read_at: Instant::now(), what }
}

async fn put(to: &mut OwnedWriteHalf, bytes: &[u8], way: Way) -> io::Result<()> {
    let Way::Throttled(per_second) = way else { return to.write_all(bytes).await };
    // A twentieth of a second's worth at a time.
    let portion = usize::try_from(per_second / 20).unwrap_or(usize::MAX).max(1);
    for portion in bytes.chunks(portion) {
        let length = u32::try_from(portion.len()).unwrap_or(u32::MAX);
        tokio::time::sleep(Duration::from_secs(1) * length / per_second.max(1)).await;
        to.write_all(portion).await?;
    }
    Ok(())
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The id of the member that made a connection, from its first request: `X-Server-From: 8e9e05c52164694d`.
fn peer_of(request: &[u8]) -> Option<u64> {
    let at = request.windows(PEER.len()).position(|window| window == PEER)? + PEER.len();
    let digits = request[at..].iter().take_while(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(&digits.map(|byte| char::from(*byte)).collect::<String>(), 16).ok()
}
