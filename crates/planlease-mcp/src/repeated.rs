//! Claims that are asked for again under the same id, and the answer that each of them got.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::reply::{Refusal, Reply};

/// How many are kept; the oldest is forgotten.
const KEPT: usize = 256;

/// An answer that is not kept: asked for again, it may be another one.
#[derive(Debug)]
pub(crate) enum Unkept {
    /// Nothing was ready.
    Empty(Vec<String>),
    /// The claim was refused.
    Refused(Refusal),
}

impl Unkept {
    /// The answer to the agent: that nothing is ready is no refusal.
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Empty(blocks) => Ok(blocks),
            Self::Refused(refusal) => Err(refusal),
        }
    }
}

impl<E: Into<Refusal>> From<E> for Unkept {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// The answers of claims that carried an id. An update needs no such memory: its id is in the record. A
/// claim of whichever task is ready has none before it is made, and its answer is worth something only
/// while its session, which this process keeps, is alive.
#[derive(Debug, Default)]
pub struct Repeated(Mutex<VecDeque<(Uuid, Answer)>>);

/// The tasks of a claim, once it was answered.
type Answer = Arc<OnceCell<Vec<String>>>;

impl Repeated {
    /// The answer that the claim of this id got; else that of `claim`, which is kept if it brought a task.
    /// Two at once claim once.
    ///
    /// # Errors
    /// As `claim`.
    ///
    /// # Cancel safety
    /// As `claim`.
    pub(crate) async fn once(
        &self,
        key: Option<Uuid>,
        claim: impl Future<Output = Result<Vec<String>, Unkept>>,
    ) -> Result<Vec<String>, Unkept> {
        match key {
            Some(key) => self.cell(key).get_or_try_init(|| claim).await.cloned(),
            None => claim.await,
        }
    }

    fn cell(&self, key: Uuid) -> Arc<OnceCell<Vec<String>>> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = answers.iter().find(|(known, _)| *known == key) {
            return Arc::clone(cell);
        }
        let cell = Arc::new(OnceCell::new());
        answers.push_back((key, Arc::clone(&cell)));
        let excess = answers.len().saturating_sub(KEPT);
        answers.drain(..excess);
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_id_claims_once() {
        let repeated = Repeated::default();
        let answer = |text: &str| Ok(vec![text.to_owned()]);
        let key = Some(Uuid::from_u128(1));
        assert!(repeated.once(key, async { Err(Refusal::new("not now").into()) }).await.is_err());
        assert!(repeated.once(key, async { Err(Unkept::Empty(Vec::new())) }).await.is_err());
        assert_eq!(repeated.once(key, async { answer("one") }).await.unwrap(), ["one"]);
        assert_eq!(repeated.once(key, async { answer("two") }).await.unwrap(), ["one"]);
        assert_eq!(repeated.once(Some(Uuid::from_u128(2)), async { answer("two") }).await.unwrap(), ["two"]);
        assert_eq!(repeated.once(None, async { answer("three") }).await.unwrap(), ["three"]);
    }

    #[tokio::test]
    async fn the_oldest_is_forgotten() {
        let repeated = Repeated::default();
        for n in 0..=KEPT {
            let key = Some(Uuid::from_u128(n as u128));
            repeated.once(key, async { Ok(Vec::new()) }).await.unwrap();
        }
        assert_eq!(repeated.0.lock().unwrap().len(), KEPT);
    }
}
