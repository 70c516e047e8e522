//! What every document has: the name of its schema, its form in JSON, and what is missing in it.

use serde::Serialize;

use super::unreadable::UnreadableView;

/// A JSON document, as `-o json` prints it and the sidecar answers with it.
pub trait Document: Serialize {
    /// The name and version of its JSON form; `None` for one that has another description.
    const SCHEMA: Option<&'static str>;

    /// Its objects, one a line; the whole document if it is no list.
    ///
    /// # Errors
    /// What JSON cannot express; no document here contains such a thing.
    fn lines(&self) -> Result<Vec<String>, serde_json::Error> {
        Ok(vec![marked(Self::SCHEMA, self)?])
    }

    /// What cannot be read, and is missing in it.
    fn unreadable(&self) -> &[UnreadableView] {
        &[]
    }
}

/// A value in one line of JSON, with the name of its schema in front.
///
/// # Errors
/// What JSON cannot express; no document here contains such a thing.
pub fn marked<T: Serialize + ?Sized>(schema: Option<&str>, value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Marked { schema, value })
}

/// The objects of a list, each with the name of its schema.
///
/// # Errors
/// What JSON cannot express; no document here contains such a thing.
pub fn each<T: Serialize>(schema: &str, items: &[T]) -> Result<Vec<String>, serde_json::Error> {
    items.iter().map(|item| marked(Some(schema), item)).collect()
}

/// The same, with what cannot be read behind them.
///
/// # Errors
/// What JSON cannot express; no document here contains such a thing.
pub(crate) fn each_readable<T: Serialize>(
    schema: &str,
    items: &[T],
    unreadable: &[UnreadableView],
) -> Result<Vec<String>, serde_json::Error> {
    let mut lines = each(schema, items)?;
    lines.extend(each("planlease.unreadable.v1", unreadable)?);
    Ok(lines)
}

#[derive(Serialize)]
pub(crate) struct Marked<'a, T: ?Sized> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) value: &'a T,
}

/// The document in one line of JSON, with the name of its schema in front.
///
/// # Errors
/// What JSON cannot express; no document here contains such a thing.
pub fn json<D: Document>(document: &D) -> Result<String, serde_json::Error> {
    marked(D::SCHEMA, document)
}
