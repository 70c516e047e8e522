//! Makes text of bytes that come in pieces, without tearing characters apart.

/// What has come of a character that is not whole.
#[derive(Clone, Debug, Default)]
pub struct Characters(Vec<u8>);

impl Characters {
    /// The text up to the last whole character. What is no UTF-8 is replaced.
    #[must_use]
    pub fn take(&mut self, bytes: &[u8]) -> String {
        self.0.extend_from_slice(bytes);
        let last = self.0.utf8_chunks().last();
        // Three bytes at most can be the beginning of a character.
        let torn = last.map_or(0, |chunk| match std::str::from_utf8(chunk.invalid()) {
            Err(error) if error.error_len().is_none() => chunk.invalid().len(),
            _ => 0,
        });
        let rest = self.0.split_off(self.0.len() - torn);
        String::from_utf8_lossy(&std::mem::replace(&mut self.0, rest)).into_owned()
    }

    /// What is left, at the end.
    #[must_use]
    pub fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_whole_however_they_come() {
        let bytes = "aü€😀\u{0}".as_bytes();
        let mut characters = Characters::default();
        let text: String = bytes.iter().map(|byte| characters.take(&[*byte])).collect();
        assert_eq!((text.as_str(), characters.rest().as_str()), ("aü€😀\u{0}", ""));
        assert_eq!(characters.take(b"\xff\xf0x\xe2\x82"), "\u{fffd}\u{fffd}x");
        assert_eq!(characters.rest(), "\u{fffd}");
    }
}
