//! Keeps the beginning and the end of an output, in bounded memory however much there is.

use std::{collections::VecDeque, time::Duration};

use planlease_core::codec::shorten;
use planlease_observe::{Place, Recorder};
use tokio::{io::AsyncReadExt as _, net::unix::pipe, time::timeout};

use crate::{clock::now, command::Pulse};

/// How long to read on after the command has ended: for what is in the pipe, not for a daemon that kept it
/// open.
const DRAIN: Duration = Duration::from_millis(500);

/// How much is read at once, in bytes; what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The output of a command, as far as it is captured.
#[derive(Debug)]
pub(crate) struct Output {
    /// `None` when it has ended.
    pipe: Option<pipe::Receiver>,
    chunk: Vec<u8>,
    capture: Capture,
    pulse: Pulse,
    recorder: Option<Recorder>,
}

impl Output {
    /// What comes out of the pipe, up to `limit` bytes of it; `pulse` notes when it comes. All of it is kept
    /// in `record`, as far as that is bounded.
    pub(crate) fn captured(pipe: pipe::Receiver, limit: usize, pulse: Pulse, record: Option<&Place>) -> Self {
        let recorder = record.map(Recorder::start);
        Self { pipe: Some(pipe), chunk: vec![0; CHUNK], capture: Capture::new(limit), pulse, recorder }
    }

    /// No output.
    pub(crate) fn not_captured() -> Self {
        Self {
            pipe: None,
            chunk: Vec::new(),
            capture: Capture::new(0),
            pulse: Pulse::default(),
            recorder: None,
        }
    }

    /// Waits for more; for ever after the end. Cancel safe.
    pub(crate) async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        if let Some(recorder) = &mut self.recorder {
            recorder.room().await;
        }
        match pipe.read(&mut self.chunk).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(count) => {
                self.pulse.beat(now());
                self.capture.push(&self.chunk[..count]);
                if let Some(recorder) = &mut self.recorder {
                    recorder.add(&self.chunk[..count]);
                }
            }
        }
    }

    /// Reads what is left.
    pub(crate) async fn drain(&mut self) {
        let rest = async {
            while self.pipe.is_some() {
                self.read().await;
            }
        };
        // If there is no end, another process writes; what the command wrote has been read by now.
        let _ = timeout(DRAIN, rest).await;
    }

    /// Ends the record of it, with how the command ended.
    pub(crate) async fn end_record(&mut self, how: impl FnOnce() -> String) {
        if let Some(recorder) = self.recorder.take() {
            recorder.finish(how()).await;
        }
    }

    /// See [`Capture::into_text`].
    pub(crate) fn into_text(self) -> String {
        self.capture.into_text()
    }
}

/// The beginning and the end of a stream of bytes.
#[derive(Debug)]
pub(crate) struct Capture {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// How many bytes there were.
    total: u64,
}

impl Capture {
    /// Keeps at most `limit` bytes, half of them from the beginning.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    /// Takes more of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let room = (self.limit / 2).saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        let tail_limit = self.limit - self.limit / 2;
        let rest = &rest[rest.len().saturating_sub(tail_limit)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(tail_limit);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// What was kept, as text of at most `limit` bytes, with a note of how much was left out. What is not
    /// UTF-8 is replaced.
    pub(crate) fn into_text(self) -> String {
        let tail = Vec::from(self.tail);
        let kept = u64::try_from(self.head.len() + tail.len()).unwrap_or(u64::MAX);
        let left_out = self.total.saturating_sub(kept);
        if left_out == 0 {
            let whole = [self.head, tail].concat();
            return shorten(&String::from_utf8_lossy(&whole), self.limit);
        }
        let note = format!("\n[… {left_out} bytes left out …]\n");
        let room = self.limit.saturating_sub(note.len());
        // Replacing what is not UTF-8 may lengthen a half threefold; so each is cut again.
        let head = String::from_utf8_lossy(&self.head);
        let head = &head[..head.floor_char_boundary(room / 2)];
        let tail = String::from_utf8_lossy(&tail);
        let tail = &tail[tail.ceil_char_boundary(tail.len().saturating_sub(room - room / 2))..];
        format!("{}{note}{}", head.trim_end_matches('\u{fffd}'), tail.trim_start_matches('\u{fffd}'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(limit: usize, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
        let mut capture = Capture::new(limit);
        for piece in pieces {
            capture.push(piece.as_ref());
            assert!(capture.head.len() + capture.tail.len() <= limit);
        }
        capture.into_text()
    }

    #[test]
    fn a_short_output_is_kept_as_it_is() {
        assert_eq!(capture(100, ["one\n", "two\n"]), "one\ntwo\n");
        assert_eq!(capture(100, [""; 0]), "");
        assert_eq!(capture(8, ["12", "345", "678"]), "12345678");
    }

    #[test]
    fn a_long_output_keeps_its_beginning_and_its_end() {
        let lines = (0..100_000).map(|i| format!("line {i} ü\n"));
        let text = capture(200, lines);
        assert!(text.len() <= 200, "{}", text.len());
        assert!(text.starts_with("line 0 ü\nline 1 ü\n") && text.ends_with("line 99999 ü\n"), "{text}");
        assert!(text.contains("bytes left out") && !text.contains('\u{fffd}'), "{text}");
        let at_once = capture(200, [(0..100_000).map(|i| format!("line {i} ü\n")).collect::<String>()]);
        assert_eq!(at_once, text);
    }

    #[test]
    fn what_is_not_text_stays_within_the_bound() {
        assert!(capture(300, [[0xff_u8; 280]]).len() <= 300);
        assert!(capture(300, [[0xff_u8; 5000]]).len() <= 300);
    }
}
