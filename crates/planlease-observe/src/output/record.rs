//! Takes the output of a command without making it wait: a bounded queue, written by a task of its own.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    files::{Chunk, Files, length, millis},
    place::Place,
};

/// How many pieces may wait to be written; each is as large as a pipe at most (64 KiB).
const WAITING: usize = 64;

/// How long a command waits for a disk that does not keep up, before its output is dropped.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long the end of a command waits for the last pieces.
const AT_THE_END: Duration = Duration::from_secs(2);

enum Message {
    Output(Chunk),
    /// How it ended, and how many bytes there were, those included that were dropped.
    End(String, u64),
}

/// Records the output of one attempt. Dropping it ends the record: what waits is written.
#[derive(Debug)]
pub struct Recorder {
    sender: mpsc::Sender<Message>,
    task: JoinHandle<()>,
    /// How many bytes there were so far.
    total: u64,
    /// Since when the queue is full.
    full_since: Option<Instant>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Recorder {
    /// Begins to record in this place. What the disk refuses is dropped; nothing here fails.
    #[must_use]
    pub fn start(place: &Place) -> Self {
        let (sender, inbox) = mpsc::channel(WAITING);
        #[expect(clippy::disallowed_methods, reason = "it ends with its sender, and `finish` waits for it")]
        let task = tokio::spawn(work(Files::new(place.clone()), inbox));
        Self { sender, task, total: 0, full_since: None }
    }

    /// Waits until there is room, or the disk has been waited for long enough: then what comes is dropped
    /// until there is room again.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken.
    pub async fn room(&mut self) {
        if self.sender.capacity() > 0 {
            self.full_since = None;
            return;
        }
        let since = *self.full_since.get_or_insert_with(Instant::now);
        let _ = timeout_at(since + PATIENCE, self.sender.reserve()).await;
    }

    /// Takes more of the output. Never waits.
    pub fn add(&mut self, bytes: &[u8]) {
        let chunk = Chunk { offset: self.total, at: millis(), bytes: bytes.to_vec() };
        self.total = self.total.saturating_add(length(bytes));
        // What is dropped is missing between two offsets, which the reader sees.
        let _ = self.sender.try_send(Message::Output(chunk));
    }

    /// Ends the record, with how the command ended, and waits until it is written: two seconds at most.
    ///
    /// # Cancel safety
    /// If the future is dropped, what waits is written all the same.
    pub async fn finish(self, how: String) {
        let Self { sender, task, total, .. } = self;
        let end = async {
            let _ = sender.send(Message::End(how, total)).await;
            drop(sender);
            let _ = task.await;
        };
        let _ = timeout(AT_THE_END, end).await;
    }
}

/// Writes what comes, on threads that may block.
async fn work(mut files: Files, mut inbox: mpsc::Receiver<Message>) {
    let (mut waiting, mut ended) = (Vec::new(), None);
    files = match tokio::task::spawn_blocking(move || files.opened()).await {
        Ok(opened) => opened,
        Err(_) => return, // The runtime ends.
    };
    while inbox.recv_many(&mut waiting, WAITING).await > 0 {
        let mut chunks = Vec::with_capacity(waiting.len());
        for message in waiting.drain(..) {
            match message {
                Message::Output(chunk) => chunks.push(chunk),
                Message::End(how, total) => ended = Some((how, total)),
            }
        }
        let writing = tokio::task::spawn_blocking(move || {
            files.write(&chunks);
            files
        });
        match writing.await {
            Ok(written) => files = written,
            Err(_) => return, // The runtime ends.
        }
    }
    let _ = tokio::task::spawn_blocking(move || files.end(ended)).await;
}
