//! The messages between an orchestrator and a supervisor: the supervisor's arguments, then lines over a
//! unix socket.
//!
//! Both sides are the same program, so there is no version in it. The socket has an abstract name, one per
//! supervisor, bound before the supervisor is started; each side checks by the kernel's credentials that the
//! other one is the process that it should be, so there is no secret that could leak.

use std::{
    ffi::OsString,
    fmt, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStringExt as _, net::SocketAddr},
    },
    str::FromStr,
    time::Duration,
};

use nix::unistd::Pid;
use planlease_core::BootTime;

use crate::ending::{Cause, Status};

/// The longest line; a longer one is not from our program.
pub(crate) const MAX_LINE: usize = 4096;

/// The argument for something that there is not.
const NONE: &str = "-";

/// The address with this abstract name.
pub(crate) fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

/// The process group of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// One of its own, whose number is the command's.
    Own,
    /// That of the orchestrator, which is not ours to kill.
    Of(Pid),
}

/// The supervisor's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The abstract name of the orchestrator's socket.
    pub(crate) socket: String,
    /// The process that must be listening there.
    pub(crate) orchestrator: Pid,
    /// The address of the session's companion, if it has one.
    pub(crate) companion: Option<String>,
    pub(crate) group: Group,
    /// Whether the command leads a session of its own, away from any terminal.
    pub(crate) session: bool,
    /// Between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// The soft limit of open files that the command gets; `None`: that of the orchestrator.
    pub(crate) open_files: Option<u64>,
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
}

impl Assignment {
    pub(crate) fn into_args(self) -> impl Iterator<Item = OsString> {
        let group = match (self.group, self.session) {
            (Group::Own, true) => "session".to_owned(),
            (Group::Own, false) => "own".to_owned(),
            (Group::Of(group), _) => group.to_string(),
        };
        let grace = self.grace.as_millis().to_string();
        let open_files = open_files_arg(self.open_files);
        let companion = self.companion.unwrap_or_else(|| NONE.to_owned());
        let first = [self.socket, self.orchestrator.to_string(), companion, group, grace, open_files];
        let first = first.map(OsString::from);
        first.into_iter().chain([self.program]).chain(self.args)
    }

    /// Reads the arguments that [`Self::into_args`] made, or says which one is wrong.
    pub(crate) fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, &'static str> {
        let mut args = args.into_iter();
        let socket = text(args.next()).ok_or("the name of the socket")?;
        let orchestrator = number(args.next()).map(Pid::from_raw).ok_or("the orchestrator's process id")?;
        let companion = text(args.next()).ok_or("the address of the companion")?;
        let companion = Some(companion).filter(|companion| companion != NONE);
        let (group, session) = match text(args.next()).as_deref() {
            Some("session") => (Group::Own, true),
            Some("own") => (Group::Own, false),
            Some(group) => (Group::Of(Pid::from_raw(group.parse().map_err(|_| "the process group")?)), false),
            None => return Err("the process group"),
        };
        let grace = number(args.next()).map(Duration::from_millis).ok_or("the grace")?;
        let open_files = open_files(args.next()).ok_or("the limit of open files")?;
        let program = args.next().ok_or("the program")?;
        let args = args.collect();
        Ok(Self { socket, orchestrator, companion, group, session, grace, open_files, program, args })
    }
}

/// The argument for a limit of open files.
pub(crate) fn open_files_arg(limit: Option<u64>) -> String {
    limit.map_or_else(|| NONE.to_owned(), |limit| limit.to_string())
}

/// Reads the argument that [`open_files_arg`] made; `None` if it is none.
pub(crate) fn open_files(arg: Option<OsString>) -> Option<Option<u64>> {
    match text(arg)?.as_str() {
        NONE => Some(None),
        limit => limit.parse().ok().map(Some),
    }
}

pub(crate) fn text(arg: Option<OsString>) -> Option<String> {
    String::from_utf8(arg?.into_vec()).ok()
}

pub(crate) fn number<N: FromStr>(arg: Option<OsString>) -> Option<N> {
    text(arg)?.parse().ok()
}

/// From the orchestrator to the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The command may run until then.
    Deadline(BootTime),
    /// SIGTERM, and after the grace SIGKILL.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(deadline) => writeln!(f, "deadline {}", deadline.as_duration().as_nanos()),
            Self::Terminate => writeln!(f, "terminate"),
            Self::Kill => writeln!(f, "kill"),
        }
    }
}

impl FromStr for Order {
    type Err = Garbled;

    fn from_str(line: &str) -> Result<Self, Garbled> {
        match line.split_once(' ') {
            Some(("deadline", nanos)) => {
                let nanos = nanos.parse().map_err(|_| Garbled)?;
                Ok(Self::Deadline(BootTime::since_boot(Duration::from_nanos(nanos))))
            }
            None if line == "terminate" => Ok(Self::Terminate),
            None if line == "kill" => Ok(Self::Kill),
            _ => Err(Garbled),
        }
    }
}

/// From the supervisor to the orchestrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The command is about to run as this process.
    Started(Pid),
    /// The last report: the command has ended, and what it left behind was killed.
    Ended {
        cause: Cause,
        status: Status,
        /// Whether processes are left that could not be killed: other users', or stuck in the kernel.
        survivors: bool,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cause, status, survivors) = match self {
            Self::Started(command) => return writeln!(f, "started {command}"),
            Self::Ended { cause, status, survivors } => (cause, status, survivors),
        };
        let cause = match cause {
            Cause::Itself => "itself",
            Cause::Asked => "asked",
            Cause::Deadline => "deadline",
        };
        write!(f, "ended {cause} {} ", if *survivors { "survivors" } else { "all" })?;
        match status {
            Status::Exited(code) => writeln!(f, "exited {code}"),
            Status::Signalled(signal) => writeln!(f, "signalled {signal}"),
            Status::NotStarted { why, code } => {
                let end = why.floor_char_boundary(MAX_LINE / 2);
                writeln!(f, "not-started {code} {}", why[..end].replace('\n', " "))
            }
            Status::Unknown => writeln!(f, "unknown -"),
        }
    }
}

impl FromStr for Report {
    type Err = Garbled;

    fn from_str(line: &str) -> Result<Self, Garbled> {
        if let Some(command) = line.strip_prefix("started ") {
            return Ok(Self::Started(Pid::from_raw(parse(command)?)));
        }
        let mut words = line.strip_prefix("ended ").ok_or(Garbled)?.splitn(4, ' ');
        let mut word = || words.next().ok_or(Garbled);
        let cause = match word()? {
            "itself" => Cause::Itself,
            "asked" => Cause::Asked,
            "deadline" => Cause::Deadline,
            _ => return Err(Garbled),
        };
        let survivors = word()? == "survivors";
        let status = match (word()?, word()?) {
            ("exited", code) => Status::Exited(parse(code)?),
            ("signalled", signal) => Status::Signalled(parse(signal)?),
            ("not-started", rest) => {
                let (code, why) = rest.split_once(' ').ok_or(Garbled)?;
                Status::NotStarted { why: why.to_owned(), code: code.parse().map_err(|_| Garbled)? }
            }
            ("unknown", _) => Status::Unknown,
            _ => return Err(Garbled),
        };
        Ok(Self::Ended { cause, status, survivors })
    }
}

fn parse(number: &str) -> Result<i32, Garbled> {
    number.parse().map_err(|_| Garbled)
}

/// A malformed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a line of the control socket")]
pub(crate) struct Garbled;

/// Cuts a stream of bytes into lines. Holds less than [`MAX_LINE`] and one read.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, understood; `None` if it is not there yet.
    pub(crate) fn next<L: FromStr<Err = Garbled>>(&mut self) -> Result<Option<L>, Garbled> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
            return if self.bytes.len() < MAX_LINE { Ok(None) } else { Err(Garbled) };
        };
        let line = self.bytes.drain(..=end).collect::<Vec<u8>>();
        let line = str::from_utf8(&line[..end]).map_err(|_| Garbled)?;
        line.parse().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_they_were_written() {
        let assignment = Assignment {
            socket: "planlease-1-2".into(),
            orchestrator: Pid::from_raw(77),
            companion: Some("planlease-companion-7".into()),
            group: Group::Own,
            session: true,
            grace: Duration::from_millis(1500),
            open_files: Some(1024),
            program: "sh".into(),
            args: vec!["-c".into(), OsString::from_vec(vec![0xff, b'\n'])],
        };
        assert_eq!(Assignment::from_args(assignment.clone().into_args()), Ok(assignment.clone()));
        let grouped = Assignment { session: false, companion: None, ..assignment.clone() };
        assert_eq!(Assignment::from_args(grouped.clone().into_args()), Ok(grouped));
        let joined = Assignment { group: Group::Of(Pid::from_raw(5)), session: false, ..assignment };
        assert_eq!(Assignment::from_args(joined.clone().into_args()), Ok(joined.clone()));
        assert_eq!(Assignment::from_args(joined.into_args().take(6)), Err("the program"));
    }

    #[test]
    fn lines_are_read_as_they_were_written_however_they_are_cut() {
        let ended = |cause, status, survivors| Report::Ended { cause, status, survivors };
        let not_started = |why: &str| Status::NotStarted { why: why.into(), code: 126 };
        let reports = [
            Report::Started(Pid::from_raw(12)),
            ended(Cause::Itself, Status::Exited(3), false),
            ended(Cause::Asked, Status::Signalled(9), true),
            ended(Cause::Deadline, Status::Unknown, true),
            ended(Cause::Itself, not_started("cannot run `x y`: no such file"), false),
        ];
        let bytes: String = reports.iter().map(ToString::to_string).collect();
        let (mut lines, mut read) = (Lines::default(), Vec::new());
        for byte in bytes.into_bytes() {
            lines.push(&[byte]);
            read.extend(lines.next::<Report>().unwrap());
        }
        assert_eq!(read, reports);
        let deadline = BootTime::since_boot(Duration::from_nanos(1_234_567_890_123));
        let mut lines = Lines::default();
        for order in [Order::Deadline(deadline), Order::Terminate, Order::Kill] {
            lines.push(order.to_string().as_bytes());
            assert_eq!(lines.next(), Ok(Some(order)));
        }
    }

    #[test]
    fn an_unknown_control_line_is_refused() {
        for line in ["", "deadline", "deadline x", "kill now", "Terminate", "deadline -1"] {
            let mut lines = Lines::default();
            lines.push(format!("{line}\n").as_bytes());
            assert_eq!(lines.next::<Order>(), Err(Garbled), "{line}");
        }
        let mut endless = Lines::default();
        endless.push(&[b'x'; MAX_LINE]);
        assert_eq!(endless.next::<Order>(), Err(Garbled));
    }

    #[test]
    fn a_long_reason_stays_one_line() {
        let why = format!("{}\nüüü", "ü".repeat(MAX_LINE));
        let report = Report::Ended {
            cause: Cause::Itself,
            status: Status::NotStarted { why, code: 127 },
            survivors: false,
        };
        let mut lines = Lines::default();
        lines.push(report.to_string().as_bytes());
        assert!(matches!(lines.next::<Report>(), Ok(Some(Report::Ended { .. }))));
        assert_eq!(lines.next::<Report>(), Ok(None));
    }
}
