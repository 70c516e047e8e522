//! Times and durations as they are shown: RFC 3339 in JSON, ages and durations of two units for people.

use std::time::Duration;

use planlease::core::WallTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// How wide [`Time::to_the_second`] is, in characters.
#[cfg(feature = "tables")]
pub(crate) const SECOND_WIDTH: usize = "2025-11-24 16:00:00Z".len();

/// A duration in its two largest units, rounded down to the second of them: `7s`, `3m12s`, `1h55m`, `2d21h`.
/// Below ten seconds with tenths, where there are some: `0.3s`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let tenths = duration.subsec_millis() / 100;
    match seconds {
        0..10 if tenths > 0 => format!("{seconds}.{tenths}s"),
        0..60 => format!("{seconds}s"),
        60..3600 => two((seconds / 60, "m"), (seconds % 60, "s")),
        3600..86400 => two((seconds / 3600, "h"), (seconds / 60 % 60, "m")),
        _ => two((seconds / 86400, "d"), (seconds / 3600 % 24, "h")),
    }
}

fn two((large, unit): (u64, &str), (small, part): (u64, &str)) -> String {
    if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{part}") }
}

/// A moment of a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub WallTime);

impl Time {
    /// RFC 3339 in UTC, always to the millisecond.
    #[must_use]
    pub fn rfc_3339(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S%.3fZ")
    }

    /// `2025-11-24 16:00:00Z`, rounded down: the form in which people see every moment.
    #[must_use]
    pub fn to_the_second(self) -> String {
        self.format("%Y-%m-%d %H:%M:%SZ")
    }

    fn format(self, format: &str) -> String {
        jiff::Timestamp::from_millisecond(self.0.0)
            .map_or_else(|_| "unknown".to_owned(), |time| time.strftime(format).to_string())
    }

    /// How long ago it was, to the second.
    #[must_use]
    pub fn age(self, now: WallTime) -> String {
        duration(Duration::from_secs(self.0.until(now).as_secs()))
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
    fn times_are_utc_and_have_one_width() {
        assert_eq!(Time(WallTime(1_764_000_000_123)).rfc_3339(), "2025-11-24T16:00:00.123Z");
        assert_eq!(Time(WallTime(1_764_000_000_000)).rfc_3339(), "2025-11-24T16:00:00.000Z");
        assert_eq!(Time(WallTime(-1)).rfc_3339(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Time(WallTime(1_764_000_000_999)).to_the_second(), "2025-11-24 16:00:00Z");
        assert_eq!(Time(WallTime(-1)).to_the_second().len(), SECOND_WIDTH);
        assert_eq!(Time(WallTime(i64::MAX)).rfc_3339(), "unknown");
        assert_eq!(Time(WallTime(0)).age(WallTime(61_900)), "1m1s");
        assert_eq!(Time(WallTime(0)).age(WallTime(900)), "0s", "an age is as exact as clocks agree");
    }

    #[test]
    fn a_duration_has_two_units() {
        let seconds = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m59s"),
            (3_600, "1h"),
            (6_900, "1h55m"),
            (69 * 3_600, "2d21h"),
            (86_400, "1d"),
            (86_459, "1d"),
        ];
        for (seconds, shown) in seconds {
            assert_eq!(duration(Duration::from_secs(seconds)), shown);
        }
        let millis = [(40, "0s"), (320, "0.3s"), (9_990, "9.9s"), (10_900, "10s")];
        for (millis, shown) in millis {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
    }
}
