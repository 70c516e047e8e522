//! The tools that work: `claim`, and what ends or extends a claim.

use planlease::{Authority, Claimed, Coordinator, Findings, Outcome, Refused, UpdateRequest};
use planlease_core::{
    PlanName, TaskId,
    transition::{Change, Refusal as NotAllowed},
    view::PlanView,
};
use planlease_documents::{ClaimView, NextTasks, RefusalView, TaskUpdate, marked};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    arguments::{self, Claim},
    caller::{Caller, Handle},
    read::LISTED,
    repeated::Unkept,
    reply::{Refusal, Reply, shown, text},
};

/// The most tasks that one call claims: an agent works on one at a time.
const MOST: u32 = 10;

/// A claim, with the session that it hangs on where further calls have to name it.
#[derive(Serialize)]
struct Claimant<'a> {
    #[serde(flatten)]
    claim: &'a ClaimView,
    session: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_s: Option<u64>,
}

/// Claims what is asked for. If nothing is ready but claimants are gone, and the plan has no owner who
/// would notice, their tasks are recovered first.
pub(crate) async fn claim<C: Caller>(caller: &C, asked: &Claim) -> Result<Vec<String>, Unkept> {
    let plan = arguments::plan(&asked.plan)?;
    let task = asked.task.as_deref().map(arguments::task).transpose()?;
    let Some(count @ 1..=MOST) = asked.count.or(Some(1)) else {
        return Err(Refusal::new(format!("`count` has to be 1 to {MOST}. Nothing was changed.")).into());
    };
    let claims = Claims { authority: caller.authority(&plan)?, task, asked, count };
    let mut claimed = claims.try_once().await?;
    if claims.may_be_abandoned(&claimed) && caller.session().recover_abandoned(&plan).await? {
        claimed = claims.try_once().await?;
    }
    let view = caller.session().coordinator().plan(&plan).await?;
    answer(caller.session().coordinator(), caller.handle(), &view, &claimed, &claims).await
}

/// One call's claims.
struct Claims<'a> {
    authority: Authority,
    task: Option<TaskId>,
    asked: &'a Claim,
    count: u32,
}

impl Claims<'_> {
    async fn try_once(&self) -> Result<Claimed, Refusal> {
        let Some(task) = &self.task else {
            let count = usize::try_from(self.count).unwrap_or(1);
            return Ok(self.authority.claim(count, &self.asked.labels).await?);
        };
        let mut claimed = Claimed::default();
        match self.authority.submit(&UpdateRequest::new(task.clone(), Change::Start)).await? {
            Outcome::Committed(task) => claimed.tasks.push(task),
            Outcome::Refused(refused) => claimed.refused = Some(refused),
            Outcome::Unknown { op_id, .. } => claimed.unknown.push((task.clone(), op_id)),
        }
        Ok(claimed)
    }

    /// Whether claims of lost claimants could be what is in the way.
    fn may_be_abandoned(&self, claimed: &Claimed) -> bool {
        claimed.tasks.is_empty()
            && claimed.unknown.is_empty()
            && matches!(
                claimed.refused,
                None | Some(
                    Refused::Full(_)
                        | Refused::Pool(_)
                        | Refused::NotAllowed(NotAllowed::ClaimedBy { .. }, _)
                )
            )
    }
}

async fn answer(
    coordinator: &Coordinator,
    handle: Option<Handle>,
    view: &PlanView,
    claimed: &Claimed,
    claims: &Claims<'_>,
) -> Result<Vec<String>, Unkept> {
    let plan = view.name();
    if let Some((task, op_id)) = claimed.unknown.first() {
        let what = format!(
            "it is not known whether task {task} of {plan} is claimed: etcd did not answer in time. It is if `why` names \
             this session as its claimant (op_id {op_id}). Look before you claim again."
        );
        return Err(Refusal::new(what).into());
    }
    if let Some(refused) = claimed.refused.as_ref().filter(|_| claimed.tasks.is_empty()) {
        let refusal = match &claims.task {
            Some(task) => refused_update(plan, task, &Change::Start, refused, None),
            None => {
                let RefusalView { why, next, .. } = RefusalView::of(refused);
                Refusal::new(format!("cannot claim a task of {plan}: {why}; nothing was changed. {next}"))
            }
        };
        return Err(refusal.into());
    }
    let document = ClaimView::new(view, claimed);
    if claimed.tasks.is_empty() {
        let offers = coordinator.offers().await?;
        let wanted = (LISTED, claims.asked.labels.as_slice());
        let next = NextTasks::read(coordinator, plan, wanted, &offers).await?;
        return Err(Unkept::Empty(vec![text(&document)?, text(&next)?]));
    }
    Ok(vec![match handle {
        None => text(&document)?,
        Some(Handle { id, heartbeat }) => {
            let heartbeat_s = heartbeat.map(|heartbeat| heartbeat.as_secs());
            let claimant = Claimant { claim: &document, session: id, heartbeat_s };
            marked(Some("planlease.claims.v1"), &claimant)
                .map_err(|error| Refusal::new(format!("the answer cannot be written as JSON: {error}")))?
        }
    }])
}

/// An update of a claimed task, or an operator's.
pub(crate) struct Update<'a> {
    pub(crate) task: &'a str,
    pub(crate) attempt: Option<u32>,
    pub(crate) request: Option<&'a str>,
    pub(crate) findings: Option<&'a str>,
    pub(crate) change: Change,
}

/// Carries out an update, and says what became of it.
pub(crate) async fn update(
    coordinator: &Coordinator,
    authority: &Authority,
    update: Update<'_>,
    note: impl Fn(&'static str),
) -> Reply {
    let (plan, task) = (authority.plan(), arguments::task(update.task)?);
    if let Some(findings) = update.findings {
        store(coordinator, authority, &task, update.attempt, findings).await?;
    }
    let request = UpdateRequest::new(task.clone(), update.change).of_attempt(update.attempt);
    let request = match arguments::key(&authority.writer().who, update.request)? {
        Some(key) => request.idempotent(key),
        None => request,
    };
    let change = &request.change;
    match authority.submit(&request).await? {
        Outcome::Committed(task) => {
            note("committed");
            shown(&TaskUpdate::committed(plan.clone(), change.verb(), &task))
        }
        Outcome::Refused(refused) => {
            note("refused");
            let present = coordinator.task(plan, &task).await.ok().flatten();
            Err(refused_update(plan, &task, change, &refused, present.as_ref()))
        }
        Outcome::Unknown { op_id, reason } => {
            note("unknown");
            Err(Refusal::new(format!(
                "{reason}. It was done if the task's op_id is {op_id}, and may still be. Call it again with the same \
                 `request`, or look with `why`."
            )))
        }
    }
}

/// Stores findings, if the claim of the task is the caller's: a former claimant's must not take the place
/// of those of the present one.
async fn store(
    coordinator: &Coordinator,
    authority: &Authority,
    task: &TaskId,
    attempt: Option<u32>,
    findings: &str,
) -> Result<(), Refusal> {
    let Some(present) = coordinator.task(authority.plan(), task).await? else { return Ok(()) };
    let record = &present.record;
    let guard = record.claim.as_ref().and_then(|claim| claim.guard.as_ref());
    if guard == Some(&authority.writer().guard) && attempt.is_none_or(|attempt| attempt == record.attempt) {
        authority.write_findings(task, &Findings::of_attempt(record.attempt, findings)).await?;
    }
    Ok(())
}

/// A refused update, with the record that is in the way; `present`: as it was read since.
fn refused_update(
    plan: &PlanName,
    task: &TaskId,
    change: &Change,
    refused: &Refused,
    present: Option<&planlease::TaskView>,
) -> Refusal {
    let RefusalView { why, next, present: seen } = RefusalView::of(refused);
    let what = format!("cannot {} task {task} of {plan}: {why}; nothing was changed. {next}", change.verb());
    match seen.or(present) {
        Some(present) => Refusal::new(what).with(&TaskUpdate::refused(
            plan.clone(),
            task.clone(),
            change.verb(),
            why,
            Some(present),
        )),
        None => Refusal::new(what),
    }
}
