//! The checks that need no test run, in the order of the time they take; and the fixes for some of them.

use crate::run::{Failure, Result, cargo, root, run, step};
use crate::tidy;

/// Format, structural checks, clippy, rustdoc: each with warnings denied.
pub(crate) fn check() -> Result {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        // Its binary has the name of the library, and both would be written to the same pages.
        "--exclude=planlease-cli",
    ]))?;
    tidy()
}

/// The structural checks; every finding is printed as `file:line: what`.
pub(crate) fn tidy() -> Result {
    step("tidy");
    let root = root();
    let findings = tidy::findings(&root).map_err(Failure::because)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(Failure::because("tidy: 1 finding")),
        many => Err(Failure::because(format_args!("tidy: {many} findings"))),
    }
}

/// What a machine can put right.
pub(crate) fn fix() -> Result {
    run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    run(cargo().args(["fmt", "--all"]))
}
