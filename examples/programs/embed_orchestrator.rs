//! Embeds the ready-made orchestrator, with an executor that runs tasks as functions of this process instead
//! of commands.
//!
//! An executor makes one promise: nothing of a task happens after the deadline that it was last given. The
//! default one, `EntryPoint`, keeps it with a supervisor process per command. A future keeps it by not being
//! polled any more; a thread could not.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::{sync::Arc, time::Duration};

use planlease::{
    Session,
    clock::{SystemClock, sleep_until},
    core::BootTime,
};
use planlease_examples::{Result, Store, import_release};
use planlease_orchestrator::{
    Boxed, Cause, CommandSpec, Commands, Executor, Finished, Options, Orchestrator, Plans, Report, Reporter,
    Running, SpawnError, Status, Stop, TaskCommand, env,
};
use tokio::{sync::watch, task::JoinHandle};

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let plan = import_release(&coordinator).await?;

    let options = Options::new(Plans::Named(vec![plan]), Arc::new(InProcess))
        .jobs(2)
        .command(TaskCommand::Program(vec!["publish".into()]));
    let reporter = Reporter::new(|report| match report {
        Report::Acquired { plan, token, .. } => println!("acquired {plan} with token {token}"),
        Report::Ended { task, status, .. } => println!("{task} {status}"),
        _ => {}
    });
    // `Stop::Drain` finishes what runs; `Stop::Abort` gives it back.
    let (_stop, stopped) = watch::channel(Stop::Run);
    let summary = Orchestrator::new(coordinator, options, reporter, stopped).run().await?;
    println!("success: {}", summary.is_success());
    Ok(())
}

/// Runs tasks as futures of this process.
#[derive(Debug)]
struct InProcess;

impl Executor for InProcess {
    fn for_session(&self, _: &Session) -> Arc<dyn Commands> {
        Arc::new(OfSession { deadline: watch::Sender::new(None) })
    }
}

/// The tasks of one session, which all end at its deadline.
#[derive(Debug)]
struct OfSession {
    deadline: watch::Sender<Option<BootTime>>,
}

impl Commands for OfSession {
    fn extend(&self, deadline: BootTime) {
        self.deadline.send_modify(|known| *known = (*known).max(Some(deadline)));
    }

    #[expect(clippy::disallowed_methods, reason = "the handle owns the task, and aborts it")]
    fn spawn<'a>(
        &'a self,
        spec: &'a CommandSpec,
    ) -> Boxed<'a, std::result::Result<Box<dyn Running>, SpawnError>> {
        let ask = watch::Sender::new(false);
        let (deadline, asked) = (self.deadline.subscribe(), ask.subscribe());
        let task = tokio::spawn(execute(spec.clone(), deadline, asked));
        Box::pin(async move { Ok(Box::new(OfTask { ask, task, finished: None }) as Box<dyn Running>) })
    }
}

/// One attempt of a task.
#[derive(Debug)]
struct OfTask {
    ask: watch::Sender<bool>,
    task: JoinHandle<Finished>,
    finished: Option<Finished>,
}

impl Running for OfTask {
    fn terminate(&self) {
        self.ask.send_replace(true);
    }

    fn kill(&self) {
        self.ask.send_replace(true);
    }

    fn wait(&mut self) -> Boxed<'_, &Finished> {
        Box::pin(async {
            if self.finished.is_none() {
                let finished = (&mut self.task).await;
                self.finished = Some(finished.expect("it does not panic, and is aborted only when dropped"));
            }
            self.finished.as_ref().expect("it was filled above")
        })
    }
}

impl Drop for OfTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Works until the work is done, the deadline has come, or the orchestrator asks it to end.
async fn execute(
    spec: CommandSpec,
    mut deadline: watch::Receiver<Option<BootTime>>,
    mut asked: watch::Receiver<bool>,
) -> Finished {
    let mut work = std::pin::pin!(work(&spec));
    loop {
        let last = *deadline.borrow_and_update();
        tokio::select! {
            biased; // The deadline is the promise, so it goes first.
            () = reached(last) => {
                return Finished::new(Cause::Deadline, Status::Unknown, String::new());
            }
            _ = asked.wait_for(|asked| *asked) => {
                return Finished::new(Cause::Asked, Status::Unknown, String::new());
            }
            Ok(()) = deadline.changed() => {}
            // Nothing begins before there is a deadline to come.
            output = &mut work, if last.is_some() => {
                return Finished::new(Cause::Itself, Status::Exited(0), output);
            }
        }
    }
}

/// Waits for the deadline; for ever if there is none yet.
async fn reached(deadline: Option<BootTime>) {
    match deadline {
        Some(deadline) => sleep_until(&SystemClock, deadline).await,
        None => std::future::pending().await,
    }
}

/// The work of a task. What it is, is said in the environment of a command.
async fn work(spec: &CommandSpec) -> String {
    let variable =
        |name: &str| spec.env.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone());
    tokio::time::sleep(Duration::from_millis(50)).await;
    format!("published {:?}", variable(env::TASK).unwrap_or_default())
}
