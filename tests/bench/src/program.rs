//! The program as whole processes: time and memory of its usual commands, and its size.

use std::{
    os::unix::fs::MetadataExt as _,
    process::{Command, ExitCode, Stdio},
};

use nix::sys::resource::{UsageWho, getrusage};
use planlease_tests::{program::planlease, test_env::TestEnv};

use crate::{
    Args,
    report::{Figure, Report, share},
    site::{self, timed},
};

/// How often a command runs in a round, each time of another task.
const RUNS: usize = 10;

/// What is measured.
const COMMANDS: [&str; 3] = ["--help", "status", "task complete"];

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    for site in site::all(args).await {
        let env = site.env("program").await;
        let mut text = "title = \"A plan\"\n".to_owned();
        (0..=RUNS).for_each(|n| text += &format!("\n[[task]]\nid = \"t{n}\"\ndescription = \"work\"\n"));
        let mut figures = COMMANDS.map(|what| (what, Vec::new(), Vec::new()));
        for round in 0..args.rounds {
            let plan = format!("plan-{round}");
            env.import(&plan, &text).await;
            for (what, times, memory) in &mut figures {
                let mut of_round = Vec::new();
                for run in 0..=RUNS {
                    let task = format!("t{run}");
                    let command = match *what {
                        "task complete" => vec!["task", "complete", &plan, &task],
                        other => vec![other],
                    };
                    if *what == "task complete" {
                        env.program().run_to(0, ["task", "start", &plan, &task]).await;
                    }
                    if run == RUNS {
                        memory.push(most_memory(&env, &command));
                    } else {
                        of_round.push(timed(&env, &command).await.1);
                    }
                }
                times.push(share(&of_round, 0.5));
            }
        }
        for (what, times, memory) in figures {
            let mut add = |what: String, unit, rounds| {
                report.add(Figure { section: "program", on: site.name, what, unit, rounds });
            };
            add(what.to_owned(), "ms", times);
            add(format!("{what}: most memory"), "MiB", memory);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a file's size is far below 2^52")]
    let size = std::fs::metadata(planlease()).unwrap().size() as f64 / f64::from(1 << 20);
    let what = "size of the program".to_owned();
    report.add(Figure { section: "program", on: "disk", what, unit: "MiB", rounds: vec![size] });
}

/// The most that a command ever had in memory, in MiB. A process of its own waits for it: the kernel reports
/// only the most of all that a process has waited for.
fn most_memory(env: &TestEnv, args: &[&str]) -> f64 {
    let command = env.program().command(args);
    let mut waits = Command::new(std::env::current_exe().unwrap());
    waits.arg("--memory-of").arg(command.get_program()).args(command.get_args());
    waits.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = waits.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap() / 1024.0
}

/// Runs a command, and prints how much memory it had at most, in KiB.
pub(crate) fn memory_of(command: &[String]) -> ExitCode {
    let (program, args) = command.split_first().unwrap();
    let status = Command::new(program).args(args).stdout(Stdio::null()).status().unwrap();
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss());
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
