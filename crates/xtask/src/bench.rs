//! `cargo xtask bench`: builds the program and the benchmarks as they are packaged, and runs them.

use std::process::Command;

use clap::Args;

use crate::{
    etcd, peers,
    run::{Result, cargo, root, run},
};

/// Flags of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// The arguments of the benchmarks; `--help` shows them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn bench(options: &Options) -> Result {
    let etcd = etcd::current(true)?;
    // In one go: alone each would need other features of the libraries that they share.
    run(cargo().args(["build", "--profile=dist", "-p", "planlease-cli", "-p", "planlease-bench"]))?;
    let mut bench = Command::new(root().join("target/dist/bench"));
    bench.env(etcd::VARIABLE, etcd.path).envs(peers::variables());
    if options.args.iter().any(|arg| arg == "race") {
        bench.envs(peers::racers());
    }
    run(bench.args(&options.args))
}
