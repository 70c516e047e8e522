//! Moments as text: RFC 3339, to the millisecond. Without a clock or a time zone there is nothing that could
//! go wrong.

use planlease_core::WallTime;

/// The moment that a text says; `None` if it says none.
pub(super) fn read(text: &str) -> Option<WallTime> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits.iter().all(u8::is_ascii_digit).then_some(())?;
        text[from..to].parse::<i64>().ok()
    };
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
    let separated = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    separated.then_some(())?;
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let sound = (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
    (sound && hour <= 23 && minute <= 59 && second <= 60).then_some(())?;
    let rest = &text[19..];
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            (end > 0).then_some(())?;
            rest.split_at(end)
        }
        None => ("", rest),
    };
    let millis =
        fraction.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let offset = offset(zone)?;
    let days = days_before(year, month) + day - 1;
    Some(WallTime(((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1000 + millis))
}

/// Minutes east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let part = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| digits && *number <= most)
    };
    Some(sign * (part(hours, 23)? * 60 + part(minutes, 59)?))
}

/// The text of a moment, as JavaScript's `toISOString` writes it.
pub(super) fn write(time: WallTime) -> String {
    // What lies outside of these years no clock of ours has shown.
    let (first, last) = (WallTime(-62_135_596_800_000), WallTime(253_402_300_799_999));
    let millis = time.0.clamp(first.0, last.0);
    let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from 1970-01-01 until the first of this month.
fn days_before(year: i64, month: i64) -> i64 {
    let past = year - 1;
    let to_year = past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 719_162;
    (1..month).map(|month| days_in(year, month)).sum::<i64>() + to_year
}

/// Year, month and day of this many days after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366); // Never too late, and by years too early at most.
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    while days_before(year, 1) > days {
        year -= 1;
    }
    let mut month = 1;
    while month < 12 && days_before(year, month + 1) <= days {
        month += 1;
    }
    (year, month, days - days_before(year, month) + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_read_with_their_offsets_and_fractions() {
        for (text, written) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("2025-12-27T06:05:20.257031Z", "2025-12-27T06:05:20.257Z"),
            ("2025-12-26T21:46:52-06:00", "2025-12-27T03:46:52.000Z"),
            ("2024-02-29T23:59:60.5+00:30", "2024-02-29T23:30:00.500Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(read(text).map(write).as_deref(), Some(written), "{text}");
        }
        for text in ["", "2025", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-12-01T24:00:00Z"] {
            assert_eq!(read(text), None, "{text}");
        }
        for text in
            ["2025-12-01T00:00:00", "2025-12-01T00:00:00.Z", "2025-12-01T00:00:00+1:00", "2025-12-01Täää:00Z"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in -62_135_596_800_000_i64..253_402_300_800_000) {
            prop_assert_eq!(read(&write(WallTime(millis))), Some(WallTime(millis)));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,40}") {
            let _ = read(&text);
        }
    }
}
