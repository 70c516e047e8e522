//! The stored bytes: JSON with a format version, bounded in size. The only place that knows.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// The largest value that is stored, in bytes. Far below etcd's limit for one request (1.5 MiB), so that a
/// page of 500 records stays within what a client decodes.
pub const MAX_VALUE: usize = 64 * 1024;

/// The largest output of a task that is kept, in bytes.
pub const MAX_FINDINGS: usize = 48 * 1024;

/// The most bytes of a value with findings and output: room for both when each character is escaped.
pub const MAX_FINDINGS_VALUE: usize = 10 * MAX_VALUE;

/// The largest part of a plan's definition that is stored under one key, in bytes.
pub const MAX_SPEC_PART: usize = 512 * 1024;

/// Room for the usual record.
const USUAL: usize = 768;

/// The longest reason why a value cannot be read, in bytes: it may quote the value, which is anybody's.
const MAX_REASON: usize = 300;

/// The format that this version writes, but for records that an older version must not touch.
const FORMAT: u8 = 1;

/// The format of a task whose attempt is to be cancelled.
const CANCELLING: u8 = 2;

/// The format of a task that a person has to approve, and the newest that this version reads.
const NEWEST: u8 = 3;

/// The version of a record's format. Raised only for a change that an older reader must not ignore; new
/// fields alone do not raise it, since unknown fields are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatVersion(u8);

impl FormatVersion {
    /// The format of a task whose attempt is to be cancelled: an older version would complete it.
    pub const CANCELLING: Self = Self(CANCELLING);

    /// The format of a task that a person has to approve: an older version would start it, or go on after it.
    pub const APPROVAL: Self = Self(NEWEST);
}

impl Default for FormatVersion {
    fn default() -> Self {
        Self(FORMAT)
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = u8::deserialize(deserializer)?;
        if version <= NEWEST {
            Ok(Self(version))
        } else {
            Err(serde::de::Error::custom(format!(
                "format {version} is newer than format {NEWEST}, which this planlease reads; use a newer planlease"
            )))
        }
    }
}

/// Why stored bytes cannot be read, or a value cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes are not what their key says they are.
    #[error("the stored value is not a valid {kind}: {reason}")]
    Unreadable {
        /// The type that was expected.
        kind: &'static str,
        /// What is wrong, with the position.
        reason: String,
    },
    /// The key is one that this version does not know.
    #[error(
        "no key of this version of planlease: use a newer planlease, or remove the key if another program wrote it"
    )]
    UnknownKey,
    /// The value would be larger than is allowed; nothing was written.
    #[error("the {kind} would have {bytes} bytes; at most {max} are stored")]
    TooLarge {
        /// The type.
        kind: &'static str,
        /// How large it would be.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
}

/// The name of a type without its path, for messages; for a list, that of its entries.
fn kind<T>() -> &'static str {
    let name = std::any::type_name::<T>().trim_end_matches('>');
    name.rsplit([':', '<']).next().unwrap_or(name)
}

/// Turns a record into the bytes that are stored.
///
/// # Errors
/// [`CodecError::TooLarge`] above [`MAX_VALUE`].
pub fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, CodecError> {
    encode_within(record, MAX_VALUE)
}

/// As [`encode`], with a bound of its own.
///
/// # Errors
/// [`CodecError::TooLarge`] above `max`.
///
/// # Panics
/// Never: the records' maps have text keys and their numbers are finite, which is all that JSON can refuse.
pub fn encode_within<T: Serialize>(record: &T, max: usize) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut bytes, record).expect("records are plain data with text keys");
    if bytes.len() > max {
        return Err(CodecError::TooLarge { kind: kind::<T>(), bytes: bytes.len(), max });
    }
    Ok(bytes)
}

/// Reads a record from its stored bytes.
///
/// # Errors
/// [`CodecError::Unreadable`] if they are not JSON of that type, of a newer format, or larger than
/// [`MAX_VALUE`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within(bytes, MAX_VALUE)
}

/// As [`decode`], with a bound of its own.
///
/// # Errors
/// [`CodecError::Unreadable`] likewise.
pub fn decode_within<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CodecError> {
    let unreadable = |reason: &str| {
        let reason = shorten(reason, MAX_REASON);
        CodecError::Unreadable { kind: kind::<T>(), reason }
    };
    match bytes.len() {
        0 => Err(unreadable("it is empty")),
        len if len > max => Err(unreadable(&format!("it has {len} bytes; at most {max} are read"))),
        _ => serde_json::from_slice(bytes).map_err(|error| unreadable(&error.to_string())),
    }
}

/// Reads a list that will be held for long: without the room that it is given to grow, which can be as much
/// again, and for a single entry three times as much.
pub(crate) fn shrunk<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let mut list = Vec::deserialize(deserializer)?;
    list.shrink_to_fit();
    Ok(list)
}

/// Cuts a text to at most `max` bytes by leaving out its middle: the beginning and the end tell the most.
#[must_use]
pub fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let note = format!("\n[… {} bytes left out …]\n", text.len().saturating_sub(max));
    let room = max.saturating_sub(note.len());
    let head = text.floor_char_boundary(room / 2);
    let tail = text.ceil_char_boundary(text.len() - (room - room / 2));
    format!("{}{note}{}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Guard, Role, TaskRecord, Writer};
    use serde_json::Value;
    use uuid::Uuid;

    fn record() -> TaskRecord {
        let writer = Writer { who: "w".into(), role: Role::Owner, term: None, guard: Guard::Unowned };
        TaskRecord::new(writer, Uuid::nil())
    }

    #[test]
    fn a_record_of_a_newer_version_keeps_its_unknown_fields() {
        let mut value = serde_json::to_value(record()).unwrap();
        value["shiny"] = serde_json::json!({"deep": [1, 2]});
        let read: TaskRecord = decode(&serde_json::to_vec(&value).unwrap()).unwrap();
        let written: Value = serde_json::from_slice(&encode(&read).unwrap()).unwrap();
        assert_eq!(written, value);
    }

    #[test]
    fn a_format_that_must_not_be_ignored_is_refused_with_the_remedy() {
        let mut value = serde_json::to_value(record()).unwrap();
        value["v"] = (NEWEST + 1).into();
        let error = decode::<TaskRecord>(&serde_json::to_vec(&value).unwrap()).unwrap_err().to_string();
        assert!(error.contains("TaskRecord") && error.contains("use a newer planlease"), "{error}");
    }

    #[test]
    fn a_list_is_named_by_the_type_of_its_entries() {
        assert_eq!([kind::<TaskRecord>(), kind::<Vec<TaskRecord>>()], ["TaskRecord"; 2]);
        assert_eq!([kind::<u8>(), kind::<Vec<u8>>(), kind::<Option<Vec<u8>>>()], ["u8"; 3]);
        let error = decode::<Vec<TaskRecord>>(b"{}").unwrap_err().to_string();
        assert!(error.starts_with("the stored value is not a valid TaskRecord: "), "{error}");
    }

    #[test]
    fn a_value_above_its_bound_is_not_read() {
        assert_eq!(decode_within::<Vec<u8>>(b"[1,2]", 5).unwrap(), [1, 2]);
        let error = decode_within::<Vec<u8>>(b"[1,2]", 4).unwrap_err().to_string();
        assert!(error.contains("it has 5 bytes; at most 4 are read"), "{error}");
        assert!(decode_within::<Vec<u8>>(b"", 4).unwrap_err().to_string().contains("it is empty"));
    }

    #[test]
    fn a_value_above_the_bound_is_refused_before_it_is_sent() {
        let mut record = record();
        record.notes = Some("x".repeat(MAX_VALUE));
        assert!(matches!(encode(&record), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let text = format!("begin{}end", "ü".repeat(5000));
        let short = shorten(&text, 200);
        assert!(short.len() <= 200, "{}", short.len());
        assert!(short.starts_with("begin") && short.ends_with("end"), "{short}");
        assert_eq!(shorten("short", 200), "short");
    }

    #[test]
    fn the_bounds_are_as_documented() {
        let mut record = record();
        record.notes = Some("x".repeat(60 * 1024));
        assert!(encode(&record).is_ok(), "a record may have 64 KiB");
        // Other versions read what this one writes: a bound that shrinks makes stored values unreadable.
        let bounds = [MAX_VALUE, MAX_FINDINGS, MAX_FINDINGS_VALUE, MAX_SPEC_PART];
        assert_eq!(bounds, [65_536, 49_152, 655_360, 524_288]);
    }
}
