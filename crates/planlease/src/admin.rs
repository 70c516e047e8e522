//! The operator's role: what is done to plans as wholes, to ownerships of other processes, and to the store.
//! Each method stands where its subject is; here are those about the whole store.

use planlease_core::unreadable::{self, Unreadable};

use crate::{coordinator::Coordinator, error::Error, feed::Listing};

/// Changes to plans as wholes, and to the store: importing, editing, pausing, cancelling, auditing. Made by
/// [`Coordinator::admin`].
#[derive(Clone, Copy, Debug)]
pub struct Admin<'a> {
    pub(crate) coordinator: &'a Coordinator,
}

/// Who does something to a plan, and why. Recorded with what is done, and shown to others.
///
/// ```
/// use planlease::Reason;
///
/// let reason = Reason::by("anna").because("the registry is down");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// The name of the person or program.
    pub by: String,
    /// The reason, in a sentence.
    pub why: String,
}

impl Reason {
    /// Something done by this person or program.
    #[must_use]
    pub fn by(name: impl Into<String>) -> Self {
        Self { by: name.into(), why: String::new() }
    }

    /// The same, with the reason.
    #[must_use]
    pub fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }
}

impl Coordinator {
    /// The operator's role: changes to plans as wholes, and to the store.
    #[must_use]
    pub fn admin(&self) -> Admin<'_> {
        Admin { coordinator: self }
    }
}

impl Admin<'_> {
    /// Everything in the namespace that cannot be read, whatever needs it. Reads all of it, page by page.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn unreadable(self) -> Result<Vec<Unreadable>, Error> {
        let coordinator = self.coordinator;
        let everything = coordinator.layout().everything();
        let (mut page, mut rest) =
            Listing::begin(coordinator.etcd(), coordinator.layout(), everything, None).await?;
        let mut found = unreadable::find(&page.entries);
        while let Some(next) = rest.next().await? {
            page = next;
            found.extend(unreadable::find(&page.entries));
        }
        Ok(found)
    }

    /// Saves the whole store as of one revision, while it is in use: the file that `etcdctl snapshot save`
    /// makes. With users, it takes the role `root`.
    ///
    /// # Errors
    /// As for any read.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is changed.
    pub async fn save_store(self) -> Result<Vec<u8>, Error> {
        Ok(self.coordinator.etcd().save().await?)
    }
}
