//! Reads the Markdown plan files: phases as headings, tasks as checklists.
//!
//! The grammar is one of *lines*: a heading, an item at the left margin, what is indented below it. That is how
//! people write these plans and how agents edit them, and it is not quite Markdown: a `**VERIFY Phase 1:**` that
//! follows an indented line without a blank one between belongs to that line for Markdown, and to the phase for
//! everybody else. So the lines are read here, and a Markdown parser says only which of them are code or HTML,
//! the part that is hard to get right ([`code`]). What a single line is, [`line`] says.
//!
//! Nothing that looks like a task is passed over in silence: it gets a warning that says why it is none.

mod code;
mod depends;
mod line;
mod note;
mod notes;
mod outline;

use std::collections::{HashMap, HashSet};

use planlease_core::{
    TaskId,
    spec::{PhaseSpec, TaskSpec},
};
use serde_json::{Map, Value};

use self::{
    code::{Code, Verbatim},
    line::Line,
    outline::Outline,
};
use crate::{
    draft::{Draft, TaskPlaces},
    format::file_name,
    problem::Report,
    text::Text,
};

const HOW_TO_WRITE_A_TASK: &str =
    "A task is a line `- [ ] 1.1 What to do` at the left margin, below a heading `## Phase 1: Name`.";

/// Reads a Markdown plan. What cannot be a plan, and what may not be meant, goes into the report.
pub(crate) fn read(text: &Text<'_>, report: &mut Report<'_>) -> Draft {
    let code = Code::find(text.as_str());
    for &at in &code.unclosed {
        let help = "Everything below it counts as code, up to the end of the file or list: close it.";
        report.warning(at, "this block of code has no end", help);
    }
    let outline = Outline::find(text, &code);
    let mut reader = Reader::new(&code, &outline, report);
    for (at, line) in text.lines() {
        reader.line(at, line);
    }
    let (mut draft, found) = reader.finish();
    notes::keep(&found, &mut draft, report);
    let (title, place) = outline.title.unwrap_or((file_name(text.file()), 0));
    title.clone_into(&mut draft.spec.title);
    draft.title = place;
    draft
}

/// What the next indented lines belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Below {
    /// To nothing that is kept.
    Nothing,
    /// To the last task.
    Task,
    /// To the last criterion of the phase.
    Criterion,
    /// To a criterion that is yet to come: the line was a `**VERIFY …:**` and nothing else.
    Verify,
}

/// Reads line by line; the state is what the lines above say about the next one.
struct Reader<'r, 'a, 't> {
    code: &'r Code,
    outline: &'r Outline<'a>,
    report: &'r mut Report<'t>,
    draft: Draft,
    notes: Vec<notes::Found<'a>>,
    /// The phases seen, by number: their places in the plan.
    phases: HashMap<&'a str, usize>,
    /// The place of the phase that the line is in.
    phase: Option<usize>,
    /// Whether the line is below a `**VERIFY …:**`.
    verifying: bool,
    below: Below,
    /// Whether the line before was not blank: a line of text then goes on with its paragraph.
    in_paragraph: bool,
    /// The lines below the last task, as they are.
    steps: Vec<&'a str>,
}

impl<'r, 'a, 't> Reader<'r, 'a, 't> {
    fn new(code: &'r Code, outline: &'r Outline<'a>, report: &'r mut Report<'t>) -> Self {
        let draft = Draft { how_to_write_a_task: HOW_TO_WRITE_A_TASK, ..Draft::default() };
        Self {
            code,
            outline,
            report,
            draft,
            notes: Vec::new(),
            phases: HashMap::new(),
            phase: None,
            verifying: false,
            below: Below::Nothing,
            in_paragraph: false,
            steps: Vec::new(),
        }
    }

    fn finish(mut self) -> (Draft, Vec<notes::Found<'a>>) {
        self.end_task();
        (self.draft, self.notes)
    }

    fn line(&mut self, at: usize, line: &'a str) {
        let Some(kind) = line::classify(line) else {
            self.in_paragraph = false;
            return;
        };
        if let Line::Indented(text) = kind {
            self.indented(at, text); // Code too, if it is below a task.
            return;
        }
        // What a line is, its beginning says, also if a stray backtick above makes code of it.
        if let Some(verbatim) = self.code.at(at).filter(|verbatim| *verbatim != Verbatim::Span) {
            self.verbatim(at, line, verbatim);
            return;
        }
        let above = self.below;
        self.end_task();
        match kind {
            Line::Heading { level, text } => self.heading(at, level, text),
            Line::Check { done, text } => self.check(at, line, done, text),
            Line::Item(text) => self.item(at, line, text),
            Line::Text(text) => self.text(at, text, above),
            Line::Indented(_) => {}
        }
        self.in_paragraph = !matches!(kind, Line::Heading { .. });
    }

    /// A line at the left margin that is no prose. It ends nothing but the task above.
    fn verbatim(&mut self, at: usize, line: &str, verbatim: Verbatim) {
        self.end_task();
        if verbatim == Verbatim::Html && self.phase.is_some() && line::resembles_task(line) {
            let help = "HTML goes on up to the next blank line: put one above the checklist.";
            self.report.warning(at, "this task is part of a block of HTML, so it is none", help);
        }
    }

    fn heading(&mut self, at: usize, level: usize, text: &'a str) {
        self.verifying = false;
        if let Some((number, name)) = self.outline.phase(level, text) {
            self.begin_phase(at, number, name);
        } else if level <= self.outline.phase_level {
            self.phase = None;
        }
    }

    fn begin_phase(&mut self, at: usize, number: &'a str, name: &'a str) {
        let (name, pipeline_start) = note::split_pipeline_start(name);
        let index = *self.phases.entry(number).or_insert(self.draft.spec.phases.len());
        self.phase = Some(index);
        if index == self.draft.spec.phases.len() {
            self.draft.phases.push(at);
            self.draft.spec.phases.push(PhaseSpec {
                number: number.to_owned(),
                name: name.to_owned(),
                ..PhaseSpec::default()
            });
        } else {
            let message = format!("there is a phase {number} already");
            let help =
                "The tasks below are added to it: give this phase a number of its own if it is another one.";
            self.report.warning(at, message, help);
        }
        if let Some(text) = pipeline_start {
            self.notes.push(notes::Found { at, phase: Some(index), text: notes::Text::PipelineStart(text) });
        }
    }

    fn check(&mut self, at: usize, line: &'a str, done: bool, text: &'a str) {
        let task = line::task(text);
        let Some(phase) = self.phase else {
            if task.is_some() {
                let help = "It is in no phase: tasks stand below a heading `## Phase 1: Name`, up to the next \
                            heading of that level.";
                self.report.warning(at, "this item has a number, but it is no task", help);
            }
            return;
        };
        if let Some((number, description)) = task {
            self.begin_task(at, line, number, description, done);
        } else if let Some((_, criterion)) = line::label(text).filter(|(label, _)| line::is_verify(label)) {
            self.criterion(phase, criterion);
        } else if self.verifying {
            self.criterion(phase, text);
        } else {
            self.without_number(at, phase, text);
        }
    }

    /// An item of a checklist that has no number. Kept with the phase; said once for each phase.
    fn without_number(&mut self, at: usize, phase: usize, text: &str) {
        let phase = &mut self.draft.spec.phases[phase];
        if push(&mut phase.extra, "unnumbered", Value::from(text)) {
            let message =
                format!("phase {} has a checklist without numbers: its items are no tasks", phase.number);
            let help = "They are kept and shown, not scheduled. To make tasks of them, begin each with a number, \
                        as `- [ ] 1.1 What to do`.";
            self.report.warning(at, message, help);
        }
    }

    fn item(&mut self, at: usize, line: &'a str, text: &'a str) {
        let Some(phase) = self.phase else { return };
        if line::resembles_task(line) {
            let help = "The box has to be `[ ]` or `[x]`, with blanks around it.";
            self.report.warning(at, "this looks like a task, but its box is none", help);
        }
        if self.verifying {
            self.criterion(phase, text);
        }
    }

    /// A line of text: a label, or a further line of the criterion `above`.
    fn text(&mut self, at: usize, text: &'a str, above: Below) {
        let text = text.strip_prefix("> ").unwrap_or(text); // Notes are often quoted.
        let Some((label, rest)) = line::label(text) else {
            match (above, self.phase) {
                (Below::Criterion, Some(phase)) if self.goes_on(text) => {
                    self.go_on_with_criterion(phase, text)
                }
                (Below::Verify, Some(phase)) if self.goes_on(text) => self.criterion(phase, text),
                _ => self.verifying = false,
            }
            return;
        };
        self.verifying = false;
        let phase = self.phase;
        if label.eq_ignore_ascii_case("execution note") {
            self.notes.push(notes::Found { at, phase, text: notes::Text::Execution(rest) });
        } else if label.eq_ignore_ascii_case("pipeline-start") {
            self.notes.push(notes::Found { at, phase, text: notes::Text::PipelineStart(rest) });
        } else if let (true, Some(phase)) = (line::is_verify(label), phase) {
            self.verifying = true;
            self.below = Below::Verify;
            self.criterion(phase, rest);
        }
    }

    /// Adds a criterion to the phase; an empty one is only the beginning of a list of them.
    fn criterion(&mut self, phase: usize, text: &str) {
        let phase = &mut self.draft.spec.phases[phase];
        let text = match text.strip_suffix("(non-blocking)") {
            Some(rest) => {
                phase.verification_non_blocking = true;
                rest.trim_end()
            }
            None => text,
        };
        if !text.is_empty() {
            phase.verification.push(text.to_owned());
            self.below = Below::Criterion;
        }
    }

    /// Whether a line of text goes on with the paragraph above it.
    fn goes_on(&self, text: &str) -> bool {
        let is_rule = text.bytes().all(|byte| matches!(byte, b'-' | b'*' | b'_' | b' '));
        self.in_paragraph && !is_rule
    }

    /// A further line of the last criterion.
    fn go_on_with_criterion(&mut self, phase: usize, text: &str) {
        if let Some(last) = self.draft.spec.phases[phase].verification.last_mut() {
            last.push('\n');
            last.push_str(text);
            self.below = Below::Criterion;
        }
    }

    fn begin_task(&mut self, at: usize, line: &'a str, number: &str, description: String, done: bool) {
        let id = match TaskId::new(number) {
            Ok(id) => id,
            Err(error) => {
                self.draft.missing.ids.insert(number.to_owned());
                self.report.error(at, error.to_string(), "Number the task as 1.1 or 1.1.1.");
                return;
            }
        };
        if description.is_empty() {
            let help = "Say what is to be done, on the same line.";
            self.report.warning(at, format!("task {id} has no description"), help);
        }
        let (depends_on, places) = self.dependencies(at, line);
        let phase = self.phase.map(|phase| self.draft.spec.phases[phase].number.clone());
        let mut task = TaskSpec { phase, depends_on, ..TaskSpec::new(id, description) };
        if done {
            task.extra.insert("checked".into(), Value::Bool(true));
        }
        let id = at + line.find(number).unwrap_or_default();
        self.draft.tasks.push(TaskPlaces {
            id,
            phase: at,
            description: id,
            command: at,
            policy: at,
            depends_on: places,
        });
        self.draft.spec.tasks.push(task);
        self.below = Below::Task;
    }

    /// The dependencies named in the line of a task, each once, with their places.
    fn dependencies(&mut self, at: usize, line: &str) -> (Vec<TaskId>, Vec<usize>) {
        let is_prose = |offset: usize| self.code.at(at + offset).is_none();
        if let Some(place) = depends::paraphrased(line, is_prose) {
            let help = "Only `(depends: 1.1, 1.2)` is: write it so, or put the words into backticks if they are none.";
            self.report.warning(at + place, "this is not read as a dependency", help);
        }
        let mut named: Vec<(TaskId, usize)> = Vec::new();
        for depends::Named { id, at: place } in depends::named(line, is_prose) {
            match TaskId::new(id) {
                Ok(id) => named.push((id, at + place)),
                Err(error) => {
                    let help = "Name the tasks by their numbers, with commas between them.";
                    self.report.error(at + place, error.to_string(), help);
                }
            }
        }
        let mut seen = HashSet::new();
        named.retain(|(id, _)| seen.insert(id.clone()));
        named.into_iter().unzip()
    }

    fn indented(&mut self, at: usize, text: &'a str) {
        let trimmed = text.trim_start();
        let indent = text.len() - trimmed.len();
        let is_prose = self.code.at(at + indent).is_none();
        match (self.below, self.phase) {
            (Below::Task, _) => {
                if is_prose {
                    self.warn_of_detail(at + indent, text, trimmed);
                }
                self.steps.push(text);
            }
            (Below::Criterion, Some(phase)) => self.go_on_with_criterion(phase, trimmed),
            (Below::Verify, Some(phase)) => self.criterion(phase, trimmed),
            (_, Some(_)) if is_prose && line::resembles_task(text) => {
                let help = "A task begins at the left margin; what is indented belongs to the task above it.";
                self.report.warning(at + indent, "this looks like a task, but it is indented", help);
            }
            _ => {}
        }
    }

    /// Warns of what was perhaps not meant as a mere detail of a task.
    fn warn_of_detail(&mut self, at: usize, text: &str, trimmed: &str) {
        if text.starts_with(' ') && !text[1..].starts_with([' ', '\t']) && line::resembles_task(text) {
            let help = "It is a detail of the task above: move it to the left margin to make a task of it.";
            self.report.warning(at, "this looks like a task, but it is indented by one blank", help);
        }
        let code = self.code;
        if let Some(named) = depends::named(trimmed, |offset| code.at(at + offset).is_none()).first() {
            let help = "Dependencies are read from the first line of a task: move it there.";
            self.report.warning(
                at + named.at,
                "this dependency is in the details of a task, so it is none",
                help,
            );
        }
    }

    /// Gives the last task the lines below it.
    fn end_task(&mut self) {
        self.below = Below::Nothing;
        let Some(task) = self.draft.spec.tasks.last_mut() else { return };
        let indents = self.steps.iter().map(|step| step.len() - step.trim_start_matches([' ', '\t']).len());
        let indent = indents.min().unwrap_or_default();
        task.steps.extend(self.steps.drain(..).map(|step| step[indent..].to_owned()));
    }
}

/// Appends to a list among the extras; says whether it is the first of it.
fn push(extra: &mut Map<String, Value>, key: &str, value: Value) -> bool {
    match extra.get_mut(key) {
        Some(Value::Array(list)) => {
            list.push(value);
            false
        }
        _ => {
            extra.insert(key.to_owned(), Value::Array(vec![value]));
            true
        }
    }
}

#[cfg(test)]
mod tests;
