//! The fields of a record that this version does not know.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// What a newer version said in a record beyond what this one knows: kept as it is, and written back.
///
/// Flattened into each record. Nearly always empty, and then no more than a pointer: readers keep several of
/// them for each task.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extra(Option<Box<Map<String, Value>>>);

impl Extra {
    /// Whether there is nothing beyond what this version knows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().flat_map(|fields| fields.iter())).finish()
    }
}

impl From<Map<String, Value>> for Extra {
    fn from(fields: Map<String, Value>) -> Self {
        Self((!fields.is_empty()).then(|| Box::new(fields)))
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().flat_map(|fields| fields.iter()))
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::<String, Value>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        known: u32,
        #[serde(flatten)]
        extra: Extra,
    }

    fn read(text: &str) -> Record {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn unknown_fields_survive_a_rewrite() {
        let text = r#"{"known":1,"a":{"b":[2,null]},"z":"x"}"#;
        let record = read(text);
        assert_eq!(record.extra.get("z"), Some(&Value::from("x")));
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }

    #[test]
    fn without_unknown_fields_it_is_empty_and_a_pointer() {
        let record = read(r#"{"known":1}"#);
        assert!(record.extra.is_empty());
        assert_eq!(record, Record { known: 1, extra: Extra::default() });
        assert_eq!(serde_json::to_string(&record).unwrap(), r#"{"known":1}"#);
        assert_eq!(size_of::<Extra>(), size_of::<usize>());
    }
}
