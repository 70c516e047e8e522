//! Edits of bytes, as a bad disk, a bad editor or a bad merge makes them.

use bolero::TypeGenerator;

/// One edit. A place is taken modulo the length, so that every edit does something to every input.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Edit {
    /// One bit is turned.
    Flip {
        /// Where.
        at: u32,
        /// Which bit.
        bit: u8,
    },
    /// One byte is another one.
    Set {
        /// Where.
        at: u32,
        /// Which one it is then.
        to: u8,
    },
    /// One of the words that mean something here is put in.
    Word {
        /// Where.
        at: u32,
        /// Which one.
        word: u8,
    },
    /// Bytes are put in.
    Insert {
        /// Where.
        at: u32,
        /// What.
        bytes: Vec<u8>,
    },
    /// Some bytes are missing.
    Delete {
        /// From where.
        at: u32,
        /// How many.
        length: u8,
    },
    /// Some bytes are there again and again.
    Repeat {
        /// From where.
        at: u32,
        /// How many.
        length: u8,
        /// How often.
        times: u8,
    },
    /// Some bytes of one place stand in another one too.
    Copy {
        /// From where.
        from: u32,
        /// How many.
        length: u8,
        /// To where.
        to: u32,
    },
    /// The rest is missing.
    Cut {
        /// From where.
        at: u32,
    },
}

/// Makes the edits, one after another. `words`: what means something in these bytes.
pub fn make(bytes: &mut Vec<u8>, edits: &[Edit], words: &[&str]) {
    for edit in edits {
        one(bytes, edit, words);
    }
}

fn one(bytes: &mut Vec<u8>, edit: &Edit, words: &[&str]) {
    let place = |at: u32| usize::try_from(at).unwrap_or(0) % (bytes.len() + 1);
    let part = |at: u32, length: u8| {
        let start = place(at);
        start..(start + usize::from(length)).min(bytes.len())
    };
    match edit {
        Edit::Flip { at, bit } => {
            let at = place(*at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Edit::Set { at, to } => {
            let at = place(*at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *to;
            }
        }
        Edit::Word { at, word } => {
            let word = words.get(usize::from(*word) % words.len().max(1)).copied().unwrap_or_default();
            insert(bytes, place(*at), word.as_bytes());
        }
        Edit::Insert { at, bytes: new } => insert(bytes, place(*at), new),
        Edit::Delete { at, length } => {
            let part = part(*at, *length);
            bytes.drain(part);
        }
        Edit::Repeat { at, length, times } => {
            let part = part(*at, *length);
            let again = bytes[part.clone()].repeat(usize::from(*times % 16));
            insert(bytes, part.end, &again);
        }
        Edit::Copy { from, length, to } => {
            let (part, to) = (part(*from, *length), place(*to));
            let copy = bytes[part].to_vec();
            insert(bytes, to, &copy);
        }
        Edit::Cut { at } => {
            let at = place(*at);
            bytes.truncate(at);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}
