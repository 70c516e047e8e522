//! Keys of the terminal, read by a thread of their own: the terminal can only be waited for by blocking.

use std::{io, time::Duration};

use planlease_top::{
    Key, of_event,
    ratatui::crossterm::event::{poll, read},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::failure::Failure;

/// How many events are kept that are not dealt with yet. Further ones wait in the terminal.
const AHEAD: usize = 64;

/// How often the thread looks whether there is still a reader.
const LOOK: Duration = Duration::from_millis(200);

/// The keys that are pressed.
#[derive(Debug)]
pub(super) struct Keyboard(Receiver<io::Result<Option<Key>>>);

impl Keyboard {
    pub(super) fn start() -> Self {
        let (sender, receiver) = channel(AHEAD);
        std::thread::spawn(move || read_all(&sender));
        Self(receiver)
    }

    /// The next event: a key, or `None` if the screen has another size. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Key>, Failure> {
        let gone = || Err(io::ErrorKind::UnexpectedEof.into());
        let event = self.0.recv().await.unwrap_or_else(gone);
        event.map_err(|error| Failure::system("cannot read the keyboard", &error))
    }
}

fn read_all(sender: &Sender<io::Result<Option<Key>>>) {
    while !sender.is_closed() {
        let event = match poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => read().map(|event| of_event(&event)),
            Err(error) => Err(error),
        };
        let failed = event.is_err();
        if sender.blocking_send(event).is_err() || failed {
            return;
        }
    }
}
