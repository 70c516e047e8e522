//! Times as they are shown: RFC 3339 in JSON, ages in tables.

use std::time::Duration;

use planlease::core::WallTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// The duration in its largest unit, rounded down: `7s`, `3m`, `2h`, `5d`. For ages in tables.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// A moment of somebody's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub WallTime);

impl Time {
    /// RFC 3339 in UTC, to the millisecond.
    #[must_use]
    pub fn rfc_3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0.0)
            .map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(self, now: WallTime) -> String {
        short(self.0.until(now))
    }
}

impl From<WallTime> for Time {
    fn from(time: WallTime) -> Self {
        Self(time)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
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

    #[test]
    fn an_age_has_one_unit() {
        for (seconds, shown) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7300, "2h"), (200_000, "2d")]
        {
            assert_eq!(short(Duration::from_secs(seconds)), shown);
        }
    }
}
