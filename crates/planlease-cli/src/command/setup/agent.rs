//! Which agents there are, and what belongs into which file of a project for each.

use std::fmt;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{
    block::{self, Comment},
    member,
};

/// An agent that can be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Agent {
    /// Claude Code: `.mcp.json` and a skill
    ClaudeCode,
    /// Codex: `.codex/config.toml` and `AGENTS.md`
    Codex,
    /// Gemini CLI: `.gemini/settings.json` and `GEMINI.md`
    Gemini,
    /// opencode: `opencode.json` and `AGENTS.md`
    Opencode,
    /// Cursor: `.cursor/mcp.json` and `AGENTS.md`
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
                section("AGENTS.md"),
            ],
            Self::Gemini => {
                vec![member(".gemini/settings.json", "mcpServers", server), section("GEMINI.md")]
            }
            Self::Opencode => {
                let server = json!({ "type": "local", "command": ["planlease", "mcp"], "enabled": true });
                vec![member("opencode.json", "mcp", server), section("AGENTS.md")]
            }
            Self::Cursor => vec![member(".cursor/mcp.json", "mcpServers", server), section("AGENTS.md")],
        }
    }

    /// What is to be done besides.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code asks once whether it may start the server of a project",
            Self::Codex => "Codex reads .codex/config.toml in projects that it trusts",
            Self::Gemini | Self::Opencode | Self::Cursor => "start the agent again to use it",
        }
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
}
