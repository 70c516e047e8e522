//! Real etcd processes on loopback: one member or several, to be killed, paused and started again.
//!
//! Data and logs lie in a folder of their own that is removed at the end, unless the test panics: then it is
//! kept and its path printed. No process outlives the test process.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::guard::Guarded;
use crate::wait::until;

/// How long a cluster may take to elect its first leader on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a start is tried with other ports when somebody else was quicker to take one.
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
    arguments: Vec<String>,
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
    members: Vec<Member>,
    version: String,
    keep: AtomicBool,
    // `None` once it has been given up, to be kept. Dropped after the members, which write into it.
    folder: Option<TempDir>,
}

impl Etcd {
    /// One member of the current line, not synced to disk.
    pub fn builder() -> Builder {
        Builder { line: Line::Current, members: 1, durable: false, arguments: Vec::new() }
    }

    /// The same, of the given line.
    pub fn of(line: Line) -> Builder {
        Builder { line, ..Self::builder() }
    }

    /// The client URLs of all members, in the order of their numbers.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::endpoint).collect()
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
        let folder = tempfile::Builder::new().prefix("planlease-etcd-").tempdir()?;
        let ports: Vec<(u16, u16)> = (0..builder.members).map(|_| (free_port(), free_port())).collect();
        let peers: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(number, (_, peer))| format!("m{number}=http://127.0.0.1:{peer}"))
            .collect();
        let mut members = Vec::new();
        for (number, (client, peer)) in ports.into_iter().enumerate() {
            let data = folder.path().join(format!("m{number}"));
            let mut arguments = vec![
                format!("--name=m{number}"),
                format!("--data-dir={}", data.display()),
                format!("--listen-client-urls=http://127.0.0.1:{client}"),
                format!("--advertise-client-urls=http://127.0.0.1:{client}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-cluster={}", peers.join(",")),
                "--initial-cluster-state=new".to_owned(),
                "--logger=zap".to_owned(),
                "--log-outputs=stderr".to_owned(),
            ];
            if !builder.durable && builder.line == Line::Current {
                arguments.push("--unsafe-no-fsync".to_owned());
            }
            arguments.extend(builder.arguments.iter().cloned());
            let log = folder.path().join(format!("m{number}.log"));
            let member = Member {
                port: client,
                binary: binary.to_path_buf(),
                arguments,
                log,
                process: Mutex::new(None),
            };
            member.start()?;
            members.push(member);
        }
        Ok(Self { members, version: String::new(), keep: AtomicBool::new(false), folder: Some(folder) })
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
        self.members.clear();
        if let Some(folder) = self.folder.take()
            && (std::thread::panicking() || *self.keep.get_mut())
        {
            eprintln!("etcd's data and logs are kept in {}", folder.keep().display());
        }
    }
}

/// One member: an etcd process that can be killed, paused and started again on the same data and ports.
#[derive(Debug)]
pub struct Member {
    port: u16,
    binary: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    process: Mutex<Option<Guarded>>,
}

/// What a member says of itself.
struct Status {
    version: String,
    /// The leader it knows and its own id.
    leads: Option<(u64, u64)>,
}

impl Member {
    /// Its client URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills it as a power cut would (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Stops it in the middle of whatever it does (SIGSTOP); its connections stay open and silent.
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

    fn start(&self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.binary);
        // The environment must not reconfigure it: etcd reads ETCD_* for every flag.
        command.env_clear().args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *self.process() = Some(Guarded::spawn(&mut command)?);
        Ok(())
    }

    /// If the process has ended by itself: how, and its last words.
    fn ended(&self) -> Option<String> {
        let status = self.process().as_mut()?.ended()?;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().next_back().unwrap_or_default();
        Some(format!("{status}: {last}"))
    }

    async fn status(&self) -> Result<Status, String> {
        let limit = Duration::from_secs(2);
        let options = ConnectOptions::new().with_timeout(limit).with_connect_timeout(limit);
        let mut client =
            Client::connect([self.endpoint()], Some(options)).await.map_err(|error| error.to_string())?;
        let status = client.status().await.map_err(|error| error.to_string())?;
        let own = status.header().map_or(0, etcd_client::ResponseHeader::member_id);
        let leads = (status.leader() != 0).then_some((status.leader(), own));
        Ok(Status { version: status.version().to_owned(), leads })
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Guarded>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that nobody listens on now: below the range from which the kernel takes ports for outgoing
/// connections, so that none of those occupies it while a member is restarted.
fn free_port() -> u16 {
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
