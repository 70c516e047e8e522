//! Ends a child process when we end, however we end: by a panic, a signal, or SIGKILL.
//!
//! A destructor covers the first case only. So a shell waits beside the child on a pipe that we hold open;
//! when we are gone the pipe closes, and the shell kills the child. Both are in process groups of their own,
//! out of the way of a Ctrl-C that is meant for us.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::Signal;

use crate::signal::send;

/// A child process that does not outlive us.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    // Holds the pipe; the shell waits for its end.
    watcher: Child,
}

impl Guarded {
    /// Starts the command, and the shell beside it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        let watcher = Command::new("sh")
            .args(["-c", "read -r _; kill -s KILL -- \"-$1\"", "sh", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watcher {
            Ok(watcher) => Ok(Self { child, watcher }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The child's number.
    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.child.id()).expect("Linux's process ids fit")
    }

    /// The child's standard input, if it is a pipe and was not taken yet.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Sends a signal to the child; after a SIGSTOP it stands.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// Whether the child has ended by itself; its status if so.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("we are its parent")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The shell first: once the child has been waited for, its id may become another process's.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;
    use crate::wait::{SOON, until};

    fn sleeper() -> Guarded {
        Guarded::spawn(Command::new("sleep").arg("100")).unwrap()
    }

    #[tokio::test]
    async fn when_we_are_gone_the_child_is_killed() {
        let mut guarded = sleeper();
        // What the kernel does to the pipe when we die.
        drop(guarded.watcher.stdin.take());
        let status = until("end of the child", SOON, async || guarded.ended().ok_or("it still runs")).await;
        assert_eq!(status.signal(), Some(9));
    }

    #[test]
    fn a_dropped_child_is_gone_even_if_it_was_stopped() {
        let guarded = sleeper();
        let pid = Pid::from_raw(i32::try_from(guarded.child.id()).unwrap());
        guarded.signal(Signal::SIGSTOP);
        drop(guarded);
        assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }

    #[test]
    fn a_child_that_ends_by_itself_is_noticed() {
        let mut guarded = Guarded::spawn(&mut Command::new("true")).unwrap();
        let status = guarded.child.wait().unwrap();
        assert_eq!(guarded.ended(), Some(status));
    }
}
