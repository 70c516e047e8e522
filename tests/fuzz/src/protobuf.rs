//! Messages of protobuf taken apart without knowing their types, changed in one place, and put together
//! again.

use bolero::TypeGenerator;

/// One change of a message. A field is taken modulo their number, those of messages within it included.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Change {
    /// A field is missing.
    Missing(u8),
    /// A field is there twice.
    Twice(u8),
    /// A field, if it is a number, is another one.
    Number(u8, Number),
    /// A field, if it has bytes, has others.
    Bytes(u8, Vec<u8>),
    /// A message has one more field: a number.
    More {
        /// Which message: 0 for the whole, else the field that is one.
        within: u8,
        /// The number of the field.
        field: u8,
        /// What it holds.
        number: Number,
    },
}

/// A number that a server should not say, or might.
#[derive(Clone, Copy, Debug, TypeGenerator)]
pub enum Number {
    /// One of those at the edges.
    Edge(u8),
    /// A small one.
    Small(u8),
}

impl Number {
    fn get(self) -> u64 {
        match self {
            Self::Small(n) => u64::from(n),
            Self::Edge(n) => {
                let edges =
                    [0, 1, i64::MAX.cast_unsigned(), i64::MIN.cast_unsigned(), u64::MAX, 1 << 31, 1 << 62];
                edges[usize::from(n) % edges.len()]
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Number(u64),
    Fixed(u8, Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Makes the change; bytes that are no message stay as they are.
#[must_use]
pub fn changed(bytes: &[u8], change: &Change) -> Vec<u8> {
    let Some(mut fields) = read(bytes, 0) else { return bytes.to_vec() };
    match change {
        Change::Missing(which) => at(&mut fields, *which, &mut |fields, i| drop(fields.remove(i))),
        Change::Twice(which) => at(&mut fields, *which, &mut |fields, i| fields.push(fields[i].clone())),
        Change::Number(which, number) => at(&mut fields, *which, &mut |fields, i| {
            if let Value::Number(present) = &mut fields[i].value {
                *present = number.get();
            }
        }),
        Change::Bytes(which, new) => at(&mut fields, *which, &mut |fields, i| {
            if let Value::Bytes(_) | Value::Message(_) = fields[i].value {
                fields[i].value = Value::Bytes(new.clone());
            }
        }),
        Change::More { within, field, number } => {
            let more = Field { number: u64::from(field % 12) + 1, value: Value::Number(number.get()) };
            match within.checked_sub(1) {
                None => fields.push(more),
                Some(which) => at(&mut fields, which, &mut |fields, i| {
                    if let Value::Message(inner) = &mut fields[i].value {
                        inner.push(more.clone());
                    }
                }),
            }
        }
    }
    let mut changed = Vec::new();
    write(&fields, &mut changed);
    changed
}

fn count(fields: &[Field]) -> usize {
    let below = |field: &Field| if let Value::Message(inner) = &field.value { count(inner) } else { 0 };
    fields.iter().map(|field| 1 + below(field)).sum()
}

/// Does something to one field, in the list that it is in.
fn at(fields: &mut Vec<Field>, which: u8, act: &mut dyn FnMut(&mut Vec<Field>, usize)) {
    let total = count(fields);
    if total > 0 {
        walk(fields, &mut (usize::from(which) % total), act);
    }
}

fn walk(fields: &mut Vec<Field>, left: &mut usize, act: &mut dyn FnMut(&mut Vec<Field>, usize)) -> bool {
    for i in 0..fields.len() {
        if *left == 0 {
            act(fields, i);
            return true;
        }
        *left -= 1;
        if let Value::Message(inner) = &mut fields[i].value
            && walk(inner, left, act)
        {
            return true;
        }
    }
    false
}

/// Texts may look like messages; then they are changed like those.
fn read(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => Value::Fixed(1, take(&mut bytes, 8)?.to_vec()),
            5 => Value::Fixed(5, take(&mut bytes, 4)?.to_vec()),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = take(&mut bytes, length)?;
                let message = if depth < 8 && !inner.is_empty() { read(inner, depth + 1) } else { None };
                message.map_or_else(|| Value::Bytes(inner.to_vec()), Value::Message)
            }
            _ => return None,
        };
        if tag >> 3 == 0 {
            return None;
        }
        fields.push(Field { number: tag >> 3, value });
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

fn write(fields: &[Field], bytes: &mut Vec<u8>) {
    use prost::encoding::encode_varint;
    for Field { number, value } in fields {
        match value {
            Value::Number(value) => {
                encode_varint(number << 3, bytes);
                encode_varint(*value, bytes);
            }
            Value::Fixed(kind, value) => {
                encode_varint(number << 3 | u64::from(*kind), bytes);
                bytes.extend_from_slice(value);
            }
            Value::Bytes(value) => write_bytes(*number, value, bytes),
            Value::Message(inner) => {
                let mut value = Vec::new();
                write(inner, &mut value);
                write_bytes(*number, &value, bytes);
            }
        }
    }
}

fn write_bytes(number: u64, value: &[u8], bytes: &mut Vec<u8>) {
    prost::encoding::encode_varint(number << 3 | 2, bytes);
    prost::encoding::encode_varint(u64::try_from(value.len()).unwrap_or(u64::MAX), bytes);
    bytes.extend_from_slice(value);
}
