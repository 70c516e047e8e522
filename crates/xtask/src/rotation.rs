//! A part of many long checks, another one for each commit: what every run of the tests takes part in.

use std::process::Command;

use crate::run::{Result, output, root};

/// The quarter of these that the present commit checks.
pub(crate) fn quarter<T>(all: Vec<T>) -> Result<Vec<T>> {
    Ok(quarter_of(all, turn()?))
}

/// The number of the present commit: its last digit.
pub(crate) fn turn() -> Result<usize> {
    let commit = output(Command::new("git").current_dir(root()).args(["rev-parse", "HEAD"]))?;
    Ok(turn_of(&commit))
}

fn turn_of(commit: &str) -> usize {
    commit.trim().chars().last().and_then(|digit| digit.to_digit(16)).unwrap_or_default() as usize
}

/// Every fourth one, beginning with the place that the number gives.
fn quarter_of<T>(all: Vec<T>, turn: usize) -> Vec<T> {
    all.into_iter().skip(turn % 4).step_by(4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_commits_cover_everything() {
        let turns = ["0a", "0b\n", "0c", "0d"].map(turn_of);
        let mut covered: Vec<u8> =
            turns.into_iter().flat_map(|turn| quarter_of((0..23).collect(), turn)).collect();
        covered.sort_unstable();
        assert_eq!(covered, (0..23).collect::<Vec<u8>>());
    }
}
