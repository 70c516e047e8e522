//! Runs a test in a child process that can have so much memory and no more: an allocation beyond it ends the
//! child.
//!
//! The limit is the address space (`ulimit -v`), so it holds for whatever allocates, and for a single large
//! allocation that is never written to. It includes the program itself, some 100 MiB with its threads.

use std::process::Command;

/// Marks the child as one.
const CHILD: &str = "PLANLEASE_FUZZ_CONFINED";

/// One mebibyte.
pub const MIB: u64 = 1024 * 1024;

/// Whether this is the child. If not, runs the test of this name again in a child that can have `bytes` of
/// memory, and expects it to pass.
///
/// # Panics
/// If the child fails, which it says why, or if there is no test of this name.
#[must_use = "only the child goes on"]
pub fn is_confined(test: &str, bytes: u64) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("a running test has a program");
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -v "$1" && shift && exec "$@""#, "sh", &(bytes / 1024).to_string()])
        .arg(program)
        .args(["--exact", test, "--test-threads=1", "--nocapture"])
        .env(CHILD, "1")
        .env("MALLOC_ARENA_MAX", "1") // An arena for each thread would reserve unused address space.
        .output()
        .expect("a shell is at hand");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "within {bytes} bytes: {}\n{said}\n{complained}", output.status);
    assert!(said.contains("1 passed"), "there is no test {test}:\n{said}");
    false
}

#[cfg(test)]
mod tests {
    use super::{MIB, is_confined};

    #[test]
    #[should_panic(expected = "memory allocation of")]
    fn exceeding_the_budget_is_noticed() {
        let name = "confine::tests::exceeding_the_budget_is_noticed";
        if is_confined(name, 300 * MIB) {
            drop(std::hint::black_box(vec![0_u8; 600 * 1024 * 1024]));
        }
    }
}
