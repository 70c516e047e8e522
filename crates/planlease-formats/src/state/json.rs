//! JSON with places: every value knows where it stands in the text, so that what is wrong with it can be
//! pointed at.
//!
//! What JSON forbids is refused with its place: `NaN`, a name that comes twice in an object, half a surrogate
//! pair. A text that ends too early is distinguished from one that is wrong: it was cut off while it was
//! written.

use std::ops::Range;

use serde_json::{Map, Number, Value};

use crate::text::Text;

use super::fault::Faults;

/// How deep values may be nested. What is stored has to be readable by all, and most readers stop at
/// 128.
pub(crate) const MAX_DEPTH: usize = 64;

/// A value and where it begins, as an offset in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) at: usize,
    pub(crate) value: Json,
}

/// What a value can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Placed>),
    Object(Vec<Field>),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) value: Placed,
}

impl Placed {
    /// The field of this name, if this is an object that has one.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Json::Object(fields) => fields.iter().find(|field| field.name == name).map(|field| &field.value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value it is, with an article.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Json::Null => "null",
            Json::Bool(_) => "a truth value",
            Json::Number(_) => "a number",
            Json::Text(_) => "a text",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    /// The value without its places.
    pub(crate) fn to_value(&self) -> Value {
        match &self.value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.clone()),
            Json::Text(text) => Value::String(text.clone()),
            Json::List(items) => items.iter().map(Self::to_value).collect(),
            Json::Object(fields) => Value::Object(to_map(fields)),
        }
    }
}

/// The fields without their places.
pub(crate) fn to_map(fields: &[Field]) -> Map<String, Value> {
    fields.iter().map(|field| (field.name.clone(), field.value.to_value())).collect()
}

/// Reads a text; `None` if nothing can be made of it, which is reported then. Of a text that is cut off, what
/// came before is kept: whole fields of the outermost object, whole items of its lists.
pub(crate) fn parse(text: &Text<'_>, faults: &mut Faults<'_>) -> Option<Placed> {
    parse_part(text, 0..text.as_str().len(), faults)
}

/// As [`parse`], of a part of the text.
pub(crate) fn parse_part(text: &Text<'_>, part: Range<usize>, faults: &mut Faults<'_>) -> Option<Placed> {
    let mut reader = Reader { text: &text.as_str()[..part.end], at: part.start, cut: false, faults };
    reader.blanks();
    let value = match reader.value(0) {
        Ok(value) => value,
        Err(Stop::Cut) => {
            reader.was_cut(part.start);
            return None;
        }
        Err(Stop::Wrong) => return None,
    };
    reader.blanks();
    if !reader.cut && reader.at < reader.text.len() {
        let at = reader.at;
        reader.faults.salvageable(
            at,
            "something follows the end of the document",
            "Two versions of the file may have been written over each other.",
            "what follows is left out",
        );
    }
    Some(value)
}

/// Why reading stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The text ends before the value does.
    Cut,
    /// It is wrong, and said so.
    Wrong,
}

struct Reader<'a, 'f, 'r> {
    text: &'a str,
    at: usize,
    /// The text ended too early, and said so: what is open is closed.
    cut: bool,
    faults: &'f mut Faults<'r>,
}

impl Reader<'_, '_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn wrong(&mut self, at: usize, message: impl Into<String>) -> Stop {
        self.faults.fatal(at, message, "The file is no JSON document: restore it, or fix this place.");
        Stop::Wrong
    }

    /// Says that the text ends too early, once. `from`: where what is incomplete begins.
    fn was_cut(&mut self, from: usize) {
        if !self.cut {
            self.cut = true;
            let place = self.faults.position(from);
            self.faults.salvageable(
                self.text.len(),
                format!("the file ends in the middle of what begins at line {}, column {}", place.0, place.1),
                "It was cut off, or is being written at this moment: take it again, or restore it.",
                "what was not finished is left out",
            );
        }
    }

    fn value(&mut self, depth: usize) -> Result<Placed, Stop> {
        let at = self.at;
        let value = match self.peek() {
            None => return Err(Stop::Cut),
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Json::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
        };
        Ok(Placed { at, value })
    }

    /// What is left of a container when its text ends: the two outermost levels keep what is whole, the
    /// others are incomplete themselves.
    fn close<T>(&mut self, at: usize, depth: usize, kept: T) -> Result<T, Stop> {
        if depth > 1 {
            return Err(Stop::Cut);
        }
        self.was_cut(at);
        Ok(kept)
    }

    fn nested(&mut self, depth: usize) -> Result<(), Stop> {
        if depth >= MAX_DEPTH {
            let at = self.at;
            return Err(self.wrong(at, format!("values are nested more than {MAX_DEPTH} deep")));
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Json, Stop> {
        self.nested(depth)?;
        let start = self.at;
        self.at += 1;
        let mut fields: Vec<Field> = Vec::new();
        let mut names = std::collections::BTreeMap::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(b'}') if fields.is_empty() => break,
                Some(b'"') => {}
                None => return self.close(start, depth, Json::Object(fields)),
                Some(_) => {
                    let at = self.at;
                    return Err(self.wrong(at, "a field's name in quotes is expected here"));
                }
            }
            let begins = self.at;
            match self.field(depth) {
                Ok(field) => match names.get(&field.name) {
                    None => {
                        names.insert(field.name.clone(), fields.len());
                        fields.push(field);
                    }
                    Some(&earlier) => {
                        let what = format!("the field {:?} comes twice in this object", cut(&field.name));
                        self.faults.salvageable(
                            field.at,
                            what,
                            "Only one of them can count: take the other one out.",
                            "the last one counts",
                        );
                        fields[earlier] = field;
                    }
                },
                Err(Stop::Cut) => {
                    return match self.close(begins, depth, Json::Object(fields)) {
                        Err(Stop::Cut) => Err(Stop::Cut),
                        kept => kept,
                    };
                }
                Err(Stop::Wrong) => return Err(Stop::Wrong),
            }
            if !self.goes_on(b'}')? {
                break;
            }
            if self.cut {
                return Ok(Json::Object(fields));
            }
        }
        if !self.cut {
            self.at += 1;
        }
        Ok(Json::Object(fields))
    }

    fn field(&mut self, depth: usize) -> Result<Field, Stop> {
        let at = self.at;
        let name = self.string()?;
        self.blanks();
        match self.peek() {
            None => return Err(Stop::Cut),
            Some(b':') => self.at += 1,
            Some(_) => {
                let at = self.at;
                return Err(self.wrong(at, "a `:` is expected after the field's name"));
            }
        }
        self.blanks();
        Ok(Field { at, name, value: self.value(depth + 1)? })
    }

    fn list(&mut self, depth: usize) -> Result<Json, Stop> {
        self.nested(depth)?;
        let start = self.at;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(b']') if items.is_empty() => break,
                None => return self.close(start, depth, Json::List(items)),
                Some(_) => {}
            }
            let begins = self.at;
            match self.value(depth + 1) {
                Ok(item) => items.push(item),
                Err(Stop::Cut) => return self.close(begins, depth, Json::List(items)),
                Err(Stop::Wrong) => return Err(Stop::Wrong),
            }
            if !self.goes_on(b']')? {
                break;
            }
            if self.cut {
                return Ok(Json::List(items));
            }
        }
        if !self.cut {
            self.at += 1;
        }
        Ok(Json::List(items))
    }

    /// After an item: whether another one follows. At the end of the text the caller finds out that there is
    /// none.
    fn goes_on(&mut self, end: u8) -> Result<bool, Stop> {
        if self.cut {
            return Ok(true);
        }
        self.blanks();
        match self.peek() {
            None => Ok(true),
            Some(b',') => {
                self.at += 1;
                self.blanks();
                if self.peek() == Some(end) {
                    let at = self.at;
                    return Err(self.wrong(at, "another item is expected after the comma"));
                }
                Ok(true)
            }
            Some(byte) if byte == end => Ok(false),
            Some(_) => {
                let at = self.at;
                Err(self.wrong(at, format!("a `,` or a `{}` is expected here", char::from(end))))
            }
        }
    }

    fn word(&mut self) -> Result<Json, Stop> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (at, word) = (self.at, &rest[..end]);
        let value = match word {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            _ if end == rest.len()
                && !word.is_empty()
                && ["null", "true", "false"].iter().any(|whole| whole.starts_with(word)) =>
            {
                return Err(Stop::Cut);
            }
            "NaN" | "Infinity" => return Err(self.wrong(at, format!("{word} is no value that JSON has"))),
            "" => {
                let found = rest.chars().next().unwrap_or_default();
                return Err(self.wrong(at, format!("a value is expected here, not {found:?}")));
            }
            word => {
                let what = format!("a value is expected here, not {:?}", cut(word));
                return Err(self.wrong(at, what));
            }
        };
        self.at += end;
        Ok(value)
    }

    fn number(&mut self) -> Result<Json, Stop> {
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let (at, text) = (self.at, &rest[..end]);
        if end == rest.len() {
            return Err(Stop::Cut); // Who knows which digits would have followed; no document ends in a number.
        }
        if text == "-" && rest[1..].starts_with("Infinity") {
            return Err(self.wrong(at, "-Infinity is no value that JSON has"));
        }
        match serde_json::from_str::<Number>(text) {
            Ok(number) => {
                self.at += end;
                if !is_exact(text, &number) {
                    self.faults.note(
                        at,
                        format!("the number {} has more digits than are kept: {number}", cut(text)),
                        "Export says it as it is kept; nearly all readers of JSON do the same.",
                    );
                }
                Ok(Json::Number(number))
            }
            Err(_) => Err(self.wrong(at, format!("{:?} is no number, or one that is too large", cut(text)))),
        }
    }

    fn string(&mut self) -> Result<String, Stop> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                None => return Err(Stop::Cut),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => self.escape(&mut text)?,
                Some(byte) => {
                    let at = self.at;
                    return Err(self.wrong(at, format!("byte 0x{byte:02x} has to be escaped in a text")));
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), Stop> {
        let at = self.at;
        let Some(&letter) = self.text.as_bytes().get(at + 1) else { return Err(Stop::Cut) };
        let plain = match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(text),
            _ => return Err(self.wrong(at, "this is no escape that JSON has")),
        };
        text.push(plain);
        self.at += 2;
        Ok(())
    }

    fn unicode(&mut self, text: &mut String) -> Result<(), Stop> {
        let at = self.at;
        let first = self.hex(at)?;
        self.at += 6;
        let second = match first {
            0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => Some(self.hex(self.at)?),
            _ => None,
        };
        let pair = second.filter(|second| (0xdc00..=0xdfff).contains(second));
        let code = match pair {
            Some(second) => {
                self.at += 6;
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            None => first,
        };
        if let Some(character) = char::from_u32(code) {
            text.push(character);
        } else {
            self.faults.salvageable(
                at,
                "half a character: one part of a surrogate pair without the other",
                "It can be neither stored nor shown: take it out, or complete it.",
                "a replacement character takes its place",
            );
            text.push(char::REPLACEMENT_CHARACTER);
        }
        Ok(())
    }

    /// The four digits of the escape that begins here.
    fn hex(&mut self, at: usize) -> Result<u32, Stop> {
        let digits = self.text.as_bytes().get(at + 2..at + 6);
        let Some(digits) = digits else { return Err(Stop::Cut) };
        let digits =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        code.ok_or(()).map_err(|()| self.wrong(at, "`\\u` wants four hexadecimal digits"))
    }
}

/// Whether the number says what its text said, as far as is cheap to find out: an integer that became a
/// fraction does not.
fn is_exact(text: &str, number: &Number) -> bool {
    let integer = !text.contains(['.', 'e', 'E']);
    let negative_zero = text.bytes().all(|b| matches!(b, b'-' | b'0'));
    !integer || negative_zero || number.is_i64() || number.is_u64()
}

/// The beginning of a text, for messages.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}
