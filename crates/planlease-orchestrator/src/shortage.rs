//! A host that is short of file descriptors, memory or processes: which errors say so, and the exit status
//! for it.
//!
//! It is no fault of the command: the same one may start a moment later.

use std::{error::Error, io};

use nix::errno::Errno;

/// The exit status of a helper process that could not do its work for want of resources (`EX_TEMPFAIL` of
/// `sysexits.h`).
pub const SHORTAGE: u8 = 75;

/// Whether the error says that the host, or this process's limit, is short of something.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::ENOBUFS))
}

/// Whether the error, or one of its causes, says so.
#[must_use]
pub fn is_due_to_shortage(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(is_shortage) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::SpawnError;

    #[test]
    fn a_shortage_is_found_among_the_causes() {
        let of = |errno: Errno| io::Error::from(errno);
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EAGAIN] {
            assert!(is_shortage(&of(errno)), "{errno}");
            assert!(is_due_to_shortage(&SpawnError::Prepare(of(errno))), "{errno}");
        }
        assert!(!is_due_to_shortage(&SpawnError::Prepare(of(Errno::EACCES))));
        assert!(!is_shortage(&io::Error::other("something else")));
    }
}
