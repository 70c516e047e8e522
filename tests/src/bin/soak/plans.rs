//! The plans of the soak: what they look like, and what their commands leave behind.

use std::fmt::Write as _;

use planlease::core::{
    TaskId,
    spec::{OnLost, PlanSpec, Policy, TaskPolicy, TaskSpec},
};
use rand::{RngExt as _, rngs::StdRng};

/// How many tasks a large plan has: more than one transaction of an import holds.
const LARGE: usize = 130;

/// Leaves a line when it begins and one when it ends, by which is judged what ran when. Some fail, some say
/// something.
const SCRIPT: &str = r#"
    me="$PLANLEASE_PLAN $PLANLEASE_FENCING_TOKEN $PLANLEASE_TASK $PLANLEASE_ATTEMPT"
    echo "begin $me" >> "$SOAK/commands"
    sleep "$1"
    if [ "$2" = output ]; then echo "$me was here"; fi
    if [ "$2" = fail ] && [ "$PLANLEASE_ATTEMPT" -lt 3 ]; then exit 1; fi
    echo "end $me" >> "$SOAK/commands"
"#;

pub(crate) fn id(n: usize) -> TaskId {
    TaskId::new(n.to_string()).unwrap()
}

/// A plan of this title: usually a handful of tasks that wait for each other, now and then a large one.
pub(crate) fn draw(title: &str, large: bool, random: &mut StdRng) -> PlanSpec {
    let count = if large { LARGE } else { random.random_range(4..10) };
    let mut tasks = Vec::with_capacity(count);
    for n in 1..=count {
        let depends_on =
            if n > 2 && random.random_bool(0.4) { vec![id(random.random_range(1..n))] } else { vec![] };
        tasks.push(task(n, depends_on, large, random));
    }
    let policy = Policy { max_retries: 20, max_lost: 1000, on_lost: on_lost(random), ..Policy::default() };
    PlanSpec { title: title.to_owned(), tasks, policy, ..PlanSpec::default() }
}

fn task(n: usize, depends_on: Vec<TaskId>, quick: bool, random: &mut StdRng) -> TaskSpec {
    let mut seconds = String::new();
    let long = if quick { 0 } else { random.random_range(5..50) };
    write!(seconds, "{}.{}", long / 10, long % 10).expect("a text can always be written to");
    let kind = match random.random_range(0..10) {
        0 => "fail",
        1 | 2 => "output",
        _ => "plain",
    };
    let command = ["sh", "-c", SCRIPT, "sh", &seconds, kind].map(str::to_owned).to_vec();
    let own = TaskPolicy { on_lost: Some(on_lost(random)), ..TaskPolicy::default() };
    let policy = random.random_bool(0.3).then_some(Box::new(own));
    TaskSpec { depends_on, command: Some(command), policy, ..TaskSpec::new(id(n), "a task of the soak") }
}

fn on_lost(random: &mut StdRng) -> OnLost {
    match random.random_range(0..6) {
        0 => OnLost::Fail,
        1 => OnLost::Ask,
        _ => OnLost::Retry,
    }
}
