//! Numbers with their nouns, so that no message says "1 tasks".

use std::fmt::Display;

/// The number with the noun in its singular or plural: `1 task`, `2 tasks`, `0 retries`.
#[must_use]
pub fn counted<N: Display + PartialEq + From<u8>>(n: N, noun: &str) -> String {
    if n == N::from(1) {
        return format!("{n} {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) => format!("{n} {stem}ies"),
        None => format!("{n} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_singular_and_all_else_is_plural() {
        assert_eq!([0_usize, 1, 2].map(|n| counted(n, "task")), ["0 tasks", "1 task", "2 tasks"]);
        assert_eq!([1_u32, 3].map(|n| counted(n, "retry")), ["1 retry", "3 retries"]);
    }
}
