//! The one lock around the engine, and the waiting: requests for their batch to be durable, watch streams for
//! something new, the two background tasks for work.
//!
//! The lock is a plain mutex, held for the time of one operation in memory and never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use etcd_client::proto::PbResponseHeader;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::engine::{Done, Engine, Mark};
use crate::limits::Limits;
use crate::reserve::Space;
use crate::status::Refusal;

/// What the server is doing for clients: by this its owner decides when it may stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Open connections to its sockets; in-process channels do not count.
    pub connections: usize,
    /// Leases that were granted and are neither revoked nor expired.
    pub leases: usize,
    /// Watches on all streams, in-process ones included.
    pub watches: usize,
}

impl Activity {
    /// Whether no client needs the server.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// Who the server says it is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    /// Number of openings of the data folder; every opening is an election, so to say.
    pub(crate) term: u64,
}

/// How far readers may look, and whether it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) mark: Mark,
    /// No request is taken any more; those that were will be answered.
    pub(crate) closing: bool,
    /// Nothing will be published any more.
    pub(crate) end: Option<End>,
}

impl Published {
    /// Why a new request cannot be taken, if so.
    fn closed(&self) -> Option<End> {
        self.end.clone().or_else(|| self.closing.then_some(End::Stopped))
    }
}

/// Why it does not go on.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// It was asked to stop.
    Stopped,
    /// The data folder could not be written.
    Failed(Arc<str>),
}

impl From<End> for Status {
    fn from(end: End) -> Self {
        match end {
            End::Stopped => Refusal::Stopped.into(),
            End::Failed(why) => Self::unavailable(format!(
                "etcdserver: server stopped: the data folder cannot be written: {why}"
            )),
        }
    }
}

/// The engine behind its lock, with its waiters.
#[derive(Debug)]
pub(crate) struct Shared {
    engine: Mutex<Engine>,
    started: Instant,
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    client_urls: Mutex<Vec<String>>,
    published: watch::Sender<Published>,
    /// No request is taken any more.
    closed: CancellationToken,
    /// How the watch streams are woken.
    streams: Mutex<HashMap<u64, Arc<Notify>>>,
    activity: watch::Sender<Activity>,
    /// Whether the disk has room.
    space: Space,
    /// A compaction left something to sweep.
    garbage: watch::Sender<bool>,
    /// The journal has entries.
    pub(crate) work: Notify,
    /// The next deadline of a lease may have moved forward.
    pub(crate) deadline: Notify,
}

impl Shared {
    /// Shares an engine; its time begins now.
    pub(crate) fn new(
        engine: Engine,
        identity: Identity,
        limits: Limits,
        client_urls: Vec<String>,
        space: Space,
    ) -> Self {
        let published = Published { mark: engine.published(), closing: false, end: None };
        let activity = Activity { leases: engine.leases(), ..Activity::default() };
        let garbage = engine.has_garbage();
        Self {
            engine: Mutex::new(engine),
            started: Instant::now(),
            identity,
            limits,
            client_urls: Mutex::new(client_urls),
            published: watch::Sender::new(published),
            closed: CancellationToken::new(),
            streams: Mutex::default(),
            activity: watch::Sender::new(activity),
            space,
            garbage: watch::Sender::new(garbage),
            work: Notify::new(),
            deadline: Notify::new(),
        }
    }

    /// The time of the engine.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time of the engine as tokio's.
    pub(crate) fn instant(&self, at: Duration) -> Option<Instant> {
        self.started.checked_add(at)
    }

    fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().expect("an operation on the engine panicked; its state cannot be trusted")
    }

    /// Does something with the engine and notifies those whom the outcome concerns.
    pub(crate) fn with<T>(&self, operate: impl FnOnce(&mut Engine, Duration) -> T) -> T {
        let mut engine = self.lock();
        let deadline = engine.next_deadline();
        let outcome = operate(&mut engine, self.now());
        let sooner = engine.next_deadline().filter(|next| deadline.is_none_or(|before| *next < before));
        let (mark, leases, watches) = (engine.published(), engine.leases(), engine.watches());
        let (stirred, garbage) = (engine.watch_stirred(), engine.has_garbage());
        if engine.queued() > 0 {
            self.work.notify_one();
        }
        // Published under the lock, so that no subscriber sees an older state later.
        self.published.send_if_modified(|published| {
            let changed = published.mark != mark;
            published.mark = mark;
            changed
        });
        self.activity.send_if_modified(|activity| {
            let now = Activity { leases, watches, ..*activity };
            let changed = *activity != now;
            *activity = now;
            changed
        });
        self.garbage.send_if_modified(|known| std::mem::replace(known, garbage) != garbage);
        drop(engine);
        if sooner.is_some() {
            self.deadline.notify_one();
        }
        if !stirred.is_empty() {
            let streams = self.streams();
            stirred.iter().filter_map(|stream| streams.get(stream)).for_each(|stream| stream.notify_one());
        }
        outcome
    }

    /// Looks at the engine.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&self.lock())
    }

    /// Carries out one request and waits until what it depends on is durable.
    ///
    /// # Errors
    /// The refusal of the operation, or why the server does not go on; in the latter case it is unknown
    /// whether the operation will have happened.
    ///
    /// # Cancel safety
    /// The operation is done at the first poll. Dropping the future later gives up the answer only.
    pub(crate) async fn call<T>(
        &self,
        operate: impl FnOnce(&mut Engine, Duration) -> Done<T>,
    ) -> Result<T, Status> {
        self.admit().await?;
        self.call_at_once(operate).await
    }

    /// As [`Self::call`], for what may not wait behind other people's writes, and writes nothing itself.
    ///
    /// # Errors
    /// As [`Self::call`].
    ///
    /// # Cancel safety
    /// As [`Self::call`].
    pub(crate) async fn call_at_once<T>(
        &self,
        operate: impl FnOnce(&mut Engine, Duration) -> Done<T>,
    ) -> Result<T, Status> {
        self.check_open()?;
        let done = self.with(operate);
        self.durable(done.seq).await?;
        Ok(done.result?)
    }

    /// Whether the disk has room for more than what frees some.
    ///
    /// # Errors
    /// `NoSpace`.
    pub(crate) fn check_space(&self) -> Result<(), Refusal> {
        if self.space.is_exhausted() { Err(Refusal::NoSpace) } else { Ok(()) }
    }

    /// Waits while too many writes wait for the disk.
    async fn admit(&self) -> Result<(), Status> {
        let mut published = self.published.subscribe();
        loop {
            if let Some(end) = published.borrow_and_update().closed() {
                return Err(end.into());
            }
            if self.read(Engine::queued) < self.limits.commit_queue_max {
                return Ok(());
            }
            published.changed().await.map_err(|_| Status::from(Refusal::Stopped))?;
        }
    }

    async fn durable(&self, seq: u64) -> Result<(), Status> {
        if self.published.borrow().mark.seq >= seq {
            return Ok(());
        }
        let mut published = self.published.subscribe();
        let now = published
            .wait_for(|published| published.mark.seq >= seq || published.end.is_some())
            .await
            .map_err(|_| Status::from(Refusal::Stopped))?;
        match &now.end {
            Some(end) if now.mark.seq < seq => Err(end.clone().into()),
            _ => Ok(()),
        }
    }

    /// Waits until there is something to sweep, or nothing any more.
    pub(crate) async fn garbage(&self, wanted: bool) {
        // The sender lives as long as this.
        let _ = self.garbage.subscribe().wait_for(|garbage| *garbage == wanted).await;
    }

    /// Whether requests are still taken.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_open(&self) -> Result<(), Status> {
        self.published.borrow().closed().map_or(Ok(()), |end| Err(end.into()))
    }

    /// Follows what is published.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// Registers a stream of watchers; and what notifies it of news.
    pub(crate) fn open_stream(&self) -> (u64, Arc<Notify>) {
        let (id, news) = (self.with(|engine, _| engine.watch_open()), Arc::new(Notify::new()));
        self.streams().insert(id, Arc::clone(&news));
        (id, news)
    }

    /// Forgets a stream of watchers.
    pub(crate) fn close_stream(&self, id: u64) {
        self.streams().remove(&id);
        self.with(|engine, _| engine.watch_close(id));
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<u64, Arc<Notify>>> {
        self.streams.lock().expect("held for a look only")
    }

    /// Waits until no request is taken any more.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Takes no more requests; those that were taken will be answered.
    pub(crate) fn close(&self) {
        self.published.send_modify(|published| published.closing = true);
        self.closed.cancel();
    }

    /// Publishes nothing any more, and notifies the waiters. The first reason stays.
    pub(crate) fn end(&self, end: End) {
        self.published.send_if_modified(|published| {
            let first = published.end.is_none();
            published.end.get_or_insert(end);
            first
        });
        self.closed.cancel();
    }

    /// Follows what the server does for others.
    pub(crate) fn activity(&self) -> watch::Receiver<Activity> {
        self.activity.subscribe()
    }

    /// Counts one connection more, unless there are too many.
    pub(crate) fn connect(&self) -> bool {
        self.activity.send_if_modified(|activity| {
            let room = activity.connections < self.limits.connections_max;
            activity.connections += usize::from(room);
            room
        })
    }

    /// Counts one connection less.
    pub(crate) fn disconnect(&self) {
        self.activity.send_modify(|activity| activity.connections -= 1);
    }

    /// Addresses under which clients can reach the server.
    pub(crate) fn client_urls(&self) -> Vec<String> {
        self.client_urls.lock().expect("held for a copy only").clone()
    }

    /// Adds an address under which clients can reach the server.
    pub(crate) fn advertise(&self, url: String) {
        let mut urls = self.client_urls.lock().expect("held for a copy only");
        if !urls.contains(&url) {
            urls.push(url);
        }
    }

    /// The header for an answer given now.
    pub(crate) fn header(&self) -> PbResponseHeader {
        self.header_at(self.published.borrow().mark.revision)
    }

    /// The header for an answer as of a revision.
    pub(crate) fn header_at(&self, revision: i64) -> PbResponseHeader {
        PbResponseHeader {
            cluster_id: self.identity.cluster_id,
            member_id: self.identity.member_id,
            revision,
            raft_term: self.identity.term,
        }
    }

    /// Completes a header that has the revision only.
    pub(crate) fn fill(&self, header: &mut Option<PbResponseHeader>) {
        let revision = header.as_ref().map_or(0, |header| header.revision);
        *header = Some(self.header_at(revision));
    }
}
