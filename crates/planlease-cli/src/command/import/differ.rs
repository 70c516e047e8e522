//! In what two state files differ, for people.

use serde_json::Value;

/// The most differences that are shown.
const MAX_TOLD: usize = 20;

/// Where the second document says something else than the first; the first few places.
pub(super) fn differences(present: &Value, file: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", present, file, &mut found);
    found
}

fn compare(at: &str, present: &Value, file: &Value, found: &mut Vec<String>) {
    if found.len() >= MAX_TOLD || present == file {
        return;
    }
    match (present, file) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                compare(&at, value, right.get(name).unwrap_or(&Value::Null), found);
            }
            for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                compare(&at, &Value::Null, value, found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (n, (left, right)) in left.iter().zip(right).enumerate() {
                let id = left.get("id").filter(|id| Some(*id) == right.get("id")).and_then(Value::as_str);
                let item = id.map_or_else(|| n.to_string(), str::to_owned);
                compare(&format!("{at}[{item}]"), left, right, found);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            found.push(format!("{at}: {} items are there, {} in the file", left.len(), right.len()));
        }
        _ => found.push(format!("{at}: {} is there, {} in the file", short(present), short(file))),
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        value => planlease::core::codec::shorten(&value.to_string(), 80).replace('\n', " "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_reported_with_their_places() {
        let present = json!({"a": 1, "tasks": [{"id": "1.1", "status": "completed"}], "runs": []});
        let file = json!({"tasks": [{"id": "1.1", "status": "pending"}], "runs": [1], "b": true});
        assert_eq!(
            differences(&present, &file),
            [
                "a: 1 is there, nothing in the file",
                "runs: 0 items are there, 1 in the file",
                "tasks[1.1].status: \"completed\" is there, \"pending\" in the file",
                "b: nothing is there, true in the file",
            ]
        );
        assert!(differences(&present, &present).is_empty());
    }
}
