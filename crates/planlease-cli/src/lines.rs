//! Lines that are printed without making the work wait: a bounded queue, written by a thread of its own. What
//! does not fit is dropped and counted; what cannot be written (a full device, a reader that has gone) costs
//! nothing.
//!
//! `tracing-appender` has such a queue, but none that can be waited for: then the lines of a command and
//! those of its child would change places.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use planlease_documents::Printable;

use crate::streams::{note_loss, stderr, stdout};

/// How much may wait to be written, in bytes.
const MOST: usize = 1 << 20;

/// How long a line may take to be written before the stream counts as stalled, and is not waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the end of the program waits for a stream.
const AT_THE_END: Duration = Duration::from_secs(1);

/// The name of the threads that write.
const WRITER: &str = "lines";

/// The two standard streams, as far as they are written so.
static STANDARD: [OnceLock<Lines>; 2] = [OnceLock::new(), OnceLock::new()];

/// Lines for a reader that may be slow or gone. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Printable>,
    /// The bytes that wait, and those that are being written.
    bytes: usize,
    /// The lines that were dropped since that was last written.
    dropped: u64,
    /// Whether the stream did not take a line within the time.
    stalled: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes. `dropped` says how many lines are missing.
    fn work(&self, mut stream: impl Write, dropped: fn(u64) -> String, lost: fn(&io::Error)) {
        let note = |wrote: io::Result<()>| drop(wrote.inspect_err(lost));
        loop {
            let nothing = |queue: &mut Queue| queue.waiting.is_empty() && queue.dropped == 0;
            let mut queue =
                self.filled.wait_while(self.queue(), nothing).unwrap_or_else(PoisonError::into_inner);
            let (lines, missing) = (std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.dropped));
            drop(queue);
            for line in &lines {
                note(stream.write_all(line.as_bytes()));
            }
            if missing > 0 {
                note(stream.write_all(dropped(missing).as_bytes()));
            }
            note(stream.flush());
            let mut queue = self.queue();
            queue.bytes -= lines.iter().map(|line| line.as_bytes().len()).sum::<usize>();
            queue.stalled = false;
            if queue.bytes == 0 {
                self.emptied.notify_all();
            }
        }
    }
}

impl Lines {
    /// To this stream. `dropped` is what is written of so many missing lines; `lost` receives what the stream
    /// answers instead of taking a line.
    pub(crate) fn to(
        stream: impl Write + Send + 'static,
        dropped: fn(u64) -> String,
        lost: fn(&io::Error),
    ) -> Self {
        let shared = Arc::<Shared>::default();
        let worker = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(WRITER.to_owned())
            .spawn(move || worker.work(stream, dropped, lost))
            .expect("the system gives a process its threads");
        Self(shared)
    }

    /// To standard error, which the whole program shares.
    pub(crate) fn to_standard_error(dropped: fn(u64) -> String) -> &'static Self {
        STANDARD[1].get_or_init(|| Self::to(stderr(), dropped, |_| ()))
    }

    /// To standard output, of which this program prints nothing otherwise. What is lost of it is said at the
    /// end of the program.
    pub(crate) fn to_standard_output(dropped: fn(u64) -> String) -> &'static Self {
        STANDARD[0].get_or_init(|| Self::to(stdout(), dropped, note_loss))
    }

    /// The same for a log, of which nothing is missed.
    pub(crate) fn log_to_standard_output(dropped: fn(u64) -> String) -> &'static Self {
        STANDARD[0].get_or_init(|| Self::to(stdout(), dropped, |_| ()))
    }

    /// Standard error, if it is written so.
    pub(crate) fn standard_error() -> Option<&'static Self> {
        STANDARD[1].get()
    }

    /// Lets a text be written when its turn comes.
    pub(crate) fn add(&self, text: Printable) {
        let (mut queue, length) = (self.0.queue(), text.as_bytes().len());
        if queue.bytes + length > MOST {
            queue.dropped += 1;
        } else {
            queue.bytes += length;
            queue.waiting.push_back(text);
        }
        drop(queue);
        self.0.filled.notify_one();
    }

    /// Lets a text be written, and waits for it for a moment: so that it stands before what is printed next
    /// by others. A stream that has stalled is not waited for.
    pub(crate) fn say(&self, text: &Printable) {
        self.add(text.clone());
        if !self.0.queue().stalled {
            self.wait(PATIENCE);
        }
    }

    /// Waits until everything is written, for so long at most.
    fn wait(&self, within: Duration) {
        let (mut queue, waited) = self
            .0
            .emptied
            .wait_timeout_while(self.0.queue(), within, |queue| queue.bytes > 0)
            .unwrap_or_else(PoisonError::into_inner);
        queue.stalled |= waited.timed_out();
    }
}

/// Whether this is a thread that writes, which cannot wait for itself.
pub(crate) fn is_writer() -> bool {
    std::thread::current().name() == Some(WRITER)
}

/// Waits at the end of the program until the standard streams are written, for a second at most.
pub(crate) fn finish() {
    for lines in STANDARD.iter().filter_map(OnceLock::get) {
        lines.wait(AT_THE_END);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    };

    use super::*;

    /// A stream that takes a line whenever it is let.
    struct Gate {
        open: Receiver<()>,
        written: SyncSender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(io::Error::other)?;
            self.written.send(String::from_utf8_lossy(text).into_owned()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_stream_blocks_no_writer_and_drops_are_counted() {
        let (open, gate) = sync_channel(1 << 20);
        let (written, read) = sync_channel(1 << 20);
        let lines = Lines::to(Gate { open: gate, written }, |dropped| format!("{dropped} dropped\n"), |_| ());
        let text = |text: &str| Printable::styled(text, false);
        let line = "x".repeat(1024);
        let all = 3 * MOST / line.len();
        for _ in 0..all {
            lines.add(text(&line));
        }
        lines.say(&text("waits for a moment"));
        lines.say(&text("waits no more"));
        for _ in 0..=all {
            open.send(()).unwrap();
        }
        // Dropped lines may be reported in several parts.
        let (mut kept, mut dropped) = (0, 0);
        while kept + dropped < all + 2 {
            let text = read.recv_timeout(Duration::from_secs(20)).expect("every line is kept or counted");
            match text.split_once(" dropped") {
                Some((some, _)) => dropped += some.parse::<usize>().unwrap(),
                None => kept += 1,
            }
        }
        assert_eq!(kept + dropped, all + 2);
        assert!(kept <= MOST / line.len() + 1, "{kept} were kept");
    }

    #[test]
    fn a_stream_that_fails_holds_nothing_up_and_is_noted() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        static LOST: AtomicUsize = AtomicUsize::new(0);
        let note = |error: &io::Error| {
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            LOST.fetch_add(1, Ordering::Relaxed);
        };
        let lines = Lines::to(Full, |_| String::new(), note);
        for _ in 0..3 {
            lines.say(&Printable::styled("text", false));
        }
        assert!(!lines.0.queue().stalled && lines.0.queue().bytes == 0);
        assert_eq!(LOST.load(Ordering::Relaxed), 6, "each of three lines, and each time it is flushed");
    }
}
