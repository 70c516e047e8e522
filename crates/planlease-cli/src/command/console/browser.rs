//! Opens the person's browser, where there is one.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use tempfile::NamedTempFile;

use crate::environment::Environment;

/// The variables one of which a desktop sets.
const DESKTOPS: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];

/// Opens a URL; `None` if there is no desktop, or it refuses. The URL is a secret and other users see the
/// arguments of every process: so the browser is given a file that only this user can read, and that leads on
/// to the URL. Dropping it removes the file.
pub(super) fn open(url: &str, environment: &Environment) -> Option<NamedTempFile> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if cfg!(not(target_os = "macos")) && DESKTOPS.iter().all(|name| environment.get(name).is_none()) {
        return None;
    }
    let mut file = tempfile::Builder::new().prefix("planlease-console-").suffix(".html").tempfile().ok()?;
    file.write_all(leads_to(url).as_bytes()).ok()?;
    let mut command = Command::new(opener);
    command.arg(file.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().ok()?.success().then_some(file)
}

fn leads_to(url: &str) -> String {
    format!("<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={url}\"><title>planlease</title>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_desktop_nothing_is_opened() {
        assert!(cfg!(target_os = "macos") || open("http://localhost:1", &Environment::default()).is_none());
    }
}
