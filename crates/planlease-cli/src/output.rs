//! What is shown, where: documents on standard output, words on standard error.

mod settings;

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd,
};

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use planlease::core::WallTime;

pub(crate) use self::settings::{ContextList, SettingsShown};
pub(crate) use planlease_documents::*;

use crate::{exit::Exit, failure::Failure, lines::Lines};

/// How many records that cannot be read are listed on standard error.
const UNREADABLE_TOLD: usize = 20;

/// The flag that chooses the form.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to show it
    #[arg(short = 'o', long = "output", value_parser = formats(), default_value = "table", value_name = "FORMAT")]
    pub(crate) format: Format,
}

fn formats() -> impl TypedValueParser<Value = Format> {
    let known = [("table", "For people"), ("json", "One JSON document"), ("jsonl", "One JSON object a line")];
    let known = known.map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(known).map(|name| match name.as_str() {
        "json" => Format::Json,
        "jsonl" => Format::Jsonl,
        _ => Format::Table,
    })
}

/// The document as text, with a line break at its end.
pub(crate) fn text<D: Document>(format: Format, document: &D, now: WallTime) -> Result<String, Failure> {
    planlease_documents::text(format, document, now).map_err(|error| Failure::json(&error))
}

/// Shows a document on standard output.
pub(crate) fn show<D: Document>(format: Format, document: &D, now: WallTime) -> Result<(), Failure> {
    print(&text(format, document, now)?)?;
    tell_unreadable(document.unreadable());
    Ok(())
}

/// Tells a person what could not be read.
pub(crate) fn tell_unreadable(unreadable: &[UnreadableView]) {
    for one in unreadable.iter().take(UNREADABLE_TOLD) {
        tell(&one.line());
    }
    if let Some(more) = unreadable.len().checked_sub(UNREADABLE_TOLD).filter(|more| *more > 0) {
        tell(&format!("and {more} more; `planlease doctor` lists all that cannot be read"));
    }
}

/// Prints on standard output, for people or as JSON. What could drive a terminal is replaced, wherever it
/// goes to.
///
/// # Errors
/// A reader that has gone (`| head`) ends the program in silence, with success: it has read what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write(stdout_text(text).as_bytes())
}

/// Prints a text on standard output as it is, for files and programs. A terminal gets what `shown` makes of
/// it.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_exact(text: &str, shown: impl FnOnce(&str) -> Printable) -> Result<(), Failure> {
    if stdout().is_terminal() { write(shown(text).as_bytes()) } else { write(text.as_bytes()) }
}

/// Takes away the last lines that were printed on a terminal.
///
/// # Errors
/// As [`print`].
pub(crate) fn erase(lines: usize) -> Result<(), Failure> {
    write(format!("\x1b[{lines}A\x1b[J").as_bytes()) // Up, and away with everything below.
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    Patient(stdout().lock()).write_all(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::said(Exit::Done),
        _ => Failure::system("cannot write to standard output", &error),
    })
}

/// Waits where a descriptor says that it would have to wait: another process may have set `O_NONBLOCK` on
/// what they share.
#[derive(Debug)]
struct Patient<W>(W);

impl<W: io::Write + AsFd> Patient<W> {
    /// Writes all of it, and flushes.
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let wrote = if bytes.is_empty() { self.0.flush().map(|()| 0) } else { self.0.write(bytes) };
            match wrote {
                Ok(0) if bytes.is_empty() => return Ok(()),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(wrote) => bytes = bytes.get(wrote..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Until it can be written to, or its reader is gone: as long as a write that blocks would take.
    fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Tells a person something, on standard error. Nobody reading it is no failure, and holds nothing up.
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

/// Tells a person the last thing before the program ends: this waits as long as writing takes.
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

/// The text as standard output shows it.
pub(crate) fn stdout_text(text: &str) -> Printable {
    Printable::styled(text, has_colors(&stdout()))
}

/// The text as standard error shows it.
fn stderr_text(text: &str) -> Printable {
    Printable::styled(text, has_colors(&stderr()))
}

fn has_colors(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// Standard output. What is written to it comes from a [`Printable`], or is exact on purpose.
#[expect(clippy::disallowed_methods, reason = "the place from which all is printed")]
pub(crate) fn stdout() -> io::Stdout {
    io::stdout()
}

/// Standard error.
#[expect(clippy::disallowed_methods, reason = "the place from which all is printed")]
pub(crate) fn stderr() -> io::Stderr {
    io::stderr()
}
