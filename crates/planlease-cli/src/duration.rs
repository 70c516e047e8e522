//! Durations as people type and read them.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads `15s`, `1m 30s`, `500ms`, `2h`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .trim()
        .parse()
        .map_err(|_| format!("{text:?} is not a duration; write 15s, 500ms, 2m or 1h 30m"))?;
    Duration::try_from(duration).map_err(|_| format!("{text:?} is negative"))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [("15s", 15_000), ("500ms", 500), ("1m 30s", 90_000), (" 2h ", 7_200_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "soon", "-3s"] {
            assert!(parse(text).is_err(), "{text}");
        }
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
