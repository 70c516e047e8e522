//! The output of a task as it comes: its last lines, bounded.

use std::collections::VecDeque;

use planlease_core::{PlanName, TaskId};

use crate::tone::Tone;

/// How many lines are kept; the oldest go first.
const LINES_MAX: usize = 5_000;

/// How long a line can be, in bytes; the rest of a longer one is another line.
const LINE_MAX: usize = 1_000;

/// The output of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    plan: PlanName,
    task: TaskId,
    lines: VecDeque<(Tone, String)>,
    /// How many lines went before the first one that is kept.
    gone: usize,
    /// Whether the last line goes on with what comes next.
    is_open: bool,
}

impl Log {
    /// Of this task; nothing of it is there yet.
    pub(crate) fn new(plan: PlanName, task: TaskId) -> Self {
        Self { plan, task, lines: VecDeque::new(), gone: 0, is_open: false }
    }

    /// Whose output it is.
    pub(crate) fn of(&self) -> (&PlanName, &TaskId) {
        (&self.plan, &self.task)
    }

    /// The lines, each with its number from the first that came.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, Tone, &str)> {
        let numbered = self.lines.iter().zip(self.gone..);
        numbered.map(|((tone, line), n)| (n, *tone, line.trim_end_matches('\r')))
    }

    /// Adds what the command has written.
    pub(crate) fn write(&mut self, text: &str) {
        for part in text.split_inclusive('\n') {
            let (mut rest, ends) = part.strip_suffix('\n').map_or((part, false), |line| (line, true));
            loop {
                let taken = self.last_line().map_or(0, |line| line.len());
                let (head, tail) = rest.split_at(rest.floor_char_boundary(LINE_MAX.saturating_sub(taken)));
                match self.last_line() {
                    Some(line) => line.push_str(head),
                    None => self.push(Tone::Normal, head.to_owned()),
                }
                self.is_open = tail.is_empty() && !ends;
                if tail.is_empty() {
                    break;
                }
                rest = tail;
            }
        }
    }

    /// Adds a line about the output.
    pub(crate) fn note(&mut self, tone: Tone, text: &str) {
        self.push(tone, text.lines().next().unwrap_or_default().to_owned());
        self.is_open = false;
    }

    /// The line that has not ended.
    fn last_line(&mut self) -> Option<&mut String> {
        if !self.is_open {
            return None;
        }
        self.lines.back_mut().map(|(_, line)| line)
    }

    fn push(&mut self, tone: Tone, line: String) {
        if self.lines.len() >= LINES_MAX {
            self.lines.pop_front();
            self.gone += 1;
        }
        self.lines.push_back((tone, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        Log::new(PlanName::new("p").unwrap(), TaskId::new("1").unwrap())
    }

    fn lines(log: &Log) -> Vec<String> {
        log.lines().map(|(n, _, line)| format!("{n} {line}")).collect()
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut log = log();
        for piece in ["o", "ne\r\ntw", "o", "\n", "\nthree"] {
            log.write(piece);
        }
        assert_eq!(lines(&log), ["0 one", "1 two", "2 ", "3 three"]);
        log.note(Tone::Warn, "it is gone\nand more");
        log.write("four");
        assert_eq!(lines(&log)[3..], ["3 three", "4 it is gone", "5 four"]);
    }

    #[test]
    fn what_is_kept_of_an_output_is_bounded() {
        let mut log = log();
        log.write(&"ü\n".repeat(LINES_MAX + 7));
        let kept = lines(&log);
        assert_eq!((kept.len(), kept[0].as_str()), (LINES_MAX, "7 ü"));
        log.write(&"ü".repeat(LINE_MAX * LINES_MAX));
        assert_eq!(log.lines.len(), LINES_MAX);
        assert!(log.lines.iter().all(|(_, line)| line.len() <= LINE_MAX));
    }
}
