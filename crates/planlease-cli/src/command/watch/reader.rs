//! Whether somebody still reads what is printed.

use std::{os::fd::AsFd as _, time::Duration};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until the reader of standard output has gone. Without it, `watch | head -1` would live on until
/// something changes. A file has no reader that could go. Cancel safe.
pub(super) async fn gone() {
    let stdout = crate::output::stdout();
    loop {
        // Nothing is asked for: that the other end is closed is told in any case.
        let mut looked = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let told = poll(&mut looked, PollTimeout::ZERO).ok().and_then(|_| looked[0].revents());
        if told.is_some_and(|told| told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP)) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
