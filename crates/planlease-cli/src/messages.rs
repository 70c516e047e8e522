//! Messages to people on standard error. That nothing reads them is no failure, and holds nothing up.

use std::io::{self, Write as _};

use crate::{
    lines::Lines,
    streams::{stderr, stderr_text},
};

/// Shows a line to people. That nothing reads it is no failure, and holds nothing up.
pub(crate) fn tell(line: &str) {
    let line = stderr_text(&format!("{line}\n"));
    match Lines::standard_error() {
        Some(lines) => lines.say(&line),
        None => drop(stderr().write_all(line.as_bytes())),
    }
}

/// Shows a line on standard error that takes the place of the one that was shown so before.
pub(crate) fn replace_line(line: &str) {
    let line = stderr_text(line).in_place();
    match Lines::standard_error() {
        Some(lines) => lines.say(&line),
        None => drop(stderr().write_all(line.as_bytes())),
    }
}

/// Shows the last message before the program ends: this waits as long as writing takes.
pub(crate) fn tell_last(text: &str) {
    drop(stderr().write_all(stderr_text(text).as_bytes()));
}

/// Puts a question on standard error, and returns the line that is typed.
///
/// # Errors
/// If the terminal fails.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    let (mut stderr, mut typed) = (stderr(), String::new());
    stderr.write_all(stderr_text(question).as_bytes())?;
    stderr.flush()?;
    io::stdin().read_line(&mut typed)?;
    Ok(typed)
}
