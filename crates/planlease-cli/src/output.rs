//! What is shown on standard output: documents, and texts for files and programs.

use std::{
    io::{self, IsTerminal as _},
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

pub(crate) use planlease_documents::*;

use crate::{exit::Exit, failure::Failure};
pub(crate) use crate::{
    messages::{ask, replace_line, tell, tell_last},
    streams::{stderr, stdout, stdout_text},
};

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
pub(crate) fn text<D: Tabular>(format: Format, document: &D, now: WallTime) -> Result<String, Failure> {
    planlease_documents::text(format, document, now).map_err(|error| Failure::json(&error))
}

/// Shows a document on standard output.
pub(crate) fn show<D: Tabular>(format: Format, document: &D, now: WallTime) -> Result<(), Failure> {
    print(&text(format, document, now)?)?;
    tell_unreadable(document.unreadable());
    Ok(())
}

/// Shows which records could not be read.
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
