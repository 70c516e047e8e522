//! Durations as people type and read them.

use std::time::Duration;

use jiff::SignedDuration;
use planlease::core::MAX_DURATION;

/// Reads `15s`, `1m 30s`, `500ms`, `2h`; at most [`MAX_DURATION`].
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .trim()
        .parse()
        .map_err(|_| format!("{text:?} is not a duration; write 15s, 500ms, 2m or 1h 30m"))?;
    let duration = Duration::try_from(duration).map_err(|_| format!("{text:?} is negative"))?;
    if duration > MAX_DURATION { Err(format!("{text:?} is longer than 10 years")) } else { Ok(duration) }
}

/// The same, of a duration that has to be longer than nothing.
pub(crate) fn parse_some(text: &str) -> Result<Duration, String> {
    let duration = parse(text)?;
    if duration.is_zero() { Err(format!("{text:?} is no time at all")) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_usually_written() {
        for (text, millis) in [("15s", 15_000), ("500ms", 500), ("1m 30s", 90_000), (" 2h ", 7_200_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "soon", "-3s", "87601h", "9223372036854775807s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
