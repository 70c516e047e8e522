//! Which format a plan file has: by the folder that a tool keeps it in, else by what it contains.

use serde_json::Value;

use crate::{
    checkbox::{self, Checkbox, Found},
    checklist::{headed, outline},
    format::{Format, file_name},
    markdown::line,
    note,
};

impl Format {
    /// The format of a file, by its path and its content; `None` if it is none of ours.
    #[must_use]
    pub fn detect(path: &str, bytes: &[u8]) -> Option<Self> {
        let by_name = Self::of(path)?;
        let Ok(text) = std::str::from_utf8(bytes) else { return Some(by_name) };
        Some(match by_name {
            Self::Markdown => noted(text).or_else(|| by_folder(path, text)).unwrap_or_else(|| {
                let signs = Signs::of(text);
                match signs.format() {
                    Self::Markdown if signs.boxes == 0 && headed::has_tasks(path, bytes) => Self::Checklist,
                    format => format,
                }
            }),
            Self::Taskmaster if !is_of_taskmaster(path) && is_ralph(path, text) => Self::Ralph,
            other => other,
        })
    }
}

/// The format that planlease noted when it wrote the file.
fn noted(text: &str) -> Option<Format> {
    let note = text.lines().find_map(note::in_line)?;
    note.get("format").and_then(Value::as_str).and_then(Format::named)
}

/// The tool whose folder the file is in.
fn by_folder(path: &str, text: &str) -> Option<Format> {
    let name = file_name(path).to_ascii_lowercase();
    let has = |folder: &str| path.split(['/', '\\']).any(|part| part == folder);
    match name.as_str() {
        "tasks.md" if has(".kiro") || has("kiro") => Some(Format::Kiro),
        "tasks.md" if has("openspec") => Some(Format::OpenSpec),
        "plan.md" if has("conductor") => Some(Format::Conductor),
        _ if (has("backlog") || has(".backlog")) && begins_with_front_matter(text) => Some(Format::Backlog),
        _ => None,
    }
}

/// Whether a file is in Taskmaster's folder.
fn is_of_taskmaster(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part == ".taskmaster")
}

/// Whether a JSON file lists stories: they pass or do not, where tasks have a status.
fn is_ralph(path: &str, text: &str) -> bool {
    let is_named = file_name(path).to_ascii_lowercase().starts_with("prd");
    let Ok(document) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
        let names = ["\"userStories\"", "\"passes\"", "\"stories\""];
        return is_named || names.iter().any(|name| text.contains(name));
    };
    let root = document.get("prd").unwrap_or(&document);
    let has = |name: &str| root.get(name).is_some_and(Value::is_array);
    let first = root.as_array().or_else(|| root.get("tasks")?.as_array()).and_then(|list| list.first());
    match first {
        Some(first) => first.get("passes").is_some() || is_named && first.get("status").is_none(),
        None => {
            is_named || ["userStories", "user_stories", "stories"].into_iter().any(has) || has_stories(root)
        }
    }
}

/// Whether there are phases with stories of their own.
fn has_stories(root: &Value) -> bool {
    let phases = ["phases", "epics"].iter().filter_map(|name| root.get(name)?.as_array()).flatten();
    phases
        .into_iter()
        .any(|phase| ["userStories", "user_stories", "stories"].iter().any(|name| phase.get(name).is_some()))
}

fn begins_with_front_matter(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').lines().next().is_some_and(|line| line.trim_end() == "---")
}

/// The text of the heading that a line is, or makes of the one above.
fn heading<'l>(line: &'l str, above: &'l str) -> Option<&'l str> {
    let underlined = || outline::underline(line).map(|_| above.trim()).filter(|above| !above.is_empty());
    outline::heading(line).map(|(_, text)| text).or_else(underlined)
}

/// What in a Markdown text shows its format: numbers of lines.
#[derive(Debug, Default)]
struct Signs {
    boxes: usize,
    /// `- [ ] T001`
    t_numbers: usize,
    /// `- [ ] Task: `
    labelled: usize,
    /// `- [ ] 1.1 ` or `- [ ] 1. `
    numbered: usize,
    /// `## 1. Group`
    groups: usize,
    /// `_Requirements: 1.1_`
    requirements: usize,
    /// `- [ ] 1.1 ` below `## Phase 1: Name`
    in_phases: usize,
    /// `- [ ] 10-01: ` and `- [ ] 20.1-01-PLAN.md`: plans within phases.
    dashed: usize,
    /// `id:` and `status:` in front matter.
    fields: usize,
    /// The column of the last box that is nested below none.
    outermost: Option<usize>,
}

impl Signs {
    fn of(text: &str) -> Self {
        let mut signs = Self::default();
        let (mut in_phase, mut in_code) = (false, false);
        let front = outline::front_matter(text);
        let mut above = "";
        for (nth, line) in text.lines().enumerate() {
            let above = std::mem::replace(&mut above, line);
            if nth < front {
                signs.fields += usize::from(line.starts_with("id:") || line.starts_with("status:"));
                continue;
            }
            let trimmed = line.trim_start();
            if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
                in_code = !in_code;
            } else if let Some(heading) = heading(line, above).filter(|_| !in_code) {
                in_phase |= line::phase(heading).is_some();
                let is_group =
                    heading.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
                signs.groups += usize::from(is_group);
                signs.outermost = None;
            } else if !in_code {
                signs.line(line, in_phase);
            }
        }
        signs
    }

    fn line(&mut self, line: &str, in_phase: bool) {
        let mut is_nested = false;
        if line.contains("_Requirements:") || line.contains("_Requirement:") {
            self.requirements += 1;
        }
        if let Found::Box(Checkbox { text, indent, .. }) = checkbox::read(line) {
            self.boxes += 1;
            is_nested = self.outermost.is_some_and(|outermost| outermost + 1 < indent);
            self.outermost = if is_nested { self.outermost } else { Some(indent) };
            let bare = text.trim_start_matches(['*', '[']);
            let number = bare.strip_prefix('T').map(|rest| rest.strip_prefix('-').unwrap_or(rest));
            let digits = number.map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
            self.t_numbers += usize::from(digits >= 2);
            self.labelled += usize::from(bare.starts_with("Task:"));
            let number = bare.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
            self.numbered += usize::from(bare[..number].contains('.'));
            let behind = bare[number..].strip_prefix('-').filter(|_| number > 0);
            if behind.is_some_and(|behind| behind.starts_with(|c: char| c.is_ascii_digit())) {
                self.dashed += 1;
                return;
            }
        }
        // Below another box it may be the sub-task of any checklist.
        let near = line::near_task(line).filter(|near| near.has_box && in_phase && !is_nested);
        let is_first = |number: &str| {
            let before = line.find(number).map_or("", |at| &line[..at]);
            !before.contains(|c: char| c.is_alphabetic() && !matches!(c, 'x' | 'X'))
        };
        self.in_phases += usize::from(near.is_some_and(|near| is_first(near.number)));
    }

    fn format(&self) -> Format {
        let most = |number: usize| number > 0 && 2 * number >= self.boxes;
        if self.fields >= 2 {
            Format::Backlog
        } else if self.in_phases > self.dashed || self.boxes == 0 {
            Format::Markdown
        } else if most(self.t_numbers) {
            Format::SpecKit
        } else if self.labelled > 0 && 8 * self.labelled >= self.boxes {
            Format::Conductor
        } else if self.requirements > 0 && self.numbered > 0 {
            Format::Kiro
        } else if self.groups > 0 && most(self.numbered) {
            Format::OpenSpec
        } else {
            Format::Checklist
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_or_the_content_tells_the_format() {
        for (path, text, format) in [
            (".kiro/specs/a/tasks.md", "- [ ] a", Format::Kiro),
            ("openspec/changes/a/tasks.md", "- [ ] a", Format::OpenSpec),
            ("conductor/tracks/a/plan.md", "- [ ] a", Format::Conductor),
            ("backlog/tasks/task-1 - a.md", "---\nid: task-1\n---\n", Format::Backlog),
            ("a.md", "---\nid: task-1\nstatus: Done\n---\n", Format::Backlog),
            ("a.md", "## Phase 1: A\n- [ ] 1.1 a\n", Format::Markdown),
            ("a.md", "## Phase 1: A\n- [~] 1.1 a\n", Format::Markdown),
            ("a.md", "no task", Format::Markdown),
            ("a.md", "## Phase 1: A\n- [x] 1. a\n  - [x] 1.1 b\n    - _Requirements: 1.1_\n", Format::Kiro),
            ("a.md", "## Phase 1: A\n- [x] 1. a\n  - [x] 1.1 b\n", Format::Checklist),
            ("a.md", "## Phase 1: A\n- [ ] 1.1 a\n  - [ ] 1.1.1 b\n", Format::Markdown),
            ("a.md", "### Task 1: A\n\nDo.\n\n### Task 2: B\n", Format::Checklist),
            ("a.md", "### Task 1: A\n\n### Task 1: B\n", Format::Markdown),
            ("a.md", "### Task 1: A\n```\n- [ ] b\n```\n### Task 2: B\n", Format::Markdown),
            ("a.md", "## Phase 1: A\n- [ ] T001 a\n", Format::SpecKit),
            ("a.md", "## Phase 1: A\n- [ ] Task: a\n  - [ ] b\n", Format::Conductor),
            ("a.md", "- [ ] 1. a\n  - _Requirements: 1.1_\n", Format::Kiro),
            ("a.md", "## 1. A\n- [ ] 1.1 a\n", Format::OpenSpec),
            ("a.md", "## Phase 1: A\n- [ ] a\n", Format::Checklist),
            ("a.md", "- [ ] 1.1 a\n", Format::Checklist),
            ("a.toml", "- [ ] a", Format::Toml),
            ("tasks.json", "{\"tasks\": []}", Format::Taskmaster),
            ("prd.json", "{\"userStories\": []}", Format::Ralph),
            (".taskmaster/tasks/prd.tasks.json", "{\"a\": {\"tasks\": []}}", Format::Taskmaster),
            ("specs/a/tasks.md", "## Phase 1: A\n- [ ] T-001 [P] a\n", Format::SpecKit),
            ("ROADMAP.md", "## Phase 1: A\n- [ ] 01-01: a\n- [ ] 1.1-02-PLAN.md b\n", Format::Checklist),
            ("archive/kiro/specs/a/tasks.md", "- [ ] a", Format::Kiro),
            ("issues.jsonl", "{}", Format::Beads),
        ] {
            assert_eq!(Format::detect(path, text.as_bytes()), Some(format), "{path} {text:?}");
        }
        assert_eq!(Format::detect("a.yaml", b""), None);
    }
}
