//! What a key orders: always a command line of `planlease`, the same that a person would type. So whatever
//! can be done here can be done in a shell, and refusals are explained by the command.

use planlease_core::{PlanName, TaskId};

/// What the driver is to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Run `planlease` with these arguments, and bring what it prints back by
    /// [`Top::show`](crate::Top::show).
    Show {
        /// The heading.
        title: String,
        /// The arguments.
        args: Vec<String>,
    },
    /// Run `planlease` with these arguments, which change something, and bring its end back by
    /// [`Top::done`](crate::Top::done).
    Run(Vec<String>),
    /// Stop, as other programs do at Ctrl-Z.
    Suspend,
    /// End.
    Quit,
}

/// Something that can be done to what is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// The key.
    pub(crate) key: char,
    /// The verb, for the line of keys.
    pub(crate) verb: &'static str,
    /// The command line, without the reason.
    args: Vec<String>,
    /// Whether the command takes a reason.
    pub(crate) takes_reason: bool,
}

impl Action {
    fn new(key: char, verb: &'static str, args: &[&str], takes_reason: bool) -> Self {
        Self { key, verb, args: args.iter().map(ToString::to_string).collect(), takes_reason }
    }

    /// What can be done to a plan.
    pub(crate) fn of_plan(plan: &PlanName, is_paused: bool) -> Vec<Self> {
        let name = plan.as_str();
        let halt = if is_paused {
            Self::new('p', "resume", &["plan", "resume", name], false)
        } else {
            Self::new('p', "pause", &["plan", "pause", name], true)
        };
        vec![
            halt,
            Self::new('x', "cancel", &["plan", "cancel", name, "--yes"], true),
            Self::new('o', "end ownership", &["owner", "release", name, "--yes"], true),
        ]
    }

    /// What can be done to a task.
    pub(crate) fn of_task(plan: &PlanName, task: &TaskId) -> Vec<Self> {
        let (plan, task) = (plan.as_str(), task.as_str());
        vec![
            Self::new('r', "retry", &["task", "retry", plan, task], true),
            Self::new('s', "skip", &["task", "skip", plan, task], true),
            Self::new('x', "cancel", &["task", "cancel", plan, task, "--then", "fail"], true),
        ]
    }

    /// What can be done to an orchestrator.
    pub(crate) fn of_orchestrator(name: &str) -> Vec<Self> {
        vec![
            Self::new('c', "cordon", &["orchestrator", "cordon", name], true),
            Self::new('u', "uncordon", &["orchestrator", "uncordon", name], false),
        ]
    }

    /// The command line, with the reason if it takes one.
    pub(crate) fn args(&self, reason: &str) -> Vec<String> {
        let mut args = self.args.clone();
        if self.takes_reason {
            args.extend(["--reason".to_owned(), reason.to_owned()]);
        }
        args
    }
}

/// The command line as a person would type it.
pub(crate) fn shown(args: &[String]) -> String {
    let words = std::iter::once("planlease").chain(args.iter().map(String::as_str));
    shlex::try_join(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_is_shown_can_be_typed() {
        let plan = PlanName::new("release").unwrap();
        let retry = &Action::of_task(&plan, &TaskId::new("5.4").unwrap())[0];
        let line = shown(&retry.args("it's the \"network\""));
        assert_eq!(line, r#"planlease task retry release 5.4 --reason "it's the \"network\"""#);
        let resume = &Action::of_plan(&plan, true)[0];
        assert_eq!(shown(&resume.args("unused")), "planlease plan resume release");
    }
}
