//! A hash over the contents of a store: equal for equal histories, whatever way they came about. Pure.
//!
//! It is CRC-32C, as etcd's, but over rows of our own; so two embedded servers can be compared with each
//! other, and not with etcd.

use std::sync::Arc;

use crate::mvcc::{KeyValue, RowId, Store};
use crate::status::Refusal;

/// The reversed Castagnoli polynomial.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Hashes every version up to a revision; 0 is the visible one.
///
/// # Errors
/// `FutureRevision`, `Compacted`.
pub(crate) fn hash_kv(store: &Store, revision: i64) -> Result<u32, Refusal> {
    let revision = store.read().at(revision)?.revision();
    let mut crc = Crc(u32::MAX);
    for (key, at, kv) in store.versions(revision) {
        crc.row(key, at, kv.map(Arc::as_ref));
    }
    Ok(!crc.0)
}

struct Crc(u32);

impl Crc {
    fn row(&mut self, key: &[u8], (revision, position): RowId, kv: Option<&KeyValue>) {
        self.number(revision);
        self.number(i64::from(position));
        self.bytes(key);
        if let Some(kv) = kv {
            for number in [kv.create_revision, kv.version, kv.lease] {
                self.number(number);
            }
            self.bytes(&kv.value);
        }
    }

    fn number(&mut self, number: i64) {
        self.update(&number.to_be_bytes());
    }

    /// With their length, so that two neighbours cannot exchange bytes unseen.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.update(bytes);
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = (self.0 >> 8) ^ TABLE[usize::from(low ^ byte)];
        }
    }
}

/// What each byte that leaves the register does to the rest of it.
static TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut value = 0_u32;
    let mut at = 0;
    while at < table.len() {
        let mut entry = value;
        let mut bit = 0;
        while bit < 8 {
            entry = (entry >> 1) ^ (POLYNOMIAL * (entry & 1));
            bit += 1;
        }
        table[at] = entry;
        value += 1;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_castagnoli_crc() {
        let mut crc = Crc(u32::MAX);
        crc.update(b"123456789");
        assert_eq!(!crc.0, 0xe306_9283, "the check value of the CRC catalogue");
    }
}
