//! `fence`: lets a resource outside etcd refuse former owners. Needs no etcd: all there is to know is the highest token
//! that the resource has seen, which is kept beside it.

mod state;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use planlease::core::{FencingToken, fence};

use self::state::State;
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{self, FenceChecked, FenceList, OutputArgs},
};

/// The hook, as it is printed and as it stands among the examples.
const HOOK: &str = include_str!("fence/pre-receive.sh");

/// What to do with a fence.
#[derive(Debug, Subcommand)]
pub(crate) enum FenceCommand {
    /// Admit a token, or refuse it if a higher one was seen
    Check(CheckArgs),
    /// List the highest token that each resource has seen
    List(ListArgs),
    /// Print a pre-receive hook that lets a git repository refuse the pushes of former owners
    Hook(HookArgs),
}

/// Keeps the highest token that a resource has seen. A token that is lower is refused with status 101: its owner has lost
/// the plan to a later one, and must not act on the resource. Equal ones are admitted: they are of the same owner.
///
/// Needs no etcd. What is kept never goes down, however many check at once and wherever one of them dies.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease fence check deploy --token \"$PLANLEASE_FENCING_TOKEN\" --state /var/lib/deploy/fence && ./deploy\n  planlease fence check deploy --token 1.7 --state /var/lib/deploy/fence -o json"
)]
pub(crate) struct CheckArgs {
    /// The resource: any name, the same for all who use it
    resource: String,
    /// The token, as 1.7
    #[arg(long, value_name = "TOKEN")]
    token: FencingToken,
    /// The folder in which the highest tokens are kept, a file per resource; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// `fence list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The folder in which the highest tokens are kept
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints a hook for a repository that is pushed to. An owner pushes with `git push -o planlease-token=TOKEN`, and with
/// `-o planlease-plan=PLAN` besides where owners of several plans push; a push with a lower token than the plan's pushes
/// had before is refused, and one without a token too, unless `git config planlease.tokenRequired false` is set there.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease fence hook > /srv/repo.git/hooks/pre-receive\n  chmod +x /srv/repo.git/hooks/pre-receive\n  git -C /srv/repo.git config receive.advertisePushOptions true"
)]
pub(crate) struct HookArgs {
    /// Print it; there is nothing else to be done
    #[arg(long)]
    print: bool,
}

impl FenceCommand {
    pub(crate) fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Check(args) => return args.run(invocation),
            Self::List(args) => {
                let resources = State::at(args.state).all()?;
                invocation.show(args.output.format, &FenceList { resources })?;
            }
            Self::Hook(_) => output::print(HOOK)?,
        }
        Ok(Exit::Done)
    }
}

impl CheckArgs {
    fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let Self { resource, token, state, output } = self;
        let refused = State::at(state).change(&resource, |highest| fence::admit(highest, token))?.err();
        let highest = refused.map_or(token, |stale| stale.highest);
        let checked = FenceChecked { resource, token, admitted: refused.is_none(), highest };
        invocation.show(output.format, &checked)?;
        let Some(stale) = refused else { return Ok(Exit::Done) };
        Err(Failure::new(Exit::RightGone, format!("{}: {stale}", checked.resource))
            .meaning("Somebody else owns the plan by now; nothing was changed.")
            .remedy("Stop: whoever has this token must not act on the resource any more."))
    }
}
