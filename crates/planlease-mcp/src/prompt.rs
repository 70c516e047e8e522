//! The prompt: work on a plan.

use planlease::{Coordinator, Error};
use planlease_documents::{Manner, Prime};
use rmcp::{
    ErrorData,
    model::{GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role},
};
use serde_json::Value;

use crate::{arguments, reply::Refusal};

const NAME: &str = "work";
const PLAN: &str = "plan";
const WHAT: &str = "Works on a plan: claims its tasks one after the other, does them, and ends them";

pub(crate) fn prompt() -> Prompt {
    let plan = PromptArgument::new(PLAN).with_description("The plan").with_required(true);
    Prompt::new(NAME, Some(WHAT), Some(vec![plan]))
}

/// The prompt for a plan: what an agent has to know about it, and how to work.
pub(crate) async fn get(
    coordinator: &Coordinator,
    asked: &GetPromptRequestParams,
) -> Result<GetPromptResult, ErrorData> {
    let bad = |refusal: Refusal| ErrorData::invalid_params(refusal.what().to_owned(), None);
    if asked.name != NAME {
        return Err(bad(Refusal::new(format!("there is no prompt {:?}; there is `{NAME}`", asked.name))));
    }
    let plan = asked.arguments.as_ref().and_then(|arguments| arguments.get(PLAN)).and_then(Value::as_str);
    let plan = plan.ok_or_else(|| bad(Refusal::new("the prompt needs the argument `plan`")))?;
    let plan = arguments::plan(plan).map_err(bad)?;
    let prime = async {
        let view = coordinator.plan(&plan).await?;
        let alive = coordinator.alive(&view).await?;
        let pause = coordinator.fleet_pause().await?;
        let pools = if view.graph().uses_pools() { Some(coordinator.pools().await?.0) } else { None };
        let prime = Prime::new(&view, &alive, &[]).in_fleet(pause.as_ref()).with_pools(pools.as_ref());
        Ok::<_, Error>(prime.text(Manner::Tools))
    };
    let text = prime.await.map_err(|error| bad(error.into()))?;
    let text = format!("Work on the plan `{plan}` with the tools of planlease.\n\n{text}");
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(WHAT))
}
