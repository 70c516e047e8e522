//! The digest by which a plan remembers its file.

use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hex, of the bytes as they are: a changed line ending is a changed file.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
