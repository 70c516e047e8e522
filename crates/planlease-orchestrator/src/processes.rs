//! Which processes there are, as `/proc` lists them.
//!
//! A list is a look at a moving thing. It is only used to find our own children (whose numbers cannot be
//! given to others before we have waited for them) and to see whether a group is empty.

use std::{fs, io};

use nix::unistd::Pid;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) parent: Pid,
    pub(crate) group: Pid,
    /// Whether it has ended, and only waits for its parent to notice.
    pub(crate) zombie: bool,
}

/// All processes that we may see. Those that end meanwhile are left out.
pub(crate) fn all() -> io::Result<impl Iterator<Item = Process>> {
    Ok(fs::read_dir("/proc")?.filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        read(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }))
}

/// Reads `pid (name) state parent group …`. The name may contain anything, so the last parenthesis counts.
fn read(stat: &[u8]) -> Option<Process> {
    let stat = String::from_utf8_lossy(stat);
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace();
    let zombie = matches!(words.next()?, "Z" | "X");
    let mut number = || words.next()?.parse().ok().map(Pid::from_raw);
    Some(Process { parent: number()?, group: number()?, pid: Pid::from_raw(pid.parse().ok()?), zombie })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_parenthesis_is_parsed() {
        let pid = Pid::from_raw;
        let expected = Process { pid: pid(7), parent: pid(3), group: pid(5), zombie: true };
        assert_eq!(read(b"7 (a) Z 1 (b\xff) Z 3 5 0 0"), Some(expected));
        assert_eq!(read(b"7 (a) S x"), None);
    }

    #[test]
    fn we_are_among_all_processes() {
        let own = all().unwrap().find(|process| process.pid == Pid::this()).unwrap();
        assert_eq!((own.parent, own.group, own.zombie), (Pid::parent(), nix::unistd::getpgrp(), false));
    }
}
