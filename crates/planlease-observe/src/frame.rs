//! How the output of an attempt travels between hosts: a line of JSON for each piece, followed by its
//! bytes.

use bytes::{Buf as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::output::{End, Piece};

/// The longest line, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// The most bytes of one piece.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Head {
    Bytes { offset: u64, at: u64, length: usize },
    Gap { bytes: u64 },
    Nothing,
    End { end: Option<End> },
}

/// What came is no stream of output.
#[derive(Debug, thiserror::Error)]
#[error("malformed output stream")]
pub(crate) struct Malformed;

/// The bytes of a piece.
pub(crate) fn encode(piece: &Piece) -> Bytes {
    let (head, bytes): (Head, &[u8]) = match piece {
        Piece::Bytes { offset, at, bytes } => {
            (Head::Bytes { offset: *offset, at: *at, length: bytes.len() }, bytes)
        }
        Piece::Gap(bytes) => (Head::Gap { bytes: *bytes }, &[]),
        Piece::Nothing => (Head::Nothing, &[]),
        Piece::End(end) => (Head::End { end: end.clone() }, &[]),
    };
    let mut line = serde_json::to_vec(&head).unwrap_or_default();
    line.push(b'\n');
    line.extend_from_slice(bytes);
    line.into()
}

/// Reads pieces from what comes, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Decoder(BytesMut);

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next piece, if all of it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, Malformed> {
        let Some(end) = self.0.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
            return if self.0.len() < MAX_LINE { Ok(None) } else { Err(Malformed) };
        };
        let head = serde_json::from_slice(&self.0[..end]).map_err(|_| Malformed)?;
        let length = if let Head::Bytes { length, .. } = head { length } else { 0 };
        if length > MAX_BYTES {
            return Err(Malformed);
        }
        if self.0.len() < end + 1 + length {
            return Ok(None);
        }
        self.0.advance(end + 1);
        let bytes = self.0.split_to(length).to_vec();
        Ok(Some(match head {
            Head::Bytes { offset, at, .. } => Piece::Bytes { offset, at, bytes },
            Head::Gap { bytes } => Piece::Gap(bytes),
            Head::Nothing => Piece::Nothing,
            Head::End { end } => Piece::End(end),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_however_they_are_cut() {
        let pieces = [
            Piece::Bytes { offset: 7, at: 9, bytes: b"{\n\xff\0".to_vec() },
            Piece::Gap(5),
            Piece::Nothing,
            Piece::End(Some(End { total: 11, how: Some("exited with code 0".into()), at: 1 })),
            Piece::End(None),
        ];
        let sent: Vec<u8> = pieces.iter().flat_map(|piece| encode(piece).to_vec()).collect();
        for size in [1, 3, 1000] {
            let (mut decoder, mut read) = (Decoder::default(), Vec::new());
            for part in sent.chunks(size) {
                decoder.push(part);
                while let Some(piece) = decoder.next().unwrap() {
                    read.push(piece);
                }
            }
            assert_eq!(read, pieces, "{size}");
        }
    }

    #[test]
    fn a_stream_that_would_fill_the_memory_is_refused() {
        let mut endless = Decoder::default();
        endless.push(&[b'x'; MAX_LINE]);
        assert!(endless.next().is_err());
        let mut huge = Decoder::default();
        huge.push(b"{\"kind\":\"bytes\",\"offset\":0,\"at\":0,\"length\":65537}\n");
        assert!(huge.next().is_err());
    }
}
