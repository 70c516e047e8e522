//! `--for`: how long a claim stands that no session keeps.

use std::time::Duration;

use clap::Args;
use planlease::{Authority, CLAIM_LIMITS};

use super::right::Right;
use crate::{failure::Failure, output::duration};

/// The time limit of a claim.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct LimitArgs {
    /// How long an operator's claim stands, from now or from the last `task progress` [default: 8h]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse)]
    limit: Option<Duration>,
}

impl LimitArgs {
    /// Refuses a limit for claims that an ownership keeps.
    pub(super) fn check(self, right: &Right) -> Result<(), Failure> {
        if self.limit.is_none() || !right.is_delegated() {
            return Ok(());
        }
        Err(Failure::usage("--for is for the claims of operators")
            .meaning(
                "This process claims by the right of the plan's owner; its claims end with the ownership.",
            )
            .remedy("Leave --for out."))
    }

    /// The right whose claims end so.
    pub(super) fn apply(self, authority: Authority) -> Authority {
        match self.limit {
            Some(limit) => authority.claims_for(limit),
            None => authority,
        }
    }
}

fn parse(text: &str) -> Result<Duration, String> {
    let limit = crate::duration::parse(text)?;
    let (shortest, longest) = CLAIM_LIMITS;
    if (shortest..=longest).contains(&limit) {
        return Ok(limit);
    }
    Err(format!("a claim stands for {} to {}", duration(shortest), duration(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_bounds() {
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3_600)));
        for text in ["0s", "500ms", "9000h", "never"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
