//! Fencing, decided: whether a resource outside etcd may still listen to a token.
//!
//! A resource keeps the highest token it has seen and refuses every lower one. That is all, and it has to
//! happen *at the resource*, in one step with the write: a process that asks first and writes afterwards can
//! be paused in between.

use crate::revision::FencingToken;

/// A token that is too low: its owner has lost the plan to a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token {token} is lower than {highest}, which was seen before")]
pub struct Stale {
    /// The token that was shown.
    pub token: FencingToken,
    /// The highest one that was seen.
    pub highest: FencingToken,
}

/// The highest token that was seen once this one is admitted. The same token may be shown any number of
/// times.
///
/// # Errors
/// [`Stale`] if a higher one was seen: nothing may be done, and nothing is to be stored.
pub fn admit(highest: Option<FencingToken>, token: FencingToken) -> Result<FencingToken, Stale> {
    match highest {
        Some(highest) if token < highest => Err(Stale { token, highest }),
        _ => Ok(token),
    }
}

/// A token that no owner of the plan can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIssued {
    /// It is higher than every token of the plan.
    #[error("token {token} was never issued: the highest one of the plan is {issued}")]
    Beyond {
        /// The token that was shown.
        token: FencingToken,
        /// The highest one that the store has issued for the plan.
        issued: FencingToken,
    },
    /// The plan has had no owner yet.
    #[error("token {0} was never issued: the plan has had no owner yet")]
    NoOwnerYet(FencingToken),
}

/// Checks that a token is not higher than the highest one that the store has issued for the plan.
///
/// # Errors
/// [`NotIssued`]: nothing may be stored, since no real owner would be admitted after it.
pub fn issued(highest: Option<FencingToken>, token: FencingToken) -> Result<(), NotIssued> {
    match highest {
        None => Err(NotIssued::NoOwnerYet(token)),
        Some(issued) if token > issued => Err(NotIssued::Beyond { token, issued }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, TermNumber};
    use proptest::prelude::*;

    fn token(text: &str) -> FencingToken {
        text.parse().unwrap()
    }

    #[test]
    fn a_former_owner_is_refused_and_the_present_one_passes() {
        assert_eq!(admit(None, token("1.7")), Ok(token("1.7")));
        assert_eq!(admit(Some(token("1.7")), token("1.7")), Ok(token("1.7")));
        assert_eq!(admit(Some(token("1.9")), token("1.10")), Ok(token("1.10")));
        let stale = admit(Some(token("2.1")), token("1.99")).unwrap_err();
        assert_eq!(stale.to_string(), "token 1.99 is lower than 2.1, which was seen before");
    }

    #[test]
    fn a_token_that_was_never_issued_is_refused() {
        assert_eq!(issued(Some(token("1.7")), token("1.7")), Ok(()));
        assert_eq!(issued(Some(token("2.1")), token("1.99")), Ok(()), "stale, which `admit` refuses");
        assert!(matches!(issued(None, token("1.1")), Err(NotIssued::NoOwnerYet(_))));
        let beyond = issued(Some(token("1.7")), token("18446744073709551615.0")).unwrap_err();
        assert!(beyond.to_string().ends_with("the highest one of the plan is 1.7"), "{beyond}");
    }

    proptest! {
        #[test]
        fn the_highest_token_never_falls_in_any_order(tokens in prop::collection::vec((0u64..4, 0u64..9), 0..40)) {
            let mut highest = None;
            for (generation, term) in tokens {
                let token = FencingToken { generation: Generation(generation), term: TermNumber(term) };
                match admit(highest, token) {
                    Ok(next) => {
                        prop_assert!(highest.is_none_or(|highest| highest <= next) && next == token);
                        highest = Some(next);
                    }
                    Err(stale) => prop_assert!(Some(stale.highest) == highest && token < stale.highest),
                }
            }
        }
    }
}
