//! Revisions, terms and tokens: the numbers by which the order of things is decided.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Serialize};

/// A revision of etcd's store: every transaction that changes anything raises it by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "i64", into = "u64")]
pub struct Revision(NonZeroU64);

impl Revision {
    /// Reads a revision as etcd sends it; `None` for zero and below, which etcd uses for "absent".
    #[must_use]
    pub fn from_wire(value: i64) -> Option<Self> {
        u64::try_from(value).ok().and_then(NonZeroU64::new).map(Self)
    }

    /// The revision as etcd wants it.
    ///
    /// # Panics
    /// Never: a revision is only made from a positive `i64`, or from one by [`Revision::next`].
    #[must_use]
    pub fn to_wire(self) -> i64 {
        i64::try_from(self.0.get()).expect("a revision comes from an i64")
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The revision that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_wire(self.to_wire().saturating_add(1)).unwrap_or(self)
    }
}

impl TryFrom<i64> for Revision {
    type Error = Malformed;
    fn try_from(value: i64) -> Result<Self, Malformed> {
        Self::from_wire(value).ok_or_else(|| Malformed::new(&value.to_string(), A_REVISION))
    }
}

impl From<Revision> for u64 {
    fn from(revision: Revision) -> Self {
        revision.get()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Revision {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.parse::<i64>().ok().and_then(Self::from_wire).ok_or_else(|| Malformed::new(text, A_REVISION))
    }
}

const A_REVISION: &str = "a revision: a positive whole number";

/// A text that is not written as such a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct Malformed {
    text: String,
    expected: &'static str,
}

impl Malformed {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.to_owned(), expected }
    }
}

/// Counts the ownerships of one plan: 1 for the first, one more for each that follows, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TermNumber(pub u64);

impl TermNumber {
    /// The number of the term that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for TermNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Counts the lives of a store: raised by an operator who restored etcd from an older snapshot, so that
/// tokens given out after the restore are greater than those given out before it, whatever the term numbers
/// say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What user code hands to a resource outside etcd so that the resource can refuse a former owner.
///
/// Strictly greater for each later ownership of the same plan, also when all keys were deleted in between or
/// etcd was restored (with the generation raised). Shown as `generation.term`, as `1.7`. The resource has to
/// keep the greatest token it has seen and to refuse anything below; a lease alone can never exclude a paused
/// process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct FencingToken {
    /// The store's life in which the term was.
    pub generation: Generation,
    /// The ownership.
    pub term: TermNumber,
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.term)
    }
}

impl FromStr for FencingToken {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        two_numbers(text)
            .map(|(generation, term)| Self { generation: Generation(generation), term: TermNumber(term) })
            .ok_or_else(|| Malformed::new(text, "a fencing token: two numbers with a dot between, as 1.7"))
    }
}

impl TryFrom<String> for FencingToken {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<FencingToken> for String {
    fn from(token: FencingToken) -> Self {
        token.to_string()
    }
}

/// The fencing token of a lock: for the resource that the lock protects, so that it can refuse earlier
/// holders.
///
/// Strictly greater for each later holder of the same lock. It says nothing about ownerships, and is never
/// compared with a [`FencingToken`] of one. Shown as `generation.revision`, as `1.42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct LockToken {
    /// The store's life in which the lock was taken.
    pub generation: Generation,
    /// The create revision of the holder's key.
    pub revision: Revision,
}

impl fmt::Display for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.revision)
    }
}

impl FromStr for LockToken {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        two_numbers(text)
            .and_then(|(generation, revision)| {
                let revision = Revision(NonZeroU64::new(revision)?);
                Some(Self { generation: Generation(generation), revision })
            })
            .ok_or_else(|| Malformed::new(text, "a lock's token: two numbers with a dot between, as 1.42"))
    }
}

impl TryFrom<String> for LockToken {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<LockToken> for String {
    fn from(token: LockToken) -> Self {
        token.to_string()
    }
}

fn two_numbers(text: &str) -> Option<(u64, u64)> {
    let (one, other) = text.split_once('.')?;
    Some((canonical(one)?, canonical(other)?))
}

/// A number in the only spelling in which it is shown: without a sign, and without zeros before it. A token
/// that resources compare or store as a text has one spelling.
fn canonical(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_on_the_wire_is_no_revision() {
        assert_eq!(Revision::from_wire(0), None);
        assert_eq!(Revision::from_wire(-1), None);
        assert_eq!(Revision::from_wire(7).map(Revision::to_wire), Some(7));
    }

    #[test]
    fn a_later_generation_beats_any_term() {
        let token = |text: &str| text.parse::<FencingToken>().unwrap();
        assert!(token("1.9") < token("1.10"));
        assert!(token("1.999") < token("2.1"));
        assert_eq!(token("2.1").to_string(), "2.1");
        assert!("7".parse::<FencingToken>().is_err());
    }

    #[test]
    fn a_token_has_one_spelling() {
        for wrong in
            ["+1.5", "1.+5", "01.5", "1.05", "1.00", "-1.5", " 1.5", "1.5 ", "1.5\n", "1. 5", "1.5.0", "1,5"]
        {
            assert!(wrong.parse::<FencingToken>().is_err(), "{wrong:?}");
            assert!(wrong.parse::<LockToken>().is_err(), "{wrong:?}");
        }
        for token in ["0.0", "1.0", "1.5", "10.50", "18446744073709551615.18446744073709551615"] {
            assert_eq!(token.parse::<FencingToken>().unwrap().to_string(), token);
        }
    }

    #[test]
    fn a_locks_token_reads_as_it_is_shown() {
        let token = |text: &str| text.parse::<LockToken>().unwrap();
        assert!(token("1.9") < token("1.10") && token("1.999") < token("2.1"));
        assert_eq!(serde_json::to_value(token("1.42")).unwrap(), "1.42");
        for wrong in ["7", "1.0", "1.-1", ""] {
            assert!(wrong.parse::<LockToken>().is_err(), "{wrong}");
        }
    }
}
