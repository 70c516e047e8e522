//! The server as its users see it: opened, served on as many sockets as wanted, closed.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Channel, Client};
use redb::StorageBackend;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::transport::server::Connected;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use crate::background::Tasks;
use crate::engine::Engine;
use crate::ids::{self, Ids};
use crate::lessor::Lessor;
use crate::limits::Limits;
use crate::listen::Bound;
use crate::mvcc::Store;
use crate::options::Options;
use crate::reserve::Space;
use crate::serve::{ServeError, serve};
use crate::service::routes;
use crate::shared::{Activity, End, Identity, Shared};
use crate::storage::{Contents, OpenError, Storage};

/// A single-node server of etcd's v3 API.
///
/// It owns background tasks: one lets leases expire, one removes compacted history, with a data folder one
/// writes to it, and if so wanted one compacts. Dropping the server stops them, after what was queued is
/// written, without waiting; [`Server::close`] waits.
#[derive(Debug)]
#[must_use = "dropping the server stops it"]
pub struct Server {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: Option<Tasks>,
    durable: bool,
}

impl Server {
    /// Opens the data folder, if there is one, and starts the background tasks. Every lease starts over.
    ///
    /// # Errors
    /// See [`OpenError`]; without a data folder there is none.
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a data folder that may be new, and is closed a moment later.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let seed = options.seed;
        let (storage, contents) = match options.data_dir.clone() {
            Some(path) => {
                let opened = tokio::task::spawn_blocking(move || Storage::open(&path, seed)).await;
                let (storage, contents) = opened.expect("opening a data folder does not panic")?;
                (Some(storage), contents)
            }
            None => (None, Contents::empty(seed)),
        };
        Ok(Self::start(storage, contents, options))
    }

    /// As [`Server::open`], with the data on something else than a file: a disk of a simulation, say, that
    /// loses what was not synced. It is written to on the server's own task, so it must never block. The
    /// folder in the options is not looked at.
    ///
    /// # Errors
    /// See [`OpenError`].
    ///
    /// # Panics
    /// Outside a tokio runtime with time.
    pub fn open_on(backend: impl StorageBackend, options: Options) -> Result<Self, OpenError> {
        let (storage, contents) = Storage::on(backend, options.seed)?;
        Ok(Self::start(Some(storage), contents, options))
    }

    fn start(storage: Option<Storage>, contents: Contents, options: Options) -> Self {
        let Options { data_dir: _, seed: _, name, client_urls, ttl_min_secs, compaction, limits } = options;
        let cluster_id = ids::cluster_id(contents.seed);
        let member_id = ids::member_id(cluster_id);
        let identity = Identity { name, cluster_id, member_id, term: contents.opening + 1 };
        let durable = storage.is_some();
        let space = storage.as_ref().map_or_else(Space::unbounded, Storage::space);
        let engine = engine(contents, &limits, ttl_min_secs, durable);
        let shared = Arc::new(Shared::new(engine, identity, limits, client_urls, space));
        let stop = CancellationToken::new();
        let tasks = Some(Tasks::start(&shared, storage, compaction, stop.clone()));
        Self { shared, stop, tasks, durable }
    }

    /// A channel to the server within the process, without any socket. Its calls fail once the server stops.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let routes = routes(&self.shared, &self.stop);
        let never_fails = |never: Infallible| -> BoxError { match never {} };
        let service = ServiceExt::<Request<Body>>::map_err(routes, never_fails);
        Channel::Custom(BoxCloneSyncService::new(service))
    }

    /// A client on [`Server::channel`].
    ///
    /// # Panics
    /// Never: a client without options does nothing that can fail.
    ///
    /// # Cancel safety
    /// Nothing happens until the client is used.
    pub async fn client(&self) -> Client {
        Client::from_channel(self.channel(), None).await.expect("without options nothing is sent")
    }

    /// Serves connections until `shutdown` is ready or the server is stopped; then ends all streams and gives
    /// requests under way some time. The future does not borrow the server, and several can run at once.
    ///
    /// # Errors
    /// See [`ServeError`]. An `Err` of `incoming` is one connection that was not made, and is passed over.
    ///
    /// # Cancel safety
    /// Dropping the future cuts its connections.
    pub fn serve<S, IO, F>(
        &self,
        incoming: S,
        shutdown: F,
    ) -> impl Future<Output = Result<(), ServeError>> + use<S, IO, F>
    where
        F: Future<Output = ()>,
        S: Stream<Item = io::Result<IO>>,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        serve(Arc::clone(&self.shared), incoming, shutdown, self.stop.clone())
    }

    /// As [`Server::serve`], on a bound socket, whose address goes into the member list.
    ///
    /// # Errors
    /// See [`ServeError`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket and cuts its connections.
    pub fn serve_on<F>(
        &self,
        bound: Bound,
        shutdown: F,
    ) -> impl Future<Output = Result<(), ServeError>> + Send + use<F>
    where
        F: Future<Output = ()> + Send,
    {
        self.shared.advertise(bound.url().to_owned());
        serve(Arc::clone(&self.shared), bound.incoming(), shutdown, self.stop.clone())
    }

    /// What the server does for others, now and whenever it changes.
    #[must_use]
    pub fn activity(&self) -> watch::Receiver<Activity> {
        self.shared.activity()
    }

    /// The id of the cluster, as every answer's header has it.
    #[must_use]
    pub fn cluster_id(&self) -> u64 {
        self.shared.identity.cluster_id
    }

    /// Waits until the server can do nothing any more: it was stopped, or could not write its data folder. In
    /// the latter case the reason is returned.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub fn ended(&self) -> impl Future<Output = Option<String>> + Send + use<> {
        let mut published = self.shared.subscribe();
        async move {
            let ended = published.wait_for(|published| published.end.is_some()).await;
            match ended.ok().and_then(|published| published.end.clone()) {
                Some(End::Failed(why)) => Some(why.to_string()),
                Some(End::Stopped) | None => None,
            }
        }
    }

    /// Stops: ends all streams, refuses further requests, writes what is queued, closes the data folder.
    ///
    /// # Cancel safety
    /// Dropping the future stops the server all the same, without waiting.
    pub async fn close(mut self) {
        self.stop();
        if let Some(tasks) = self.tasks.take() {
            tasks.stop().await;
        }
    }

    fn stop(&self) {
        self.shared.close();
        self.stop.cancel();
        if !self.durable {
            self.shared.end(End::Stopped);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Contents {
    fn empty(seed: u64) -> Self {
        let store = Store::default();
        Self { store, leases: Vec::new(), seed, opening: 1, index: 0 }
    }
}

fn engine(contents: Contents, limits: &Limits, ttl_min_secs: i64, durable: bool) -> Engine {
    let Contents { store, leases, seed, opening, index } = contents;
    let mut lessor = Lessor::default();
    for (id, ttl_secs) in leases {
        if let Err(refusal) = lessor.grant(id, ttl_secs, ttl_secs, Duration::ZERO) {
            tracing::warn!(lease = id, ttl_secs, ?refusal, "a stored lease could not be granted again");
        }
    }
    for (key, lease) in store.leased_keys() {
        lessor.attach(key, lease);
    }
    let ids = Ids::new(seed, opening);
    Engine::new(store, lessor, ids, limits.clone(), ttl_min_secs, durable, index)
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use etcd_client::LeaseGrantOptions;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A disk whose fsync can be held back, and which can be taken away.
    #[derive(Clone, Debug, Default)]
    struct Disk {
        inner: Arc<InMemoryBackend>,
        state: Arc<(Mutex<State>, Condvar)>,
    }

    #[derive(Debug, Default)]
    struct State {
        broken: bool,
        held: bool,
        waiting: bool,
        syncs: u32,
    }

    impl Disk {
        fn set(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.state.0.lock().unwrap());
            self.state.1.notify_all();
        }

        fn syncs(&self) -> u32 {
            self.state.0.lock().unwrap().syncs
        }

        /// Holds back every fsync until the guard is dropped, also by a test that fails.
        fn hold(&self) -> Held {
            self.set(|state| state.held = true);
            Held(self.clone())
        }

        /// Waits until a caller waits for an fsync.
        async fn reached(&self) {
            eventually(|| self.state.0.lock().unwrap().waiting).await;
        }

        fn check(&self) -> io::Result<()> {
            let broken = self.state.0.lock().unwrap().broken;
            if broken { Err(io::Error::other("no space left")) } else { Ok(()) }
        }
    }

    #[must_use]
    struct Held(Disk);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.set(|state| state.held = false);
        }
    }

    async fn eventually(condition: impl Fn() -> bool) {
        let met = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), met).await.expect("to happen within 20 s");
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.inner.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.inner.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.check()?;
            self.inner.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.check()?;
            let mut state = self.state.0.lock().unwrap();
            state.syncs += 1;
            state.waiting = true;
            drop(self.state.1.wait_while(state, |state| state.held).unwrap());
            self.set(|state| state.waiting = false);
            self.inner.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.check()?;
            self.inner.write(offset, data)
        }
    }

    async fn on_disk() -> (Server, Client, Disk) {
        let disk = Disk::default();
        let (storage, contents) = Storage::on_blocking(disk.clone(), 1).unwrap();
        let server = Server::start(Some(storage), contents, Options::in_memory(1));
        let client = server.client().await;
        (server, client, disk)
    }

    #[tokio::test]
    async fn what_cannot_be_made_durable_is_neither_acknowledged_nor_seen() {
        let (server, mut client, disk) = on_disk().await;
        client.put("a", "1", None).await.unwrap();
        let mut watch = client.watch("a", None).await.unwrap();
        watch.message().await.unwrap();

        disk.set(|state| state.broken = true);
        let error = client.put("a", "2", None).await.unwrap_err().to_string();
        assert!(error.contains("no space left"), "{error}");
        let why = server.ended().await.expect("a reason");
        assert!(why.contains("no space left"), "{why}");
        assert_eq!(server.shared.read(|engine| engine.store().visible()), 2);
        client.get("a", None).await.expect_err("it does not go on as if nothing had happened");
        watch.message().await.expect_err("and the stream ends without the event");
        server.close().await;
    }

    #[tokio::test]
    async fn a_write_is_visible_once_durable_and_syncs_are_shared() {
        let (server, mut client, disk) = on_disk().await;
        client.put("a", "0", None).await.unwrap();
        let alive = client.lease_grant(60, None).await.unwrap().id();
        let before = disk.syncs();
        client.put("a", "1", None).await.unwrap();
        let one_commit = disk.syncs() - before;
        let mut watch = client.watch("a", None).await.unwrap();
        watch.message().await.unwrap();

        let held = disk.hold();
        let mut writes = tokio::task::JoinSet::new();
        let mut write = |n: i64| {
            let mut client = client.clone();
            writes.spawn(async move {
                let granted = LeaseGrantOptions::new().with_id(n + 1);
                client.lease_grant(60, Some(granted)).await.unwrap();
                client.put("a", n.to_string(), None).await.unwrap().header().unwrap().revision()
            });
        };
        write(2);
        disk.reached().await;
        (3..40).for_each(&mut write);
        eventually(|| server.shared.read(Engine::queued) >= 37).await;
        let got = client.get("a", None).await.unwrap();
        assert_eq!((got.kvs()[0].value(), got.header().unwrap().revision()), (&b"1"[..], 3));
        let (mut keeper, mut renewed) = client.lease_keep_alive(alive).await.unwrap();
        keeper.keep_alive().await.unwrap();
        renewed.message().await.unwrap().expect("a renewal does not wait for the disk");
        assert!(writes.try_join_next().is_none(), "nothing is acknowledged");

        let before = disk.syncs();
        drop(held);
        let mut revisions = writes.join_all().await;
        revisions.sort_unstable();
        assert_eq!(revisions, (4..42).collect::<Vec<_>>());
        let commits = (disk.syncs() - before) / one_commit;
        assert!(commits <= 10, "{commits} commits for 38 grants and 38 puts");
        let message = watch.message().await.unwrap().unwrap();
        assert_eq!(message.events()[0].kv().unwrap().mod_revision(), 4);
        server.close().await;
    }

    #[tokio::test]
    async fn what_was_taken_before_the_close_is_answered() {
        let (server, client, disk) = on_disk().await;
        let held = disk.hold();
        let mut writer = client.clone();
        let mut writes = tokio::task::JoinSet::new();
        writes.spawn(async move { writer.put("a", "1", None).await });
        disk.reached().await;
        let mut late = client.clone();
        let mut closing = std::pin::pin!(server.close());
        assert!(futures_util::poll!(closing.as_mut()).is_pending());
        late.put("b", "1", None).await.expect_err("no more requests");
        drop(held);
        closing.await;
        writes.join_next().await.unwrap().unwrap().expect("acknowledged");
    }
}
