//! What a pair of `key` and `range_end` on the wire selects. Pure.
//!
//! | `range_end` | selects |
//! | --- | --- |
//! | empty | the one key |
//! | one zero byte | every key from `key` on |
//! | anything else | the keys from `key` up to, not including, `range_end` |

use std::ops::Bound;

use bytes::Bytes;

/// A set of neighbouring keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    start: Bytes,
    end: End,
}

/// Where a walk over an ordered map begins and ends.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// `start` only.
    Single,
    /// No end.
    Open,
    /// Up to, not including.
    Before(Bytes),
}

impl KeyRange {
    /// Reads the two fields as etcd does.
    pub(crate) fn from_wire(key: &[u8], range_end: &[u8]) -> Self {
        let end = match range_end {
            [] => End::Single,
            [0] => End::Open,
            end => End::Before(Bytes::copy_from_slice(end)),
        };
        Self { start: Bytes::copy_from_slice(key), end }
    }

    /// The bounds for a walk over an ordered map; `None` when nothing can lie between them.
    pub(crate) fn bounds(&self) -> Option<Bounds<'_>> {
        let start = Bound::Included(&self.start[..]);
        match &self.end {
            End::Single => Some((start, Bound::Included(&self.start[..]))),
            End::Open => Some((start, Bound::Unbounded)),
            End::Before(end) if *end > self.start => Some((start, Bound::Excluded(&end[..]))),
            End::Before(_) => None,
        }
    }

    /// The key, if it is exactly one.
    pub(crate) fn single(&self) -> Option<&Bytes> {
        matches!(self.end, End::Single).then_some(&self.start)
    }

    /// Whether the key is one of the selected.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key == &self.start[..],
            End::Open => key >= &self.start[..],
            End::Before(end) => key >= &self.start[..] && key < &end[..],
        }
    }

    /// Whether no key at all can be selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.bounds().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_what_the_table_says() {
        for (key, end, hits, misses) in [
            ("b", "", vec!["b"], vec!["a", "ba", "c"]),
            ("b", "\0", vec!["b", "ba", "z"], vec!["a"]),
            ("b", "d", vec!["b", "c", "cz"], vec!["a", "d"]),
            ("\0", "\0", vec!["\0", "a"], vec![]),
            ("b", "a", vec![], vec!["a", "b"]),
            ("b", "b", vec![], vec!["b"]),
        ] {
            let range = KeyRange::from_wire(key.as_bytes(), end.as_bytes());
            assert_eq!(range.is_empty(), hits.is_empty(), "{range:?}");
            for hit in hits {
                assert!(range.contains(hit.as_bytes()), "{range:?} has {hit:?}");
            }
            for miss in misses {
                assert!(!range.contains(miss.as_bytes()), "{range:?} has not {miss:?}");
            }
        }
    }
}
