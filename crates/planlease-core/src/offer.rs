//! What an orchestrator offers to run, how loaded it is, and whether a plan or a task is for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{extra::Extra, id::PlanName, selector::Selector, spec::TaskSpec};

/// The most plans that an offer names. An orchestrator of more of them names none, as if it took all.
pub const MAX_NAMED: usize = 64;

/// What an orchestrator runs, by its own account. Kept in its registration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Offer {
    /// What it can do, of what tasks [need](TaskSpec::needs).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub can: BTreeSet<String>,
    /// The plans that it takes, by name; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plans: Option<BTreeSet<PlanName>>,
    /// The plans that it takes, by their labels.
    #[serde(skip_serializing_if = "Selector::is_empty")]
    pub select: Selector,
    /// The tasks that it takes, by their labels.
    #[serde(skip_serializing_if = "Selector::is_empty")]
    pub task_select: Selector,
    /// Whether it runs tasks that bring a command along.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub with_command: bool,
    /// Whether it runs tasks without a command, by a command of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_command: bool,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Why an orchestrator leaves a task to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOffered {
    /// The task needs what the orchestrator cannot do: this.
    Needs(BTreeSet<String>),
    /// Its labels are not selected.
    Labels,
    /// The task has a command, and the orchestrator runs no commands of plans.
    Command,
    /// The task has no command, and the orchestrator has none for it.
    NoCommand,
}

impl std::fmt::Display for NotOffered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Needs(missing) => {
                let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
                write!(f, "it needs {}", missing.join(", "))
            }
            Self::Labels => f.write_str("its labels are not selected"),
            Self::Command => f.write_str("commands of plans are not run (--commands)"),
            Self::NoCommand => f.write_str("it has no command"),
        }
    }
}

impl Offer {
    /// Whether it takes a plan of this name.
    #[must_use]
    pub fn takes_plan(&self, name: &PlanName, labels: &BTreeMap<String, String>) -> bool {
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.takes_name(name) && self.select.matches(labels)
    }

    fn takes_name(&self, name: &PlanName) -> bool {
        self.plans.as_ref().is_none_or(|plans| plans.contains(name))
    }

    /// Whether it takes a task of the plans that it takes.
    ///
    /// # Errors
    /// Why not.
    pub fn takes_task(&self, task: &TaskSpec) -> Result<(), NotOffered> {
        let missing: BTreeSet<String> = task.needs.difference(&self.can).cloned().collect();
        if !missing.is_empty() {
            return Err(NotOffered::Needs(missing));
        }
        if !self.task_select.matches_words(&task.labels) {
            return Err(NotOffered::Labels);
        }
        match task.command {
            Some(_) if !self.with_command => Err(NotOffered::Command),
            None if !self.without_command => Err(NotOffered::NoCommand),
            _ => Ok(()),
        }
    }
}

/// Why none of the orchestrators with these offers runs a task; `None` if one of them does, or if there are
/// none, of which nothing is known. The reason that most of them have comes first. `labels`: the plan's;
/// without them it counts as selected.
#[must_use]
pub fn unoffered<'a>(
    plan: &PlanName,
    labels: Option<&BTreeMap<String, String>>,
    task: &TaskSpec,
    offers: impl IntoIterator<Item = &'a Offer>,
) -> Option<String> {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for offer in offers {
        let why = match offer.takes_task(task) {
            _ if !labels.map_or(offer.takes_name(plan), |labels| offer.takes_plan(plan, labels)) => {
                "the plan is not selected".to_owned()
            }
            Ok(()) => return None,
            Err(why) => why.to_string(),
        };
        *reasons.entry(why).or_default() += 1;
    }
    let mut reasons: Vec<(String, usize)> = reasons.into_iter().collect();
    reasons.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
    let reasons: Vec<String> = reasons.into_iter().map(|(why, _)| why).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// How loaded an orchestrator is. Kept in its registration, and some seconds old at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// How many plans it owns.
    pub plans: u64,
    /// How many tasks it runs.
    pub running: u64,
    /// How many more it could run.
    pub free: u64,
    /// What a newer version said beyond that; kept as it is.
    #[serde(flatten)]
    pub extra: Extra,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskId;

    fn words<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
        words.map(str::to_owned).into()
    }

    #[test]
    fn a_task_is_taken_by_needs_labels_and_command() {
        let task = TaskSpec {
            needs: words(["gpu"]),
            labels: words(["slow"]),
            command: Some(vec!["true".into()]),
            ..TaskSpec::new(TaskId::new("1").unwrap(), "work")
        };
        let offer = Offer { can: words(["gpu", "docker"]), with_command: true, ..Offer::default() };
        assert_eq!(offer.takes_task(&task), Ok(()));
        let bare = TaskSpec { command: None, ..task.clone() };
        assert_eq!(offer.takes_task(&bare), Err(NotOffered::NoCommand));
        let cannot = Offer { can: words(["docker"]), ..offer.clone() };
        assert_eq!(cannot.takes_task(&task), Err(NotOffered::Needs(words(["gpu"]))));
        let other = Offer { task_select: "!slow".parse().unwrap(), ..offer.clone() };
        assert_eq!(other.takes_task(&task), Err(NotOffered::Labels));
        let own = Offer { with_command: false, without_command: true, ..offer.clone() };
        assert_eq!(own.takes_task(&task), Err(NotOffered::Command));

        let (name, labels) = (PlanName::new("p").unwrap(), BTreeMap::new());
        let why = |offers: &[&Offer]| unoffered(&name, Some(&labels), &task, offers.iter().copied());
        assert_eq!(why(&[]), None, "nothing is known");
        assert_eq!(why(&[&cannot, &offer]), None);
        assert_eq!(
            why(&[&own, &cannot, &cannot]).unwrap(),
            "it needs gpu; commands of plans are not run (--commands)"
        );
        let elsewhere = Offer { select: "team=a".parse().unwrap(), ..offer };
        assert_eq!(why(&[&elsewhere]).unwrap(), "the plan is not selected");
    }

    #[test]
    fn an_offer_keeps_what_it_does_not_know() {
        assert_eq!(serde_json::to_string(&Offer::default()).unwrap(), "{}");
        let text = r#"{"can":["gpu"],"task_select":"!slow","with_command":true,"new":1}"#;
        let offer: Offer = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&offer).unwrap(), text);
    }
}
