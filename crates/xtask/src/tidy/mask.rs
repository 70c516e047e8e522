//! Rust source with everything blanked that is not code: comments, strings, characters; on demand the tests.
//!
//! Not a parser: it knows where code ends and text begins, and keeps every byte's place and line. That is
//! enough to look for words, and to match braces.

/// The source with comments, strings and character literals replaced by blanks of the same length.
pub(super) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => string_end(bytes, at + 1),
            b'r' if !after_word(bytes, at) => raw_string_end(bytes, at, 1).unwrap_or(at),
            b'b' | b'c' if !after_word(bytes, at) && bytes.get(at + 1) == Some(&b'r') => {
                raw_string_end(bytes, at, 2).unwrap_or(at)
            }
            b'\'' => character_end(source, at).unwrap_or(at),
            _ => at,
        };
        if end > at {
            blank(&mut masked[at..end]);
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8(masked).expect("whole literals and comments were replaced by ASCII blanks")
}

/// The masked source with everything under `#[cfg(test)]` blanked as well.
pub(super) fn without_tests(code: &str) -> String {
    let mut masked = code.as_bytes().to_vec();
    for (start, marker) in code.match_indices("#[cfg(test)]") {
        let after = start + marker.len();
        let end = match code[after..].find(['{', ';']) {
            Some(offset) if code.as_bytes()[after + offset] == b'{' => {
                closing_brace(code, after + offset).map_or(code.len(), |closing| closing + 1)
            }
            Some(offset) => after + offset + 1,
            None => code.len(),
        };
        blank(&mut masked[start..end]);
    }
    String::from_utf8(masked).expect("whole items were replaced by ASCII blanks")
}

/// The place of the brace that closes the one at `open`.
pub(super) fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether the byte before `at` belongs to a word, so that what begins at `at` is in the middle of one.
pub(super) fn after_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// Block comments nest.
fn comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut here = at;
    while here < bytes.len() {
        if bytes[here..].starts_with(b"/*") {
            depth += 1;
            here += 2;
        } else if bytes[here..].starts_with(b"*/") {
            depth -= 1;
            here += 2;
            if depth == 0 {
                return here;
            }
        } else {
            here += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#` and so on, after a prefix of the given length; none if it is a raw name or a word.
fn raw_string_end(bytes: &[u8], at: usize, prefix: usize) -> Option<usize> {
    let hashes = bytes[at + prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + prefix + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.resize(hashes + 1, b'#');
    let inside = bytes.get(open + 1..)?;
    let length = inside.windows(closing.len()).position(|window| window == closing.as_slice());
    Some(length.map_or(bytes.len(), |length| open + 1 + length + closing.len()))
}

/// A character literal, not a lifetime: one character, or an escape, and then the closing quote.
fn character_end(source: &str, at: usize) -> Option<usize> {
    let mut characters = source[at + 1..].char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        let (escaped, _) = characters.next()?;
        let rest = &source[at + 1 + escaped + 1..];
        return rest.find('\'').map(|length| at + 1 + escaped + 1 + length + 1);
    }
    let (second, quote) = characters.next()?;
    (quote == '\'').then_some(at + 1 + second + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_blanked_and_code_stays_where_it_was() {
        let source =
            "let a = \"x { \\\" }\"; // { not code\nlet b = '{'; /* { /* { */ { */ let c = r#\"{\"# ;";
        let code = code_only(source);
        assert_eq!(code.len(), source.len());
        assert!(!code.contains('{') && !code.contains('}'), "{code}");
        assert_eq!(code.lines().count(), 2);
        for word in ["let a", "let b", "let c"] {
            assert_eq!(code.find(word), source.find(word));
        }
    }

    #[test]
    fn lifetimes_escapes_and_raw_names_are_masked_rightly() {
        assert_eq!(code_only("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(code_only("r#type('\\'', '\\u{7d}', 'é', b'x')").replace(' ', ""), "r#type(,,,b)");
        assert_eq!(code_only("br\"}\"; b\"}\"; for\"}\"").replace(' ', ""), ";b;for");
    }

    #[test]
    fn tests_are_blanked_on_demand() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\n#[cfg(test)]\nuse x;\nfn c() {}\n";
        let left = without_tests(code);
        assert!(left.contains("fn a") && left.contains("fn c"));
        assert!(!left.contains("fn b") && !left.contains("use x"));
        assert_eq!(left.lines().count(), code.lines().count());
    }
}
