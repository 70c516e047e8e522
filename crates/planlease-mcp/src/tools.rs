//! **The table of tools**: their names, what a model reads about them, and who may call them.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};

use crate::{access::Access, arguments, schema};

/// A tool.
pub(crate) struct Row {
    pub(crate) name: Name,
    what: &'static str,
    schema: fn() -> JsonObject,
    pub(crate) access: Access,
}

/// The name of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Plans,
    Next,
    Claim,
    Progress,
    Complete,
    Fail,
    Return,
    Why,
    Retry,
    Skip,
    Approve,
    Reject,
    Pause,
    Resume,
}

impl Name {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Plans => "plans",
            Self::Next => "next",
            Self::Claim => "claim",
            Self::Progress => "progress",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Return => "return",
            Self::Why => "why",
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

const fn row(name: Name, access: Access, schema: fn() -> JsonObject, what: &'static str) -> Row {
    Row { name, what, schema, access }
}

/// Every tool, in the order in which an agent needs them.
static TABLE: [Row; 14] = [
    row(
        Name::Plans,
        Access::Read,
        schema::of::<arguments::Nothing>,
        "Lists the plans with their counts and owners",
    ),
    row(
        Name::Next,
        Access::Read,
        schema::of::<arguments::Next>,
        "Lists the tasks that may start now, in order, and what the others wait for. To get one, call claim",
    ),
    row(
        Name::Claim,
        Access::Work,
        schema::of::<arguments::Claim>,
        "Claims a ready task: it is yours alone until you end it. Work on no task without a claim. Answers the task with \
         its attempt and steps; without tasks, nothing is ready, and it says why",
    ),
    row(
        Name::Progress,
        Access::Work,
        schema::of::<arguments::Progress>,
        "Reports how a claimed task is doing, and what it has spent. If it is refused, stop working on the task",
    ),
    row(Name::Complete, Access::Work, schema::of::<arguments::Complete>, "Ends a claimed task: it is done"),
    row(Name::Fail, Access::Work, schema::of::<arguments::Fail>, "Ends a claimed task: the attempt failed"),
    row(
        Name::Return,
        Access::Work,
        schema::of::<arguments::Return>,
        "Gives a claimed task back unharmed, for another agent",
    ),
    row(
        Name::Why,
        Access::Read,
        schema::of::<arguments::Why>,
        "Explains the state of a plan or a task: its history, the rule behind it, what happens next",
    ),
    row(
        Name::Retry,
        Access::Operate,
        schema::of::<arguments::Operate>,
        "Resets a failed, skipped or completed task to pending",
    ),
    row(
        Name::Skip,
        Access::Operate,
        schema::of::<arguments::Operate>,
        "Leaves a task out; tasks that depend on it may start",
    ),
    row(
        Name::Approve,
        Access::Operate,
        schema::of::<arguments::Approve>,
        "Approves a task that waits for a person: its start, or its result",
    ),
    row(
        Name::Reject,
        Access::Operate,
        schema::of::<arguments::Reject>,
        "Rejects a task that waits for a person's approval",
    ),
    row(
        Name::Pause,
        Access::Operate,
        schema::of::<arguments::Pause>,
        "Pauses a plan: no further task of it starts",
    ),
    row(Name::Resume, Access::Operate, schema::of::<arguments::Resume>, "Lets a paused plan go on"),
];

/// The tools with this much access.
pub(crate) fn table(access: Access) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.access <= access)
}

impl Row {
    /// As clients get it. `named`: whether calls name their session.
    pub(crate) fn tool(&self, named: bool) -> Tool {
        let mut schema = Arc::new((self.schema)());
        if named && self.access == Access::Work {
            schema::with_session(&mut schema, self.name == Name::Claim);
        }
        let hints = ToolAnnotations::new().read_only(self.access == Access::Read).open_world(false);
        let hints = if self.access == Access::Read { hints } else { hints.destructive(false) };
        Tool::new(self.name.as_str(), self.what, schema).annotate(hints)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What a list of tools costs an agent: about a token for 4 bytes of its JSON.
    fn tokens(access: Access, named: bool) -> usize {
        let tools: Vec<Tool> = table(access).map(|row| row.tool(named)).collect();
        serde_json::to_string(&tools).unwrap().len() / 4
    }

    #[test]
    fn eight_tools_cost_less_than_2000_tokens() {
        assert_eq!(table(Access::Work).count(), 8);
        for (named, most) in [(false, 1_300), (true, 1_500)] {
            let tokens = tokens(Access::Work, named);
            assert!(tokens < most, "{tokens} tokens");
        }
        assert!(tokens(Access::Operate, true) < 2_000, "all of them: {}", tokens(Access::Operate, true));
    }

    #[test]
    fn less_access_is_fewer_tools() {
        let names = |access| table(access).map(|row| row.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(Access::Read), ["plans", "next", "why"]);
        assert_eq!(names(Access::Operate)[8..], ["retry", "skip", "approve", "reject", "pause", "resume"]);
    }

    #[test]
    fn schemas_have_no_format_and_no_null() {
        fn check(value: &Value) {
            match value {
                Value::Object(members) => {
                    assert!(!members.contains_key("format"), "{value}");
                    assert!(!members.get("type").is_some_and(Value::is_array), "{value}");
                    members.values().for_each(check);
                }
                Value::Array(items) => items.iter().for_each(check),
                _ => {}
            }
        }
        for row in &TABLE {
            let tool = row.tool(true);
            check(&tool.schema_as_json_value());
            assert_eq!(tool.input_schema["type"], "object", "{}", row.name.as_str());
        }
    }

    #[test]
    fn every_call_that_works_names_its_session_over_http() {
        for row in table(Access::Work).filter(|row| row.access == Access::Work) {
            let schema = row.tool(true).schema_as_json_value();
            let required = schema["required"].as_array().unwrap().contains(&"session".into());
            assert_eq!(required, row.name != Name::Claim, "{schema}");
            assert!(schema["properties"]["session"].is_object(), "{schema}");
            assert!(row.tool(false).schema_as_json_value()["properties"]["session"].is_null());
        }
    }
}
