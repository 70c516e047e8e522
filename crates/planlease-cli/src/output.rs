//! What is shown, where: documents on standard output, words on standard error.

mod settings;

use std::{
    borrow::Cow,
    io::{self, Write as _},
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

/// Prints on standard output; colours are taken out where nobody would see them.
///
/// # Errors
/// A reader that has gone (`| head`) ends the program in silence, with success: it has read what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let stdout = io::stdout();
    let text = colored(text, &stdout);
    Patient(stdout.lock()).write_all(text.as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::said(Exit::Done),
        _ => Failure::system("cannot write to standard output", &error),
    })
}

/// Waits where a descriptor says that it would have to wait: another process may have set `O_NONBLOCK` on what they share.
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
    let line = format!("{line}\n");
    match Lines::standard_error() {
        Some(lines) => lines.say(colored(&line, &io::stderr()).as_bytes()),
        None => drop(anstream::stderr().write_all(line.as_bytes())),
    }
}

/// The text as this stream shows it: without colours where nobody would see them.
pub(crate) fn colored<'a>(text: &'a str, stream: &impl anstream::stream::RawStream) -> Cow<'a, str> {
    match anstream::AutoStream::choice(stream) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(text).to_string().into(),
        _ => text.into(),
    }
}
