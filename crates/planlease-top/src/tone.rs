//! How what is shown is marked.

/// How a row is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Normal,
    /// Nothing more happens there.
    Dim,
    /// It goes on.
    Good,
    /// It waits, or was stopped by a person.
    Warn,
    /// It needs a person.
    Bad,
}
