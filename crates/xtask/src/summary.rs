//! Adds up what the test binaries report, each in a line of its own, as cargo's harness prints it.

/// How many tests ended how, over all test binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests whose name was not asked for, or was left out.
    pub(crate) filtered: u64,
}

impl Summary {
    /// Takes a line of output; counts it if it is the last line of a test binary:
    /// `test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.1s`.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        let Some((_, counts)) = counts.split_once(". ") else { return };
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "filtered" => self.filtered += number,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_binaries_are_added_up() {
        let mut summary = Summary::default();
        for line in [
            "running 4 tests",
            "test a ... ok",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.01s",
            "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            summary.read(line);
        }
        assert_eq!(summary, Summary { passed: 5, failed: 3, filtered: 2 });
        assert_eq!(summary.to_string(), "5 passed, 3 failed");
    }

    #[test]
    fn colours_and_other_lines_are_ignored() {
        let mut summary = Summary::default();
        summary.read("test result: \u{1b}[32mok\u{1b}[m. 7 passed; 0 failed; 0 ignored");
        summary.read("test result: unheard of");
        summary.read("the test result: is. nine passed; failed");
        assert_eq!(summary, Summary { passed: 7, failed: 0, filtered: 0 });
    }
}
