//! The product as a fleet has it: real processes of the program, that are killed, paused and started many at
//! once, on a server that is a process too.
//!
//! What they measure is printed in lines that begin with `measured:`. Tests that measure or need all cores
//! run one at a time, after the others.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands; clippy does not see that this is one")]
#![expect(clippy::print_stdout, reason = "what is measured is printed")]

mod agents;
mod approve;
mod attempts;
mod bulk;
mod cancel;
mod commands;
mod completion;
mod crash;
mod deadlines;
mod durable;
mod edit;
mod election;
mod ends;
mod environment;
mod fence;
mod findings;
mod handover;
mod heartbeat;
mod hold;
mod hooks;
mod hosts;
mod local;
mod lock;
mod logs;
mod mayhem;
mod mcp;
mod measure;
mod metrics;
mod migration;
mod output;
mod pause;
mod plan_files;
mod policy;
mod pools;
mod refusals;
mod rush;
mod secrets;
mod service;
mod sharing;
mod shortage;
mod signals;
mod spec;
mod steering;
mod takeover;
mod terminal;
mod together;
mod top;
mod traces;
mod transcripts;
mod wait;
mod worktree;
mod worktree_work;
mod writers;

use planlease_tests::{
    backend::Backend, hosts::Hosts, owner, packages::has_interpreter, suite::Suite, writer,
};

fn main() -> std::process::ExitCode {
    // This binary is also the writer and the owner that the tests start as processes of their own.
    if let Some(orders) = std::env::var_os(writer::ORDERS) {
        return writer::run(&orders);
    }
    if let Some(orders) = std::env::var_os(owner::ORDERS) {
        return owner::run(&orders);
    }
    Suite::new("fleet")
        .on([])
        .and_by_turns([Backend::Dev, Backend::Etcd])
        .only_if(Hosts::allowed() && has_interpreter("python3"), "on_three_hosts::")
        .run()
}
