//! Agents: processes with a client of MCP that we did not write (`tests/clients/mcp`), which call the tools
//! that a test names.

use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    TestEnv,
    packages::Language,
    program::{Process, planlease, with_variable},
    wait::{SOON, until},
};

/// The version of the protocol before the present one: with `initialize`.
pub const BEFORE: &str = "2025-11-25";

/// The present version of the protocol: each request stands for itself.
pub const PRESENT: &str = "2026-07-28";

/// The variable by which the server of an agent is found among the processes.
const NAME: &str = "AGENT";

/// An agent.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    name: String,
    /// How many lines it has been seen to write.
    seen: usize,
}

impl Agent {
    /// Starts an agent whose program starts `planlease mcp` with these flags. `None` where the client
    /// cannot be had.
    ///
    /// # Panics
    /// If it does not connect.
    pub async fn with_server(env: &TestEnv, version: &str, name: &str, flags: &[&str]) -> Option<Self> {
        let mut command = Language::Mcp.script("agent.py")?;
        command.args([version, "stdio"]).arg(planlease()).arg("mcp").args(flags);
        Some(Self::start(env, command, version, name).await)
    }

    /// Starts an agent that asks the sidecar on this port. `None` where the client cannot be had.
    ///
    /// # Panics
    /// If it does not connect.
    pub async fn of_sidecar(
        env: &TestEnv,
        version: &str,
        name: &str,
        port: u16,
        token: &str,
    ) -> Option<Self> {
        let mut command = Language::Mcp.script("agent.py")?;
        command.args([version, "http", &format!("http://127.0.0.1:{port}/mcp"), token]);
        Some(Self::start(env, command, version, name).await)
    }

    async fn start(env: &TestEnv, mut command: Command, version: &str, name: &str) -> Self {
        command.envs(env.variables()).env(NAME, name);
        let process = Process::start(command, &env.path(name));
        let mut agent = Self { process, name: name.to_owned(), seen: 0 };
        assert_eq!(agent.answer().await, json!({ "version": version }));
        agent
    }

    /// Calls a tool, and returns what it answers.
    pub async fn call(&mut self, tool: &str, with: Value) -> Called {
        self.ask(tool, with);
        self.called().await
    }

    /// Calls a tool, and does not wait for the answer.
    pub fn ask(&mut self, tool: &str, with: Value) {
        self.order(&json!({ "tool": tool, "with": with }));
    }

    /// The answer to the tool that was called first among those whose answers were not seen.
    pub async fn called(&mut self) -> Called {
        Called(self.answer().await)
    }

    /// Says what it is to do.
    pub fn order(&mut self, order: &Value) {
        self.process.say(&order.to_string());
    }

    /// The next line that it writes.
    ///
    /// # Panics
    /// If it writes none.
    pub async fn answer(&mut self) -> Value {
        let (process, seen) = (&self.process, self.seen);
        let line = until("an answer to an agent", SOON, async || {
            let said = process.said();
            let complete = said.rfind('\n').map_or("", |end| &said[..end]);
            let mut answers = complete.lines().filter_map(|line| serde_json::from_str(line).ok());
            answers.nth(seen).ok_or(said)
        });
        let line = line.await;
        self.seen += 1;
        line
    }

    /// Kills the agent, and not the server that it has started.
    pub fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
    }

    /// The process of the server that it has started.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn server(&self) -> i32 {
        let processes = with_variable(NAME, &self.name);
        let server = processes.into_iter().find(|id| *id != self.process.id());
        server.expect("an agent has started its server")
    }

    /// Ends its input, and waits until it has ended in order.
    ///
    /// # Panics
    /// If it does not.
    pub async fn end(mut self) {
        self.process.close_input();
        assert_eq!(self.process.until_ended(SOON).await, Some(0), "{}", self.process.said());
    }
}

/// What a tool has answered.
#[derive(Clone, Debug)]
pub struct Called(Value);

impl Called {
    /// The document, of an answer that is no refusal.
    ///
    /// # Panics
    /// If it is a refusal, or no document.
    #[must_use]
    pub fn document(&self) -> Value {
        assert_eq!(self.0["error"], false, "{}", self.0);
        self.block(0)
    }

    /// The reason of a refusal, and the document that shows what is in the way, if it has one.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn refusal(&self) -> (String, Value) {
        assert_eq!(self.0["error"], true, "{}", self.0);
        let document = self.0["text"].get(1).map_or(Value::Null, |_| self.block(1));
        (self.0["text"][0].as_str().expect("a text").to_owned(), document)
    }

    /// The tasks that a claim brought.
    ///
    /// # Panics
    /// If it was refused.
    #[must_use]
    pub fn tasks(&self) -> Vec<String> {
        let document = self.document();
        let tasks = document["tasks"].as_array().expect("tasks").iter();
        tasks.map(|task| task["task"].as_str().expect("an id").to_owned()).collect()
    }

    fn block(&self, n: usize) -> Value {
        serde_json::from_str(self.0["text"][n].as_str().expect("a text")).expect("JSON")
    }
}
