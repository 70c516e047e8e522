//! Which agents there are, and what belongs into which file of a project for each.

use std::fmt;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{
    block::{self, Comment},
    element::Element,
    member,
};

/// An agent that can be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Agent {
    /// Claude Code: `.mcp.json`, `.claude/settings.json` and a skill
    ClaudeCode,
    /// Codex: `.codex/config.toml`, `.codex/hooks.json` and `AGENTS.md`
    Codex,
    /// Gemini CLI: `.gemini/settings.json` and `GEMINI.md`
    Gemini,
    /// opencode: `opencode.json` and `AGENTS.md`
    Opencode,
    /// Cursor: `.cursor/mcp.json`, `.cursor/hooks.json` and `AGENTS.md`
    Cursor,
}

/// An edit of one file.
pub(super) struct Edit {
    /// Below the project's folder.
    pub(super) path: &'static str,
    what: What,
}

enum What {
    /// The member `planlease` of this member of an object of JSON.
    Member(&'static str, Value),
    /// A hook that runs [`PRIME`] at the start of a session.
    Hook(Element),
    /// A marked block of lines.
    Block(Comment, String),
    /// A file of our own.
    File(String),
}

/// What a section about plans says.
const SECTION: &str = "\
## Plans (planlease)

Tasks of plans are handed out by planlease, so that no two agents work on one. If you are to work on a plan:

1. Run `planlease prime PLAN` first: it prints the state of the plan, your claims, and what is ready.
   `planlease status` lists the plans.
2. Claim a task before you work on it, by the tool `claim` of the MCP server `planlease`, or where there is none by
   `planlease task claim PLAN`.
3. Report with `progress` every few minutes. If a call is refused, stop working on the task: read the reason.
4. End each claim: `complete` with notes, `fail` with what is wrong, or `return` if you cannot do it now.
";

const SKILL_HEAD: &str = "\
---
name: planlease
description: Work on the tasks of a plan together with other agents. Use when asked to work on a plan, to take the next \
task, or to report on one.
---

";

impl Agent {
    /// What belongs into which file.
    pub(super) fn edits(self) -> Vec<Edit> {
        let server = json!({ "command": "planlease", "args": ["mcp"] });
        let section = |path| Edit { path, what: What::Block(Comment::Markdown, SECTION.to_owned()) };
        let member = |path, name, value| Edit { path, what: What::Member(name, value) };
        match self {
            Self::ClaudeCode => vec![
                member(".mcp.json", "mcpServers", server),
                hook(".claude/settings.json", PRIME),
                Edit {
                    path: ".claude/skills/planlease/SKILL.md",
                    what: What::File(format!("{SKILL_HEAD}{SECTION}")),
                },
            ],
            Self::Codex => vec![
                Edit {
                    path: ".codex/config.toml",
                    what: What::Block(
                        Comment::Toml,
                        "[mcp_servers.planlease]\ncommand = \"planlease\"\nargs = [\"mcp\"]\n".to_owned(),
                    ),
                },
                hook(".codex/hooks.json", PRIME),
                section("AGENTS.md"),
            ],
            Self::Gemini => vec![
                member(".gemini/settings.json", "mcpServers", server),
                hook(".gemini/settings.json", "planlease prime --hook gemini"),
                section("GEMINI.md"),
            ],
            Self::Opencode => {
                let server = json!({ "type": "local", "command": ["planlease", "mcp"], "enabled": true });
                vec![member("opencode.json", "mcp", server), section("AGENTS.md")]
            }
            Self::Cursor => {
                vec![member(".cursor/mcp.json", "mcpServers", server), cursor_hook(), section("AGENTS.md")]
            }
        }
    }

    /// What is to be done besides.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code asks once whether it may start the server of a project",
            Self::Codex => {
                "Codex reads .codex in projects that it trusts, and runs a hook once you trust it (/hooks)"
            }
            Self::Gemini | Self::Opencode | Self::Cursor => "start the agent again to use it",
        }
    }
}

/// A hook at the start of a session, in the form that Claude Code, Codex and Gemini CLI share.
fn hook(path: &'static str, command: &str) -> Edit {
    let value = json!({ "hooks": [{ "type": "command", "command": command }] });
    let element = Element { object: "hooks", list: "SessionStart", value, base: Map::new() };
    Edit { path, what: What::Hook(element) }
}

/// The same for Cursor, whose file of hooks has a version.
fn cursor_hook() -> Edit {
    let value = json!({ "command": "planlease prime --hook cursor" });
    let base = Map::from_iter([("version".to_owned(), json!(1))]);
    let element = Element { object: "hooks", list: "sessionStart", value, base };
    Edit { path: ".cursor/hooks.json", what: What::Hook(element) }
}

/// Whether a part of a file of hooks runs [`PRIME`], with whichever arguments.
fn runs_prime(part: &Value) -> bool {
    match part {
        Value::Object(members) => members.iter().any(|(name, value)| match value {
            Value::String(command) => name == "command" && command.contains(PRIME),
            other => runs_prime(other),
        }),
        Value::Array(parts) => parts.iter().any(runs_prime),
        _ => false,
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no agent is hidden");
        f.write_str(value.get_name())
    }
}

impl Edit {
    /// The file with the edit, or without it; `None` if no file is left.
    ///
    /// # Errors
    /// Why it cannot be edited, as the end of a sentence.
    pub(super) fn apply(&self, before: Option<&str>, remove: bool) -> Result<Option<String>, String> {
        match (&self.what, remove) {
            (What::Member(object, value), false) => {
                member::set(before.unwrap_or(""), object, NAME, value).map(Some)
            }
            (What::Member(object, _), true) => match before {
                Some(text) => member::remove(text, object, NAME),
                None => Ok(None),
            },
            (What::Hook(element), false) => element.set(before.unwrap_or(""), runs_prime).map(Some),
            (What::Hook(element), true) => match before {
                Some(text) => element.remove(text),
                None => Ok(None),
            },
            (What::Block(comment, text), false) => block::set(before.unwrap_or(""), *comment, text).map(Some),
            (What::Block(comment, _), true) => match before {
                Some(text) => block::remove(text, *comment),
                None => Ok(None),
            },
            (What::File(text), false) => Ok(Some(text.clone())),
            (What::File(_), true) => Ok(None),
        }
    }
}

/// Under which name the server is entered.
const NAME: &str = "planlease";

/// What a hook at the start of a session runs.
const PRIME: &str = "planlease prime";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_up_twice_is_setting_up_once_and_can_be_undone() {
        for agent in Agent::value_variants() {
            for edit in agent.edits() {
                let once = edit.apply(None, false).unwrap().unwrap();
                assert_eq!(edit.apply(Some(&once), false).unwrap().as_deref(), Some(&*once), "{}", edit.path);
                assert_eq!(edit.apply(Some(&once), true).unwrap(), None, "{}", edit.path);
                assert_eq!(edit.apply(None, true).unwrap(), None, "{}", edit.path);
            }
        }
    }

    #[test]
    fn a_hook_that_a_person_wrote_stays_as_it_is() {
        let hook = hook(".claude/settings.json", PRIME);
        let theirs = json!({ "matcher": "startup", "hooks": [{ "command": "planlease prime release" }] });
        let file = json!({ "hooks": { "SessionStart": [theirs], "Stop": [{ "command": "bell" }] } });
        let file = file.to_string();
        assert_eq!(hook.apply(Some(&file), false).unwrap().as_deref(), Some(&*file));
        assert_eq!(hook.apply(Some(&file), true).unwrap().as_deref(), Some(&*file));
        let other = file.replace("planlease prime release", "make");
        let with = hook.apply(Some(&other), false).unwrap().unwrap();
        assert!(with.contains(PRIME) && with.contains("make") && with.contains("bell"), "{with}");
    }
}
