//! The server: which request of the protocol is answered by what.

use std::sync::Arc;

use planlease::{Change, Coordinator};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode,
        GetPromptRequestParams, GetPromptResponse, Implementation, JsonObject, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    access::Access,
    arguments::{
        self, Approve, Claim, Complete, Fail, Next, Nothing, Operate, Pause, Progress, Reject, Resume,
        Return, Why,
    },
    caller::{Caller as _, Callers},
    operate::{self, Decision},
    prompt, read,
    repeated::Repeated,
    reply::{Refusal, Reply, result},
    resources, schema,
    tools::{self, Name},
    work::{self, Update},
};

/// The methods that are answered.
const METHODS: [&str; 10] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
];

/// What a client reads about the whole of it.
const INSTRUCTIONS: &str = "planlease hands out the tasks of plans so that no two agents work on one. Claim a task before \
                            you work on it (claim), report (progress), and end it (complete, fail, return). A refused \
                            call has changed nothing and says what to do.";

/// A server of the Model Context Protocol for the plans of one store.
#[derive(Clone, Debug)]
pub struct Server<C> {
    coordinator: Coordinator,
    callers: C,
    access: Access,
    /// Why the access is not more, for a caller of a tool that takes more.
    limit: Option<Arc<str>>,
    operator: Arc<str>,
    repeated: Arc<Repeated>,
}

impl<C: Callers> Server<C> {
    /// A server of the plans of a store. `operator`: under which name changes by [`Access::Operate`] are
    /// recorded.
    #[must_use]
    pub fn new(coordinator: Coordinator, callers: C, access: Access, operator: &str) -> Self {
        let operator = operator.into();
        Self { coordinator, callers, access, limit: None, operator, repeated: Arc::default() }
    }

    /// The same with the reason why this caller has no more access: a call of a tool that takes more is
    /// refused with it. Without one, such a tool is unknown.
    #[must_use]
    pub fn limited_because(self, why: Option<String>) -> Self {
        Self { limit: why.map(Arc::from), ..self }
    }

    /// The same with the answers to repeated claims of another server for the same sessions.
    #[must_use]
    pub fn remembering(self, repeated: Arc<Repeated>) -> Self {
        Self { repeated, ..self }
    }

    async fn call(&self, tool: Name, mut arguments: JsonObject) -> Reply {
        let coordinator = &self.coordinator;
        let session = if C::NAMED { arguments.remove(schema::SESSION) } else { None };
        match tool {
            Name::Plans => {
                let Nothing {} = read(arguments)?;
                read::plans(coordinator).await
            }
            Name::Next => read::next(coordinator, read::<Next>(arguments)?).await,
            Name::Why => read::why(coordinator, read::<Why>(arguments)?).await,
            Name::Claim => self.claim(session, &read(arguments)?).await,
            Name::Progress => {
                let Progress { plan, task, text, spent, attempt, request } = read(arguments)?;
                let change = match (spent, text) {
                    (Some(spent), text) => Change::Spend(spent, text),
                    (None, Some(text)) => Change::Progress(text),
                    (None, None) => return Err(Refusal::new("give `text` or `spent`. Nothing was changed.")),
                };
                let update =
                    Update { task: &task, attempt, request: request.as_deref(), findings: None, change };
                self.update(session, &plan, update).await
            }
            Name::Complete => {
                let Complete { plan, task, notes, findings, attempt, request } = read(arguments)?;
                let (request, findings) = (request.as_deref(), findings.as_deref());
                let update =
                    Update { task: &task, attempt, request, findings, change: Change::Complete(notes) };
                self.update(session, &plan, update).await
            }
            Name::Fail => {
                let Fail { plan, task, error, findings, attempt, request } = read(arguments)?;
                let (request, findings) = (request.as_deref(), findings.as_deref());
                let update = Update { task: &task, attempt, request, findings, change: Change::Fail(error) };
                self.update(session, &plan, update).await
            }
            Name::Return => {
                let Return { plan, task, reason, attempt, request } = read(arguments)?;
                let update = Update {
                    task: &task,
                    attempt,
                    request: request.as_deref(),
                    findings: None,
                    change: Change::Return(reason),
                };
                self.update(session, &plan, update).await
            }
            Name::Retry => self.operate(read::<Operate>(arguments)?.into_decision(Change::Retry)).await,
            Name::Skip => self.operate(read::<Operate>(arguments)?.into_decision(Change::Skip)).await,
            Name::Approve => self.operate(read::<Approve>(arguments)?.into()).await,
            Name::Reject => self.operate(read::<Reject>(arguments)?.into()).await,
            Name::Pause => operate::pause(coordinator, &self.operator, read::<Pause>(arguments)?).await,
            Name::Resume => operate::resume(coordinator, read::<Resume>(arguments)?).await,
        }
    }

    async fn claim(&self, session: Option<Value>, asked: &Claim) -> Reply {
        let named = id(session)?;
        let unnamed = C::NAMED && named.is_none();
        if unnamed && asked.request.is_some() {
            return Err(Refusal::new(
                "`request` takes `session` too: a call without one opens another each time. Nothing was changed.",
            ));
        }
        let caller = self.callers.caller(named, true).await?;
        let key = arguments::key(caller.session().id().as_str(), asked.request.as_deref())?;
        match self.repeated.once(key, work::claim(&*caller, asked)).await {
            Ok(blocks) => Ok(blocks),
            Err(unkept) => {
                if unnamed {
                    self.callers.end_unused(&caller).await;
                }
                unkept.reply()
            }
        }
    }

    async fn update(&self, session: Option<Value>, plan: &str, update: Update<'_>) -> Reply {
        let plan = arguments::plan(plan)?;
        let caller = self.callers.caller(id(session)?, false).await?;
        let authority = caller.authority(&plan)?;
        work::update(&self.coordinator, &authority, update, |outcome| self.callers.note_update(outcome)).await
    }

    async fn operate(&self, asked: Decision) -> Reply {
        let authority = operate::authority(&self.coordinator, &self.operator, &asked)?;
        let update = Update {
            task: &asked.task,
            attempt: asked.attempt,
            request: asked.request.as_deref(),
            findings: None,
            change: asked.change,
        };
        work::update(&self.coordinator, &authority, update, |outcome| self.callers.note_update(outcome)).await
    }
}

/// The arguments of a call.
fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| Refusal::new(format!("the arguments cannot be read: {error}. Nothing was changed.")))
}

/// The refusal of a tool that this caller may not call.
fn withheld(tool: Name, why: &str) -> Refusal {
    let tool = tool.as_str();
    Refusal::new(format!("{tool} is not allowed: {why}. Nothing was changed. tools/list lists what is."))
}

/// The session that a call names.
fn id(session: Option<Value>) -> Result<Option<Uuid>, Refusal> {
    let bad = || Refusal::new("`session` has to be the id that `claim` answered. Nothing was changed.");
    match session {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Uuid::parse_str(text.trim()).map(Some).map_err(|_| bad()),
        Some(_) => Err(bad()),
    }
}

impl<C: Callers> ServerHandler for Server<C> {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("planlease", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        if METHODS.contains(&&*method) {
            let why = format!("the parameters of {method} cannot be read");
            return Err(ErrorData::invalid_params(why, None));
        }
        let why = format!("there is no method {method:?} here; there are {}", METHODS.join(", "));
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, why, None))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools: Vec<Tool> = tools::table(self.access).map(|row| row.tool(C::NAMED)).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let row = tools::table(Access::Operate).find(|row| row.name.as_str() == call.name);
        match (row, &self.limit) {
            (Some(row), _) if row.access <= self.access => {
                Ok(result(self.call(row.name, call.arguments.unwrap_or_default()).await).into())
            }
            (Some(row), Some(why)) => Ok(result(Err(withheld(row.name, why))).into()),
            _ => {
                let message = format!("there is no tool {:?} here; tools/list lists them", call.name);
                Err(ErrorData::invalid_params(message, None))
            }
        }
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::list(&self.coordinator).await?))
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        asked: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(resources::read(&self.coordinator, &asked.uri).await?.into())
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![prompt::prompt()]))
    }

    async fn get_prompt(
        &self,
        asked: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(prompt::get(&self.coordinator, &asked).await?.into())
    }
}
