//! The page's files, as they were built: embedded one by one, since there are few and their names are fixed.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// One file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    /// Its path in URLs.
    pub(crate) path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// The page itself.
pub(crate) const INDEX: Asset = Asset::html("/", include_bytes!("../dist/index.html"));

/// What a browser without a cookie is shown.
pub(crate) const DENIED: Asset = Asset::html("/denied.html", include_bytes!("../dist/denied.html"));

/// What a browser is shown whose one-time URL was right; it leads on to the page.
pub(crate) const ENTERED: Asset = Asset::html("/entered.html", include_bytes!("../dist/entered.html"));

/// What the pages load. None of it is a secret.
pub(crate) const LOADED: [Asset; 4] = [
    Asset::new("/app.js", "text/javascript; charset=utf-8", include_bytes!("../dist/app.js")),
    Asset::new("/layout.js", "text/javascript; charset=utf-8", include_bytes!("../dist/layout.js")),
    Asset::new("/app.css", "text/css; charset=utf-8", include_bytes!("../dist/app.css")),
    Asset::new("/icon.svg", "image/svg+xml", include_bytes!("../dist/icon.svg")),
];

impl Asset {
    const fn new(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> Self {
        Self { path, kind, bytes }
    }

    const fn html(path: &'static str, bytes: &'static [u8]) -> Self {
        Self::new(path, "text/html; charset=utf-8", bytes)
    }

    /// The answer to a request for it: nothing, if the browser has it already.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response {
        let tag = self.tag();
        let has_it = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut response = match has_it {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => self.with_status(StatusCode::OK),
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }

    /// The file as an answer with this status.
    pub(crate) fn with_status(&self, status: StatusCode) -> Response {
        let mut response = Response::new(Body::from(self.bytes));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        response
    }

    /// Changes with the file's contents.
    fn tag(&self) -> String {
        let digest = Sha256::digest(self.bytes);
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_built_file_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dist");
        let built: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("/{}", entry.unwrap().file_name().into_string().unwrap()))
            .collect();
        let served = LOADED.iter().chain([&DENIED, &ENTERED]).map(|asset| asset.path.to_owned());
        let served: BTreeSet<String> = served.chain(["/index.html".to_owned()]).collect();
        assert_eq!(built, served);
    }

    #[test]
    fn the_pages_have_no_inline_code() {
        for page in [INDEX, DENIED, ENTERED] {
            let text = std::str::from_utf8(page.bytes).unwrap();
            for inline in
                ["<script>", "<style", " style=", " onload=", "javascript:", "//cdn", "http:", "https:"]
            {
                assert!(!text.contains(inline), "{} has {inline:?}", page.path);
            }
        }
    }

    #[test]
    fn a_browser_that_has_a_file_is_not_sent_it_again() {
        let first = LOADED[0].answer(&HeaderMap::new());
        let tag = first.headers()[header::ETAG].clone();
        let again = LOADED[0].answer(&HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]));
        assert_eq!((first.status(), again.status()), (StatusCode::OK, StatusCode::NOT_MODIFIED));
        let other = LOADED[0].answer(&HeaderMap::from_iter([(
            header::IF_NONE_MATCH,
            HeaderValue::from_static("\"0000000000000000\""),
        )]));
        assert_eq!(other.status(), StatusCode::OK);
    }
}
