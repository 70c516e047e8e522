//! Text on its way to people. What is stored was written by others, and a terminal obeys: so every character
//! that could drive one is replaced here, at the printing boundary, and nothing is printed to people that did
//! not come through here.
//!
//! Our own colours are marked by characters that no text has (Unicode's noncharacters), and become escapes
//! here only. An escape that is in a text before is never ours.

use std::fmt::{self, Write as _};

/// What stands for a character that is not printed.
const REPLACED: char = '\u{fffd}';

/// The characters that mark styles.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// A style of text. `{GOOD}text{GOOD:#}` switches it on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bold.
    Bold,
    /// Less bright.
    Dim,
    /// Red.
    Red,
    /// Green.
    Green,
    /// Yellow.
    Yellow,
    /// Cyan.
    Cyan,
    /// Red and bold.
    BoldRed,
    /// Green and bold.
    BoldGreen,
}

/// The mark that ends any style.
const END: char = '\u{fdd0}';

/// Each style, its mark, and the escape for terminals.
const STYLES: [(Style, char, &str); 8] = [
    (Style::Bold, '\u{fdd1}', "\x1b[1m"),
    (Style::Dim, '\u{fdd2}', "\x1b[2m"),
    (Style::Red, '\u{fdd3}', "\x1b[31m"),
    (Style::Green, '\u{fdd4}', "\x1b[32m"),
    (Style::Yellow, '\u{fdd5}', "\x1b[33m"),
    (Style::Cyan, '\u{fdd6}', "\x1b[36m"),
    (Style::BoldRed, '\u{fdd7}', "\x1b[1m\x1b[31m"),
    (Style::BoldGreen, '\u{fdd8}', "\x1b[1m\x1b[32m"),
];

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = STYLES.iter().find(|(style, ..)| style == self).map_or(END, |(_, mark, _)| *mark);
        f.write_char(if f.alternate() { END } else { mark })
    }
}

/// The escape of a mark; `None` if the character is no mark of ours.
fn escape(mark: char) -> Option<&'static str> {
    if mark == END {
        return Some("\x1b[0m");
    }
    STYLES.iter().find(|(_, known, _)| *known == mark).map(|(.., escape)| *escape)
}

/// Whether a character could drive a terminal, or make a text look like another one: a control character, a
/// mark of Unicode that changes the direction of what follows, or a separator of lines that is none for most
/// programs.
fn drives_terminal(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Text that can be written to a terminal, whatever it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printable(String);

impl Printable {
    /// Text with [`Style`]s, which are left out if there are to be no colours. Line breaks and tabs stay.
    #[must_use]
    pub fn styled(text: &str, colors: bool) -> Self {
        Self::made(text, |mark| if colors { escape(mark) } else { escape(mark).map(|_| "") })
    }

    /// Text of others: what looks like a [`Style`] in it is replaced, too.
    #[must_use]
    pub fn of_others(text: &str) -> Self {
        Self::made(text, |_| None)
    }

    fn made(text: &str, style: impl Fn(char) -> Option<&'static str>) -> Self {
        let mut made = String::with_capacity(text.len());
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            match c {
                '\n' | '\t' => made.push(c),
                '\r' if characters.peek() == Some(&'\n') => {}
                c if MARKS.contains(&c) => match style(c) {
                    Some(escape) => made.push_str(escape),
                    None => made.push(REPLACED),
                },
                c if drives_terminal(c) => made.push(REPLACED),
                c => made.push(c),
            }
        }
        Self(made)
    }

    /// The same in the place of the terminal's present line.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self(format!("\r\x1b[K{}", self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The text in one line and without control characters.
#[must_use]
pub fn plain(text: &str) -> String {
    let one_line = |c| match c {
        '\n' | '\t' => ' ',
        c if drives_terminal(c) || MARKS.contains(&c) => REPLACED,
        c => c,
    };
    text.trim().chars().map(one_line).collect()
}

/// JSON text that means the same, with escapes for all that could drive a terminal; JSON itself demands them
/// for some of it only.
#[must_use]
pub fn escape_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // A line break is between the parts of a document; inside of its texts it is an escape already.
        if c != '\n' && (drives_terminal(c) || MARKS.contains(&c)) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind that could drive a terminal.
    const HOSTILE: &str = "\u{0}\u{7}\u{8}\u{b}\r\u{1b}[2J\u{1b}]0;t\u{7}\u{7f}\u{85}\u{9b}31m\u{9d}\u{61c}\u{200e}\u{200f}\
                           \u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";

    #[test]
    fn nothing_of_a_text_drives_the_terminal() {
        for printed in [Printable::styled(HOSTILE, true), Printable::styled(HOSTILE, false)] {
            assert!(!printed.as_str().chars().any(drives_terminal), "{printed:?}");
        }
        assert!(!plain(HOSTILE).chars().any(drives_terminal));
        assert_eq!(plain(" a\x1b[2Jb\nc "), "a\u{fffd}[2Jb c");
        let text = "lines\n\tof CRLF\r\nand of Bücher, 書 and 👩‍💻\n";
        assert_eq!(Printable::of_others(text).as_str(), text.replace('\r', ""));
    }

    #[test]
    fn only_our_own_styles_become_escapes() {
        const GOOD: Style = Style::Green;
        let text = format!("{GOOD}done{GOOD:#} \x1b[32mnot ours\u{fdef}");
        assert_eq!(
            Printable::styled(&text, true).as_str(),
            "\x1b[32mdone\x1b[0m \u{fffd}[32mnot ours\u{fffd}"
        );
        assert_eq!(Printable::styled(&text, false).as_str(), "done \u{fffd}[32mnot ours\u{fffd}");
        let forged = Style::Red.to_string();
        assert_eq!(Printable::of_others(&forged).as_str(), "\u{fffd}");
        assert_eq!(plain(&forged), "\u{fffd}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({ "text": format!("{HOSTILE}{}", Style::Red), "other": ["ü\n"] });
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = escape_json(&json);
            assert!(!escaped.chars().any(|c| c != '\n' && drives_terminal(c)), "{escaped}");
            assert_eq!(Printable::styled(&escaped, true).as_str(), escaped);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }
    }
}
