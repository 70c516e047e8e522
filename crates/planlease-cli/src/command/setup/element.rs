//! One element of an array in a JSON file of others: put in or taken out by its place in the text, so that
//! the rest of the file stays as it is, to the byte.

use std::ops::Range;

use serde_json::{Map, Value};

use super::member::{
    self, cut_out, find, indented, parsed, pretty, put_first, skip_blank, skip_value, start, unreadable,
};

/// How deep the elements stand.
const DEPTH: usize = 3;

/// An element of the array `object.list`.
pub(super) struct Element {
    pub(super) object: &'static str,
    pub(super) list: &'static str,
    pub(super) value: Value,
    /// What else a file has that begins with this element.
    pub(super) base: Map<String, Value>,
}

impl Element {
    /// The file with the element, in front of the others. `is_there`: whether an element does the same
    /// already; then nothing is changed.
    ///
    /// # Errors
    /// If the text is no object of JSON, or the array none in it.
    pub(super) fn set(&self, text: &str, is_there: impl Fn(&Value) -> bool) -> Result<String, String> {
        let (object, list) = (self.object, self.list);
        let alone = Value::Array(vec![self.value.clone()]);
        if text.trim().is_empty() {
            return member::set(&self.begun()?, object, list, &alone);
        }
        let root = parsed(text)?;
        let Some(array) = root.get(object).and_then(|object| object.get(list)) else {
            return member::set(text, object, list, &alone);
        };
        let elements = array.as_array().ok_or_else(|| format!("its member `{object}.{list}` is no array"))?;
        if elements.iter().any(is_there) {
            return Ok(text.to_owned());
        }
        let array = self.array(text).ok_or_else(unreadable)?;
        Ok(put_first(text, array.start, DEPTH, &indented(&pretty(&self.value)?, DEPTH)))
    }

    /// The file without the element, and without what it was in if nothing else is there; `None` if nothing
    /// is left.
    ///
    /// # Errors
    /// If the text is no object of JSON.
    pub(super) fn remove(&self, text: &str) -> Result<Option<String>, String> {
        let mut text = text.to_owned();
        while let Some((n, of)) = self.place(&text)? {
            if of == 1 {
                let rest = member::remove(&text, self.object, self.list)?;
                return Ok(rest.filter(|rest| !parsed(rest).is_ok_and(|root| root == self.base)));
            }
            let array = self.array(&text).ok_or_else(unreadable)?;
            let element = nth(&text, array.start, n).ok_or_else(unreadable)?;
            text = cut_out(&text, &element);
        }
        Ok(Some(text))
    }

    /// A file that has no element yet.
    fn begun(&self) -> Result<String, String> {
        if self.base.is_empty() {
            return Ok(String::new());
        }
        Ok(pretty(&Value::Object(self.base.clone()))? + "\n")
    }

    /// Which element of how many it is.
    fn place(&self, text: &str) -> Result<Option<(usize, usize)>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let root = parsed(text)?;
        let array = root.get(self.object).and_then(|object| object.get(self.list));
        let Some(elements) = array.and_then(Value::as_array) else { return Ok(None) };
        Ok(elements.iter().position(|one| *one == self.value).map(|n| (n, elements.len())))
    }

    /// Where the array is in a text that is valid JSON.
    fn array(&self, text: &str) -> Option<Range<usize>> {
        let object = find(text, start(text), self.object)?.value;
        Some(find(text, object.start, self.list)?.value)
    }
}

/// Finds an element of the array that begins at this byte of a text that is valid JSON, and has it.
fn nth(text: &str, array: usize, n: usize) -> Option<Range<usize>> {
    let mut element = skip_blank(text, array + 1);
    for _ in 0..n {
        let comma = skip_blank(text, skip_value(text, element)?);
        element = skip_blank(text, comma + 1);
    }
    Some(element..skip_value(text, element)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn element(base: &Value) -> Element {
        let value = json!({ "hooks": [{ "type": "command", "command": "planlease prime" }] });
        Element { object: "hooks", list: "Start", value, base: base.as_object().unwrap().clone() }
    }

    fn same(element: &Element) -> impl Fn(&Value) -> bool {
        move |one| *one == element.value
    }

    const FILES: [&str; 6] = [
        "{\n  \"hooks\": {\n    \"Start\": [\n      { \"command\": \"mine ]}\" },\n      [1.50, \"\\\"\"]\n    ],\n    \"End\": []\n  }\n}\n",
        "{\n  \"hooks\": {\n    \"End\": [\n      1\n    ]\n  },\n  \"z\": 1.50\n}\n",
        "{\n  \"z\": 1.50\n}\n",
        "{\"hooks\":{\"Start\":[1,2],\"End\":{\"Start\":[3]}}}",
        "{\"hooks\": { \"Start\" : [ ] } }",
        "{}\n",
    ];

    #[test]
    fn one_element_comes_and_goes_and_nothing_else() {
        let element = element(&json!({}));
        for before in FILES {
            let after = element.set(before, same(&element)).unwrap();
            let mut expected: Value = serde_json::from_str(before).unwrap();
            let list = &mut expected["hooks"]["Start"];
            let mut elements = list.as_array().cloned().unwrap_or_default();
            elements.insert(0, element.value.clone());
            *list = Value::Array(elements);
            assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected, "{after}");
            assert_eq!(element.set(&after, same(&element)).unwrap(), after, "twice");
            let without = element.remove(&after).unwrap();
            assert_eq!(element.remove(before).unwrap().as_deref(), Some(before), "it is not there");
            if before.contains("1.50") {
                assert_eq!(without.as_deref(), Some(before), "to the byte");
            }
        }
    }

    #[test]
    fn a_file_with_nothing_else_goes() {
        for base in [json!({}), json!({ "version": 1 })] {
            let element = element(&base);
            let made = element.set("", same(&element)).unwrap();
            let root: Value = serde_json::from_str(&made).unwrap();
            assert_eq!(root.get("version"), base.get("version"), "{made}");
            assert_eq!(root["hooks"], json!({ "Start": [element.value] }), "{made}");
            assert_eq!(element.remove(&made).unwrap(), None);
        }
    }

    #[test]
    fn every_copy_goes_wherever_it_stands() {
        let element = element(&json!({}));
        let list = json!({ "hooks": { "Start": [1, element.value, "x", element.value] } });
        let rest = element.remove(&list.to_string()).unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&rest).unwrap(), json!({ "hooks": { "Start": [1, "x"] } }));
        let all = json!({ "hooks": { "Start": [element.value, element.value] }, "z": 1 });
        let rest = element.remove(&all.to_string()).unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&rest).unwrap(), json!({ "z": 1 }));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        let element = element(&json!({}));
        for bad in ["[1]", "{ // comment\n}", "{\"hooks\": 3}", "{\"hooks\": {\"Start\": {}}}", "{"] {
            assert!(element.set(bad, same(&element)).is_err(), "{bad}");
        }
    }
}
