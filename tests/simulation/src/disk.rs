//! A disk that loses what was not synced when its host crashes.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use planlease_embedded::StorageBackend;

/// A simulated disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Plates>>);

#[derive(Debug, Default)]
struct Plates {
    /// What a reader sees.
    cached: Vec<u8>,
    /// What survives a crash.
    synced: Vec<u8>,
    /// What was written since the last sync, so that a sync copies no more than that.
    dirty: Vec<Write>,
}

#[derive(Debug)]
enum Write {
    Bytes { at: usize, len: usize },
    Len(usize),
}

impl Disk {
    /// The host lost its power: what was not synced is gone.
    pub fn crash(&self) {
        let mut plates = self.plates();
        plates.dirty.clear();
        plates.cached = plates.synced.clone();
    }

    fn plates(&self) -> MutexGuard<'_, Plates> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn position(at: u64) -> io::Result<usize> {
    usize::try_from(at).map_err(io::Error::other)
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        u64::try_from(self.plates().cached.len()).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = position(offset)?;
        let plates = self.plates();
        let bytes = plates.cached.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = position(len)?;
        let mut plates = self.plates();
        plates.cached.resize(len, 0);
        plates.dirty.push(Write::Len(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut guard = self.plates();
        let plates = &mut *guard;
        for write in plates.dirty.drain(..) {
            match write {
                Write::Len(len) => plates.synced.resize(len, 0),
                Write::Bytes { at, len } => {
                    // What was cut off by a later change of the length is not there any more.
                    let end = (at + len).min(plates.cached.len()).min(plates.synced.len());
                    if at < end {
                        plates.synced[at..end].copy_from_slice(&plates.cached[at..end]);
                    }
                }
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = position(offset)?;
        let mut plates = self.plates();
        let end = at + data.len();
        plates.cached.get_mut(at..end).ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        plates.dirty.push(Write::Bytes { at, len: data.len() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsynced_writes_are_lost_and_synced_ones_kept() {
        let disk = Disk::default();
        disk.set_len(4).unwrap();
        disk.write(0, b"kept").unwrap();
        disk.sync_data().unwrap();
        disk.set_len(8).unwrap();
        disk.write(2, b"lost").unwrap();
        disk.crash();
        let mut bytes = [0; 4];
        disk.read(0, &mut bytes).unwrap();
        assert_eq!((&bytes, disk.len().unwrap()), (b"kept", 4));
        disk.read(1, &mut bytes).unwrap_err();
    }
}
