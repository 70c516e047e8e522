//! Who is let in: a one-time code, which is good for one browser, and the sessions of the browsers that came
//! with one.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a browser stays signed in.
pub(crate) const SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// How many browsers are signed in at once; a newer one signs out the oldest.
const MAX_SESSIONS: usize = 64;

/// The codes and the sessions.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<State>);

struct State {
    /// The code that is good for the next browser.
    code: String,
    /// The oldest first.
    sessions: VecDeque<Session>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

struct Session {
    secret: String,
    until: Instant,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { code: secret(), sessions: VecDeque::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code that is good for the next browser.
    pub(crate) fn code(&self) -> String {
        self.state().code.clone()
    }

    /// Begins a session, if this is the code: then another code is good from now on. Returns the session's
    /// secret.
    pub(crate) fn enter(&self, code: &str) -> Option<String> {
        let mut state = self.state();
        if !same(&state.code, code) {
            return None;
        }
        state.code = secret();
        if state.sessions.len() >= MAX_SESSIONS {
            state.sessions.pop_front();
        }
        let secret = secret();
        state.sessions.push_back(Session { secret: secret.clone(), until: Instant::now() + SESSION });
        Some(secret)
    }

    /// Whether this is the secret of a session.
    pub(crate) fn knows(&self, secret: &str) -> bool {
        let (mut state, now) = (self.state(), Instant::now());
        state.sessions.retain(|session| session.until > now);
        // Each is looked at, so that the time says nothing about which one it is.
        state.sessions.iter().filter(|session| same(&session.secret, secret)).count() > 0
    }

    /// Ends a session.
    pub(crate) fn leave(&self, secret: &str) {
        self.state().sessions.retain(|session| !same(&session.secret, secret));
    }
}

/// 244 random bits.
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_code_is_good_for_one_browser() {
        let gate = Gate::new();
        let code = gate.code();
        assert_eq!(gate.enter("0"), None);
        let first = gate.enter(&code).unwrap();
        assert_eq!(gate.enter(&code), None, "it was used");
        let second = gate.enter(&gate.code()).unwrap();
        assert!(gate.knows(&first) && gate.knows(&second) && !gate.knows(&code) && !gate.knows(""));
        gate.leave(&first);
        assert!(!gate.knows(&first) && gate.knows(&second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_after_twelve_hours() {
        let gate = Gate::new();
        let secret = gate.enter(&gate.code()).unwrap();
        tokio::time::advance(SESSION - Duration::from_secs(1)).await;
        assert!(gate.knows(&secret));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!gate.knows(&secret));
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_browser_signs_out_the_oldest() {
        let gate = Gate::new();
        let secrets: Vec<String> = (0..=MAX_SESSIONS).map(|_| gate.enter(&gate.code()).unwrap()).collect();
        assert!(!gate.knows(&secrets[0]));
        assert!(secrets[1..].iter().all(|secret| gate.knows(secret)));
    }
}
