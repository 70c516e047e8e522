//! What is shown, where: documents on standard output, words on standard error.

mod settings;

use std::{
    borrow::Cow,
    io::{self, Write as _},
};

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use planlease::core::WallTime;

pub(crate) use self::settings::{ContextList, SettingsShown};
pub(crate) use planlease_documents::*;

use crate::{exit::Exit, failure::Failure, lines::Lines};

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
    print(&text(format, document, now)?)
}

/// Prints on standard output; colours are taken out where nobody would see them.
///
/// # Errors
/// A reader that has gone (`| head`) ends the program in silence, with success: it has read what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::said(Exit::Done),
        _ => Failure::system("cannot write to standard output", &error),
    })
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
