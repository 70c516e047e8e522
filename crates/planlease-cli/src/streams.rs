//! The two standard streams: what is written to them comes from a [`Printable`], or is exact on purpose.

use std::io;

use planlease_documents::Printable;

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
