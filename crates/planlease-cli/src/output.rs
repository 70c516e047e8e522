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
    streams::{note_loss, stderr, stdout, stdout_text},
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

/// The same for streams, which are no documents: as JSON, each event is one line.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StreamOutputArgs {
    /// How to show it
    #[arg(
        short = 'o',
        long = "output",
        value_parser = stream_formats(),
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(crate) format: Format,
}

/// The same for lists.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ListOutputArgs {
    /// How to show it
    #[arg(
        short = 'o',
        long = "output",
        value_parser = list_formats(),
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(crate) format: Format,
}

/// The forms that every document has.
const FORMS: [(&str, &str, Format); 3] = [
    ("table", "For people", Format::Table),
    ("json", "One JSON document", Format::Json),
    ("jsonl", "One JSON object a line", Format::Jsonl),
];

/// The forms of streams.
const STREAM_FORMS: [(&str, &str, Format); 3] = [
    ("table", "For people, a line for each event", Format::Table),
    ("jsonl", "One JSON object a line for each event (JSON Lines)", Format::Jsonl),
    ("json", "The same as jsonl, since a stream is no document", Format::Jsonl),
];

/// Those that lists have besides.
const LIST_FORMS: [(&str, &str, Format); 3] = [
    ("wide", "For people, with more columns", Format::Wide),
    ("name", "The names, one a line", Format::Name),
    ("yaml", "The JSON document as YAML", Format::Yaml),
];

fn formats() -> impl TypedValueParser<Value = Format> {
    parser(&FORMS)
}

fn stream_formats() -> impl TypedValueParser<Value = Format> {
    parser(&STREAM_FORMS)
}

fn list_formats() -> impl TypedValueParser<Value = Format> {
    parser(&[FORMS, LIST_FORMS].concat())
}

fn parser(forms: &[(&'static str, &'static str, Format)]) -> impl TypedValueParser<Value = Format> + use<> {
    let known = forms.iter().map(|(name, help, _)| PossibleValue::new(*name).help(*help));
    let forms = forms.to_vec();
    PossibleValuesParser::new(known).map(move |name| {
        forms.iter().find(|(known, ..)| *known == name).map_or(Format::Table, |(.., format)| *format)
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
/// [`Exit::OutputLost`] if it cannot be written. That its reader has gone (`| head`) is no error: it has read
/// what it wanted.
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

/// Prints a line of a program that goes on whether it can be printed or not.
pub(crate) fn print_beside(text: &str) {
    drop(print(text)); // The end of the program says that it is lost.
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    stdout().is_terminal()
}

/// Prints bytes on standard output, which is no terminal.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    write(bytes)
}

/// Takes away the last lines that were printed on a terminal.
///
/// # Errors
/// As [`print`].
pub(crate) fn erase(lines: usize) -> Result<(), Failure> {
    write(format!("\x1b[{lines}A\x1b[J").as_bytes()) // Up, and away with everything below.
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    Patient(stdout().lock()).write_all(bytes).or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => {
            note_loss(&error);
            Err(Failure::said(Exit::OutputLost)) // The end of the program says why.
        }
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
