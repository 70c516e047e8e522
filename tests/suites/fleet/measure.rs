//! What is said about a number of durations.

use std::time::Duration;

/// The median of an odd number of them, or the upper one of the two in the middle.
pub(crate) fn median(durations: &[Duration]) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// Prints median and maximum.
pub(crate) fn report(what: &str, backend: &str, durations: &[Duration]) {
    let (count, median, max) = (durations.len(), median(durations), durations.iter().max().unwrap());
    println!("measured: {what}, {backend}: median {median:.1?}, at most {max:.1?} ({count} times)");
}
