//! What can be left out of the protocol, one thing at a time, to see what it is there for.

use clap::ValueEnum;

use crate::{
    bounds::{Bounds, SECONDS},
    check,
    model::Ownership,
    properties,
    time::{self, Session},
};

/// No counterexample is longer.
const MOST_STEPS: usize = 20;

/// One thing left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Flaw {
    /// A write compares the record, and not the writer's key.
    WriteUnguarded,
    /// A write compares the writer's key, and not the record.
    RecordNotCompared,
    /// A release, or a force, deletes the owner's key at any create revision.
    ReleaseUnguarded,
    /// A candidate is removed from the queue without comparing that it has not become the owner meanwhile.
    RemovalBlind,
    /// A waiter whose predecessor has left takes over, without comparing that no other is before it.
    NoSecondLook,
    /// A takeover does not compare the term that it builds its own from.
    TermNotCompared,
    /// The end of the term is guessed from the leaving of one before who was not the owner.
    TermGuessed,
    /// The number of a term is the lease id of its owner.
    TokenFromLease,
    /// The owner's key does not hang on the session's lease.
    KeyUnleased,
    /// A candidate recovers orphans while it waits.
    RecoveryTooEarly,
    /// The new owner hands out work without a look for orphans.
    RecoveryLeftOut,
    /// What was not answered is sent again as a new write, with a new op id.
    NewOpId,
    /// A write that was not answered in time is reported as refused.
    UnknownReportedAsRefused,
    /// A refusal counts as proof even where what was compared can hold again, and an earlier sending may
    /// still arrive.
    RefusalTrusted,
    /// A refused write is looked for in the present record only, not in the history.
    HistoryNotRead,
    /// A session does not look for the key of a late join after it has left.
    PlaceForgotten,
    /// A session looks for such a place while it holds the plan, and not again when it holds it no more.
    LookTooEarly,
    /// A request to join the queue does not compare the registration, so nothing outdates it.
    JoinNotOutdated,
    /// The session's deadline is counted from the arrival of the answer.
    DeadlineFromAnswer,
    /// The session's deadline has no margin.
    NoMargin,
    /// The answer to a renewal that was given up counts as the answer to the one after it.
    AnswerMistaken,
}

/// The protocol as it is, or with one thing left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// What is left out.
    pub without: Option<Flaw>,
}

impl Protocol {
    /// As it is.
    pub const SOUND: Self = Self { without: None };

    /// Whether it has this flaw.
    #[must_use]
    pub fn has(self, flaw: Flaw) -> bool {
        self.without == Some(flaw)
    }
}

impl Flaw {
    /// How much has to happen until it does harm.
    #[must_use]
    pub fn bounds(self) -> Bounds {
        let calm = Bounds::CALM;
        match self {
            Self::NoSecondLook | Self::TermNotCompared | Self::TermGuessed => {
                Bounds { processes: 3, writes: 0, losses: 1, ..calm }
            }
            Self::ReleaseUnguarded | Self::RemovalBlind => Bounds { losses: 1, forces: 1, ..calm },
            Self::RefusalTrusted => Bounds { losses: 1, timeouts: 1, operator_writes: 1, ..calm },
            Self::RecordNotCompared
            | Self::NewOpId
            | Self::UnknownReportedAsRefused
            | Self::PlaceForgotten
            | Self::JoinNotOutdated => Bounds { timeouts: 1, ..calm },
            Self::LookTooEarly => Bounds { timeouts: 1, forces: 1, ..calm },
            Self::HistoryNotRead => Bounds { losses: 1, timeouts: 1, ..calm },
            Self::WriteUnguarded
            | Self::TokenFromLease
            | Self::KeyUnleased
            | Self::RecoveryTooEarly
            | Self::RecoveryLeftOut => Bounds { losses: 1, ..calm },
            Self::DeadlineFromAnswer | Self::NoMargin | Self::AnswerMistaken => calm,
        }
    }

    /// The property that it breaks.
    #[must_use]
    pub fn breaks(self) -> &'static str {
        match self {
            Self::WriteUnguarded => properties::GUARDED,
            Self::ReleaseUnguarded | Self::RemovalBlind => properties::OWN_END,
            Self::NoSecondLook => properties::ONE_OWNER,
            Self::TermNotCompared | Self::TermGuessed | Self::TokenFromLease => properties::TOKENS,
            Self::KeyUnleased => properties::LEASED,
            Self::RecoveryTooEarly => properties::LIVING,
            Self::RecoveryLeftOut => properties::NO_ORPHAN,
            Self::RecordNotCompared
            | Self::NewOpId
            | Self::UnknownReportedAsRefused
            | Self::RefusalTrusted
            | Self::HistoryNotRead => properties::TRUTH,
            Self::PlaceForgotten | Self::LookTooEarly | Self::JoinNotOutdated => properties::NOT_IN_VAIN,
            Self::DeadlineFromAnswer | Self::NoMargin | Self::AnswerMistaken => time::IN_TIME,
        }
    }

    /// The shortest run in which it breaks a property: which one, and the story.
    ///
    /// # Panics
    /// If there is none: a flaw that does no harm is none.
    #[must_use]
    pub fn counterexample(self) -> (&'static str, String) {
        let protocol = Protocol { without: Some(self) };
        let found = if self.is_about_time() {
            check::shortest(&Session { protocol, seconds: SECONDS }, MOST_STEPS)
        } else {
            check::shortest(&Ownership { protocol, bounds: self.bounds() }, MOST_STEPS)
        };
        found.expect("every flaw breaks a property")
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it concerns the time of a session, rather than who owns and writes.
    #[must_use]
    pub fn is_about_time(self) -> bool {
        matches!(self, Self::DeadlineFromAnswer | Self::NoMargin | Self::AnswerMistaken)
    }
}
