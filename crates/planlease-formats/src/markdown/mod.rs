//! Reads the Markdown plan files: phases as headings, tasks as checklists.
//!
//! The grammar is one of *lines*: a heading, an item at the left margin, what is indented below it. That is
//! how people write these plans and how agents edit them, and it is not quite Markdown: a
//! `**VERIFY Phase 1:**` that follows an indented line without a blank one between belongs to that line for
//! Markdown, and to the phase for everybody else. So the lines are read here, and a Markdown parser says only
//! which of them are code or HTML, the part that is hard to get right ([`code`]). What a single line is,
//! [`line`] says.
//!
//! Nothing that looks like a task or a dependency is passed over: what is not understood is an error with its
//! place, or a warning where it is as likely to be prose. What resembles a task is judged at the end
//! ([`near`]), since a number that a task of the plan has is a mention of that task.

mod code;
mod depends;
mod extras;
pub(crate) mod line;
mod near;
mod note;
mod notes;
mod outline;
mod waits;

use std::collections::HashMap;

use planlease_core::{
    TaskId,
    spec::{CHECKED, PhaseSpec, TaskSpec},
};
use serde_json::Value;

use self::{
    code::{Code, Verbatim},
    depends::{Fault, Place},
    line::Line,
    near::{Doubt, Doubtful, StrayPhase},
    outline::Outline,
    waits::Subject,
};
use crate::{
    approval,
    draft::{Draft, TaskPlaces},
    format::file_name,
    report::Report,
    text::Text,
};

const HOW_TO_WRITE_A_TASK: &str =
    "A task is a line `- [ ] 1.1 What to do` at the left margin, below a heading `## Phase 1: Name`.";

/// Reads a Markdown plan. What cannot be a plan, and what may not be meant, goes into the report.
pub(crate) fn read(text: &Text<'_>, report: &mut Report<'_>) -> Draft {
    let code = Code::find(text.as_str());
    for &at in &code.unclosed {
        let (what, part) = match code.at(at) {
            Some(Verbatim::Comment) => ("comment", "is part of it"),
            _ => ("block of code", "counts as code"),
        };
        let help = format!("Everything below it {part}, up to the end of the file or list: close it.");
        let holds_task = |line: &str| line::near_task(line).is_some_and(|near| near.has_box);
        if code.block(at).is_some_and(|block| text.as_str()[block].lines().any(holds_task)) {
            report.error(at, format!("this {what} has no end, and tasks are in it"), help);
        } else {
            report.warning(at, format!("this {what} has no end"), help);
        }
    }
    let outline = Outline::find(text, &code);
    let mut reader = Reader::new(text.as_str(), &code, &outline, report);
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

/// A part of a task that reads on over several lines: its own line, or one of its details.
#[derive(Clone, Copy, Debug)]
struct Paragraph {
    start: usize,
    end: usize,
    place: Place,
}

/// Reads line by line; the state is what the lines above say about the next one.
struct Reader<'r, 'a, 't> {
    /// The whole text; what its lines are cut into are parts of it.
    text: &'a str,
    code: &'r Code,
    outline: &'r Outline<'a>,
    report: &'r mut Report<'t>,
    draft: Draft,
    notes: Vec<notes::Found<'a>>,
    /// What is said about dependencies.
    stated: Vec<waits::Found<'a>>,
    /// What is said about approvals of the last task.
    approvals: Vec<approval::Stated<'a>>,
    /// What resembles tasks and is none.
    doubtful: Vec<Doubtful<'a>>,
    /// The numbered steps, and the places of their tasks.
    numbered_steps: HashMap<&'a str, usize>,
    /// The phases seen, by number: their places in the plan.
    phases: HashMap<&'a str, usize>,
    /// The place of the phase that the line is in.
    phase: Option<usize>,
    /// What resembles the heading of a phase above the line.
    stray_phase: Option<StrayPhase<'a>>,
    /// Whether the line is below a `**VERIFY …:**`.
    verifying: bool,
    below: Below,
    /// Whether the line before was not blank: a line of text then goes on with its paragraph.
    in_paragraph: bool,
    /// Whether it was a line of text.
    in_text: bool,
    /// The paragraph of the last task that the line may go on with.
    paragraph: Option<Paragraph>,
    /// Whether a task is in the list that the line may go on with.
    list_has_task: bool,
    /// The boxes without a number in that list: where they are, and their text.
    unnumbered: Vec<(usize, &'a str)>,
    /// The lines below the last task, as they are.
    steps: Vec<&'a str>,
}

impl<'r, 'a, 't> Reader<'r, 'a, 't> {
    fn new(text: &'a str, code: &'r Code, outline: &'r Outline<'a>, report: &'r mut Report<'t>) -> Self {
        let draft = Draft { how_to_write_a_task: HOW_TO_WRITE_A_TASK, ..Draft::default() };
        Self {
            text,
            code,
            outline,
            report,
            draft,
            notes: Vec::new(),
            stated: Vec::new(),
            approvals: Vec::new(),
            doubtful: Vec::new(),
            numbered_steps: HashMap::new(),
            phases: HashMap::new(),
            phase: None,
            stray_phase: None,
            verifying: false,
            below: Below::Nothing,
            in_paragraph: false,
            in_text: false,
            paragraph: None,
            list_has_task: false,
            unnumbered: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn finish(mut self) -> (Draft, Vec<notes::Found<'a>>) {
        self.end_task();
        self.end_list();
        near::judge(self.doubtful, &mut self.draft, self.report);
        waits::resolve(self.stated, &self.numbered_steps, &mut self.draft, &mut self.notes, self.report);
        (self.draft, self.notes)
    }

    fn line(&mut self, at: usize, line: &'a str) {
        if let Some((level, text)) = self.outline.underlined(at) {
            self.end_task();
            (self.in_paragraph, self.in_text) = (false, false);
            self.heading(at, line, level, text);
            return;
        }
        if self.outline.is_underline(at) {
            return;
        }
        let Some(kind) = line::classify(line) else {
            (self.in_paragraph, self.in_text) = (false, false);
            self.end_paragraph();
            return;
        };
        let kind = match kind {
            // One blank nests nothing: the item is a sibling of those at the margin.
            Line::Indented(text)
                if line::is_task_behind_one_blank(text) && self.code.at(at + 1).is_none() =>
            {
                line::classify(&text[1..]).unwrap_or(kind)
            }
            kind => kind,
        };
        if let Line::Indented(text) = kind {
            self.indented(at, text); // Code too, if it is below a task.
            (self.in_paragraph, self.in_text) = (true, false);
            return;
        }
        // What a line is, its beginning says, also if a stray backtick above makes code of it.
        if let Some(verbatim) = self.code.at(at).filter(|verbatim| *verbatim != Verbatim::Span) {
            self.verbatim(at, line, verbatim);
            return;
        }
        if let Line::Text(text) = kind
            && let Some(Paragraph { start, end, .. }) = self.paragraph
            && self.goes_on(text)
        {
            let is_statement = !depends::stated(text, Place::Label, |_| true).is_empty();
            let last = self.text[start..end].rsplit('\n').next().unwrap_or_default();
            let in_bracket = last.rfind('(') > last.rfind(')');
            if in_bracket || is_statement || line::is_plain(text) {
                self.steps.push(text);
                self.go_on_with_task(at, at + line.len(), is_statement && !in_bracket);
                return;
            }
        }
        let above = self.below;
        self.end_task();
        match kind {
            Line::Heading { level, text } => self.heading(at, line, level, text),
            Line::Check { done, text } => self.check(at, line, done, text),
            Line::Item(text) => self.item(at, line, text, above),
            Line::Text(text) => self.text(at, text, above),
            Line::Indented(_) => {}
        }
        self.in_paragraph = !matches!(kind, Line::Heading { .. });
        self.in_text =
            matches!(kind, Line::Text(text) if !text.starts_with('|') && line::near_task(text).is_none());
    }

    /// A line at the left margin that is no prose. It ends nothing but the task above.
    fn verbatim(&mut self, at: usize, line: &str, verbatim: Verbatim) {
        self.end_task();
        if verbatim == Verbatim::Html
            && self.phase.is_some()
            && let Some(near) = line::near_task(line).filter(|near| near.has_box)
        {
            self.draft.missing.ids.insert(near.number.to_owned());
            let help = "HTML goes on up to the next blank line: put one above the checklist.";
            self.report.error(at, "this task is part of a block of HTML", help);
        }
    }

    fn heading(&mut self, at: usize, line: &'a str, level: usize, text: &'a str) {
        self.verifying = false;
        self.end_list();
        if self.stray_phase.is_some_and(|stray| stray.level.is_none_or(|above| level <= above)) {
            self.stray_phase = None;
        }
        if let Some((number, name)) = self.outline.phase(level, text) {
            self.stray_phase = None;
            self.begin_phase(at, number, name);
            return;
        }
        if level <= self.outline.phase_level {
            self.phase = None;
        }
        self.note_stray_phase(at, line, Some(level));
        if let Some(near) = line::near_task(text).filter(|_| self.phase.is_some())
            && self.is_in_place(near.number, Below::Nothing)
        {
            self.doubt(at, near.number, Doubt::Heading);
        }
    }

    /// Keeps in mind a line that seems to begin another phase.
    fn note_stray_phase(&mut self, at: usize, line: &'a str, level: Option<usize>) {
        let number = line::near_phase(line).filter(|number| self.phase_number() != Some(*number));
        if let Some(number) = number {
            self.stray_phase = Some(StrayPhase { at, number, level, is_reported: false });
        }
    }

    /// The number of the phase that the line is in.
    fn phase_number(&self) -> Option<&str> {
        self.phase.map(|phase| self.draft.spec.phases[phase].number.as_str())
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
        self.look_for_dependencies(name, Place::Heading, Subject::Phase { place: index, has_tasks: false });
    }

    fn check(&mut self, at: usize, line: &'a str, done: bool, text: &'a str) {
        let task = line::task(text);
        if task.is_some() || line::near_number(text, true).is_some() {
            self.blame_stray_phase(task.as_ref().map(|(number, _)| *number));
        }
        let Some(phase) = self.phase else {
            if (task.is_some() || line::begins_with_number(text)) && self.stray_phase.is_none() {
                let help = "It is in no phase: tasks stand below a heading `## Phase 1: Name`, up to the next \
                            heading of that level.";
                let at = self.offset(text);
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
        } else if let Some(number) = line::near_number(text, true) {
            self.doubt(at, number, Doubt::Number);
        } else {
            self.without_number(at, text);
        }
    }

    /// Reports what resembles the heading of a phase, once there are tasks below it.
    fn blame_stray_phase(&mut self, task: Option<&str>) {
        if let Some(stray) = &mut self.stray_phase
            && stray.is_to_blame_for(task)
        {
            stray.is_reported = true;
            self.draft.missing.phases = true;
            self.report.error(
                stray.at,
                stray.message(self.outline.phase_level),
                stray.help(self.outline.phase_level),
            );
        }
    }

    fn doubt(&mut self, at: usize, number: &'a str, doubt: Doubt) {
        self.doubtful.push(Doubtful { at, number, doubt });
    }

    /// An item of a checklist that has no number, or one that is written in another way. Among tasks it is
    /// one that is lost.
    fn without_number(&mut self, at: usize, text: &'a str) {
        let odd = line::odd_number(text).filter(|(_, first)| self.is_in_place(first, Below::Nothing));
        if self.list_has_task || odd.is_some() {
            self.report_unnumbered(at, text);
        } else {
            self.unnumbered.push((at, text));
        }
    }

    /// Reports a box that is as good as a task, but for its number.
    fn report_unnumbered(&mut self, at: usize, text: &str) {
        self.draft.missing.nameless = true;
        let message = match line::odd_number(text) {
            Some((odd, _)) => format!("this looks like a task, but `{odd}` is no number of one"),
            None => "this box stands among tasks, and has no number".to_owned(),
        };
        let help = "Write `- [ ] 1.1 What to do`, with a number of two or three parts. What is no task stands below a \
                    line of text, as `**VERIFY:**`, or indented below its task.";
        self.report.error(at, message, help);
    }

    /// Ends a list. Its boxes are kept with the phase if none is a task; said once for each phase.
    fn end_list(&mut self) {
        self.list_has_task = false;
        let Some(phase) = self.phase else { return self.unnumbered.clear() };
        let phase = &mut self.draft.spec.phases[phase];
        for (at, text) in self.unnumbered.drain(..) {
            if extras::push(&mut phase.extra, "unnumbered", Value::from(text)) {
                let message =
                    format!("phase {} has a checklist without numbers: its items are no tasks", phase.number);
                let help = "They are kept and shown, not scheduled. To make tasks of them, begin each with a number, \
                            as `- [ ] 1.1 What to do`.";
                self.report.warning(at, message, help);
            }
        }
    }

    /// Notes that a task is in the list: the boxes above it are none of another one.
    fn join_list(&mut self) {
        self.list_has_task = true;
        for (at, text) in std::mem::take(&mut self.unnumbered) {
            self.report_unnumbered(at, text);
        }
    }

    fn item(&mut self, at: usize, line: &'a str, text: &'a str, above: Below) {
        let near = line::near_task(line);
        if near.is_some_and(|near| near.has_box) {
            self.blame_stray_phase(None);
            self.join_list();
        }
        let Some(phase) = self.phase else { return self.look_at_prose(line) };
        match near {
            Some(near) if near.has_box => self.doubt(at, near.number, Doubt::of_box(line)),
            Some(near) if !self.verifying && self.is_in_place(near.number, above) => {
                self.doubt(at, near.number, Doubt::NoBox);
            }
            _ => {}
        }
        if self.verifying {
            self.criterion(phase, text);
        } else {
            self.label(phase, line);
        }
    }

    /// Whether a task of this number could be the next one here.
    fn is_in_place(&self, number: &str, above: Below) -> bool {
        let first = |number: &str| number.split('.').next().map(str::to_owned);
        let last = self.draft.spec.tasks.last().and_then(|task| first(task.id.as_str()));
        above == Below::Task || first(number) == last || first(number).as_deref() == self.phase_number()
    }

    /// A line of text: a label, or a further line of the criterion `above`.
    fn text(&mut self, at: usize, line: &'a str, above: Below) {
        let text = line.strip_prefix("> ").unwrap_or(line); // Notes are often quoted.
        if !self.goes_on(text) || line::label(text).is_some() {
            self.end_list();
        }
        self.row(at, text);
        self.note_stray_phase(at, line, None);
        let Some((label, rest)) = line::label(text) else {
            match (above, self.phase) {
                (Below::Criterion, Some(phase)) if self.goes_on(text) => {
                    self.go_on_with_criterion(phase, text);
                    return;
                }
                (Below::Verify, Some(phase)) if self.goes_on(text) => return self.criterion(phase, text),
                _ => self.verifying = false,
            }
            self.prose(at, line, above);
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
        } else {
            self.prose(at, line, above);
        }
    }

    /// A row of a table, which is no task.
    fn row(&mut self, at: usize, line: &'a str) {
        if let Some(number) = line::near_row(line).filter(|_| self.phase.is_some())
            && self.is_in_place(number, Below::Nothing)
        {
            self.doubt(at, number, Doubt::Row);
        }
    }

    /// A line of text that is none of the known labels.
    fn prose(&mut self, at: usize, line: &'a str, above: Below) {
        let Some(phase) = self.phase else { return self.look_at_prose(line) };
        let unquoted = line.trim_start_matches(['>', ' ']);
        match line::near_task(unquoted) {
            Some(near) if near.has_box && unquoted.len() < line.len() => {
                let help =
                    "It is quoted: a task begins at the left margin. Put it into backticks if it is none.";
                self.report.warning(at, "this looks like a task, but it is quoted", help);
            }
            Some(near) if near.has_box => self.doubt(at, near.number, Doubt::of_box(line)),
            Some(near) if !self.in_text && self.is_in_place(near.number, above) => {
                self.doubt(at, near.number, Doubt::NoBox);
            }
            _ => {}
        }
        self.label(phase, unquoted);
    }

    /// A line of a phase, which may say what the phase depends on.
    fn label(&mut self, phase: usize, line: &'a str) {
        let number = &self.draft.spec.phases[phase].number;
        let has_tasks = self.draft.spec.tasks.last().is_some_and(|task| task.phase.as_ref() == Some(number));
        let subject = Subject::Phase { place: phase, has_tasks };
        if self.look_for_dependencies(line, Place::Label, subject) == 0 {
            self.look_at_prose(line);
        }
    }

    /// Looks for what a part of the text says about dependencies; how much there is.
    fn look_for_dependencies(&mut self, part: &'a str, place: Place, subject: Subject) -> usize {
        let (base, code) = (self.offset(part), self.code);
        let is_comment = |at| code.at(base + at) == Some(Verbatim::Comment);
        let mut found = depends::stated(part, place, |at| code.at(base + at).is_none() || is_comment(at));
        for stated in found.iter_mut().filter(|stated| is_comment(stated.at)) {
            stated.fault = Some(Fault::Prose); // A comment is no text of the plan.
        }
        let number = found.len();
        self.stated.extend(found.into_iter().map(|stated| waits::Found { base, subject, stated }));
        number
    }

    /// Looks for dependencies in prose, where none are read.
    fn look_at_prose(&mut self, line: &'a str) {
        let first = self.stated.len();
        let nowhere = Subject::Phase { place: 0, has_tasks: false };
        self.look_for_dependencies(line, Place::Detail, nowhere);
        for found in &mut self.stated[first..] {
            match found.stated.fault {
                Some(Fault::Unknown { meant: Some(_), .. }) if self.phase.is_some() => {}
                Some(Fault::Unknown { meant: None, .. }) => found.stated.names.clear(),
                _ => found.stated.fault = Some(Fault::Prose),
            }
        }
    }

    /// Where a part of the text begins.
    fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.text.as_ptr().addr()
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
        let has_box = line::near_task(text).is_some_and(|near| near.has_box);
        self.in_paragraph && !is_rule && !has_box
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
        self.join_list();
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
        let phase = self.phase.map(|phase| self.draft.spec.phases[phase].number.clone());
        let mut task = TaskSpec { phase, ..TaskSpec::new(id, description) };
        if done {
            task.extra.insert(CHECKED.to_owned(), Value::Bool(true));
        }
        let id = at + line.find(number).unwrap_or_default();
        self.draft.tasks.push(TaskPlaces {
            id,
            phase: at,
            description: id,
            command: at,
            policy: at,
            depends_on: Vec::new(),
        });
        self.draft.spec.tasks.push(task);
        self.below = Below::Task;
        self.paragraph = Some(Paragraph { start: at, end: at + line.len(), place: Place::Task });
    }

    /// Looks at the paragraph of a task that is over now.
    fn end_paragraph(&mut self) {
        if let (Some(Paragraph { start, end, place }), Some(task)) =
            (self.paragraph.take(), self.draft.spec.tasks.len().checked_sub(1))
        {
            self.look_for_dependencies(&self.text[start..end], place, Subject::Task(task));
            if place == Place::Task {
                let stated = approval::in_text(&self.text[start..end]).into_iter();
                self.approvals.extend(stated.map(|stated| stated.moved(|at| start + at)));
            }
        }
    }

    /// Takes a line to the paragraph of the last task, or to the next one.
    fn go_on_with_task(&mut self, start: usize, end: usize, is_next: bool) {
        if is_next {
            self.end_paragraph();
        }
        match &mut self.paragraph {
            Some(paragraph) => paragraph.end = end,
            None => self.paragraph = Some(Paragraph { start, end, place: Place::Detail }),
        }
    }

    fn indented(&mut self, at: usize, text: &'a str) {
        let trimmed = text.trim_start();
        let place = at + (text.len() - trimmed.len());
        let verbatim = self.code.at(place).filter(|verbatim| *verbatim != Verbatim::Span);
        if self.below == Below::Task {
            return self.detail(at, place, text, verbatim.is_some());
        }
        let Some(phase) = self.phase else { return };
        match (line::near_task(text).filter(|near| near.has_box), verbatim) {
            (Some(near), None) => self.doubt(place, near.number, Doubt::Indented),
            (Some(_), Some(Verbatim::Code)) if !self.in_paragraph => {
                let help =
                    "So far to the right it is code: move it to the left margin, or put it into a fence.";
                self.report.warning(place, "this looks like a task, but it is indented code", help);
            }
            _ => {}
        }
        match self.below {
            Below::Criterion => self.go_on_with_criterion(phase, trimmed),
            Below::Verify => self.criterion(phase, trimmed),
            Below::Nothing | Below::Task => {}
        }
    }

    /// A line below a task: it goes on with the paragraph above, or begins a detail.
    fn detail(&mut self, line_start: usize, at: usize, text: &'a str, is_verbatim: bool) {
        self.steps.push(text);
        let trimmed = text.trim_start();
        let item = line::item(trimmed);
        if is_verbatim || item.is_some() || !self.in_paragraph || self.paragraph.is_none() {
            self.end_paragraph();
        }
        if is_verbatim {
            return;
        }
        self.approvals.extend(approval::in_detail(text).map(|stated| stated.moved(|at| line_start + at)));
        self.go_on_with_task(at, line_start + text.len(), false);
        let Some(task) = self.draft.spec.tasks.last() else { return };
        if let Some(near) = line::near_task(trimmed).filter(|near| near.has_box) {
            let own = task.id.as_str();
            if near.number.strip_prefix(own).is_some_and(|rest| rest.starts_with('.')) {
                self.numbered_steps.insert(near.number, self.draft.spec.tasks.len() - 1);
            } else if near.number.split('.').next() == own.split('.').next() {
                self.doubt(at, near.number, Doubt::Nested);
            }
        }
    }

    /// Gives the last task the lines below it.
    fn end_task(&mut self) {
        self.below = Below::Nothing;
        self.end_paragraph();
        let Some(task) = self.draft.spec.tasks.last_mut() else { return };
        if !self.approvals.is_empty() {
            task.approval = approval::agreed(&std::mem::take(&mut self.approvals), self.report);
        }
        let indents = self.steps.iter().map(|step| step.len() - step.trim_start_matches([' ', '\t']).len());
        let indent = indents.min().unwrap_or_default();
        task.steps.extend(self.steps.drain(..).map(|step| step[indent..].to_owned()));
    }
}

#[cfg(test)]
mod tests;
