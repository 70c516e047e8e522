//! Hosts of their own: network namespaces, each linked to this one by a bridge, so that a host can die as
//! real ones do: packets to it vanish, and no one refuses anything.
//!
//! Only where the machine allows them: Linux, root, and the program `ip` (Debian's iproute2). All that a test
//! makes carries the test's process id in its name, and goes with it; what a killed test left behind is
//! removed by the next one.

use std::{
    io,
    net::Ipv4Addr,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// Where `ip` may be.
const PROGRAMS: [&str; 3] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"];

/// An address that no network card has: what is sent to it vanishes.
const NOWHERE: &str = "02:00:00:00:00:fe";

/// How this side's names begin.
const PREFIX: &str = "plt";

/// Hosts on one network. Dropping it removes them.
#[derive(Debug)]
pub struct Hosts {
    bridge: String,
    hosts: Vec<Host>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: String,
    address: Ipv4Addr,
}

impl Host {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that runs on it.
    ///
    /// # Panics
    /// Never: it was made by the program that runs it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program_ip().expect("the host was made by it"));
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// The same command, with its arguments, variables and folder, to be run on it.
    ///
    /// # Panics
    /// Never, as [`Host::command`].
    #[must_use]
    pub fn placed(&self, command: &Command) -> Command {
        let mut placed = self.command(command.get_program());
        placed.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => placed.env(name, value),
                None => placed.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            placed.current_dir(folder);
        }
        placed
    }
}

impl Hosts {
    /// Whether this machine allows them. In CI it has to.
    ///
    /// # Panics
    /// In CI, if it does not.
    #[must_use]
    pub fn allowed() -> bool {
        let allowed = nix::unistd::geteuid().is_root()
            && program_ip().is_some()
            && Self::start(0).inspect_err(|error| println!("no network namespaces: {error}")).is_ok();
        assert!(
            allowed || std::env::var_os("CI").is_none(),
            "CI needs network namespaces: root and iproute2"
        );
        allowed
    }

    /// So many hosts, each on this machine's side of a network of their own.
    ///
    /// # Errors
    /// If the machine does not allow it.
    ///
    /// # Panics
    /// If there are more of them than a network has addresses.
    pub fn start(count: u8) -> io::Result<Self> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        remove_leftovers();
        let (pid, network) = (std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let bridge = format!("{PREFIX}{pid}-{network}");
        let mut hosts = Self { bridge: bridge.clone(), hosts: Vec::new() };
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["link", "set", &bridge, "up"])?;
        let [a, b, c, _] = free_network(pid.wrapping_add(network))?.octets();
        ip(&["addr", "add", &format!("{a}.{b}.{c}.1/24"), "dev", &bridge])?;
        for number in 0..count {
            let (namespace, port) = (format!("{bridge}-{number}"), format!("{bridge}p{number}"));
            let address = Ipv4Addr::new(a, b, c, 11 + number);
            ip(&["netns", "add", &namespace])?;
            hosts.hosts.push(Host { namespace: namespace.clone(), address });
            ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &namespace])?;
            ip(&["link", "set", &port, "master", &bridge, "up"])?;
            ip(&["-n", &namespace, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
            ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        }
        Ok(hosts)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Host] {
        &self.hosts
    }

    /// From now on packets from here to this host vanish: its neighbour entry leads nowhere. The others still
    /// reach it.
    ///
    /// # Panics
    /// If it cannot be done, as everything here.
    pub fn lose(&self, host: usize) {
        let address = self.hosts[host].address.to_string();
        ip(&["neigh", "replace", &address, "lladdr", NOWHERE, "dev", &self.bridge, "nud", "permanent"])
            .expect("a neighbour entry");
    }

    /// From now on this host's link is down: packets from and to it vanish, for the others too.
    ///
    /// # Panics
    /// As [`Hosts::lose`].
    pub fn unplug(&self, host: usize) {
        ip(&["-n", &self.hosts[host].namespace, "link", "set", "eth0", "down"]).expect("a link");
        // What this side still knows of it, as after a while without an answer.
        let address = self.hosts[host].address.to_string();
        let _ = ip(&["neigh", "del", &address, "dev", &self.bridge]);
    }

    /// The host is as before.
    ///
    /// # Panics
    /// As [`Hosts::lose`].
    pub fn heal(&self, host: usize) {
        ip(&["-n", &self.hosts[host].namespace, "link", "set", "eth0", "up"]).expect("a link");
        let address = self.hosts[host].address.to_string();
        let _ = ip(&["neigh", "del", &address, "dev", &self.bridge]); // There may be none.
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in &self.hosts {
            let _ = ip(&["netns", "del", &host.namespace]); // Its links go with it.
        }
        let _ = ip(&["link", "del", &self.bridge]);
    }
}

fn program_ip() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|path| std::path::Path::new(path).is_file())
}

/// Runs `ip`; what it printed.
fn ip(args: &[&str]) -> io::Result<String> {
    let program = program_ip().ok_or_else(|| io::Error::other("there is no program `ip`"))?;
    let output = Command::new(program).args(args).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {}", args.join(" "), said.trim())))
}

/// A network that this machine does not use: of those that are set aside for measuring networks (RFC 2544).
fn free_network(first: u32) -> io::Result<Ipv4Addr> {
    let used = ip(&["-4", "-o", "addr", "show"])?;
    let networks = (0..512).map(|n| (first.wrapping_add(n)) % 512);
    let networks = networks.filter_map(|n| {
        let third = u8::try_from(n % 256).ok()?;
        Some(Ipv4Addr::new(198, if n < 256 { 18 } else { 19 }, third, 0))
    });
    let mut free = networks.filter(|network| {
        let [a, b, c, _] = network.octets();
        !used.contains(&format!(" {a}.{b}.{c}."))
    });
    free.next().ok_or_else(|| io::Error::other("all test networks are in use"))
}

/// Removes what tests left behind that were killed.
fn remove_leftovers() {
    let of_the_dead = |name: &str| {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    };
    for namespace in ip(&["netns", "list"]).unwrap_or_default().lines() {
        let name = namespace.split(' ').next().unwrap_or_default();
        if of_the_dead(name) {
            let _ = ip(&["netns", "del", name]);
        }
    }
    for bridge in ip(&["-o", "link", "show", "type", "bridge"]).unwrap_or_default().lines() {
        let name = bridge.split(": ").nth(1).unwrap_or_default();
        if of_the_dead(name) {
            let _ = ip(&["link", "del", name]);
        }
    }
}
