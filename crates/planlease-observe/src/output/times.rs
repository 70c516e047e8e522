//! When which byte of an output was written: pairs of an offset and a time beside each file of it.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
};

/// The size of a pair: two numbers of eight bytes.
const PAIR: usize = 16;

/// How close two times may be, in milliseconds: what is written in between has the time of the first.
const APART: u64 = 50;

/// How many pairs belong to one file of output at most: 1 MiB.
const MOST: u64 = 65_536;

/// The times of a file that is written.
#[derive(Debug)]
pub(super) struct Times {
    file: File,
    pairs: u64,
    last: Option<u64>,
}

impl Times {
    pub(super) fn new(file: File) -> Self {
        Self { file, pairs: 0, last: None }
    }

    /// Notes that the byte at `offset` was written at this time, in milliseconds since 1970.
    pub(super) fn note(&mut self, offset: u64, at: u64) -> io::Result<()> {
        // A clock that was set back is as good a reason for a pair as one that went on.
        if self.last.is_some_and(|last| at.abs_diff(last) < APART) {
            return Ok(());
        }
        let mut pair = [0; PAIR];
        pair[..8].copy_from_slice(&offset.to_le_bytes());
        pair[8..].copy_from_slice(&at.to_le_bytes());
        self.file.write_all(&pair)?;
        self.pairs += 1;
        self.last = Some(at);
        Ok(())
    }

    /// Whether no more fits.
    pub(super) fn is_full(&self) -> bool {
        self.pairs >= MOST
    }
}

/// The times of a file that is read.
#[derive(Debug)]
pub(super) struct Known<'a> {
    file: &'a File,
    pairs: u64,
}

impl<'a> Known<'a> {
    pub(super) fn of(file: &'a File) -> io::Result<Self> {
        Ok(Self { pairs: file.metadata()?.len() / PAIR as u64, file })
    }

    fn pair(&self, n: u64) -> io::Result<(u64, u64)> {
        let mut pair = [0; PAIR];
        self.file.read_exact_at(&mut pair, n * PAIR as u64)?;
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        Ok((number(&pair[..8]), number(&pair[8..])))
    }

    /// When the byte at `offset` was written, and the first byte after it with another time.
    pub(super) fn at(&self, offset: u64) -> io::Result<(u64, Option<u64>)> {
        let (mut low, mut high) = (0, self.pairs); // The pairs below `low` begin at or before the offset.
        while low < high {
            let middle = low + (high - low) / 2;
            if self.pair(middle)?.0 <= offset { low = middle + 1 } else { high = middle }
        }
        let at = if low == 0 { 0 } else { self.pair(low - 1)?.1 };
        let next = if low < self.pairs { Some(self.pair(low)?.0) } else { None };
        Ok((at, next))
    }

    /// The first byte that was written at this time or later.
    pub(super) fn since(&self, at: u64) -> io::Result<Option<u64>> {
        for n in 0..self.pairs {
            let (offset, written) = self.pair(n)?;
            if written >= at {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }
}
