//! Documents as people see them, and the choice between that and JSON.

use planlease::core::WallTime;

use crate::{
    printable::escape_json,
    wire::document::{Document, Marked},
};

/// The form in which a document is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// For people, with more columns.
    Wide,
    /// The names of what a list has, one a line.
    Name,
    /// The JSON document as YAML.
    Yaml,
}

/// A document that people can read.
pub trait Tabular: Document {
    /// Text for people. Ages are counted until `now`.
    fn table(&self, now: WallTime) -> String;

    /// The same with more columns, where there are more.
    fn wide(&self, now: WallTime) -> String {
        self.table(now)
    }

    /// The names of what is in it, if it is a list.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The document as text, with a line break at its end: a [`Printable`](crate::Printable) is to be made of it.
///
/// # Errors
/// What JSON or YAML cannot express; no document here contains such a thing.
pub fn text<D: Tabular>(format: Format, document: &D, now: WallTime) -> Result<String, serde_json::Error> {
    let mut text = match format {
        Format::Table => document.table(now),
        Format::Wide => document.wide(now),
        Format::Name => document.names().join("\n"),
        Format::Yaml => yaml(document)?,
        Format::Json => {
            escape_json(&serde_json::to_string_pretty(&Marked { schema: D::SCHEMA, value: document })?)
        }
        Format::Jsonl => escape_json(&document.lines()?.join("\n")),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The JSON document as YAML: by way of JSON, so that both have the same fields in the same form.
fn yaml<D: Tabular>(document: &D) -> Result<String, serde_json::Error> {
    let value = serde_json::to_value(Marked { schema: D::SCHEMA, value: document })?;
    serde_saphyr::to_string(&value).map_err(serde::ser::Error::custom)
}
