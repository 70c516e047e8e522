//! What a key orders: always a command line of `planlease`, the same that a person would type. So whatever
//! can be done here can be done in a shell, and refusals are explained by the command.

use planlease_core::{PlanName, TaskId, approval::Awaits};

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

    /// What can be done to a task. `awaits`: what of it waits for an approval, and of which attempt: one that
    /// comes after it is not meant.
    pub(crate) fn of_task(plan: &PlanName, task: &TaskId, awaits: Option<Awaits>) -> Vec<Self> {
        let (plan, task) = (plan.as_str(), task.as_str());
        let retry = Self::new('r', "retry", &["task", "retry", plan, task], true);
        let skip = Self::new('s', "skip", &["task", "skip", plan, task], true);
        let Some(awaits) = awaits else {
            let cancel = ["task", "cancel", plan, task, "--then", "fail"];
            return vec![retry, skip, Self::new('x', "cancel", &cancel, true)];
        };
        let attempt = awaits.attempt().to_string();
        let decide = |key, word| Self::new(key, word, &[word, plan, task, "--attempt", &attempt], true);
        vec![decide('a', "approve"), decide('x', "reject"), retry, skip]
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
        let task = TaskId::new("5.4").unwrap();
        let retry = &Action::of_task(&plan, &task, None)[0];
        let line = shown(&retry.args("it's the \"network\""));
        assert_eq!(line, r#"planlease task retry release 5.4 --reason "it's the \"network\"""#);
        let actions = Action::of_task(&plan, &task, Some(Awaits::Result(2)));
        let reject = actions.iter().find(|action| action.key == 'x').unwrap();
        assert_eq!(shown(&reject.args("no")), "planlease reject release 5.4 --attempt 2 --reason no");
        let resume = &Action::of_plan(&plan, true)[0];
        assert_eq!(shown(&resume.args("unused")), "planlease plan resume release");
    }
}
