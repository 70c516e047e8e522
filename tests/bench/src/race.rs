//! The race: processes claim one task at the same moment, round after round, by planlease and by the tools
//! that agents use instead. One of them may have it.

mod tools;

use std::time::Duration;

use planlease_tests::{program::Process, test_env::TestEnv};

use self::tools::{Project, TOOLS, Tool};
use crate::{
    Args,
    report::{Figure, Report},
    site,
};

/// How many processes claim a task.
const RACERS: usize = 8;

/// How many rounds a quick run has.
const QUICK: usize = 5;

/// How long a claim may take: some tools need seconds to start, and all of them start at once.
const LIMIT: Duration = Duration::from_secs(600);

/// What came of a tool: how many processes had the task, by round.
struct Outcome {
    tool: String,
    winners: Vec<usize>,
}

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    let rounds = args.size(args.races, QUICK);
    let mut outcomes = Vec::new();
    for site in site::all(args).await {
        let env = site.env("race").await;
        let mut winners = Vec::new();
        for round in 1..=rounds {
            winners.push(by_planlease(&env, round).await);
        }
        if winners.iter().any(|winners| *winners != 1) {
            report.violation(format!("planlease on {}: winners by round: {winners:?}", site.name));
        }
        enter(report, site.name, "planlease task claim", &winners);
        outcomes.push(Outcome { tool: format!("planlease task claim, {}", site.name), winners });
    }
    for tool in TOOLS.iter().filter(|_| !args.quick) {
        match by_tool(tool, rounds).await {
            Ok(outcome) => {
                enter(report, tool.name, tool.how, &outcome.winners);
                outcomes.push(outcome);
            }
            Err(why) => eprintln!("{} is left out: {}", tool.name, why.trim()),
        }
    }
    print(&outcomes);
}

async fn by_planlease(env: &TestEnv, round: usize) -> usize {
    let plan = format!("race-{round}");
    env.import(&plan, "title = \"Race\"\n\n[[task]]\nid = \"1\"\ndescription = \"work\"\n").await;
    let racer = |n: usize| env.gated(&["task", "claim", &plan], &format!("{plan}-{n}"));
    winners((0..RACERS).map(racer).collect()).await
}

/// All rounds of a tool, or why there are none.
async fn by_tool(tool: &Tool, rounds: usize) -> Result<Outcome, String> {
    let Some((program, version)) = tool.found() else {
        let Tool { binary, variable, .. } = tool;
        return Err(format!("there is no {binary} that runs: put it on PATH, or its path into {variable}"));
    };
    let project = Project::new(tool, program);
    let mut by_round = Vec::new();
    for round in 1..=rounds {
        let task = project.make(round)?;
        by_round.push(winners((0..RACERS).map(|n| project.racer(&task, n)).collect()).await);
    }
    Ok(Outcome { tool: format!("{} {version}: {}", tool.name, tool.how), winners: by_round })
}

/// Lets the processes begin at once; how many end with status 0.
async fn winners(mut racers: Vec<Process>) -> usize {
    racers.iter_mut().for_each(|racer| racer.say("go"));
    let mut winners = 0;
    for racer in &mut racers {
        winners += usize::from(racer.until_ended(LIMIT).await == Some(0));
    }
    winners
}

/// How many rounds had one winner.
fn clean(winners: &[usize]) -> usize {
    winners.iter().filter(|winners| **winners == 1).count()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn enter(report: &mut Report, on: &'static str, how: &str, winners: &[usize]) {
    let mut add = |what: &str, rounds| {
        report.add(Figure { section: "race", on, what: format!("{how}: {what}"), unit: "", rounds });
    };
    add("winners in a round", winners.iter().map(|winners| *winners as f64).collect());
    add("rounds without exactly one winner", vec![(winners.len() - clean(winners)) as f64]);
}

/// The outcomes as a table for the documentation.
fn print(outcomes: &[Outcome]) {
    println!("\n{RACERS} processes claim one task:\n");
    println!("| tool | rounds | with exactly one winner | most winners in one round |");
    println!("| --- | --- | --- | --- |");
    for Outcome { tool, winners } in outcomes {
        let most = winners.iter().max().copied().unwrap_or_default();
        println!("| {tool} | {} | {} | {most} |", winners.len(), clean(winners));
    }
    println!();
}
