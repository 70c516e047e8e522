//! Reads files with secrets, and warns of secrets that others can read. Each warning is said once.

use std::{
    collections::BTreeSet,
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use planlease::{Endpoint, Secret};

use crate::output;

/// The permission of all users to read a file.
const ALL_READ: u32 = 0o004;

/// What was said already.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Reads a file with a secret: a regular one, whole, of a bounded size. Warns if every user of the host can
/// read it.
///
/// # Errors
/// As [`Secret::read_file`].
pub(crate) fn read(file: &Path) -> io::Result<Vec<u8>> {
    let bytes = Secret::read_file(file)?;
    warn_of_readers(file);
    Ok(bytes)
}

/// Warns of a file with a secret that every user of the host can read.
pub(crate) fn warn_of_readers(file: &Path) {
    let Ok(about) = std::fs::metadata(file) else { return };
    let mode = about.permissions().mode() & 0o7777;
    if mode & ALL_READ != 0 {
        let file = file.display();
        warn(format!(
            "every user of this host can read {file} (mode {mode:04o}); `chmod 600 {file}` keeps it secret"
        ));
    }
}

/// Warns of servers to which the password of a user goes without encryption.
pub(crate) fn warn_of_listeners(user: &str, endpoints: &[Endpoint]) {
    let open = endpoints.iter().filter(|endpoint| matches!(endpoint, Endpoint::Http(_)));
    let open: Vec<String> = open.map(ToString::to_string).collect();
    if !open.is_empty() {
        let open = open.join(", ");
        warn(format!(
            "the password of user {user} is sent without encryption to {open}; https:// encrypts it"
        ));
    }
}

fn warn(warning: String) {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if !said.contains(&warning) {
        output::tell(&format!("warning: {warning}"));
        said.insert(warning);
    }
}
