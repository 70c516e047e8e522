//! A deadline for each input: what takes longer counts as a hang, and ends the process with the input that
//! did it.

use std::{
    fmt::Debug,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

/// How long one input may take. Generous: a debug build on a busy machine, for inputs of a few kilobytes.
pub const EACH: Duration = Duration::from_secs(10);

/// Watches over inputs, one after another, from a thread that ends with it.
#[derive(Debug)]
pub struct Deadline {
    events: mpsc::Sender<Event>,
}

enum Event {
    /// An input is looked at.
    Begin(Box<dyn Debug + Send>),
    /// It is dealt with.
    End,
}

impl Deadline {
    /// A deadline for each of the inputs to come.
    #[must_use]
    pub fn of(each: Duration) -> Self {
        let (events, inbox) = mpsc::channel();
        std::thread::spawn(move || watch(&inbox, each));
        Self { events }
    }

    /// Does something with an input, within the deadline. `input` is what is printed if it takes longer.
    pub fn within<T>(&self, input: impl Debug + Send + 'static, act: impl FnOnce() -> T) -> T {
        let _ended = Ended(self);
        self.report(Event::Begin(Box::new(input)));
        act()
    }

    fn report(&self, event: Event) {
        self.events.send(event).expect("the thread lives as long as this");
    }
}

/// Says that an input is dealt with, also if that panicked.
struct Ended<'a>(&'a Deadline);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.report(Event::End);
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a process that hangs")]
fn watch(inbox: &mpsc::Receiver<Event>, each: Duration) {
    while let Ok(event) = inbox.recv() {
        let Event::Begin(input) = event else { continue };
        if let Err(RecvTimeoutError::Timeout) = inbox.recv_timeout(each) {
            eprintln!("this input took longer than {each:?}: {input:?}");
            std::process::abort();
        }
    }
}
