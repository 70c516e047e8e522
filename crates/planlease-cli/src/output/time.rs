//! Times as they are shown: RFC 3339 in JSON, ages in tables.

use planlease::core::WallTime;
use serde::{Serialize, Serializer};

/// A moment of somebody's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) WallTime);

impl Time {
    /// RFC 3339 in UTC, to the millisecond.
    pub(crate) fn rfc_3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0.0)
            .map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
    }

    /// How long ago it was.
    pub(crate) fn age(self, now: WallTime) -> String {
        crate::duration::short(self.0.until(now))
    }
}

impl From<WallTime> for Time {
    fn from(time: WallTime) -> Self {
        Self(time)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc_3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(Time(WallTime(1_764_000_000_123)).rfc_3339(), "2025-11-24T16:00:00.123Z");
        assert_eq!(Time(WallTime(i64::MAX)).rfc_3339(), "unknown");
        assert_eq!(Time(WallTime(0)).age(WallTime(61_000)), "1m");
    }
}
