//! What is printed of a panic: through the sanitiser and the queue of messages, as everything else. What a
//! panic says may hold texts of others, and a reader that does not read must not hold up the thread.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::PanicHookInfo,
};

use crate::{lines, messages};

/// From now on panics are printed here. The process goes on as it would otherwise.
pub(crate) fn report() {
    std::panic::set_hook(Box::new(|panic| {
        let mut text = describe(panic);
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text += &format!("\n{backtrace}");
        }
        // The thread that writes the queue cannot wait for itself.
        if lines::is_writer() {
            messages::tell_last(&format!("{text}\n"));
        } else {
            messages::tell(&text);
            lines::finish(); // The process may end now.
        }
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let why = panic.payload_as_str().unwrap_or("no reason given");
    let place = panic.location().map_or_else(String::new, |place| format!(" ({place})"));
    format!("error: planlease has a bug: {why}{place}\nPlease report it with this message.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own: a hook is of the whole process.
    #[test]
    fn a_panic_cannot_drive_the_terminal() {
        const INSIDE: &str = "a_panic_cannot_drive_the_terminal_inside";
        if std::env::var_os(INSIDE).is_some() {
            report();
            panic!("bad \u{1b}]0;title\u{7} and \u{202e}reversed");
        }
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "panics::tests::a_panic_cannot_drive_the_terminal", "--nocapture"]);
        let ended = command.env(INSIDE, "1").env("RUST_BACKTRACE", "0").output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("error: planlease has a bug: bad ") && said.contains("panics.rs"), "{said}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    }
}
