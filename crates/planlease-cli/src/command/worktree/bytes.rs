//! Amounts of bytes as people type them.

/// Reads `500M`, `10G`, `0`: powers of 1024.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let power = match unit.trim() {
        "" | "B" => 0,
        "K" | "KiB" => 1,
        "M" | "MiB" => 2,
        "G" | "GiB" => 3,
        "T" | "TiB" => 4,
        _ => return Err(format!("{text:?} is no amount of bytes; write 500M or 10G")),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is no amount of bytes; write 500M or 10G"))?;
    number.checked_mul(1024_u64.pow(power)).ok_or_else(|| format!("{text:?} is more than can be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_parsed_as_usually_written() {
        for (text, bytes) in [("0", 0), ("512", 512), ("2K", 2048), ("1 MiB", 1 << 20), ("10G", 10 << 30)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "1.5G", "99999999999T", "5 apples"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
