//! Real etcd processes on loopback: one member or several, to be killed, paused and started again; with a
//! proxy in front of each if the network between them, or between them and their clients, is to fail.
//!
//! Data and logs lie in a folder of their own that is removed at the end, unless the test panics: then it is
//! kept and its path printed. No process outlives the test process.

mod backup;
mod grpc_proxy;
mod members;
mod network;
mod secured;
mod upkeep;

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use etcd_client::Client;
use nix::sys::signal::Signal;
use tempfile::TempDir;

pub use self::backup::{Copied, Restore};
use self::grpc_proxy::GrpcProxy;
pub use self::secured::Secured;
use crate::data_folder::data_folder;
use crate::guard::Guarded;
use crate::hosts::{Host, Hosts};
use crate::proxy::Proxy;
use crate::wait::until;

/// How long a cluster may take to elect its first leader on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What the members that run at one time need for their data at most, in bytes: two segments of a log each.
const SPACE_NEEDED: u64 = 6 * 1024 * 1024 * 1024;

/// How often a start is tried with other ports when another process was quicker to take one.
const START_ATTEMPTS: usize = 3;

/// Which etcd a test asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// 3.5.13 or later: what we support.
    Current,
    /// The last but one: still in Debian 12, and what older installations run.
    V3_4,
}

impl Line {
    /// The binary: named by the environment, else left in `target/etcd` by `cargo xtask test`.
    #[must_use]
    pub fn binary(self) -> Option<PathBuf> {
        let (variable, folder) = match self {
            Self::Current => ("PLANLEASE_TEST_ETCD", "current"),
            Self::V3_4 => ("PLANLEASE_TEST_ETCD_3_4", "3.4"),
        };
        if let Some(path) = std::env::var_os(variable) {
            return Some(PathBuf::from(path));
        }
        let left =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/etcd").join(folder).join("usr/bin/etcd");
        left.is_file().then_some(left)
    }
}

/// How a cluster is to be started.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    line: Line,
    members: usize,
    durable: bool,
    proxied: bool,
    hosts: Option<Arc<Hosts>>,
    secured: Option<Arc<Secured>>,
    grpc_proxy: bool,
    folder: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Builder {
    /// How many members; default 1.
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// Whether every write is synced to disk, so that data survives a crash of the machine; default no, since
    /// data survives the crash of a *process* either way.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Whether a proxy stands before each member's client port and before its peer port; default no.
    /// [`Etcd::endpoints`] still lead past the proxies, [`Etcd::proxied_endpoints`] through them.
    pub fn proxied(mut self, proxied: bool) -> Self {
        self.proxied = proxied;
        self
    }

    /// Runs each member on a host of its own; there have to be as many. Without proxies.
    pub fn on(mut self, hosts: &Arc<Hosts>) -> Self {
        self.hosts = Some(Arc::clone(hosts));
        self
    }

    /// Has the members' client ports speak TLS. Without proxies that read what they pass on.
    pub fn secured(mut self, secured: &Arc<Secured>) -> Self {
        self.secured = Some(Arc::clone(secured));
        self
    }

    /// Keeps data and logs within this folder, and not where temporary files are.
    pub fn within(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Puts `etcd grpc-proxy` before the members: [`Etcd::endpoints`] lead to it alone.
    pub fn behind_grpc_proxy(mut self) -> Self {
        self.grpc_proxy = true;
        self
    }

    /// How large the database may become before etcd raises the alarm NOSPACE; default 2 GiB.
    pub fn quota(self, bytes: u64) -> Self {
        self.argument(format!("--quota-backend-bytes={bytes}"))
    }

    /// A variable in the environment of every member, which is empty else: `LD_PRELOAD`, say.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// One more flag for every member, `--quota-backend-bytes=16777216`, say.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts the members and waits until all of them know their leader.
    ///
    /// # Panics
    ///
    /// If there is no such etcd here or it does not come up: a test cannot go on without it.
    pub async fn start(self) -> Etcd {
        let binary = self.line.binary().unwrap_or_else(|| {
            panic!(
                "no etcd ({:?}) here: run `cargo xtask etcd`, or name one by PLANLEASE_TEST_ETCD",
                self.line
            )
        });
        for attempt in 1.. {
            let mut etcd = Etcd::launch(&self, &binary).expect("etcd can be started");
            match etcd.until_ready().await {
                Ok(version) => {
                    etcd.version = version;
                    if self.grpc_proxy {
                        etcd.grpc_proxy = Some(GrpcProxy::before(&etcd, &binary).await);
                    }
                    return etcd;
                }
                Err(reason) if attempt < START_ATTEMPTS => eprintln!("etcd is started again: {reason}"),
                Err(reason) => panic!("etcd did not start in {START_ATTEMPTS} attempts: {reason}"),
            }
        }
        unreachable!("the last attempt returns or panics")
    }
}

/// A running cluster; dropping it kills its processes and removes its data.
#[derive(Debug)]
pub struct Etcd {
    grpc_proxy: Option<GrpcProxy>,
    members: Vec<Member>,
    builder: Builder,
    version: String,
    keep: AtomicBool,
    // `None` once it has been given up, to be kept. Dropped after the members, which write into it.
    folder: Option<TempDir>,
}

impl Etcd {
    /// One member of the current release line, not synced to disk.
    pub fn builder() -> Builder {
        Builder {
            line: Line::Current,
            members: 1,
            durable: false,
            proxied: false,
            hosts: None,
            secured: None,
            grpc_proxy: false,
            folder: None,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// The same, of the given release line.
    pub fn of(line: Line) -> Builder {
        Builder { line, ..Self::builder() }
    }

    /// The client URLs of all members, in the order of their numbers; past their proxies, if they have any.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        match &self.grpc_proxy {
            Some(proxy) => vec![proxy.endpoint()],
            None => self.members.iter().map(Member::endpoint).collect(),
        }
    }

    /// What the servers say of themselves: `3.5.30`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The members, from 0.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member that leads.
    ///
    /// # Panics
    ///
    /// If there is no leader soon.
    pub async fn leader(&self) -> &Member {
        until("leader", START_LIMIT, async || {
            for member in &self.members {
                if let Ok(Some((leader, own))) = member.status().await.map(|status| status.leads)
                    && leader == own
                {
                    return Ok(member);
                }
            }
            Err("no member says that it leads")
        })
        .await
    }

    /// Keeps data and logs beyond the end, and prints where: a test on this cluster failed.
    pub fn keep_data(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    fn launch(builder: &Builder, binary: &Path) -> io::Result<Self> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("planlease-etcd-");
        let folder = match &builder.folder {
            Some(within) => folder.tempdir_in(within)?,
            None if builder.durable => folder.tempdir()?,
            None => folder.tempdir_in(data_folder(SPACE_NEEDED))?,
        };
        let places: Vec<Place> =
            (0..builder.members).map(|number| Place::new(number, builder, folder.path())).collect();
        let cluster = places.iter().map(Place::as_peer).collect::<Vec<_>>().join(",");
        let mut members = Vec::new();
        for place in places {
            let member = Member::new(place, builder, binary, &cluster, "new");
            member.start()?;
            members.push(member);
        }
        Ok(Self {
            grpc_proxy: None,
            members,
            builder: builder.clone(),
            version: String::new(),
            keep: AtomicBool::new(false),
            folder: Some(folder),
        })
    }

    /// Waits until every member knows the same leader; an error if a process ends meanwhile.
    async fn until_ready(&self) -> Result<String, String> {
        until("leader known to all members", START_LIMIT, async || {
            let mut leaders = Vec::new();
            let mut version = String::new();
            for member in &self.members {
                if let Some(reason) = member.ended() {
                    return Ok(Err(reason));
                }
                let status = member.status().await?;
                version = status.version;
                leaders.push(status.leads.ok_or("a member without leader")?.0);
            }
            leaders.dedup();
            if leaders.len() == 1 { Ok(Ok(version)) } else { Err(format!("several leaders: {leaders:?}")) }
        })
        .await
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.grpc_proxy = None;
        self.members.clear();
        if let Some(folder) = self.folder.take()
            && (std::thread::panicking() || *self.keep.get_mut())
        {
            eprintln!("etcd's data and logs are kept in {}", folder.keep().display());
        }
    }
}

/// Where a member is: fixed for its life, which begins before its process does.
#[derive(Debug)]
struct Place {
    name: String,
    /// Where it runs, if not on this host.
    host: Option<Host>,
    /// Its folder for certificates, and who issues them, if it speaks TLS.
    secured: Option<(PathBuf, Arc<Secured>)>,
    client_port: u16,
    peer_port: u16,
    /// What the other members know: the proxy's, if there is one.
    advertised_port: u16,
    data: PathBuf,
    log: PathBuf,
    wire: Option<Wire>,
}

/// The proxies before a member.
#[derive(Debug)]
struct Wire {
    client: Proxy,
    peer: Proxy,
}

impl Place {
    fn new(number: usize, builder: &Builder, folder: &Path) -> Self {
        let (client_port, peer_port) = (free_port(), free_port());
        let wire = builder.proxied.then(|| Wire {
            client: Proxy::before((Ipv4Addr::LOCALHOST, client_port).into()),
            peer: Proxy::before_member((Ipv4Addr::LOCALHOST, peer_port).into()),
        });
        let advertised_port = wire.as_ref().map_or(peer_port, |wire| wire.peer.address().port());
        let name = format!("m{number}");
        let host = builder.hosts.as_ref().map(|hosts| hosts.all()[number].clone());
        let secured = builder.secured.as_ref().map(|secured| (folder.to_owned(), Arc::clone(secured)));
        let (data, log) = (folder.join(&name), folder.join(format!("{name}.log")));
        Self { name, host, secured, client_port, peer_port, advertised_port, data, log, wire }
    }

    fn ip(&self) -> Ipv4Addr {
        self.host.as_ref().map_or(Ipv4Addr::LOCALHOST, Host::address)
    }

    fn client_address(&self) -> SocketAddr {
        (self.ip(), self.client_port).into()
    }

    fn client_url(&self) -> String {
        let scheme = if self.secured.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.client_address())
    }

    fn peer_url(&self) -> String {
        format!("http://{}:{}", self.ip(), self.advertised_port)
    }

    /// As it stands in `--initial-cluster`.
    fn as_peer(&self) -> String {
        format!("{}={}", self.name, self.peer_url())
    }
}

/// One member: an etcd process that can be killed, paused and started again on the same data and ports.
#[derive(Debug)]
pub struct Member {
    place: Place,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Its id in the cluster, once it has reported it.
    id: OnceLock<u64>,
    process: Mutex<Option<Guarded>>,
}

/// What a member says of itself.
struct Status {
    version: String,
    /// The leader it knows and its own id.
    leads: Option<(u64, u64)>,
}

impl Member {
    fn new(place: Place, builder: &Builder, binary: &Path, cluster: &str, state: &str) -> Self {
        let client = place.client_url();
        let mut arguments = vec![
            format!("--name={}", place.name),
            format!("--data-dir={}", place.data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls=http://{}:{}", place.ip(), place.peer_port),
            format!("--initial-advertise-peer-urls={}", place.peer_url()),
            format!("--initial-cluster={cluster}"),
            format!("--initial-cluster-state={state}"),
            "--logger=zap".to_owned(),
            "--log-outputs=stderr".to_owned(),
        ];
        if !builder.durable && builder.line == Line::Current {
            arguments.push("--unsafe-no-fsync".to_owned());
        }
        arguments.extend(place.security());
        arguments.extend(builder.arguments.iter().cloned());
        Self {
            place,
            binary: binary.to_path_buf(),
            arguments,
            environment: builder.environment.clone(),
            id: OnceLock::new(),
            process: Mutex::new(None),
        }
    }

    /// Its client URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.place.client_url()
    }

    /// The proxy before its client port.
    ///
    /// # Panics
    ///
    /// If the cluster was not started with [`Builder::proxied`].
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.wire().client
    }

    /// What it has written to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.place.log).unwrap_or_default()
    }

    /// Its id in the cluster; `None` before it has reported it.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.id.get().copied()
    }

    /// The id of the leader that it knows, if it answers and knows one.
    pub async fn leader(&self) -> Option<u64> {
        self.status().await.ok()?.leads.map(|(leader, _)| leader)
    }

    /// Kills it as a power cut would (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Stops it in the middle of its work (SIGSTOP); its connections stay open and silent.
    ///
    /// # Panics
    ///
    /// If it was killed before.
    pub fn pause(&self) {
        self.process().as_ref().expect("only a running member can be paused").signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    ///
    /// If it was killed before.
    pub fn resume(&self) {
        self.process().as_ref().expect("only a running member can go on").signal(Signal::SIGCONT);
    }

    /// Starts it again after [`Member::kill`], and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it cannot be started, or does not answer soon.
    pub async fn restart(&self) {
        self.start().expect("it could be started before");
        until("answer after a restart", START_LIMIT, async || {
            self.status().await?.leads.ok_or_else(|| "no leader".to_owned())
        })
        .await;
    }

    /// Starts it again after [`Member::kill`], and waits until it listens: for a cluster that does not report
    /// its health without authentication.
    ///
    /// # Panics
    ///
    /// As [`Member::restart`].
    pub async fn restart_unseen(&self) {
        self.start().expect("it could be started before");
        until("port that is listened on", START_LIMIT, async || {
            tokio::net::TcpStream::connect(self.place.client_address()).await
        })
        .await;
    }

    fn start(&self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.place.log)?;
        let mut command = self
            .place
            .host
            .as_ref()
            .map_or_else(|| Command::new(&self.binary), |host| host.command(&self.binary));
        // The environment must not reconfigure it: etcd reads ETCD_* for every flag.
        command.env_clear().envs(self.environment.iter().cloned()).args(&self.arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *self.process() = Some(Guarded::spawn(&mut command)?);
        Ok(())
    }

    /// If the process has ended by itself: how, and its last words.
    fn ended(&self) -> Option<String> {
        let status = self.process().as_mut()?.ended()?;
        let log = self.log();
        let last = log.lines().next_back().unwrap_or_default();
        Some(format!("{status}: {last}"))
    }

    async fn status(&self) -> Result<Status, String> {
        let limit = Duration::from_secs(2);
        let options = self.place.options(limit);
        let mut client =
            Client::connect([self.endpoint()], Some(options)).await.map_err(|error| error.to_string())?;
        let status = client.status().await.map_err(|error| error.to_string())?;
        let own = status.header().map_or(0, etcd_client::ResponseHeader::member_id);
        let leads = (status.leader() != 0).then_some((status.leader(), own));
        self.id.get_or_init(|| own);
        Ok(Status { version: status.version().to_owned(), leads })
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Guarded>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port without a listener: below the range from which the kernel takes ports for outgoing
/// connections, so that none of those occupies it while a member is restarted.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let taken = NEXT.fetch_add(1, Ordering::Relaxed);
        // Test processes that run at once begin at different places.
        let start =
            u16::try_from(std::process::id().wrapping_mul(97) % u32::from(LAST - FIRST)).unwrap_or_default();
        let port = FIRST + (start.wrapping_add(taken)) % (LAST - FIRST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
