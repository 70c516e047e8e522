//! `hooks`: notifies commands and webhooks of what happens to the plans of the namespace.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use http::Uri;
use planlease::{Coordinator, Identity, Session, core::HookName, error_chain};
use planlease_hooks::{EventKind, Hook, Receiver, Report, Retries, Secret};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{exit::Exit, failure::Failure, invocation::Invocation, output::tell, secrets, signals::Signals};

/// The most hooks of one process: each has a watch of its own.
const MAX_HOOKS: usize = 32;

/// The pause before a session is opened again.
const AGAIN: Duration = Duration::from_secs(2);

/// Notify commands and webhooks of what happens to plans
///
/// Each hook has a name, under which etcd keeps how far its receiver was notified. It is run by one process
/// at a time, under a lease; start the same command on several hosts, and the others take over. Events are
/// delivered at least once, in order, from etcd's history; one that comes again has the same id. A delivery
/// is tried --attempts times with growing pauses, and then given up with a warning; after that each event has
/// one try until one succeeds. A dead receiver keeps no other hook from anything.
///
/// A target that begins with http:// or https:// is a webhook: a POST with the event as JSON, and the headers
/// Planlease-Event, Planlease-Delivery (the id) and, with --secret-file, Planlease-Signature-256: `sha256=`
/// and the HMAC-SHA256 of the body in hex. It has taken the event if it answers 2xx. Everything else is a
/// command, split as a shell would: the event is on its standard input, and PLANLEASE_EVENT,
/// PLANLEASE_EVENT_ID, PLANLEASE_EVENT_PLAN and PLANLEASE_EVENT_TASK are set. It has taken the event if it
/// ends with status 0.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease hooks --on-event pager=https://hooks.example/planlease --secret-file /etc/planlease/hook\n  planlease hooks --on-event log='logger -t planlease' --event owner.lost --event plan.failed"
)]
pub(crate) struct HooksArgs {
    /// A hook: its name, and the URL or the command that is notified
    #[arg(long = "on-event", required = true, value_name = "NAME=TARGET")]
    hooks: Vec<String>,
    /// Only events of this type; of any of them if given more than once
    #[arg(long = "event", value_name = "TYPE", value_parser = kinds())]
    events: Vec<EventKind>,
    /// The file with the secret that signs what webhooks receive
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How often a delivery is tried before it is given up
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts: u32,
    /// How long one try may take
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = crate::duration::parse)]
    delivery_timeout: Duration,
}

fn kinds() -> impl clap::builder::TypedValueParser<Value = EventKind> {
    let find = |word: String| EventKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(word);
    PossibleValuesParser::new(EventKind::ALL.map(EventKind::as_str)).try_map(find)
}

impl HooksArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let hooks: Vec<Arc<Hook>> = self.hooks()?.into_iter().map(Arc::new).collect();
        let mut signals = Signals::take()?;
        let coordinator = invocation.connect_to_hold().await?;
        loop {
            let session = tokio::select! {
                biased;
                () = signals.next() => return Ok(Exit::Done),
                session = open(&coordinator) => session?,
            };
            let ended = serve(&hooks, &session, &mut signals).await;
            drop(session.close().await); // What it had goes with its lease as well.
            match ended? {
                Ended::Stopped => return Ok(Exit::Done),
                Ended::SessionLost => tell("the session is lost; the hooks go on under another one"),
            }
        }
    }

    /// The hooks as they were typed.
    fn hooks(&self) -> Result<Vec<Hook>, Failure> {
        if self.hooks.len() > MAX_HOOKS {
            return Err(Failure::usage(format!("one process runs at most {MAX_HOOKS} hooks"))
                .remedy("Start another process for the others."));
        }
        let secret = self.secret_file.as_deref().map(read_secret).transpose()?;
        let mut hooks: Vec<Hook> = Vec::with_capacity(self.hooks.len());
        for text in &self.hooks {
            let (name, target) = text
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("a hook is NAME=TARGET, and not {text:?}")))?;
            let name = HookName::new(name)?;
            if hooks.iter().any(|hook| hook.name == name) {
                return Err(Failure::usage(format!("there are two hooks {name}")));
            }
            hooks.push(Hook {
                name,
                receiver: receiver(target, secret.clone())?,
                events: self.events.iter().copied().collect::<BTreeSet<_>>(),
                retries: Retries::default().attempts(self.attempts).timeout(self.delivery_timeout),
            });
        }
        Ok(hooks)
    }
}

fn receiver(target: &str, secret: Option<Secret>) -> Result<Receiver, Failure> {
    if target.starts_with("http://") || target.starts_with("https://") {
        let url: Uri =
            target.parse().map_err(|error| Failure::usage(format!("{target:?} is no URL: {error}")))?;
        return Receiver::webhook(url, secret)
            .map_err(|error| Failure::system("cannot read the system's certificate authorities", &error));
    }
    match shlex::split(target) {
        Some(command) if !command.is_empty() => Ok(Receiver::Command(command)),
        _ => Err(Failure::usage(format!("{target:?} is neither a URL nor a command"))),
    }
}

fn read_secret(file: &Path) -> Result<Secret, Failure> {
    let bytes = secrets::read(file).map_err(|error| {
        let what = format!("cannot read the secret in {}: {error}", file.display());
        Failure::new(Exit::UnreadableFile, what)
            .meaning("No hook was started.")
            .remedy("Name a regular file that this user can read.")
    })?;
    let secret = bytes.trim_ascii();
    if secret.is_empty() {
        return Err(Failure::usage(format!("the file {} with the secret is empty", file.display())));
    }
    Ok(Secret::new(secret))
}

/// Opens a session, for as long as it takes.
async fn open(coordinator: &Coordinator) -> Result<Session, Failure> {
    let mut said = false;
    loop {
        match coordinator.open_unregistered_session(Identity::of_process()).await {
            Ok(session) => return Ok(session),
            Err(error) if error.is_transient() => {
                if !std::mem::replace(&mut said, true) {
                    tell(&format!("no session can be opened; trying again: {}", error_chain(&error)));
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Why serving ended.
enum Ended {
    Stopped,
    SessionLost,
}

/// Runs all hooks until a signal comes or the session is lost. One that cannot go on stops no other.
async fn serve(hooks: &[Arc<Hook>], session: &Session, signals: &mut Signals) -> Result<Ended, Failure> {
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    for hook in hooks {
        running.spawn(run(Arc::clone(hook), session.clone(), stop.clone()));
    }
    let (mut stopped, mut lost, mut failure) = (false, false, None);
    loop {
        let ended = tokio::select! {
            biased;
            () = signals.next() => {
                if std::mem::replace(&mut stopped, true) {
                    return Ok(Ended::Stopped); // The second one waits for no delivery.
                }
                stop.cancel();
                continue;
            }
            ended = running.join_next() => ended,
        };
        match ended {
            None => break,
            Some(Ok((_, Ok(())))) => {}
            Some(Ok((_, Err(planlease::Error::AuthorityLost(_))))) => {
                lost = true;
                stop.cancel();
            }
            Some(Ok((name, Err(error)))) => {
                let ended = Failure::from(error);
                tell(&format!("hook {name}: ended: {}", ended.what()));
                failure = Some(ended);
            }
            Some(Err(panic)) => failure = Some(Failure::new(Exit::Unexpected, panic.to_string())),
        }
    }
    match failure {
        Some(failure) if stopped || !lost => Err(failure),
        _ if stopped => Ok(Ended::Stopped),
        _ if lost => Ok(Ended::SessionLost),
        _ => Ok(Ended::Stopped),
    }
}

/// Runs one hook, and says on standard error what becomes of it.
async fn run(
    hook: Arc<Hook>,
    session: Session,
    stop: CancellationToken,
) -> (HookName, Result<(), planlease::Error>) {
    let name = hook.name.clone();
    let report = |report: &Report<'_>| match report {
        Report::Running(revision) => tell(&format!("hook {name}: running, from revision {revision}")),
        Report::Delivered(event, tries) => {
            let again = if *tries > 1 { format!(" (try {tries})") } else { String::new() };
            tell(&format!("hook {name}: delivered {} {}{again}", event.kind.as_str(), event.id));
        }
        Report::GivenUp(event, tries, error) => {
            tell(&format!(
                "hook {name}: gave up {} {} after {tries}: {error}",
                event.kind.as_str(),
                event.id
            ));
        }
        _ => tell(&format!(
            "hook {name}: the history since its position is compacted; the events of the present state follow"
        )),
    };
    let ended = hook.run(&session, &stop, report).await;
    (hook.name.clone(), ended)
}
