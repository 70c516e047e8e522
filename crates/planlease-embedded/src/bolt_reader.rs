//! Files of bbolt, read: the buckets of a snapshot of etcd's. Pure. The layout is that of [`crate::bolt`];
//! files of etcd itself also have small buckets within a leaf, and pages of other sizes.
//!
//! Every number is checked before it is used: a file may hold anything.

/// The bytes in front of a page's elements, and of an element without its key and value.
const HEADER: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;

/// Marks an element of a leaf whose value is a bucket.
const BUCKET: u32 = 0x01;

const MAGIC: u32 = 0xed0c_daed;

/// The most levels that a tree has: each is at least twice as large as the one above.
const DEPTH: usize = 48;

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) struct Malformed;

/// A key and its value.
pub(crate) type Element<'a> = (&'a [u8], &'a [u8]);

/// A file that is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    page_size: usize,
    /// The root of the tree of buckets.
    root: u64,
}

impl<'a> Reader<'a> {
    /// Looks which of the two first pages is the later one that is whole.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let first = Meta::at(bytes, 0);
        let size = first.as_ref().map_or(4096, |meta| meta.page_size);
        let later = Meta::at(bytes, size);
        let meta = [first, later].into_iter().flatten().max_by_key(|meta| meta.transaction);
        let Meta { page_size, root, .. } = meta.ok_or(Malformed)?;
        Ok(Self { bytes, page_size, root })
    }

    /// The elements of a bucket, in the order of their keys; none if there is no such bucket.
    pub(crate) fn bucket(&self, name: &str) -> Result<Vec<Element<'a>>, Malformed> {
        let mut found = Vec::new();
        for (flags, (key, value)) in self.tree(self.root)? {
            if key != name.as_bytes() || flags & BUCKET == 0 {
                continue;
            }
            let elements = match u64_at(value, 0)? {
                0 => self.elements(value.get(HEADER..).ok_or(Malformed)?, 0)?,
                root => self.tree(root)?,
            };
            found.extend(elements.into_iter().map(|(_, element)| element));
        }
        Ok(found)
    }

    fn tree(&self, root: u64) -> Result<Vec<(u32, Element<'a>)>, Malformed> {
        self.elements(self.page(root)?, 0)
    }

    /// A page and all that follow it: an element may be longer than a page.
    fn page(&self, number: u64) -> Result<&'a [u8], Malformed> {
        let number = usize::try_from(number).map_err(|_| Malformed)?;
        let begin = number.checked_mul(self.page_size).ok_or(Malformed)?;
        self.bytes.get(begin..).ok_or(Malformed)
    }

    /// The elements of a page and of those below it.
    fn elements(&self, page: &'a [u8], depth: usize) -> Result<Vec<(u32, Element<'a>)>, Malformed> {
        let (kind, count) = (u16_at(page, 8)?, usize::from(u16_at(page, 10)?));
        let mut found = Vec::new();
        for number in 0..count {
            let element = page.get(HEADER + number * HEADER..).ok_or(Malformed)?;
            match kind {
                LEAF => {
                    let [flags, at, key, value] = numbers(element)?;
                    let begin = size(at)?;
                    let middle = begin.checked_add(size(key)?).ok_or(Malformed)?;
                    let end = middle.checked_add(size(value)?).ok_or(Malformed)?;
                    let part = |from, to| element.get(from..to).ok_or(Malformed);
                    found.push((flags, (part(begin, middle)?, part(middle, end)?)));
                }
                BRANCH if depth < DEPTH => {
                    found.extend(self.elements(self.page(u64_at(element, 8)?)?, depth + 1)?);
                    // A tree that leads in circles has more elements than there are bytes.
                    if found.len() > self.bytes.len() / HEADER {
                        return Err(Malformed);
                    }
                }
                _ => return Err(Malformed),
            }
        }
        Ok(found)
    }
}

/// A page that says where everything is.
struct Meta {
    page_size: usize,
    root: u64,
    transaction: u64,
}

impl Meta {
    fn at(bytes: &[u8], begin: usize) -> Option<Self> {
        let meta = bytes.get(begin.checked_add(HEADER)?..)?;
        let [magic, _, page_size, _] = numbers(meta).ok()?;
        let page_size = usize::try_from(page_size).ok().filter(|size| (512..=65_536).contains(size))?;
        let (root, transaction) = (u64_at(meta, 16).ok()?, u64_at(meta, 48).ok()?);
        (magic == MAGIC).then_some(Self { page_size, root, transaction })
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(Malformed)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Malformed> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// The four numbers in front of an element or a meta page.
fn numbers(bytes: &[u8]) -> Result<[u32; 4], Malformed> {
    let number = |at| array(bytes, at).map(u32::from_le_bytes);
    Ok([number(0)?, number(4)?, number(8)?, number(12)?])
}

fn size(number: u32) -> Result<usize, Malformed> {
    usize::try_from(number).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bolt::File;

    #[test]
    fn what_is_written_is_read() {
        let element =
            |number: u32| (number.to_be_bytes().to_vec(), vec![7; usize::try_from(number).unwrap()]);
        let mut file = File::new();
        file.bucket("none", []);
        file.bucket("many", (0..9000).map(element));
        file.bucket("large", [element(1_500_000)]);
        let bytes = file.finish();
        let reader = Reader::new(&bytes).unwrap();
        let many = reader.bucket("many").unwrap();
        assert_eq!(many.len(), 9000);
        assert!((0..9000).map(element).eq(many.iter().map(|(key, value)| (key.to_vec(), value.to_vec()))));
        assert_eq!(reader.bucket("large").unwrap()[0].1.len(), 1_500_000);
        assert!(reader.bucket("none").unwrap().is_empty() && reader.bucket("other").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_refused_or_read(flips in prop::collection::vec((0usize..40_000, any::<u8>()), 1..20)) {
            let mut file = File::new();
            file.bucket("key", (0..900_u32).map(|n| (n.to_be_bytes().to_vec(), vec![1; 20])));
            let mut bytes = file.finish();
            for (at, byte) in flips {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Ok(reader) = Reader::new(&bytes) {
                drop(reader.bucket("key"));
            }
        }
    }
}
