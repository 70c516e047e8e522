//! Reasons as people give them, for others to read later.

/// Reads a reason: text that says something.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty; others read it later, so say something".to_owned()),
        reason => Ok(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something() {
        assert_eq!(parse(" the registry is down\n"), Ok("the registry is down".to_owned()));
        for text in ["", " ", "\t\n", "\u{a0}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
