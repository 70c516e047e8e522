//! One member of an object in a JSON file of others: set or removed by its place in the text, so that the
//! rest of the file stays as it is, to the byte.

use std::ops::Range;

use serde_json::Value;

/// One step of indentation.
const STEP: &str = "  ";

/// The file in which `object.name` has this value.
///
/// # Errors
/// If the text is no object of JSON, or `object` none in it.
pub(super) fn set(text: &str, object: &str, name: &str, value: &Value) -> Result<String, String> {
    let pretty = pretty(value)?;
    let value_at = |depth: usize| indented(&pretty, depth);
    if text.trim().is_empty() {
        let inner = format!("{{\n{STEP}{STEP}{}: {}\n{STEP}}}", quoted(name), value_at(2));
        return Ok(format!("{{\n{STEP}{}: {inner}\n}}\n", quoted(object)));
    }
    let root = parsed(text)?;
    let Some(inner) = root.get(object) else {
        let inner = format!("{{\n{STEP}{STEP}{}: {}\n{STEP}}}", quoted(name), value_at(2));
        return Ok(insert(text, start(text), 1, object, &inner));
    };
    let inner = inner.as_object().ok_or_else(|| format!("its member `{object}` is no object"))?;
    let at = find(text, start(text), object).ok_or_else(unreadable)?.value;
    match inner.get(name) {
        None => Ok(insert(text, at.start, 2, name, &value_at(2))),
        Some(present) if present == value => Ok(text.to_owned()),
        Some(_) => {
            let Range { start, end } = find(text, at.start, name).ok_or_else(unreadable)?.value;
            Ok(format!("{}{}{}", &text[..start], value_at(2), &text[end..]))
        }
    }
}

/// The file without `object.name`, and without `object` if nothing else is in it; `None` if nothing is left.
///
/// # Errors
/// If the text is no object of JSON.
pub(super) fn remove(text: &str, object: &str, name: &str) -> Result<Option<String>, String> {
    if text.trim().is_empty() {
        return Ok(Some(text.to_owned()));
    }
    let root = parsed(text)?;
    let Some(inner) = root.get(object).and_then(Value::as_object).filter(|inner| inner.contains_key(name))
    else {
        return Ok(Some(text.to_owned()));
    };
    if inner.len() == 1 {
        if root.len() == 1 {
            return Ok(None);
        }
        return cut(text, start(text), object).map(Some);
    }
    let at = find(text, start(text), object).ok_or_else(unreadable)?.value;
    cut(text, at.start, name).map(Some)
}

/// A value over several lines, as at the start of a line.
///
/// # Errors
/// If it cannot be written as JSON.
pub(super) fn pretty(value: &Value) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

/// The same at so many steps of indentation.
pub(super) fn indented(pretty: &str, depth: usize) -> String {
    pretty.replace('\n', &format!("\n{}", STEP.repeat(depth)))
}

/// The root object.
///
/// # Errors
/// If the text is none.
pub(super) fn parsed(text: &str) -> Result<serde_json::Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(root)) => Ok(root),
        Ok(_) => Err("it is JSON, but no object".to_owned()),
        Err(error) => Err(format!("it is no JSON ({error}); comments are not understood")),
    }
}

/// Why a text that was parsed cannot be edited.
pub(super) fn unreadable() -> String {
    "its members cannot be distinguished".to_owned()
}

fn quoted(name: &str) -> String {
    Value::from(name).to_string()
}

/// Where the root object begins.
pub(super) fn start(text: &str) -> usize {
    text.find('{').unwrap_or(0)
}

/// Puts a member in front of the others of the object that begins there.
fn insert(text: &str, object: usize, depth: usize, name: &str, value: &str) -> String {
    put_first(text, object, depth, &format!("{}: {value}", quoted(name)))
}

/// Puts an item in front of the others of the object or array that begins there.
pub(super) fn put_first(text: &str, container: usize, depth: usize, item: &str) -> String {
    let (head, tail) = text.split_at(container + 1);
    let item = format!("\n{}{item}", STEP.repeat(depth));
    if tail.trim_start().starts_with(['}', ']']) {
        return format!("{head}{item}\n{}{}", STEP.repeat(depth - 1), tail.trim_start());
    }
    let gap = if tail.starts_with(char::is_whitespace) { "" } else { " " };
    format!("{head}{item},{gap}{tail}")
}

/// Takes a member out of the object that begins there.
fn cut(text: &str, object: usize, name: &str) -> Result<String, String> {
    let Member { key, value } = find(text, object, name).ok_or_else(unreadable)?;
    Ok(cut_out(text, &(key..value.end)))
}

/// Takes an item out of its object or array, with the comma that separates it from the others.
pub(super) fn cut_out(text: &str, item: &Range<usize>) -> String {
    let behind = &text[item.end..];
    let to_comma = behind.len() - behind.trim_start().len();
    if behind[to_comma..].starts_with(',') {
        // With the white space in front, so that the next one takes its place.
        let from = text[..item.start].trim_end().len();
        return format!("{}{}", &text[..from], &text[item.end + to_comma + 1..]);
    }
    let before = text[..item.start].trim_end();
    let before = before.strip_suffix(',').unwrap_or(before);
    format!("{before}{behind}")
}

/// Where a member is in the text.
pub(super) struct Member {
    key: usize,
    pub(super) value: Range<usize>,
}

/// Finds a member of the object that begins at this byte of a text that is valid JSON. Of several with one
/// name the last counts, as for parsers.
pub(super) fn find(text: &str, object: usize, name: &str) -> Option<Member> {
    let mut found = None;
    let mut at = object + 1;
    loop {
        at = skip_blank(text, at);
        if text[at..].starts_with(',') {
            at = skip_blank(text, at + 1);
        }
        if !text[at..].starts_with('"') {
            return found;
        }
        let key = at;
        let behind = skip_value(text, key)?;
        let colon = skip_blank(text, behind);
        let start = skip_blank(text, colon + 1);
        let end = skip_value(text, start)?;
        if serde_json::from_str::<String>(&text[key..behind]).is_ok_and(|known| known == name) {
            found = Some(Member { key, value: start..end });
        }
        at = end;
    }
}

/// The first byte from there on that is not white space.
pub(super) fn skip_blank(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// The first byte behind the value that begins here.
pub(super) fn skip_value(text: &str, at: usize) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (n, byte) in text.bytes().enumerate().skip(at) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => {
                in_text = !in_text;
                if !in_text && depth == 0 {
                    return Some(n + 1);
                }
            }
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(n), // The end of what a bare value is in.
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(n + 1);
                }
            }
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Some(n),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILES: [&str; 7] = [
        "{}",
        "{ }\n",
        "{\"a\":1}",
        "{\n  \"mcpServers\": {}\n}\n",
        "{\n  \"mcpServers\": {\n    \"other\": { \"command\": \"x\", \"args\": [\"}\", \"\\\"{\"] }\n  },\n  \"z\": [1.50, null]\n}\n",
        "{\"z\": {\"mcpServers\": {\"planlease\": 1}}, \"mcpServers\": {\"a\":true,\"b\":-1e3}}",
        "\n{ \"mcpServers\" : { \"planlease\" : { \"command\" : \"old\" } , \"y\" : \"ü\" } }\n",
    ];

    #[test]
    fn one_member_changes_and_nothing_else() {
        let value = json!({ "command": "planlease", "args": ["mcp"] });
        for before in FILES {
            let after = set(before, "mcpServers", "planlease", &value).unwrap();
            let mut expected: Value = serde_json::from_str(before).unwrap();
            expected["mcpServers"]["planlease"] = value.clone();
            assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected, "{after}");
            assert_eq!(set(&after, "mcpServers", "planlease", &value).unwrap(), after, "twice");
            for kept in ["[1.50, null]", "\"args\": [\"}\", \"\\\"{\"]", "-1e3", "\"ü\""] {
                assert_eq!(before.contains(kept), after.contains(kept), "{after}");
            }
        }
    }

    #[test]
    fn what_was_set_can_be_removed() {
        let value = json!({ "command": "planlease" });
        for before in FILES {
            let with = set(before, "mcpServers", "planlease", &value).unwrap();
            let without = remove(&with, "mcpServers", "planlease").unwrap();
            let mut expected: Value = serde_json::from_str(before).unwrap();
            if let Some(Value::Object(servers)) = expected.get_mut("mcpServers") {
                servers.remove("planlease");
                if servers.is_empty() {
                    expected.as_object_mut().unwrap().remove("mcpServers");
                }
            }
            match without {
                Some(without) => {
                    assert_eq!(serde_json::from_str::<Value>(&without).unwrap(), expected, "{without}")
                }
                None => assert_eq!(expected, json!({})),
            }
        }
    }

    #[test]
    fn an_ordinary_file_comes_back_to_the_byte() {
        let before = FILES[4];
        let with = set(before, "mcpServers", "planlease", &json!(1)).unwrap();
        assert_eq!(remove(&with, "mcpServers", "planlease").unwrap().unwrap(), before);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["[1]", "{ // comment\n}", "{\"mcpServers\": 3}", "{"] {
            assert!(set(bad, "mcpServers", "planlease", &json!(1)).is_err(), "{bad}");
        }
    }
}
