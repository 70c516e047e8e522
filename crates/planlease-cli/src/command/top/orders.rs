//! Carries out what the screen orders: by this very program, with the same settings. So the screen can do
//! what a shell can, and nothing else.

use std::{
    ffi::OsString,
    future::{Future, pending},
    io,
    pin::Pin,
    process::Stdio,
    time::Duration,
};

use planlease_top::{Order, Top};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

use crate::{environment::Environment, settings::Settings};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much of what a command prints is shown, in bytes.
const SHOWN_MAX: u64 = 1 << 20;

/// How commands are started.
#[derive(Debug)]
pub(super) struct Orders {
    variables: Vec<(OsString, Option<OsString>)>,
}

/// A command that runs.
pub(super) type Running = Pin<Box<dyn Future<Output = Ended>>>;

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    order: Order,
    printed: io::Result<(bool, String)>,
}

/// Waits for the command that runs, if one does. Cancel safe.
pub(super) async fn end_of(running: &mut Option<Running>) -> Ended {
    let Some(command) = running else { return pending().await };
    let ended = command.as_mut().await;
    *running = None;
    ended
}

impl Ended {
    /// Shows it.
    pub(super) fn bring_to(self, top: &mut Top) {
        match (self.order, self.printed) {
            (Order::Show { title, args }, Ok((_, text))) => top.show(title, args, &text),
            (_, Ok((succeeded, text))) => top.done(succeeded, &text),
            (_, Err(error)) => top.done(false, &format!("the command could not be run: {error}")),
        }
    }
}

impl Orders {
    pub(super) fn new(settings: &Settings, environment: &Environment) -> Self {
        Self { variables: settings.for_commands(environment) }
    }

    /// Starts the command.
    pub(super) fn carry_out(&self, order: Order) -> Running {
        let args = match &order {
            Order::Show { args, .. } | Order::Run(args) => args.clone(),
            Order::Quit | Order::Suspend => Vec::new(),
        };
        let command = self.command(&args);
        Box::pin(async move {
            let printed = match command {
                Ok(command) => run(command).await,
                Err(error) => Err(error),
            };
            Ended { order, printed }
        })
    }

    fn command(&self, args: &[String]) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // A group of its own: Ctrl-Z is for the screen.
        command.args(args).env("NO_COLOR", "1").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// Whether it succeeded, and what it printed: what it says of an error comes last.
async fn run(mut command: Command) -> io::Result<(bool, String)> {
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(read(out), read(err), child.wait()) };
    let (out, err, status) = timeout(PATIENCE, all)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("it has not ended in {PATIENCE:?}")))?;
    let text = [out?, err?].concat();
    Ok((status?.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Reads to the end, and keeps the beginning.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let (mut kept, Some(mut stream)) = (Vec::new(), stream) else { return Ok(Vec::new()) };
    (&mut stream).take(SHOWN_MAX).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(kept)
}
