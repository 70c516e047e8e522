//! Files of bbolt, in which etcd keeps its data: written whole, in one go. Pure.
//!
//! A file is a row of pages. Pages 0 and 1 say where everything is, page 2 lists free pages (none here). A
//! bucket is a tree of pages: leaves with the keys in order, and branches with the first key of each page
//! below. A page that is too large for one continues on the following ones. A leaf of the outermost tree
//! names the buckets and their roots.

/// The size of a page.
const PAGE: usize = 4096;
const PAGE_SIZE: u32 = 4096;

/// The bytes in front of a page's elements, and the bytes of an element without its key and value.
const HEADER: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREE_LIST: u16 = 0x10;

/// Marks an element of a leaf whose value is a bucket.
const BUCKET: u32 = 0x01;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;

/// A key of a leaf and its value, or a first key of a page and the page's number.
type Element = (Vec<u8>, Vec<u8>);

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct File {
    bytes: Vec<u8>,
    /// The buckets so far, by name, and the pages of their roots.
    buckets: Vec<(&'static str, u64)>,
}

impl File {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; 3 * PAGE], buckets: Vec::new() }
    }

    /// Adds a bucket. The keys of the elements have to be in order.
    pub(crate) fn bucket(&mut self, name: &'static str, elements: impl IntoIterator<Item = Element>) {
        let root = self.tree(elements, 0);
        self.buckets.push((name, root));
    }

    /// The bytes of the file.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.buckets.sort_unstable();
        let value = |root: u64| [root.to_le_bytes(), 0_u64.to_le_bytes()].concat();
        let named = std::mem::take(&mut self.buckets);
        let named: Vec<Element> =
            named.into_iter().map(|(name, root)| (name.as_bytes().to_vec(), value(root))).collect();
        let root = self.tree(named, BUCKET);
        let pages = page_number(self.bytes.len());
        for at in 0..2_u64 {
            let mut meta = header(at, META, 0, 0);
            for number in [MAGIC, VERSION, PAGE_SIZE, 0] {
                meta.extend_from_slice(&number.to_le_bytes());
            }
            // The root and its sequence, the list of free pages, the end of the file, the transaction.
            for number in [root, 0, 2, pages, at] {
                meta.extend_from_slice(&number.to_le_bytes());
            }
            let checksum = fnv(meta.get(HEADER..).unwrap_or_default());
            meta.extend_from_slice(&checksum.to_le_bytes());
            self.put(at, &meta);
        }
        self.put(2, &header(2, FREE_LIST, 0, 0));
        self.bytes
    }

    /// Writes a tree and returns the page of its root.
    fn tree(&mut self, elements: impl IntoIterator<Item = Element>, flags: u32) -> u64 {
        let mut level = self.level(elements, LEAF, flags);
        while level.len() > 1 {
            level = self.level(level, BRANCH, 0);
        }
        let root = level.pop().and_then(|(_, page)| page.try_into().ok());
        root.map_or(0, u64::from_le_bytes)
    }

    /// Writes a row of pages: their first keys and their numbers. There is at least one page.
    fn level(&mut self, elements: impl IntoIterator<Item = Element>, kind: u16, flags: u32) -> Vec<Element> {
        let (mut above, mut page, mut size) = (Vec::new(), Vec::new(), HEADER);
        for (key, value) in elements {
            // A branch keeps the number of a page in the element itself.
            let more = HEADER + key.len() + if kind == LEAF { value.len() } else { 0 };
            if size + more > PAGE && !page.is_empty() {
                above.push(self.page(&std::mem::take(&mut page), kind, flags, size));
                size = HEADER;
            }
            size += more;
            page.push((key, value));
        }
        if above.is_empty() || !page.is_empty() {
            above.push(self.page(&page, kind, flags, size));
        }
        above
    }

    /// Appends a page: its first key and its number.
    fn page(&mut self, elements: &[Element], kind: u16, flags: u32, size: usize) -> Element {
        let number = page_number(self.bytes.len());
        let pages = size.div_ceil(PAGE);
        let begin = self.bytes.len();
        self.bytes.extend(header(number, kind, elements.len(), pages - 1));
        // Where the key of an element is, counted from the element.
        let mut position = elements.len() * HEADER;
        for (key, value) in elements {
            let [at, key_size, value_size] =
                [position, key.len(), value.len()].map(|number| small(number).to_le_bytes());
            if kind == LEAF {
                self.bytes.extend([flags.to_le_bytes(), at, key_size, value_size].as_flattened());
                position += value.len();
            } else {
                self.bytes.extend([at, key_size].as_flattened());
                self.bytes.extend_from_slice(value);
            }
            position = position + key.len() - HEADER;
        }
        for (key, value) in elements {
            self.bytes.extend_from_slice(key);
            if kind == LEAF {
                self.bytes.extend_from_slice(value);
            }
        }
        self.bytes.resize(begin + pages * PAGE, 0);
        let first = elements.first().map(|(key, _)| key.clone()).unwrap_or_default();
        (first, number.to_le_bytes().to_vec())
    }

    fn put(&mut self, page: u64, bytes: &[u8]) {
        let begin = usize::try_from(page).unwrap_or_default() * PAGE;
        if let Some(place) = self.bytes.get_mut(begin..begin + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

fn page_number(offset: usize) -> u64 {
    (offset / PAGE) as u64
}

fn header(page: u64, flags: u16, count: usize, overflow: usize) -> Vec<u8> {
    let mut bytes = page.to_le_bytes().to_vec();
    bytes.extend_from_slice(&flags.to_le_bytes());
    let count = u16::try_from(count).expect("an element takes 16 of a page's bytes");
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&small(overflow).to_le_bytes());
    bytes
}

/// A size within a page and those that continue it.
fn small(size: usize) -> u32 {
    u32::try_from(size).expect("a key and its value have passed the limit of a request")
}

/// The hash FNV-1a of 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
