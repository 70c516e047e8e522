//! Who owns a plan, who waits for it, who owned it before.

use planlease::core::WallTime;

use super::{
    table::{Cell, Table},
    tabular::Tabular,
};
use crate::{
    printable::plain,
    wire::owner::{End, OwnerView, Ownership, PastTerm, ReleasedView, Term, TermList},
};

impl Tabular for OwnerView {
    fn table(&self, now: WallTime) -> String {
        let mut text = format!("owner    {}\n", self.ownership.describe(now));
        for waiting in &self.ownership.waiting {
            let since = waiting.since.map_or_else(String::new, |since| format!(", for {}", since.age(now)));
            text.push_str(&format!("queue    {}: {}{since}\n", waiting.position, plain(&waiting.name)));
        }
        text
    }
}

impl Tabular for TermList {
    fn table(&self, now: WallTime) -> String {
        let mut table = Table::new([
            "TERM",
            "OWNER",
            "HOST",
            "SINCE",
            "UNTIL",
            "STARTED",
            "COMPLETED",
            "FAILED",
            "GIVEN BACK",
            "ENDED",
        ]);
        for PastTerm { term, deeds, expired } in &self.terms {
            let count = |number: usize| Cell::text(number.to_string());
            table.row([
                term.token.into(),
                Cell::text(&term.orchestrator),
                Cell::text(&term.host),
                term.since.age(now).into(),
                term.ended.as_ref().map_or_else(|| "-".to_owned(), |end| end.at.age(now)).into(),
                count(deeds.started),
                count(deeds.completed),
                count(deeds.failed),
                count(deeds.given_back),
                term.ended
                    .as_ref()
                    .map_or_else(
                        || if *expired { "session ended" } else { "-" }.to_owned(),
                        |end| end.describe().trim_end_matches(',').to_owned(),
                    )
                    .into(),
            ]);
        }
        table.render("the plan was never owned")
    }
}

impl Tabular for ReleasedView {
    fn table(&self, _now: WallTime) -> String {
        if self.dry_run {
            return format!(
                "{} would lose {}; dry run, nothing was changed\n",
                plain(&self.released),
                self.plan
            );
        }
        format!(
            "{} does not own {} any more; the next in the queue takes it over. If it is a `planlease run`, it \
             leaves the plan to others for 60 s.\n",
            plain(&self.released),
            self.plan
        )
    }
}

impl Ownership {
    /// One line: who owns the plan.
    pub(crate) fn describe(&self, now: WallTime) -> String {
        if let Some(why) = &self.owner_unreadable {
            return format!("unknown: {}", plain(why));
        }
        match (&self.owner, self.waiting.first(), &self.last_term) {
            (Some(owner), ..) => format!(
                "{} on {} (process {}), for {}, token {}",
                plain(&owner.orchestrator),
                plain(&owner.host),
                owner.pid,
                owner.since.age(now),
                owner.token
            ),
            (None, Some(first), _) => format!("none yet; {} is about to take over", plain(&first.name)),
            (None, None, Some(last)) => format!("none; the last one was {}", last.describe(now)),
            (None, None, None) => "never owned".to_owned(),
        }
    }
}

impl Term {
    fn describe(&self, now: WallTime) -> String {
        let how = match &self.ended {
            None => "whose session ended".to_owned(),
            Some(end) => format!("{} {} ago", end.describe(), end.at.age(now)),
        };
        format!("{}, {how}", plain(&self.orchestrator))
    }
}

impl End {
    fn describe(&self) -> String {
        let text = |text: &Option<String>| plain(text.as_deref().unwrap_or("an unknown process"));
        match self.how {
            "clean" => "released".to_owned(),
            "handed_over" => format!("handed over to {}", text(&self.to)),
            "forced" => format!("forced by {}: {},", text(&self.by), text(&self.reason)),
            _ => "session ended".to_owned(),
        }
    }
}
