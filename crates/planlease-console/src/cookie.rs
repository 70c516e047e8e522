//! The cookie of the console. Its name has the port: cookies of one host are shared by all its ports, and
//! several consoles may run there.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

/// The beginning of its name.
const NAME: &str = "planlease_console_";

/// The name of the cookie at the port to which a request is addressed.
fn name(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port =
        host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    format!("{NAME}{}", port.unwrap_or("80"))
}

/// The value that a request bears.
pub(crate) fn given(headers: &HeaderMap) -> Option<&str> {
    let name = name(headers);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The header that has a browser keep this value: no script can read it, and no other site can have it sent.
pub(crate) fn set(headers: &HeaderMap, value: &str, keep: Duration) -> Option<HeaderValue> {
    let (name, seconds) = (name(headers), keep.as_secs());
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &'static str, cookie: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::HOST, HeaderValue::from_static(host)),
            (header::COOKIE, HeaderValue::from_static(cookie)),
        ])
    }

    #[test]
    fn a_cookie_belongs_to_one_port() {
        let cookies = "planlease_console_80=a; planlease_console_7421=b;planlease_console_7422=c";
        assert_eq!(given(&headers("localhost:7421", cookies)), Some("b"));
        assert_eq!(given(&headers("[::1]:7422", cookies)), Some("c"));
        assert_eq!(given(&headers("localhost", cookies)), Some("a"));
        assert_eq!(given(&headers("localhost:1", cookies)), None);
    }

    #[test]
    fn no_script_reads_it_and_no_other_site_has_it_sent() {
        let set = set(&headers("localhost:7421", ""), "v", Duration::from_secs(60)).unwrap();
        assert_eq!(set, "planlease_console_7421=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=60");
    }
}
