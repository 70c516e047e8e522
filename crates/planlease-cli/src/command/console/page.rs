//! The console's page on a sidecar, as `console` and `sidecar --console` serve it.

use planlease_console::{Console, Options};
use planlease_sidecar::{Bound, Sidecar};

use crate::output;

/// The name under which the records have what was done by the page, beside the person's.
const CLIENT: &str = "console";

/// For whom the page is, and what it may do.
#[derive(Debug)]
pub(in crate::command) struct PageArgs {
    /// Further names by which it may be addressed.
    pub(in crate::command) hosts: Vec<String>,
    /// Whether it may change anything.
    pub(in crate::command) writes: bool,
}

/// Serves the page on this socket. Returns the URL that lets the first browser in; those of later ones are
/// reported as soon as the one before was used.
pub(in crate::command) fn serve(sidecar: &Sidecar, bound: Bound, page: &PageArgs) -> String {
    let base = base(bound.at(), &page.hosts);
    let next = base.clone();
    let options = Options::default().hosts(page.hosts.clone()).writes(page.writes).announce(move |path| {
        output::tell(&format!("a browser was let in; the URL for another one: {next}{path}"));
    });
    let console = Console::new(options);
    sidecar.serve_router(bound, console.router(sidecar.interface_behind(CLIENT, page.writes)));
    format!("{base}{}", console.path())
}

/// How a browser gets there: by the first name that was given, else by the address itself.
fn base(at: &str, hosts: &[String]) -> String {
    match (hosts.first(), at.rsplit_once(':')) {
        (Some(host), Some((_, port))) => format!("http://{host}:{port}"),
        _ => at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_given_stands_in_the_url() {
        assert_eq!(base("http://127.0.0.1:7421", &[]), "http://127.0.0.1:7421");
        assert_eq!(base("http://0.0.0.0:7421", &["fleet".to_owned()]), "http://fleet:7421");
    }
}
