//! A range read page by page, all of it at one revision.

use etcd_client::{GetOptions, SortOrder, SortTarget};
use planlease_core::{Revision, keys::KeyRange};

use super::{
    client::Etcd,
    fault::{Fault, FaultKind},
    rows::{self, MAX_DECODED, Page, Row},
    send::{Admission, Pending},
};

/// How many keys a page has, if nothing is known of how large they are. Values are bounded too, so it stays
/// far below what is decoded.
pub(crate) const PAGE: i64 = 500;

/// What the bytes of a page are to come to, judged by the page before it.
const PAGE_BYTES: usize = 1024 * 1024;

/// How many keys a page has at most. Should each of them have grown to the largest value all of a sudden, the
/// answer is not decoded, and asked for in smaller pages ([`Etcd::fitting_page`]).
const MAX_PAGE: i64 = 2_000;

/// What a row has besides its key and its value.
const ROW_BYTES: usize = 32;

/// What is left of a range.
#[derive(Debug)]
pub(crate) struct Pages {
    etcd: Etcd,
    /// `None` when everything was read.
    rest: Option<KeyRange>,
    /// The revision of all pages.
    at: Revision,
    /// How many keys the next page has.
    limit: i64,
}

impl Etcd {
    /// Reads a range once, at `at` if given.
    pub(crate) fn page<'a>(
        &'a self,
        range: &'a KeyRange,
        limit: i64,
        at: Option<Revision>,
    ) -> Pending<'a, Page> {
        Box::pin(async move {
            let options = GetOptions::new()
                .with_range(range.end.clone())
                .with_limit(limit)
                .with_sort(SortTarget::Key, SortOrder::Ascend)
                .with_revision(at.map_or(0, Revision::to_wire));
            let options = &options;
            self.call(Admission::TURN, |client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(MAX_DECODED);
                let before = self.newest();
                let answer = kv.get(range.start.clone(), Some(options.clone())).await.map_err(Fault::of)?;
                let page = rows::page(answer.0)?;
                self.check_newest(before, page.revision)?;
                Ok(page)
            })
            .await
        })
    }

    /// Reads a range once; fewer keys, if the answer is larger than what is decoded. One key always fits:
    /// etcd takes no value above 1.5 MiB unless it is configured to.
    async fn fitting_page(
        &self,
        range: &KeyRange,
        mut limit: i64,
        at: Option<Revision>,
    ) -> Result<Page, Fault> {
        loop {
            match self.page(range, limit, at).await {
                Err(fault) if fault.kind == FaultKind::TooLarge && limit > 1 => limit = (limit / 8).max(1),
                page => return page,
            }
        }
    }

    /// Reads the first page of a range, as of `at` if given, else of the present revision; with the pages
    /// behind it.
    pub(crate) async fn first_page(
        &self,
        range: KeyRange,
        at: Option<Revision>,
    ) -> Result<(Page, Pages), Fault> {
        let page = self.fitting_page(&range, PAGE, at).await?;
        let at = at.unwrap_or(page.revision);
        let mut rest = self.pages_behind(&[], range, at);
        let page = rest.took(page)?;
        Ok((page, rest))
    }

    /// The pages of a range behind these rows, which were read of it at this revision.
    pub(crate) fn pages_behind(&self, rows: &[Row], range: KeyRange, at: Revision) -> Pages {
        let rest = Some(behind(rows, range));
        Pages { etcd: self.clone(), rest, at, limit: limit_after(rows) }
    }

    /// Reads a whole range, as [`Etcd::first_page`].
    pub(crate) async fn scan(&self, range: &KeyRange, at: Option<Revision>) -> Result<Page, Fault> {
        let (mut whole, mut rest) = self.first_page(range.clone(), at).await?;
        while let Some(page) = rest.next().await? {
            whole.more = page.more;
            whole.rows.extend(page.rows);
        }
        Ok(whole)
    }
}

impl Pages {
    /// The next page; `None` if there is none any more.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped: the next call reads the same page.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, Fault> {
        let Some(range) = &self.rest else { return Ok(None) };
        let page = self.etcd.fitting_page(range, self.limit, Some(self.at)).await?;
        self.took(page).map(Some)
    }

    /// Goes on behind this page.
    fn took(&mut self, page: Page) -> Result<Page, Fault> {
        self.limit = limit_after(&page.rows);
        self.rest = match self.rest.take() {
            Some(rest) if page.more => {
                // Else it would go on for ever.
                if page.rows.first().is_none_or(|(key, _)| *key < rest.start) {
                    return Err(Fault::nonsense("a page that does not go on where the last one ended"));
                }
                Some(behind(&page.rows, rest))
            }
            _ => None,
        };
        Ok(Page { revision: self.at, ..page })
    }
}

/// What of a range is behind its first rows.
fn behind(rows: &[Row], range: KeyRange) -> KeyRange {
    match rows.last() {
        Some((last, _)) => KeyRange { start: [last.as_slice(), &[0]].concat(), end: range.end },
        None => range,
    }
}

/// How many keys the page after these has. For each page etcd counts all that is left of the range, key by
/// key: the fewer pages there are, the less it has to do.
fn limit_after(rows: &[Row]) -> i64 {
    let bytes: usize = rows.iter().map(|(key, entry)| key.len() + entry.value.len() + ROW_BYTES).sum();
    let within =
        |max: usize| (max * rows.len()).checked_div(bytes).and_then(|limit| i64::try_from(limit).ok());
    let least = within(MAX_DECODED / 2).unwrap_or(PAGE).clamp(1, PAGE);
    within(PAGE_BYTES).unwrap_or(PAGE).clamp(least, MAX_PAGE)
}
