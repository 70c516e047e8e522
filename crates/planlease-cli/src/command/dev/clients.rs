//! Who is connected to a unix socket: asked from the kernel (`sock_diag(7)`), so that nothing can be out of
//! date.

use std::{
    collections::BTreeSet, fs, io, os::fd::AsRawFd as _, os::unix::fs::MetadataExt as _, path::Path,
    time::Duration,
};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use crate::output::plain;

/// From `linux/netlink.h`, `linux/sock_diag.h` and `linux/unix_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const MESSAGE_ERROR: u16 = 2;
const MESSAGE_DONE: u16 = 3;
const SHOW_VFS_AND_PEER: u32 = 2 | 4;
const ATTRIBUTE_VFS: u16 = 1;
const ATTRIBUTE_PEER: u16 = 2;

/// Lengths of the headers: of a message, and of what is said of a socket.
const HEADER: usize = 16;
const SOCKET: usize = 16;

/// The most answers that are read: the kernel packs dozens of sockets into each.
const MOST: usize = 10_000;

/// What stands for the processes of other containers and users.
const UNSEEN: &str = "a process that cannot be seen from here";

/// How often, and after which pause, it is looked again if a client is not found: it may just have ended.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// The processes that are connected to the socket, this one not among them, each in a few words.
pub(super) async fn of(path: &Path) -> io::Result<Vec<String>> {
    let file = fs::metadata(path)?;
    let file = u32::try_from(file.ino() & u64::from(u32::MAX)).unwrap_or_default();
    let mut looks = 1;
    loop {
        let (mut clients, all_seen) = look(peers(file)?)?;
        if !all_seen && looks < LOOKS {
            looks += 1;
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        if !all_seen {
            clients.push(UNSEEN.to_owned());
        }
        return Ok(clients);
    }
}

/// The processes that have these sockets open, and whether each socket was found.
fn look(mut peers: BTreeSet<u32>) -> io::Result<(Vec<String>, bool)> {
    let mut clients = BTreeSet::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let open = sockets(&process.path());
        let connected = !peers.is_disjoint(&open);
        if connected && pid != std::process::id() {
            clients.insert((pid, words(&process.path())));
        }
        if connected {
            peers = peers.difference(&open).copied().collect();
        }
    }
    let clients = clients.into_iter().map(|(pid, words)| format!("{words} (process {pid})"));
    Ok((clients.collect(), peers.is_empty()))
}

/// The inodes of the sockets that a process has open. Of one that cannot be looked at, nothing is known.
fn sockets(process: &Path) -> BTreeSet<u32> {
    let links = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets
        .filter_map(|target| {
            target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        })
        .collect()
}

/// The first words of a process's command; of one that has none, as while it becomes another program, its
/// name.
fn words(process: &Path) -> String {
    let said = fs::read(process.join("cmdline")).unwrap_or_default();
    if said.is_empty() {
        return plain(fs::read_to_string(process.join("comm")).unwrap_or_default().trim());
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut words: Vec<&str> = said.split('\0').filter(|word| !word.is_empty()).take(4).collect();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or(program);
    }
    plain(&words.join(" "))
}

/// The inodes of the sockets that are connected to the one with this file.
fn peers(file: u32) -> io::Result<BTreeSet<u32>> {
    let kernel =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    let mut request = Vec::with_capacity(HEADER + 24);
    request.extend(40_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([1, 0, 0, 0]); // AF_UNIX
    request.extend(u32::MAX.to_ne_bytes()); // In whichever state.
    request.extend(0_u32.to_ne_bytes());
    request.extend(SHOW_VFS_AND_PEER.to_ne_bytes());
    request.extend([0; 8]);
    send(kernel.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut found = BTreeSet::new();
    let mut answer = vec![0; 64 * 1024];
    for _ in 0..MOST {
        let length = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        if !collect(answer.get(..length).unwrap_or_default(), file, &mut found)? {
            break;
        }
    }
    Ok(found)
}

/// Takes over what one answer says; whether there is more to come.
fn collect(mut answer: &[u8], file: u32, found: &mut BTreeSet<u32>) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (number(answer, 0), short(answer, 4)) {
        match kind {
            MESSAGE_DONE => return Ok(false),
            MESSAGE_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            _ => {}
        }
        let length = (length as usize).max(HEADER);
        let (mut is_ours, mut peer) = (false, None);
        let mut attributes = answer.get(HEADER + SOCKET..length.min(answer.len())).unwrap_or_default();
        while let (Some(size), Some(kind)) = (short(attributes, 0), short(attributes, 2)) {
            match kind {
                ATTRIBUTE_VFS => is_ours = number(attributes, 4) == Some(file),
                ATTRIBUTE_PEER => peer = number(attributes, 4),
                _ => {}
            }
            attributes = attributes.get(usize::from(size).max(4).next_multiple_of(4)..).unwrap_or_default();
        }
        found.extend(peer.filter(|_| is_ours));
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::net::UnixListener,
        process::{Command, Stdio},
    };

    use super::*;

    #[tokio::test]
    async fn a_connected_process_is_named_and_this_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("s"), folder.path().join("t"));
        let (listener, _other) = (UnixListener::bind(&path).unwrap(), UnixListener::bind(&other).unwrap());
        let own = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let _accepted = listener.accept().unwrap();
        assert_eq!(of(&path).await.unwrap(), [""; 0]);
        // A process that has a socket of this one as its input.
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(own)))
            .spawn()
            .unwrap();
        let cmdline = format!("/proc/{}/cmdline", child.id());
        while fs::read(&cmdline).unwrap().is_empty() {
            tokio::task::yield_now().await; // It is becoming `sleep`.
        }
        let expected = format!("sleep 60 (process {})", child.id());
        assert_eq!(of(&path).await.unwrap(), [expected]);
        assert_eq!(of(&other).await.unwrap(), [""; 0]);
        child.kill().unwrap();
        child.wait().unwrap();
        drop(listener);
    }
}
