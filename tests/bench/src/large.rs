//! Large plans, by whole commands: what they cost, and whether that grows faster than the plan does.

use std::fmt::Write as _;

use planlease_tests::test_env::{TestEnv, path_text};

use crate::{
    Args,
    report::{Figure, Report},
    site::{self, timed},
};

const SIZES: [usize; 3] = [1_000, 3_000, 10_000];

const COMMANDS: [&str; 4] = ["plan import", "status", "next", "estimate"];

pub(crate) async fn measure(args: &Args, report: &mut Report) {
    for site in site::all(args).await {
        let mut help = Vec::new();
        for tasks in SIZES.into_iter().filter(|tasks| !args.quick || *tasks != 3_000) {
            let mut figures = COMMANDS.map(|what| (what, Vec::new()));
            for round in 0..args.rounds {
                let env = site.env(&format!("{tasks}-{round}")).await;
                help.push(timed(&env, &["--help"]).await.1);
                let file = write_plan(&env, tasks);
                for (what, rounds) in &mut figures {
                    let args: Vec<&str> = match *what {
                        "plan import" => vec!["plan", "import", &file],
                        reading => vec![reading, "large"],
                    };
                    rounds.push(timed(&env, &args).await.1);
                }
            }
            for (what, rounds) in figures {
                let what = format!("{what}, {tasks} tasks");
                report.add(Figure { section: "large", on: site.name, what, unit: "ms", rounds });
            }
        }
        report.add(Figure {
            section: "large",
            on: site.name,
            what: "--help".into(),
            unit: "ms",
            rounds: help,
        });
        for what in COMMANDS {
            let median = |tasks: usize| report.median("large", site.name, &format!("{what}, {tasks} tasks"));
            if let (Some(small), Some(large)) = (median(1_000), median(10_000)) {
                let what = format!("{what}, per task: 10,000 against 1,000");
                let rounds = vec![large / small / 10.0];
                report.add(Figure { section: "large", on: site.name, what, unit: "×", rounds });
            }
        }
    }
}

/// A plan in which nearly every task depends on three earlier ones: the last, one near, one far.
fn write_plan(env: &TestEnv, tasks: usize) -> String {
    let mut text = "title = \"A large plan\"\n".to_owned();
    for task in 0..tasks {
        let mut on: Vec<usize> =
            [1, 7, 1 + task / 2].into_iter().filter_map(|back| task.checked_sub(back)).collect();
        on.sort_unstable();
        on.dedup();
        let on: Vec<String> = on.iter().map(|other| format!("\"t{other}\"")).collect();
        write!(
            text,
            "\n[[task]]\nid = \"t{task}\"\ndescription = \"what is to be done in task {task} of many\"\ndepends_on = [{}]\n",
            on.join(", ")
        )
        .unwrap();
    }
    let file = env.path("large.toml");
    std::fs::write(&file, text).unwrap();
    path_text(&file).to_owned()
}
