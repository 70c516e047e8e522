//! Whether the reader of standard output is still there.

use std::{os::fd::AsFd as _, time::Duration};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until the reader of standard output has gone. Without it, `watch | head -1` would live on until
/// something changes. A file has no reader that could go. Cancel safe.
pub(in crate::command) async fn gone() {
    let stdout = crate::output::stdout();
    loop {
        // No event is asked for: a closed end is reported in any case.
        let mut looked = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let events = poll(&mut looked, PollTimeout::ZERO).ok().and_then(|_| looked[0].revents());
        if events.is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP)) {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
