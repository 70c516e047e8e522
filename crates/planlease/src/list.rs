//! What a read of many records finds: those that can be read, and beside them those that cannot.

use std::ops::Deref;

use planlease_core::unreadable::Unreadable;

/// The records that a read found. One that cannot be read is left out and listed beside them; it does not
/// stop the read.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T> {
    /// What could be read.
    pub items: Vec<T>,
    /// What could not, and why.
    pub unreadable: Vec<Unreadable>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), unreadable: Vec::new() }
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, unreadable: Vec::new() }
    }
}

impl<T> FromIterator<Result<T, Unreadable>> for List<T> {
    fn from_iter<I: IntoIterator<Item = Result<T, Unreadable>>>(records: I) -> Self {
        let mut list = Self::default();
        for record in records {
            match record {
                Ok(item) => list.items.push(item),
                Err(unreadable) => list.unreadable.push(unreadable),
            }
        }
        list
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}
