//! Which requests may come from the page itself, or from the person in front of the browser, and not from a
//! page of another site.

use http::{HeaderMap, HeaderName, Method, header};

use crate::refusal::Refusal;

/// The names of the loopback device.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The names by which the console may be addressed.
#[derive(Debug)]
pub(crate) struct Site(Vec<String>);

impl Site {
    /// The names of the loopback device, and these.
    pub(crate) fn new(more: &[String]) -> Self {
        Self(LOOPBACK.iter().map(ToString::to_string).chain(more.iter().cloned()).collect())
    }

    /// Whether a request is to be answered at all.
    ///
    /// # Errors
    /// [`Refusal::CrossSite`] if it is addressed to another host's name, which may have been made to point
    /// here, or if a page of another site may have caused it. A link on another page is no harm: it only
    /// shows the page.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if headers.get_all(header::HOST).iter().count() > 1 {
            return Err(Refusal::CrossSite("the request has more than one Host"));
        }
        let host = text(&header::HOST).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        if !self.0.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            return Err(Refusal::CrossSite(
                "Host is no name of this console; --allow-host allows further ones",
            ));
        }
        let is_own = |origin: &str| {
            let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            of.is_some_and(|of| of.eq_ignore_ascii_case(host))
        };
        if headers.contains_key(header::ORIGIN) && !text(&header::ORIGIN).is_some_and(is_own) {
            return Err(Refusal::CrossSite("Origin is another site"));
        }
        let is_link = *method == Method::GET && text(&FETCH_MODE) == Some("navigate");
        match text(&FETCH_SITE) {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) if is_link => Ok(()),
            Some(_) => Err(Refusal::CrossSite("the browser says that another site has caused it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_page_itself_is_answered() {
        let site = Site::new(&["fleet.example".to_owned()]);
        let check = |method: Method, pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            site.check(&method, &HeaderMap::from_iter(pairs)).is_ok()
        };
        let (host, origin) = (header::HOST, header::ORIGIN);
        let at = |value| (host.clone(), value);
        let from = |value| (origin.clone(), value);
        let caused_by = |value| (FETCH_SITE, value);
        assert!(check(Method::POST, &[at("localhost:7421"), from("http://localhost:7421")]));
        assert!(check(Method::POST, &[at("FLEET.example"), from("https://fleet.example")]));
        assert!(check(Method::GET, &[at("127.0.0.1:7421"), caused_by("same-origin")]));
        assert!(check(Method::GET, &[at("[::1]:7421"), caused_by("none")]));
        assert!(!check(Method::GET, &[]));
        assert!(!check(Method::GET, &[at("rebound.example:7421")]));
        assert!(!check(Method::POST, &[at("localhost:7421"), from("http://localhost:7422")]));
        assert!(!check(Method::POST, &[at("localhost:7421"), from("null")]));
        assert!(!check(Method::GET, &[at("localhost:7421"), caused_by("cross-site")]));
        assert!(!check(Method::GET, &[at("localhost:7421"), caused_by("same-site")]));
        let link = [at("localhost:7421"), caused_by("cross-site"), (FETCH_MODE, "navigate")];
        assert!(check(Method::GET, &link));
        assert!(!check(Method::POST, &link));
    }
}
