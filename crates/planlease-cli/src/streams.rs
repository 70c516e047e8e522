//! The two standard streams: what is written to them comes from a [`Printable`], or is exact on purpose.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use planlease_documents::Printable;

/// Why a part of standard output is lost, if one is.
static LOST: Mutex<Option<String>> = Mutex::new(None);

/// Notes that standard output did not take a text, for the end of the program. That its reader has gone is no
/// loss: it has read what it wanted.
pub(crate) fn note_loss(error: &io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert_with(|| error.to_string());
    }
}

/// Why a part of standard output is lost. Said once.
pub(crate) fn take_loss() -> Option<String> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The text as standard output shows it.
pub(crate) fn stdout_text(text: &str) -> Printable {
    Printable::styled(text, has_colors(&stdout()))
}

/// The text as standard error shows it.
pub(crate) fn stderr_text(text: &str) -> Printable {
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
