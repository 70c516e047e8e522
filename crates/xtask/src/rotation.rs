//! A third of many long checks, another one for each commit: what every run of the tests takes part in.

use std::process::Command;

use crate::run::{Result, output, root};

/// The third of these that the present commit checks.
pub(crate) fn third<T>(all: Vec<T>) -> Result<Vec<T>> {
    let commit = output(Command::new("git").current_dir(root()).args(["rev-parse", "HEAD"]))?;
    Ok(third_of(all, &commit))
}

/// Every third one, beginning with the place that the commit's last digit gives.
fn third_of<T>(all: Vec<T>, commit: &str) -> Vec<T> {
    let last = commit.trim().chars().last().and_then(|digit| digit.to_digit(16)).unwrap_or_default();
    all.into_iter().skip(last as usize % 3).step_by(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_commits_cover_everything() {
        let mut covered: Vec<u8> =
            ["0a", "0b\n", "0c"].iter().flat_map(|commit| third_of((0..23).collect(), commit)).collect();
        covered.sort_unstable();
        assert_eq!(covered, (0..23).collect::<Vec<u8>>());
    }
}
