//! Receivers of events.

use http::Uri;

use crate::{command, event::Event, not_delivered::NotDelivered, secret::Secret, webhook::Webhook};

/// What is notified.
#[derive(Debug)]
pub enum Receiver {
    /// A command: the event is on its standard input, and its type, id, plan and task in the environment. It
    /// has taken the event if it ends with status 0.
    Command(Vec<String>),
    /// A server: the event is the body of a POST. It has taken the event if it answers with a status of 2xx.
    Webhook(Box<Webhook>),
}

impl Receiver {
    /// A webhook, which signs what it sends if it has a secret.
    ///
    /// # Errors
    /// If the system's certificate authorities cannot be read.
    pub fn webhook(url: Uri, secret: Option<Secret>) -> std::io::Result<Self> {
        Ok(Self::Webhook(Box::new(Webhook::new(url, secret)?)))
    }

    /// Delivers an event once.
    pub(crate) async fn deliver(&self, event: &Event, body: &[u8]) -> Result<(), NotDelivered> {
        match self {
            Self::Command(command) => command::run(command, event, body).await,
            Self::Webhook(webhook) => webhook.post(event, body).await,
        }
    }
}
