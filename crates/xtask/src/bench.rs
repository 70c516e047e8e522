//! `cargo xtask bench`: builds the program and the benchmarks for release, and runs them.

use std::process::Command;

use clap::Args;

use crate::{
    etcd, peers,
    run::{Result, cargo, root, run},
};

/// Flags of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// What the benchmarks are told; `--help` shows it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn bench(options: &Options) -> Result {
    let etcd = etcd::current(true)?;
    run(cargo().args(["build", "--release", "-p", "planlease-cli"]))?;
    run(cargo().args(["build", "--release", "-p", "planlease-bench"]))?;
    let mut bench = Command::new(root().join("target/release/bench"));
    bench.env(etcd::VARIABLE, etcd.path).envs(peers::variables());
    run(bench.args(&options.args))
}
