//! `prime`: what an agent has to know before it works on a plan.

use clap::{Args, ValueEnum};
use planlease::{Coordinator, PlanView, core::PlanState};
use planlease_documents::{Manner, Prime, prime_plans};
use serde_json::json;

use super::task::right::delegation;
use crate::{exit::Exit, failure::Failure, invocation::Invocation, names::plan_name, output};

/// Print what an agent must know about a plan, in less than 1,500 tokens
///
/// The state of the plan, what this user or this process has claimed, what is ready, what is in progress
/// elsewhere, what failed, and the six commands to work with. Made to be run by an agent's hook at the start
/// of a session, which `planlease setup` writes. Never longer than 6,000 bytes, however large the plan is.
///
/// Without a plan: the plan that this process was started for, else the only one that is open, else a list of
/// those that are.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PrimeArgs {
    /// The plan [default: the one that is open]
    plan: Option<String>,
    /// Explain the tools of `planlease mcp` instead of the commands
    #[arg(long)]
    tools: bool,
    /// Print it as the hook of this agent has to; those of Claude Code and Codex take it as it is
    #[arg(long, value_enum, value_name = "AGENT")]
    hook: Option<Hook>,
}

const EXAMPLES: &str = "\
Examples:
  planlease prime release
  planlease prime release --tools   for an agent that has the tools of `planlease mcp`
  planlease prime --hook gemini     for a hook at the start of a session of Gemini CLI";

/// An agent whose hooks answer in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hook {
    /// Gemini CLI, and others that read `hookSpecificOutput`
    Gemini,
    /// Cursor
    Cursor,
}

impl PrimeArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let delegation = delegation(invocation.environment())?;
        let named = self.plan.as_deref().map(plan_name).transpose()?;
        let named = named.or_else(|| delegation.as_ref().map(|delegation| delegation.plan.clone()));
        let owner = delegation.map(|delegation| delegation.owner.to_string());
        let reader: Vec<String> = [invocation.operator()].into_iter().chain(owner).collect();
        let coordinator = invocation.connect().await?;
        let text = match named {
            Some(plan) => self.text(&coordinator, &coordinator.plan(&plan).await?, &reader).await?,
            None => {
                let plans = coordinator.plans().await?;
                let open: Vec<&PlanView> = plans.iter().filter(|view| is_open(view)).collect();
                match open.as_slice() {
                    [view] => self.text(&coordinator, view, &reader).await?,
                    _ => prime_plans(&open),
                }
            }
        };
        match self.hook {
            Some(hook) => output::print(&hook.answer(&text))?,
            None if text.is_empty() => {
                output::tell("no plan is open; `planlease plan import FILE` makes one")
            }
            None => output::print(&text)?,
        }
        Ok(Exit::Done)
    }

    /// What there is to know about a plan.
    async fn text(
        &self,
        coordinator: &Coordinator,
        view: &PlanView,
        reader: &[String],
    ) -> Result<String, Failure> {
        let alive = coordinator.alive(view).await?;
        let manner = if self.tools { Manner::Tools } else { Manner::Commands };
        let pause = coordinator.fleet_pause().await?;
        let pools = if view.graph().uses_pools() { Some(coordinator.pools().await?.0) } else { None };
        let prime = Prime::new(view, &alive, reader).in_fleet(pause.as_ref()).with_pools(pools.as_ref());
        Ok(prime.text(manner))
    }
}

/// Whether there may be work left in the plan.
fn is_open(plan: &PlanView) -> bool {
    !matches!(PlanState::of(plan), PlanState::Done | PlanState::Cancelled | PlanState::Archived)
}

impl Hook {
    /// The text as the answer of a hook at the start of a session.
    fn answer(self, text: &str) -> String {
        let answer = match (self, text) {
            (_, "") => json!({}),
            (Self::Gemini, text) => {
                json!({ "hookSpecificOutput": { "hookEventName": "SessionStart", "additionalContext": text } })
            }
            (Self::Cursor, text) => json!({ "additional_context": text }),
        };
        format!("{answer}\n")
    }
}
