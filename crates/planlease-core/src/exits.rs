//! How a command ended, and what follows from that: sets of exit codes and signals, as policies name them.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most entries of one set.
pub const MAX_EXITS: usize = 64;

/// The exit codes that say that something failed.
const CODES: RangeInclusive<u8> = 1..=255;

/// How a command ended that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd<'a> {
    /// With this exit code.
    Code(i32),
    /// By the signal of this name: `SIGKILL`.
    Signal(&'a str),
}

/// What follows from an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The attempt failed; the task may be tried again.
    Retry,
    /// The task failed for good: no other attempt would end differently.
    Fail,
    /// A person decides.
    Ask,
}

/// A set of exit codes and signals: `[75, "SIGKILL", "64-78"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Exit>", into = "Vec<Exit>")]
pub struct Exits(Vec<Exit>);

/// An entry of such a set.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exit {
    Codes(RangeInclusive<u8>),
    Signal(String),
}

/// An entry that names neither exit codes nor a signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an exit code from 1 to 255, nor a range such as 64-78, nor a signal such as SIGKILL"
)]
pub struct InvalidExit(String);

impl Exits {
    /// The set of these entries, each a code, a range of codes, or a signal.
    ///
    /// # Errors
    /// [`InvalidExit`].
    pub fn parse(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, InvalidExit> {
        entries.into_iter().map(|entry| entry.as_ref().parse()).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the command ended in one of these ways.
    #[must_use]
    pub fn contains(&self, end: CommandEnd<'_>) -> bool {
        self.0.iter().any(|exit| match (exit, end) {
            (Exit::Codes(codes), CommandEnd::Code(code)) => {
                u8::try_from(code).is_ok_and(|code| codes.contains(&code))
            }
            (Exit::Signal(name), CommandEnd::Signal(signal)) => name == signal,
            _ => false,
        })
    }
}

impl FromStr for Exit {
    type Err = InvalidExit;

    fn from_str(text: &str) -> Result<Self, InvalidExit> {
        let code = |text: &str| text.trim().parse().ok().filter(|code| CODES.contains(code));
        let is_name = |name: &str| {
            name.len() > 3
                && name.len() <= 16
                && name.starts_with("SIG")
                && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        let range = match text.split_once('-') {
            Some((first, last)) => code(first).zip(code(last)).filter(|(first, last)| first <= last),
            None => code(text).map(|code| (code, code)),
        };
        match range {
            Some((first, last)) => Ok(Self::Codes(first..=last)),
            None if is_name(text) => Ok(Self::Signal(text.to_owned())),
            None => Err(InvalidExit(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codes(codes) if codes.start() == codes.end() => write!(f, "{}", codes.start()),
            Self::Codes(codes) => write!(f, "{}-{}", codes.start(), codes.end()),
            Self::Signal(name) => f.write_str(name),
        }
    }
}

impl From<Exits> for Vec<Exit> {
    fn from(exits: Exits) -> Self {
        exits.0
    }
}

impl TryFrom<Vec<Exit>> for Exits {
    type Error = String;

    fn try_from(exits: Vec<Exit>) -> Result<Self, String> {
        if exits.len() > MAX_EXITS {
            return Err(format!("{} exit codes and signals are given, of {MAX_EXITS} allowed", exits.len()));
        }
        Ok(Self(exits))
    }
}

impl fmt::Display for Exits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&entries.join(", "))
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Codes(codes) if codes.start() == codes.end() => serializer.serialize_u8(*codes.start()),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Exit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an exit code, a range of them such as \"64-78\", or a signal such as \"SIGKILL\"",
                )
            }

            fn visit_i64<E: de::Error>(self, code: i64) -> Result<Exit, E> {
                code.to_string().parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, code: u64) -> Result<Exit, E> {
                code.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Exit, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits(json: &str) -> Exits {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn codes_ranges_and_signals_are_read_and_written_alike() {
        let text = r#"[75,"SIGKILL","64-78"]"#;
        let set = exits(text);
        assert_eq!(serde_json::to_string(&set).unwrap(), text);
        assert_eq!(set.to_string(), "75, SIGKILL, 64-78");
        assert_eq!(exits(r#"["75","SIGKILL","64-78"]"#), set);
        for wrong in ["0", "256", "-1", "9-3", "\"0-3\"", "\"kill\"", "\"SIG\"", "\"1-2-3\"", "null", "1.5"] {
            assert!(serde_json::from_str::<Exits>(&format!("[{wrong}]")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_set_has_its_codes_and_signals_and_no_others() {
        let set = exits(r#"[3,"64-66","SIGKILL"]"#);
        for code in [3, 64, 66] {
            assert!(set.contains(CommandEnd::Code(code)));
        }
        for code in [0, 2, 63, 67, 256 + 3, -253] {
            assert!(!set.contains(CommandEnd::Code(code)), "{code}");
        }
        assert!(set.contains(CommandEnd::Signal("SIGKILL")));
        assert!(!set.contains(CommandEnd::Signal("SIGTERM")));
    }
}
