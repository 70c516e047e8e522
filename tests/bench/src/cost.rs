//! What work costs: CPU and memory here and in what was started from here, and what the servers wrote to the
//! disk.

use std::fs;

use planlease_tests::backend::Server;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// CPU seconds used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub(crate) here: f64,
    pub(crate) servers: f64,
}

impl Cpu {
    pub(crate) fn now() -> Self {
        Self { here: seconds("self"), servers: children().iter().map(|child| seconds(child)).sum() }
    }

    /// In microseconds for each of `count`.
    pub(crate) fn since(self, earlier: Self, count: f64) -> Self {
        let each = |now: f64, then: f64| (now - then) * 1e6 / count;
        Self { here: each(self.here, earlier.here), servers: each(self.servers, earlier.servers) }
    }
}

/// What the servers wrote to the disk so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    bytes: f64,
    /// How often etcd has synced its log.
    syncs: f64,
}

impl Disk {
    pub(crate) async fn now(server: &Server) -> Self {
        let written = |child: &String| {
            let io = fs::read_to_string(format!("/proc/{child}/io")).unwrap_or_default();
            value(&io, "write_bytes:")
        };
        let mut syncs = 0.0;
        for endpoint in server.endpoints() {
            let metrics = metrics(endpoint.trim_start_matches("http://")).await.unwrap_or_default();
            syncs += value(&metrics, "etcd_disk_wal_fsync_duration_seconds_count ");
        }
        Self { bytes: children().iter().map(written).sum(), syncs }
    }

    /// Bytes, and syncs, for each of `count`.
    pub(crate) fn since(self, earlier: Self, count: f64) -> (f64, f64) {
        ((self.bytes - earlier.bytes) / count, (self.syncs - earlier.syncs) / count)
    }
}

/// etcd's own metrics; a server that has none ends the connection.
async fn metrics(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut reported = Vec::new();
    stream.read_to_end(&mut reported).await?;
    Ok(String::from_utf8_lossy(&reported).into_owned())
}

/// The number behind a name that begins a line; 0 if there is none.
fn value(text: &str, name: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

/// The processes that were started from here and are still there.
fn children() -> Vec<String> {
    let of_thread =
        |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let children = fs::read_dir("/proc/self/task").unwrap().flatten().map(of_thread);
    children.flat_map(|all| all.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// User and system time of a process, which the kernel reports in hundredths of a second.
fn seconds(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name comes second and may have blanks; what is asked for are the 14th and the 15th.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>()
        / 100.0
}

/// What this process has in memory, in KiB.
pub(crate) fn memory() -> f64 {
    memory_of("self")
}

/// What a process has in memory, in KiB.
pub(crate) fn memory_of(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
