//! `fence`: lets a resource outside etcd refuse former owners. The highest token that the resource has seen
//! is kept beside it; etcd is asked only for tokens that it never issued.

mod state;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use planlease::core::{FencingToken, fence};

use self::state::State;
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    names::plan_name,
    output::{self, FenceChecked, FenceList, OutputArgs, Printable},
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

/// Keeps the highest token that a resource has seen. A token that is lower is refused with status 101: its
/// owner has lost the plan to a later one, and must not act on the resource. Equal ones are admitted: they
/// are of the same owner.
///
/// Without --plan it needs no etcd, and believes every token. What is kept never goes down, however many
/// check at once and wherever one of them dies.
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
    /// The plan whose owners have the tokens: asks the store, and refuses a token that it never issued for
    /// this plan
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
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

/// Prints a hook for a repository that is pushed to. An owner pushes with
/// `git push -o planlease-token=TOKEN`; a push with a lower token than the plan's pushes had before is
/// refused, and one without a token too, unless `git config planlease.tokenRequired false` is set there.
/// Which plan may push what is decided here, and not by the push.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  planlease fence hook --plan release > /srv/repo.git/hooks/pre-receive\n  planlease fence hook --plan release --plan docs=refs/heads/docs/ --ask\n  chmod +x /srv/repo.git/hooks/pre-receive\n  git -C /srv/repo.git config receive.advertisePushOptions true\n  git -C /srv/repo.git config core.hooksPath /srv/repo.git/hooks"
)]
pub(crate) struct HookArgs {
    /// A plan whose owners may push; with =PREFIX, only to references that begin so. Can be given several
    /// times
    #[arg(long = "plan", value_name = "PLAN[=PREFIX]")]
    plans: Vec<String>,
    /// Let the hook ask the store, with the settings of this call, and refuse tokens that it never issued
    #[arg(long, requires = "plans")]
    ask: bool,
    /// Print it; there is nothing else to be done
    #[arg(long)]
    print: bool,
}

impl FenceCommand {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        match self {
            Self::Check(args) => return args.run(invocation).await,
            Self::List(args) => {
                let resources = State::at(args.state).all()?;
                invocation.show(args.output.format, &FenceList { resources })?;
            }
            Self::Hook(args) => output::print_exact(&args.text(invocation)?, Printable::of_others)?,
        }
        Ok(Exit::Done)
    }
}

impl HookArgs {
    /// The hook, with what was decided at its set-up in it.
    fn text(&self, invocation: &Invocation) -> Result<String, Failure> {
        let mut plans = String::new();
        for bound in &self.plans {
            // Names of plans have no `/`.
            let (plan, prefix) = match bound.find("=refs/") {
                Some(at) => (&bound[..at], &bound[at + 1..]),
                None => (bound.as_str(), "refs/"),
            };
            if prefix.contains(char::is_whitespace) {
                return Err(Failure::usage(format!(
                    "--plan {bound:?}: {prefix:?} is no prefix of references"
                ))
                .remedy("Write --plan PLAN or --plan PLAN=refs/heads/PREFIX."));
            }
            plans.push_str(&format!("{prefix} {}\n", plan_name(plan)?));
        }
        let mut text = HOOK.replacen("plans=''", &format!("plans={}", quoted(plans.trim_end())), 1);
        if self.ask {
            let variables = invocation.settings()?.variables();
            let lines = variables.iter().map(|(name, value)| {
                format!("export {}={}\n", name.to_string_lossy(), quoted(&value.to_string_lossy()))
            });
            let settings = lines.collect::<String>();
            text = text.replacen("ask=false", "ask=true", 1);
            text = text.replacen("# The settings, if the store is asked.\n", &settings, 1);
        }
        Ok(text)
    }
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl CheckArgs {
    async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        let Self { resource, token, state, plan, output } = self;
        if let Some(plan) = plan {
            let plan = plan_name(&plan)?;
            let line = invocation.connect().await?.queue(&plan).await?;
            let highest = line.term.map(|(_, term)| term.token());
            fence::issued(highest, token).map_err(|error| {
                Failure::new(Exit::AuthorityLost, format!("{resource}: {error}"))
                    .meaning("The token was not admitted; what was kept is as it was.")
                    .remedy(format!(
                        "`planlease owner show {q_plan}` shows the token of the present owner.",
                        q_plan = plan.quoted()
                    ))
            })?;
        }
        let refused = State::at(state).change(&resource, |highest| fence::admit(highest, token))?.err();
        let highest = refused.map_or(token, |stale| stale.highest);
        let checked = FenceChecked { resource, token, admitted: refused.is_none(), highest };
        invocation.show(output.format, &checked)?;
        let Some(stale) = refused else { return Ok(Exit::Done) };
        Err(Failure::new(Exit::AuthorityLost, format!("{}: {stale}", checked.resource))
            .meaning("Another process owns the plan by now; nothing was changed.")
            .remedy("Stop: a process with this token must not act on the resource any more."))
    }
}
