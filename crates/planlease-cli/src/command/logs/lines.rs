//! How the output of a task is shown: as the command wrote it, or as an object of JSON for each line of it.

use planlease::{PlanName, TaskId, core::WallTime};
use planlease_observe::{Characters, Event, Source};
use serde_json::{Value, json};

use super::words;
use crate::{
    failure::Failure,
    output::{self, Format, Printable, Time, escape_json},
};

const SCHEMA: &str = "planlease.logs.v1";

/// The longest line that is one event, in bytes; a longer one is several, all but the last with `partial`.
const MAX_LINE: usize = 16 * 1024;

/// Shows events on standard output, and what is to be said about them on standard error.
pub(super) struct Shown {
    format: Format,
    plan: String,
    task: String,
    /// The line that has not ended.
    line: Vec<u8>,
    /// Its attempt, and when it began.
    of: (u32, u64),
    /// What was cut, for a terminal.
    characters: Characters,
    /// How many attempts were shown.
    attempts: u32,
}

impl Shown {
    pub(super) fn new(format: Format, plan: &PlanName, task: &TaskId) -> Self {
        let (plan, task) = (plan.to_string(), task.to_string());
        Self {
            format,
            plan,
            task,
            line: Vec::new(),
            of: (0, 0),
            characters: Characters::default(),
            attempts: 0,
        }
    }

    /// Shows an event.
    ///
    /// # Errors
    /// As [`output::print`].
    pub(super) fn show(&mut self, event: &Event) -> Result<(), Failure> {
        if self.format != Format::Table {
            return self.as_json(event);
        }
        match event {
            Event::Output { bytes, .. } => self.as_written(bytes)?,
            Event::Stored(stored) => {
                say(event);
                output::print_exact(&stored.text, Printable::of_others)?;
            }
            Event::Attempt { .. } => {
                self.attempts += 1;
                if self.attempts > 1 {
                    say(event);
                }
            }
            Event::NotBegun { .. } => {} // The end says it, with what to do.
            _ => say(event),
        }
        Ok(())
    }

    /// As the command wrote it; a terminal gets what cannot drive it.
    fn as_written(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !output::is_terminal() {
            return output::print_bytes(bytes);
        }
        output::print_exact(&self.characters.take(bytes), Printable::of_others)
    }

    fn as_json(&mut self, event: &Event) -> Result<(), Failure> {
        if let Event::Output { attempt, at, bytes, .. } = event {
            return self.lines(*attempt, *at, bytes);
        }
        self.finish()?;
        let mut object = match event {
            Event::Attempt { attempt, by, source } => {
                let source = match source {
                    Source::Files => "files",
                    Source::Host(_) => "host",
                };
                json!({"event": "attempt", "attempt": attempt, "by": by, "source": source})
            }
            Event::LeftOut { attempt, bytes } => {
                json!({"event": "left_out", "attempt": attempt, "bytes": bytes})
            }
            Event::Stored(stored) => {
                json!({"event": "stored", "attempt": stored.attempt, "text": stored.text, "bytes": stored.bytes})
            }
            Event::Ended { attempt, how } => {
                let (how, at) =
                    how.as_ref().map_or((None, None), |end| (end.how.clone(), Some(time(end.at))));
                json!({"event": "ended", "attempt": attempt, "how": how, "at": at})
            }
            Event::Trouble { attempt, why } => json!({"event": "trouble", "attempt": attempt, "why": why}),
            Event::NotKept { attempt, why } => json!({"event": "not_kept", "attempt": attempt, "why": why}),
            Event::NotBegun { attempt, status } => {
                json!({"event": "not_begun", "attempt": attempt, "status": status})
            }
            _ => return Ok(()),
        };
        self.print(&mut object)
    }

    /// Shows the lines that have ended.
    fn lines(&mut self, attempt: u32, at: u64, bytes: &[u8]) -> Result<(), Failure> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.is_empty() {
                self.of = (attempt, at);
            }
            self.line.extend_from_slice(part);
            if self.line.ends_with(b"\n") || self.line.len() >= MAX_LINE {
                self.finish()?;
            }
        }
        Ok(())
    }

    /// Shows the line that has not ended.
    ///
    /// # Errors
    /// As [`output::print`].
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if self.line.is_empty() || self.format == Format::Table {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let (attempt, at) = self.of;
        let whole = text.strip_suffix('\n');
        let mut object = json!({
            "event": "output", "attempt": attempt, "at": time(at), "text": whole.unwrap_or(&text),
            "partial": whole.is_none(),
        });
        self.print(&mut object)
    }

    fn print(&self, object: &mut Value) -> Result<(), Failure> {
        object["schema"] = SCHEMA.into();
        object["plan"] = self.plan.as_str().into();
        object["task"] = self.task.as_str().into();
        output::print(&format!("{}\n", escape_json(&object.to_string())))
    }
}

/// Says on standard error what happens to an output.
fn say(event: &Event) {
    if let Some(line) = words::of_event(event) {
        output::tell(&line);
    }
}

/// A time in milliseconds since 1970, as JSON shows times.
fn time(millis: u64) -> String {
    Time(WallTime(i64::try_from(millis).unwrap_or(i64::MAX))).rfc_3339()
}
