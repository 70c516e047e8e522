//! HPACK (RFC 7541), as far as it takes to read the `:path` of a request: a table that has to follow every
//! header, since a repeated path is sent as a number only.

use std::collections::VecDeque;

/// How large the dynamic table is until the sender says otherwise.
const DEFAULT_TABLE: usize = 4096;

/// What each entry costs beside its two texts (RFC 7541, 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// The lengths of the names in the static table, from entry 1 on; entries 4 and 5 are `:path`.
const STATIC_NAMES: [usize; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13,
    12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3,
    16,
];

/// The lengths of the Huffman codes of all bytes, in bits. The code is canonical, so the lengths say it all.
const CODE_LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
];

/// A header block that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// An entry of the dynamic table. Only the values of `:path` are of interest; of the rest, the size.
#[derive(Debug)]
struct Entry {
    name_length: usize,
    path: Option<String>,
    is_path: bool,
    size: usize,
}

/// Reads the header blocks of one direction of one connection, in order.
#[derive(Debug)]
pub(super) struct Decoder {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), size: 0, max: DEFAULT_TABLE }
    }

    /// The `:path` of a header block; `None` if it has none.
    pub(super) fn path(&mut self, block: &[u8]) -> Result<Option<String>, Malformed> {
        let mut rest = block;
        let mut path = None;
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                let index = integer(&mut rest, 7)?;
                path = self.path_at(index)?.or(path);
            } else if first & 0xe0 == 0x20 {
                self.max = integer(&mut rest, 5)?;
                self.evict();
            } else {
                let indexed = first & 0x40 != 0;
                let index = integer(&mut rest, if indexed { 6 } else { 4 })?;
                let (name_length, is_path) = match index {
                    0 => {
                        let name = text(&mut rest)?;
                        (name.len(), name == b":path")
                    }
                    index => self.name_at(index)?,
                };
                let value = text(&mut rest)?;
                let size = name_length + value.len() + ENTRY_OVERHEAD;
                let value = is_path.then(|| String::from_utf8_lossy(&value).into_owned());
                path = value.clone().or(path);
                if indexed {
                    self.entries.push_front(Entry { name_length, path: value, is_path, size });
                    self.size += size;
                    self.evict();
                }
            }
        }
        Ok(path)
    }

    fn path_at(&self, index: usize) -> Result<Option<String>, Malformed> {
        match index {
            0 => Err(Malformed),
            4 => Ok(Some("/".to_owned())),
            5 => Ok(Some("/index.html".to_owned())),
            index if index <= STATIC_NAMES.len() => Ok(None),
            index => {
                self.entries.get(index - STATIC_NAMES.len() - 1).map(|e| e.path.clone()).ok_or(Malformed)
            }
        }
    }

    fn name_at(&self, index: usize) -> Result<(usize, bool), Malformed> {
        if let Some(length) = STATIC_NAMES.get(index - 1) {
            return Ok((*length, matches!(index, 4 | 5)));
        }
        let entry = self.entries.get(index - STATIC_NAMES.len() - 1).ok_or(Malformed)?;
        Ok((entry.name_length, entry.is_path))
    }

    fn evict(&mut self) {
        while self.size > self.max {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size;
        }
    }
}

/// An integer whose first byte shares its upper bits with something else.
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let mask = (1usize << prefix) - 1;
    let (first, mut after) = rest.split_first().ok_or(Malformed)?;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        for shift in (0..28).step_by(7) {
            let (byte, behind) = after.split_first().ok_or(Malformed)?;
            after = behind;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                *rest = after;
                return Ok(value);
            }
        }
        return Err(Malformed);
    }
    *rest = after;
    Ok(value)
}

fn text(rest: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let huffman = rest.first().ok_or(Malformed)? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let raw = rest.get(..length).ok_or(Malformed)?;
    *rest = &rest[length..];
    if huffman { unpack(raw) } else { Ok(raw.to_vec()) }
}

/// Undoes the Huffman code: bit by bit, comparing with the range of the codes of each length.
fn unpack(raw: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    let (mut code, mut length) = (0u32, 0u8);
    for bit in raw.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1))) {
        code = code << 1 | bit;
        length += 1;
        if length > 30 {
            return Err(Malformed);
        }
        if let Some(byte) = symbol(code, length) {
            out.push(byte);
            (code, length) = (0, 0);
        }
    }
    // The end is filled up with ones.
    if length < 8 && code == (1 << length) - 1 { Ok(out) } else { Err(Malformed) }
}

/// The byte whose code this is, if it is a whole one. Canonical: the codes of one length are consecutive, in
/// the order of their bytes, and begin where those of the length before end.
fn symbol(code: u32, length: u8) -> Option<u8> {
    let of = |n: u8| CODE_LENGTHS.iter().filter(move |l| **l == n).count();
    let first = (1..length).fold(0usize, |first, n| (first + of(n)) << 1);
    let nth = usize::try_from(code).ok()?.checked_sub(first)?;
    let mut same = (0..=u8::MAX).filter(|byte| CODE_LENGTHS[usize::from(*byte)] == length);
    same.nth(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    /// The examples of RFC 7541, C.3 and C.4: three requests on one connection, plain and in Huffman's code.
    #[test]
    fn the_examples_of_the_standard_are_read() {
        let plain = [
            ("828684410f7777772e6578616d706c652e636f6d", "/"),
            ("828684be58086e6f2d6361636865", "/"),
            ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", "/index.html"),
        ];
        let huffman = [
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", "/"),
            ("828684be5886a8eb10649cbf", "/"),
            ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", "/index.html"),
        ];
        for requests in [plain, huffman] {
            let mut decoder = Decoder::new();
            for (block, path) in requests {
                assert_eq!(decoder.path(&hex(block)).unwrap().as_deref(), Some(path));
            }
            assert_eq!(decoder.size, 164, "the size that the standard gives for the table after the third");
        }
    }

    #[test]
    fn a_path_that_is_sent_again_as_a_number_is_known() {
        let mut decoder = Decoder::new();
        let mut block = vec![0x44, 3];
        block.extend(b"/kv");
        assert_eq!(decoder.path(&block).unwrap().as_deref(), Some("/kv"));
        assert_eq!(decoder.path(&[0x80 | 62]).unwrap().as_deref(), Some("/kv"));
        assert_eq!(decoder.path(&[0x20]).unwrap(), None, "the table is emptied");
        assert_eq!(decoder.path(&[0x80 | 62]), Err(Malformed));
    }

    #[test]
    fn huffmans_code_is_undone() {
        assert_eq!(unpack(&hex("f1e3c2e5f23a6ba0ab90f4ff")).unwrap(), b"www.example.com");
        assert_eq!(unpack(&hex("9d29ad171863c78f0b97c8e9ae82ae43d3")).unwrap(), b"https://www.example.com");
        assert_eq!(unpack(&[0xff, 0xff]), Err(Malformed), "no byte is filled up with a whole byte");
    }
}
