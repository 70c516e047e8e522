//! The key watch of a session: learns when single keys disappear, over one watch stream for all of them.
//!
//! Owners keep it over their own key (an operator may end an ownership at any time), candidates over the key
//! of the one before them in the queue. One watch per key, so that no waiter is woken by a change of another
//! key. That over an own key begins a moment later, from where the key was made: what is given back before
//! costs no watch.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use planlease_core::{Revision, keys::KeyRange};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::{
    etcd::{Etcd, Fault, QUIET, Watch, WatchEvent, WatchMessage, WatchSpec},
    retry::Backoff,
};

/// How long after its making an own key is watched. etcd serves a watch that begins in the past every 100 ms:
/// so much later is heard what happens to the key in the meantime. Whatever is written without the right to
/// is refused all the same.
const SETTLED: Duration = Duration::from_millis(20);

/// When a key was found gone: at which revision, if that is known.
pub(crate) type Gone = Option<Option<Revision>>;

/// A key to keep watch over.
#[derive(Debug)]
struct Watched {
    key: Vec<u8>,
    /// The life of the key that is meant: another create revision is another key.
    created: Revision,
    /// The next revision of interest.
    from: Revision,
    /// When its watch begins.
    begin: Option<Instant>,
    gone: watch::Sender<Gone>,
}

/// Waits for the deletion of single keys. Its task ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct KeyWatch {
    /// Unbounded, as the watches are: one for each key that a caller asks for. A bounded one would make
    /// callers wait, and who waits with a lock or a place of a queue in hand, and is not polled, makes all
    /// others wait.
    requests: mpsc::UnboundedSender<Watched>,
    cancel: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl KeyWatch {
    #[expect(clippy::disallowed_methods, reason = "the handle owns the task, stops it and can wait for it")]
    pub(crate) fn start(etcd: Etcd, span: &Span) -> Self {
        let (requests, inbox) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(Keeper::new(etcd, inbox).run(cancel.clone()).instrument(span.clone()));
        Self { requests, cancel, task: Mutex::new(Some(task)) }
    }

    /// Learns when the key that was made at `created` is gone; `seen` is a revision at which it was there.
    /// Dropping the receiver ends the watch.
    pub(crate) fn of(&self, key: Vec<u8>, created: Revision, seen: Revision) -> watch::Receiver<Gone> {
        self.request(key, created, seen, None)
    }

    /// The same of a key that we made ourselves.
    pub(crate) fn own(&self, key: Vec<u8>, created: Revision) -> watch::Receiver<Gone> {
        self.request(key, created, created, Some(Instant::now() + SETTLED))
    }

    fn request(
        &self,
        key: Vec<u8>,
        created: Revision,
        seen: Revision,
        begin: Option<Instant>,
    ) -> watch::Receiver<Gone> {
        let (gone, receiver) = watch::channel(None);
        // If the task is gone, the sender is dropped, and the receiver sees that.
        let _ = self.requests.send(Watched { key, created, from: seen.next(), begin, gone });
        receiver
    }

    pub(crate) async fn stop(&self) {
        self.cancel.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Waits until the key is gone; the revision of its end, if known. `Err` if the watch has ended.
pub(crate) async fn gone(
    receiver: &mut watch::Receiver<Gone>,
) -> Result<Option<Revision>, watch::error::RecvError> {
    let gone = receiver.wait_for(Option::is_some).await?;
    Ok(gone.flatten())
}

/// The task.
struct Keeper {
    etcd: Etcd,
    inbox: mpsc::UnboundedReceiver<Watched>,
    watched: BTreeMap<i64, Watched>,
    /// Those whose watch begins later, in that order.
    later: VecDeque<Watched>,
    next_id: i64,
    stream: Option<Watch>,
    backoff: Backoff,
}

impl Keeper {
    fn new(etcd: Etcd, inbox: mpsc::UnboundedReceiver<Watched>) -> Self {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2), None);
        let (watched, later) = (BTreeMap::new(), VecDeque::new());
        Self { etcd, inbox, watched, later, next_id: 1, stream: None, backoff }
    }

    async fn run(mut self, cancel: CancellationToken) {
        loop {
            let step = tokio::select! {
                biased; // The end first; then new keys, so that no caller waits behind a busy stream.
                () = cancel.cancelled() => return,
                request = self.inbox.recv() => match request {
                    Some(request) if request.begin.is_some() => {
                        self.postpone(request);
                        Ok(())
                    }
                    Some(request) => self.add(request).await,
                    None => return,
                },
                () = due(&self.later) => match self.later.pop_front() {
                    Some(watched) if !watched.gone.is_closed() => self.add(watched).await,
                    _ => Ok(()),
                },
                message = next(&mut self.stream) => match message {
                    Ok(message) => self.hear(message).await,
                    Err(fault) => Err(fault),
                },
            };
            if let Err(fault) = step {
                tracing::debug!(%fault, "the watch over keys broke");
                if let Some(stream) = self.stream.take() {
                    stream.give_up(&self.etcd);
                }
                // A stream that opens, and breaks at once, must not be opened again and again.
                let delay = self.backoff.next(self.etcd.random()).unwrap_or_default();
                tokio::select! {
                    biased; // The end first.
                    () = cancel.cancelled() => return,
                    () = async { tokio::time::sleep(delay).await; self.reopen().await } => {}
                }
            }
        }
    }

    /// Those before it that were given back are forgotten on the way.
    fn postpone(&mut self, request: Watched) {
        while self.later.front().is_some_and(|watched| watched.gone.is_closed()) {
            self.later.pop_front();
        }
        self.later.push_back(request);
    }

    async fn add(&mut self, request: Watched) -> Result<(), Fault> {
        let id = self.next_id;
        self.next_id += 1;
        let spec = spec(id, &request);
        self.watched.insert(id, request);
        self.forget_dropped().await?;
        match &mut self.stream {
            Some(stream) => stream.add(&spec).await,
            None => {
                self.stream = Some(self.etcd.watch(&spec).await?);
                Ok(())
            }
        }
    }

    /// Ends the watches that have no waiter left.
    async fn forget_dropped(&mut self) -> Result<(), Fault> {
        let dropped: Vec<i64> =
            self.watched.iter().filter(|(_, watched)| watched.gone.is_closed()).map(|(id, _)| *id).collect();
        for id in dropped {
            self.watched.remove(&id);
            if let Some(stream) = &mut self.stream {
                stream.remove(id).await?;
            }
        }
        Ok(())
    }

    async fn hear(&mut self, message: WatchMessage) -> Result<(), Fault> {
        if !matches!(message.event, WatchEvent::Created | WatchEvent::Cancelled(_)) {
            self.backoff.reset();
        }
        let Some(watched) = self.watched.get_mut(&message.id) else {
            // One that we ended says good-bye. A negative id is the stream's: etcd could not assign a watch.
            return match message.event {
                WatchEvent::Cancelled(fault) if message.id < 0 => Err(fault),
                _ => Ok(()),
            };
        };
        let end = match message.event {
            WatchEvent::Cancelled(fault) => return Err(fault),
            WatchEvent::Created | WatchEvent::Alive => None,
            WatchEvent::Changes(changes) => changes.into_iter().find_map(|(revision, _, entry)| {
                watched.from = watched.from.max(revision.next());
                let same = entry.is_some_and(|entry| entry.created == watched.created);
                (!same).then_some(Some(revision))
            }),
            WatchEvent::Compacted(_) => return self.look(message.id).await,
        };
        if let Some(end) = end {
            self.say_gone(message.id, end).await?;
        }
        Ok(())
    }

    /// The history since the watch should have begun is compacted: a read of the key decides.
    async fn look(&mut self, id: i64) -> Result<(), Fault> {
        let Some(watched) = self.watched.get_mut(&id) else { return Ok(()) };
        let mut end = watched.key.clone();
        end.push(0);
        let page = self.etcd.page(&KeyRange { start: watched.key.clone(), end }, 1, None).await?;
        if page.rows.first().is_some_and(|(_, entry)| entry.created == watched.created) {
            watched.from = page.revision.next();
            let spec = spec(id, watched);
            match &mut self.stream {
                Some(stream) => stream.add(&spec).await,
                None => Ok(()),
            }
        } else {
            self.say_gone(id, None).await
        }
    }

    async fn say_gone(&mut self, id: i64, at: Option<Revision>) -> Result<(), Fault> {
        if let Some(watched) = self.watched.remove(&id) {
            watched.gone.send_replace(Some(at));
        }
        match &mut self.stream {
            Some(stream) => stream.remove(id).await,
            None => Ok(()),
        }
    }

    /// Opens a new stream with all watches on it, each from where it was. Tries until it succeeds.
    async fn reopen(&mut self) {
        self.watched.retain(|_, watched| !watched.gone.is_closed());
        while !self.watched.is_empty() {
            match self.open_all().await {
                Ok(stream) => {
                    self.stream = Some(stream);
                    return;
                }
                Err(fault) => tracing::debug!(%fault, "cannot watch over keys yet"),
            }
            let delay = self.backoff.next(self.etcd.random()).unwrap_or_default();
            tokio::time::sleep(delay).await;
        }
    }

    async fn open_all(&self) -> Result<Watch, Fault> {
        let mut specs = self.watched.iter().map(|(id, watched)| spec(*id, watched));
        let first = specs.next().ok_or_else(Fault::nothing_to_watch)?;
        let mut stream = self.etcd.watch(&first).await?;
        for spec in specs {
            stream.add(&spec).await?;
        }
        Ok(stream)
    }
}

fn spec(id: i64, watched: &Watched) -> WatchSpec {
    let range = KeyRange { start: watched.key.clone(), end: Vec::new() };
    WatchSpec { id, range, from: watched.from, quiet: QUIET }
}

/// Until the first of those is to be watched.
async fn due(later: &VecDeque<Watched>) {
    match later.front().and_then(|watched| watched.begin) {
        Some(begin) => tokio::time::sleep_until(begin).await,
        None => std::future::pending().await,
    }
}

async fn next(stream: &mut Option<Watch>) -> Result<WatchMessage, Fault> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}
