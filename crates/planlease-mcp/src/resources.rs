//! Resources: a plan, a task, its findings, a plan's log, each under a URI.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use planlease::{Coordinator, Error, read_beside};
use planlease_core::{PlanName, TaskId};
use planlease_documents::{DefinitionView, FindingsView, TaskDetailView, WhyPlan};
use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};

use crate::reply::{Refusal, text};

const SCHEME: &str = "planlease://";

/// What of a name is encoded in an address: all but what RFC 3986 leaves as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const JSON: &str = "application/json";

/// What a URI names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Plan(PlanName),
    Log(PlanName),
    Task(PlanName, TaskId),
    Findings(PlanName, TaskId),
}

/// The plans.
pub(crate) async fn list(coordinator: &Coordinator) -> Result<Vec<Resource>, ErrorData> {
    let plans = coordinator.plans().await.map_err(|error| broken(&error.into()))?;
    let plans = plans.iter().map(|view| {
        let name = view.name().as_str();
        let uri = format!("{SCHEME}{}", utf8_percent_encode(name, PATH));
        Resource::new(uri, name).with_title(view.spec().title.clone()).with_mime_type(JSON)
    });
    Ok(plans.collect())
}

/// What there is below a plan.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let templates = [
        ("{plan}", "plan", "The plan: its phases and tasks with their status"),
        ("{plan}/log", "log", "Who owned the plan, and why it is where it is"),
        ("{plan}/tasks/{task}", "task", "A task with its record, history and steps"),
        ("{plan}/tasks/{task}/findings", "findings", "What a task has found out"),
    ];
    let templates = templates.map(|(path, name, what)| {
        ResourceTemplate::new(format!("{SCHEME}{path}"), name).with_description(what).with_mime_type(JSON)
    });
    templates.into()
}

/// Reads one.
pub(crate) async fn read(coordinator: &Coordinator, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let missing = || ErrorData::resource_not_found(format!("there is no resource {uri}"), None);
    let named = named(uri).ok_or_else(missing)?;
    let document = match document(coordinator, named).await {
        Ok(Some(document)) => document,
        Ok(None) => return Err(missing()),
        Err(refusal) => return Err(broken(&refusal)),
    };
    Ok(ReadResourceResult::new(vec![ResourceContents::text(document, uri).with_mime_type(JSON)]))
}

fn broken(refusal: &Refusal) -> ErrorData {
    ErrorData::internal_error(refusal.what().to_owned(), None)
}

fn named(uri: &str) -> Option<Named> {
    let path = uri.strip_prefix(SCHEME)?;
    let parts: Vec<String> = path
        .split('/')
        .map(|part| percent_decode_str(part).decode_utf8().ok().map(String::from))
        .collect::<Option<_>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let plan = PlanName::new(*parts.first()?).ok()?;
    match parts[1..] {
        [] => Some(Named::Plan(plan)),
        ["log"] => Some(Named::Log(plan)),
        ["tasks", task] => Some(Named::Task(plan, TaskId::new(task).ok()?)),
        ["tasks", task, "findings"] => Some(Named::Findings(plan, TaskId::new(task).ok()?)),
        _ => None,
    }
}

/// The document of what is named; `None` if there is no such thing.
async fn document(coordinator: &Coordinator, named: Named) -> Result<Option<String>, Refusal> {
    let document = match &named {
        Named::Plan(plan) => {
            let Some(view) = there(coordinator.plan(plan).await)? else { return Ok(None) };
            text(&DefinitionView::new(&view))?
        }
        Named::Log(plan) => {
            let Some(why) = there(WhyPlan::read(coordinator, plan).await)? else { return Ok(None) };
            text(&why)?
        }
        Named::Task(plan, task) => {
            let Some(mut excerpt) = there(coordinator.excerpt(plan, task).await)? else { return Ok(None) };
            let findings = read_beside(&mut excerpt, coordinator.findings(plan, task).await)?;
            let alive = coordinator.alive_for(&excerpt).await?;
            text(&TaskDetailView::new(&excerpt, findings, &alive))?
        }
        Named::Findings(plan, task) => match coordinator.findings(plan, task).await? {
            Some(found) => text(&FindingsView::new(plan.clone(), task.clone(), found))?,
            None => return Ok(None),
        },
    };
    Ok(Some(document))
}

/// `None` for a plan or a task that is not there.
fn there<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::PlanNotFound(_) | Error::TaskNotFound { .. }) => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_one_thing() {
        let (plan, task) = (PlanName::new("my plan").unwrap(), TaskId::new("2.1").unwrap());
        assert_eq!(named("planlease://my%20plan"), Some(Named::Plan(plan.clone())));
        assert_eq!(named("planlease://my%20plan/log"), Some(Named::Log(plan.clone())));
        assert_eq!(named("planlease://my%20plan/tasks/2.1"), Some(Named::Task(plan.clone(), task.clone())));
        assert_eq!(named("planlease://my%20plan/tasks/2%2E1/findings"), Some(Named::Findings(plan, task)));
        for bad in
            ["planlease://", "planlease://p/", "planlease://p/tasks", "planlease://p/tasks/1/x", "file:///p"]
        {
            assert_eq!(named(bad), None, "{bad}");
        }
    }
}
